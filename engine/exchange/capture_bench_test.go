package exchange

import (
	"fmt"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

// BenchmarkCapture measures how long an unaligned barrier holds the sender up,
// with 1 MiB and with 64 MiB in flight over four channels: buffers are
// retained, no byte is copied, no buffer touched.
func BenchmarkCapture(b *testing.B) {
	for _, mib := range []int{1, 64} {
		b.Run(fmt.Sprintf("%dMiB", mib), func(b *testing.B) {
			w := fullWire(b, DefaultConfig(), mib<<20)
			defer w.close(b)
			var size int64
			for i := 0; b.Loop(); i++ {
				parts, err := w.part.EmitBarrier(barrier.Barrier{ID: uint64(i + 1), Alignment: barrier.Unaligned}, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				size = 0
				for k := range parts {
					size += parts[k].Size()
					parts[k].Release()
				}
				for _, g := range w.gates {
					g.PollPriority()
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(size)/(1<<20), "MiB")
		})
	}
}

// fullWire fills four channels with n bytes altogether.
func fullWire(t testing.TB, cfg Config, n int) *wire {
	cfg.BuffersPerChannel = n/cfg.BufferSize/4 + 2
	cfg.MaxPerChannel = cfg.BuffersPerChannel + 2
	w := newWire(t, cfg, 4)
	for sent := 0; sent < n; sent += 1000 {
		if err := send(w.part, sent/1000%4, uint64(sent), 1000-lengthSize-keyedHeader); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// TestCaptureCopiesNothing: the memory that a capture allocates does not
// depend on the bytes in flight, only (16 bytes each) on the buffers.
func TestCaptureCopiesNothing(t *testing.T) {
	for _, mib := range []int{1, 16} {
		w := fullWire(t, DefaultConfig(), mib<<20)
		made := w.pool.Allocated()
		began := time.Now()
		parts, err := w.part.EmitBarrier(barrier.Barrier{ID: 1, Alignment: barrier.Unaligned}, nil)
		took := time.Since(began)
		if err != nil {
			t.Fatal(err)
		}
		var size int64
		pieces := 0
		for i := range parts {
			size += parts[i].Size()
			pieces += len(parts[i].Pieces)
			for k := range parts[i].Pieces {
				if p := &parts[i].Pieces[k]; p.buf == nil || p.buf.refs.Load() != 1 || cap(parts[i].Pieces) != len(parts[i].Pieces) {
					t.Fatalf("piece %d of channel %d is a copy", k, i)
				}
			}
		}
		if w.pool.Allocated() != made || size < int64(mib)<<20 {
			t.Errorf("%d bytes captured, %d buffers more", size, w.pool.Allocated()-made)
		}
		ReleaseAll(parts)
		w.close(t)
		t.Logf("RESULT exchange-capture inflight_mib=%d pieces=%d micros=%d", mib, pieces, took.Microseconds())
	}
}
