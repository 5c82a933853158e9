package matrix_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tidemark-io/tidemark/engine"
)

// header marks every word that sources emit. Whoever reads a word looks whether
// it is there: bytes that were joined wrongly do not have it.
const header = int64(0x2BCDEA7C) << 32

// seal adds the header to a number below 2^32.
func seal(v int64) int64 { return v ^ header }

// open takes it away again.
func open(word int64) int64 {
	v := word ^ header
	if v < 0 || v >= 1<<32 {
		panic(fmt.Sprintf("the header of %#x is damaged", word))
	}
	return v
}

// pump is what the sources of a job share: how far they may read, and when they
// end. It goes on by a step with each completed checkpoint, so that the number
// of records depends on the number of checkpoints and not on the speed of the
// machine. Split i of n has the numbers i, i+n, i+2n, …
type pump struct {
	splits int
	step   int64 // records of each split for each checkpoint
	silent int64 // a split that never has a record, if not 0

	mu    sync.Mutex
	limit int64 // records of each split that may be read
	end   int64 // records of each split in the end, -1 if not known yet

	// asks has an element when the sources are in the middle of a step: the
	// moment for a checkpoint, with data before and behind its barriers.
	asks chan struct{}

	atRest map[int64]bool // splits in which a read found nothing at this limit
	rested *sync.Cond
}

func newPump(splits int, step int64) *pump {
	p := &pump{splits: splits, step: step, limit: step, end: -1, asks: make(chan struct{}, 1), atRest: map[int64]bool{}}
	p.rested = sync.NewCond(&p.mu)
	return p
}

// more lets the sources read n more records of each split.
func (p *pump) more(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit += n
	clear(p.atRest)
}

// rest waits until all that may be read since the last call of more was read and
// emitted.
func (p *pump) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.atRest) < p.splits {
		p.rested.Wait()
	}
}

// raise lets the sources read one step more.
func (p *pump) raise() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end < 0 {
		p.limit += p.step
	}
}

// finish lets the sources end one step behind the place that they may have
// reached, and reports whether that was news.
func (p *pump) finish() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end >= 0 {
		return false
	}
	p.limit += p.step
	p.end = p.limit
	return true
}

// stop lets the sources end at the place that they may have reached.
func (p *pump) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = p.limit
}

// ended reports whether the sources know their end.
func (p *pump) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end >= 0
}

// total is the number of records of all splits; the numbers are 0 to total−1.
func (p *pump) total() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end * int64(p.splits)
}

// pumped is a source of records made of the numbers of a pump. Several sources
// may share one.
type pumped[T any] struct {
	p    *pump
	make func(v int64) T
}

// words is a source of sealed numbers.
func words(p *pump) engine.Source[int64] { return pumped[int64]{p, seal} }

func (s pumped[T]) Splits(context.Context) ([]engine.Split, error) {
	list := make([]engine.Split, s.p.splits)
	for i := range list {
		list[i] = engine.Split{ID: fmt.Sprintf("split-%d", i), Data: []byte{byte(i)}}
	}
	return list, nil
}

func (s pumped[T]) Open(_ context.Context, sp engine.Split, position []byte) (engine.SplitReader[T], error) {
	r := &pumpReader[T]{s: s, split: int64(sp.Data[0])}
	if position != nil {
		r.at = int64(binary.BigEndian.Uint64(position))
	}
	return r, nil
}

type pumpReader[T any] struct {
	s     pumped[T]
	split int64
	at    int64
	over  bool
}

func (r *pumpReader[T]) Read(_ context.Context, batch []T) (int, error) {
	if r.over {
		return 0, errors.New("read after the end")
	}
	p := r.s.p
	p.mu.Lock()
	limit, end := p.limit, p.end
	if r.at == limit {
		p.atRest[r.split] = true
		p.rested.Broadcast()
	}
	p.mu.Unlock()
	if p.silent != 0 && r.split == p.silent {
		if end < 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := max(min(int64(len(batch)), limit-r.at, max(p.step/4, 1)), 0)
	for i := range n {
		batch[i] = r.s.make(r.split + (r.at+i)*int64(p.splits))
	}
	if r.at += n; end < 0 && r.at >= limit-p.step/2 {
		select {
		case p.asks <- struct{}{}:
		default:
		}
	}
	if r.at == end {
		r.over = true
		return int(n), io.EOF
	}
	return int(n), nil
}

func (r *pumpReader[T]) Position(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(r.at))
}

func (r *pumpReader[T]) Close() error { return nil }
