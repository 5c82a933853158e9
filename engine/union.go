package engine

// Union is the stream of all records of several streams of one type. It copies
// nothing and is no operator: the next operator reads all of them. Each keeps
// the order of its records, and event time is the least of all. A stream that is
// given twice counts twice.
//
// How each stream was to be partitioned is kept; a method of the union such as
// [Stream.Rebalance] tells all of them.
func Union[T any](first Stream[T], more ...Stream[T]) Stream[T] {
	u := first.with(func(*leg[T]) {}) // a copy
	for _, s := range more {
		if s.g != u.g {
			u.g.fail("a union of the outputs of %q and %q, which belong to different graphs", u.uid(), s.uid())
			continue
		}
		u.legs = append(u.legs, s.legs...)
	}
	return u
}
