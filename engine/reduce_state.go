package engine

// ReducingState is a state with one value per key into which others are folded.
// Declare it as a field of a Process and bind it in Open; from then on it
// follows the current key.
type ReducingState[V any] struct {
	value  Value[V]
	reduce func(a, b V) V
}

// Bind declares the state under a name that is unique in its operator, and
// restores it. reduce makes one value of two, the older one first; it must not
// keep or change them.
func (r *ReducingState[V]) Bind(b *Binder, name string, reduce func(a, b V) V) error {
	r.reduce = reduce
	return r.value.Bind(b, name)
}

// Add folds a value into that of the current key. The first one is taken as it
// is.
func (r *ReducingState[V]) Add(v V) {
	if old, ok := r.value.Lookup(); ok {
		v = r.reduce(old, v)
	}
	r.value.Set(v)
}

// Get returns the value of the current key, V's zero value if it has none.
func (r *ReducingState[V]) Get() V { return r.value.Get() }

// Lookup returns the value of the current key and whether it has one.
func (r *ReducingState[V]) Lookup() (V, bool) { return r.value.Lookup() }

// Clear removes the value of the current key.
func (r *ReducingState[V]) Clear() { r.value.Clear() }

// AggregatingState is a state with one accumulator per key, which takes values
// of one type and gives results of another. Declare it as a field of a Process
// and bind it in Open; from then on it follows the current key.
type AggregatingState[In, Acc, Out any] struct {
	acc    Value[Acc]
	add    func(acc Acc, in In) Acc
	result func(acc Acc) Out
}

// Bind declares the state under a name that is unique in its operator, and
// restores it. add takes a value into the accumulator, which begins as Acc's
// zero value; it must not keep or change what it was given earlier. result makes
// the result.
func (a *AggregatingState[In, Acc, Out]) Bind(b *Binder, name string, add func(acc Acc, in In) Acc, result func(acc Acc) Out) error {
	a.add, a.result = add, result
	return a.acc.Bind(b, name)
}

// Add takes a value into the accumulator of the current key.
func (a *AggregatingState[In, Acc, Out]) Add(in In) { a.acc.Set(a.add(a.acc.Get(), in)) }

// Get returns the result for the current key, that of Acc's zero value if
// nothing was added.
func (a *AggregatingState[In, Acc, Out]) Get() Out { return a.result(a.acc.Get()) }

// Lookup returns the result for the current key and whether anything was added.
func (a *AggregatingState[In, Acc, Out]) Lookup() (Out, bool) {
	acc, ok := a.acc.Lookup()
	if !ok {
		var none Out
		return none, false
	}
	return a.result(acc), true
}

// Clear removes the accumulator of the current key.
func (a *AggregatingState[In, Acc, Out]) Clear() { a.acc.Clear() }
