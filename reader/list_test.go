package reader_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// refusing fails to open the objects of one name, and counts what is open.
type refusing struct {
	store.Store
	name       string
	err        error
	open, most atomic.Int64
}

func (r *refusing) Open(ctx context.Context, name string) (store.Object, error) {
	if name == r.name {
		return nil, r.err
	}
	o, err := r.Store.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	for n := r.open.Add(1); ; {
		if most := r.most.Load(); n <= most || r.most.CompareAndSwap(most, n) {
			break
		}
	}
	return &closing{o, r}, nil
}

type closing struct {
	store.Object
	r *refusing
}

func (c *closing) Close() error {
	c.r.open.Add(-1)
	return c.Object.Close()
}

// TestListReadsLittleAndInOrder: a listing reads each manifest in a few pieces,
// since each is a request where the store is a bucket, some manifests at the same
// time, and still tells the checkpoints in their order. Leaving it early, or a
// failure, leaves nothing open.
func TestListReadsLittleAndInOrder(t *testing.T) {
	st := write(t, writertest.Job{Keys: 50, Parallelism: 40})
	const last = 30
	var want []string
	for id := range uint64(last) {
		if id > 0 {
			j := writertest.Job{ID: id + 1, Parallelism: 2}
			if _, err := j.Write(t.Context(), st); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, fmt.Sprint("chk-", id+1))
	}
	refused := errors.New("refused")
	for name, tt := range map[string]struct {
		refuse string
		stop   int // after so many
		want   []string
	}{
		"all":       {"", last, want},
		"the first": {"", 1, want[:1]},
		"a failure": {"chk-20/MANIFEST", last, want}, // of one checkpoint is its status
	} {
		r := &refusing{Store: st, name: tt.refuse, err: refused}
		c := &counting{Store: r}
		var got []string
		for info, err := range reader.NewFormat(c).List(t.Context(), "") {
			if err != nil {
				t.Fatal(name, err)
			}
			if got = append(got, info.Path); (info.Reason != nil) != (info.Path+"/MANIFEST" == tt.refuse) || info.Reason != nil && !errors.Is(info.Reason, refused) {
				t.Errorf("%s: %s is %v: %v", name, info.Path, info.Status, info.Reason)
			}
			if len(got) == tt.stop {
				break
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if reads := c.reads.Load(); reads > 5*last {
			t.Errorf("%s: %d reads for %d manifests", name, reads, last)
		}
		if r.open.Load() != 0 || r.most.Load() > 8 {
			t.Errorf("%s: %d objects left open, %d at the same time", name, r.open.Load(), r.most.Load())
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	seen := 0
	var err error
	for _, err = range reader.NewFormat(st).List(ctx, "") {
		if seen++; seen == 1 {
			cancel(refused)
		}
	}
	if err != nil && !errors.Is(err, refused) || err == nil && seen != last {
		t.Errorf("after cancelling: %d checkpoints, %v", seen, err)
	}
}
