package state

import (
	"fmt"
	"iter"

	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/wire"
)

// What raw keyed state of timers begins with. On disk.
const (
	rawTimersMark    uint32 = 0xF1CD859F // a versioned stream; the low bytes are its complement
	rawTimersVersion int32  = 2
)

// RawTimer is a timer of raw keyed state, where RocksDB jobs with timers on the
// heap have them.
type RawTimer struct {
	KeyGroup       int
	Service        string // of timers, by its name
	EventTime      bool   // else processing time
	Key, Namespace []byte // valid until the next step
	KeyType        *serde.Type
	NamespaceType  *serde.Type
	Timestamp      int64 // milliseconds since 1970
	Offset         int64
}

// RawTimers yields the timers of a file of raw keyed state. In its offsets -1
// stands for an empty key group. An error, a *wire.Error, is one of a key group; a
// consumer that goes on gets the groups behind it. State that does not begin as
// timers do is an error of the class wire.ErrUnsupported: it is an operator's own.
func RawTimers(f KeyedFile) iter.Seq2[*RawTimer, error] {
	return func(yield func(*RawTimer, error) bool) {
		for i, off := range f.Offsets {
			if off < 0 {
				continue
			}
			end := f.Size
			for _, other := range f.Offsets {
				if other > off && other < end {
					end = other
				}
			}
			r := section(f.Object, f.Data, min(off, end), end)
			t := &RawTimer{KeyGroup: f.Groups.First + i}
			more := rawGroup(r, t, yield)
			if more && r.Err() == nil {
				r.End(fmt.Sprintf("key group %d", t.KeyGroup))
			}
			if more && r.Err() != nil {
				more = yield(nil, r.Err())
			}
			if !more {
				return
			}
		}
	}
}

// rawGroup yields the timers of one key group. It returns false if the consumer
// has had enough.
func rawGroup(r *wire.Reader, t *RawTimer, yield func(*RawTimer, error) bool) bool {
	return rawServices(r, func() bool { return true }, t, yield)
}

// rawServices is rawGroup that tells of each service, empty or not, before its
// timers.
func rawServices(r *wire.Reader, service func() bool, t *RawTimer, yield func(*RawTimer, error) bool) bool {
	at := r.Offset()
	if m := uint32(r.I32("mark of timers")); r.Err() == nil && m != rawTimersMark {
		r.FailAt(at, "raw keyed state", wire.Unsupported("it begins with %08x, timers with %08x", m, rawTimersMark))
	}
	at = r.Offset()
	if v := r.I32("version of timers"); r.Err() == nil && v != rawTimersVersion {
		r.FailAt(at, "version of timers", wire.Unsupported("%d, only %d is known", v, rawTimersVersion))
	}
	for range r.Count(2, "timer services") {
		t.Service = r.UTF("name of a timer service")
		t.KeyType, _ = serde.ReadVersioned(r)
		t.NamespaceType, _ = serde.ReadVersioned(r)
		if r.Err() == nil && !service() {
			return false
		}
		for _, t.EventTime = range []bool{true, false} {
			for range r.Count(8, "timers") {
				if !rawTimer(r, t, yield) {
					return r.Err() != nil
				}
			}
		}
		if r.Err() != nil {
			break
		}
	}
	return true
}

// rawTimer yields one timer. It returns false after a failure or if the consumer
// has had enough.
func rawTimer(r *wire.Reader, t *RawTimer, yield func(*RawTimer, error) bool) bool {
	t.Offset = r.Offset()
	r.Mark()
	t.KeyType.Skip(r)
	middle := r.Offset() - t.Offset
	t.NamespaceType.Skip(r)
	end := r.Offset() - t.Offset
	t.Timestamp = r.I64("timestamp of a timer")
	b := r.Marked()
	r.Unmark()
	if r.Err() != nil {
		return false
	}
	t.Key, t.Namespace = b[:middle:middle], b[middle:end:end]
	return yield(t, nil)
}

// RawService is a timer service of raw keyed state.
type RawService struct {
	Name          string
	KeyType       *serde.Type
	NamespaceType *serde.Type
}

// RawServices yields the timer services of a file of raw keyed state. Every key
// group names all of them; the first that is not empty is read. Errors are those of
// [RawTimers].
func RawServices(f KeyedFile) ([]RawService, error) {
	for i, off := range f.Offsets {
		if off < 0 {
			continue
		}
		var list []RawService
		r := section(f.Object, f.Data, min(off, f.Size), f.Size)
		t := &RawTimer{KeyGroup: f.Groups.First + i}
		rawServices(r, func() bool {
			list = append(list, RawService{t.Service, t.KeyType, t.NamespaceType})
			return true
		}, t, func(*RawTimer, error) bool { return true })
		return list, r.Err()
	}
	return nil, nil
}
