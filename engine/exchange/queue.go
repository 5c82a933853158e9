package exchange

// element is what a queue holds: one of the two is set.
type element struct {
	buf *Buffer
	ev  *Event
}

// queue is the prioritised deque of one channel: the first prio elements go
// before all others, in their own order. It lies in a ring whose length is a
// power of two. The gate's lock guards it.
type queue struct {
	ring  []element
	head  int
	n     int
	prio  int
	bytes int64 // of the buffers in it
	bufs  int

	before uint64 // at a receiver: its newest barrier with priority overtook buffers below
	next   uint64 // number of the buffer behind the one that was popped last
	pins   []*pin // checkpoints that want the first buffers

	blocked bool // stands still until the receiver resumes it
	held    bool // the receiver does not want to read it, for now
	listed  bool // is in the gate's list of channels to be polled
}

func (q *queue) at(i int) *element { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) grow() {
	if q.n < len(q.ring) {
		return
	}
	ring := make([]element, max(8, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.head = ring, 0
}

func (q *queue) push(e element) {
	q.grow()
	*q.at(q.n) = e
	q.n++
	if e.buf != nil {
		q.bufs++
		q.bytes += int64(len(e.buf.data))
	}
}

// pushPriority puts an event behind the other prioritised elements.
func (q *queue) pushPriority(e element) {
	q.grow()
	q.head = (q.head - 1) & (len(q.ring) - 1)
	q.n++
	for i := range q.prio {
		*q.at(i) = *q.at(i + 1)
	}
	*q.at(q.prio) = e
	q.prio++
}

// pop takes the first element; the queue must not be empty.
func (q *queue) pop() element {
	p := q.at(0)
	e := *p
	*p = element{} // do not keep the buffer alive
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	if q.prio > 0 {
		q.prio--
	}
	if e.buf != nil {
		q.bufs--
		q.bytes -= int64(len(e.buf.data))
		q.next = e.buf.seq + 1
		if len(q.pins) > 0 {
			q.taking(e.buf)
		}
	}
	return e
}

// barrierAt returns where the timeoutable barrier of a checkpoint is, -1 if it
// is not in the queue.
func (q *queue) barrierAt(id uint64) int {
	for i := q.prio; i < q.n; i++ {
		if ev := q.at(i).ev; ev != nil && ev.isTimeoutable(id) {
			return i
		}
	}
	return -1
}

// remove takes out the event at i, which has no priority.
func (q *queue) remove(i int) {
	for ; i < q.n-1; i++ {
		*q.at(i) = *q.at(i + 1)
	}
	*q.at(q.n - 1) = element{}
	q.n--
}

// list appends the buffers among the first n elements to pieces. It looks
// into none of them.
func (q *queue) list(n int, pieces []Piece) []Piece {
	mask := len(q.ring) - 1
	for i := range n {
		if b := q.ring[(q.head+i)&mask].buf; b != nil {
			pieces = append(pieces, Piece{buf: b})
		}
	}
	return pieces
}
