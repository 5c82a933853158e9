package exchange

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/tidemark-io/tidemark/engine/barrier"
)

func mustBeEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left behind", e.Name())
	}
}

// drainAll takes everything that the wire's receiver r can get, and returns
// the records' numbers and the events, in order; -1 stands for a barrier.
func (w *wire) drainAll(t testing.TB, r int) (got []int64) {
	t.Helper()
	for {
		el, ok := w.gates[r].Poll()
		if !ok {
			if w.part.Drained() {
				if el, ok = w.gates[r].Poll(); !ok {
					return got
				}
			} else if el, ok = w.gates[r].Poll(); !ok {
				t.Fatalf("nothing to take, but something is spilled")
			}
		}
		if el.Event != nil {
			got = append(got, -1)
			w.gates[r].Resume(el.Channel)
			continue
		}
		w.curs[r].Feed(el.Buffer.Bytes())
		for f, ok := w.curs[r].Next(); ok; f, ok = w.curs[r].Next() {
			checkRecord(t, f, uint64(f.Timestamp), len(f.Payload))
			got = append(got, f.Timestamp)
		}
		if err := w.curs[r].Err(); err != nil {
			t.Fatal(err)
		}
		w.gates[r].Recycle(el.Buffer)
	}
}

// TestALongRecordSpills: a record much longer than all credits is sent at one
// go, to memory, then to disk; the barrier and the record behind it come out
// in order, and the file is gone at the end.
func TestALongRecordSpills(t *testing.T) {
	for _, c := range []struct {
		name         string
		memory, disk int64
		wantDisk     bool
	}{
		{"memory only", 1 << 20, 0, false},
		{"disk only", 0, 1 << 20, true},
		{"memory, then disk", 4 << 10, 1 << 20, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.SpillMemory, cfg.SpillDisk = c.memory, c.disk
			cfg.SpillDir = filepath.Join(t.TempDir(), "spill")
			w := newWire(t, cfg, 2)
			for i, n := range []int{10, 100_000, 20} {
				if err := send(w.part, 0, uint64(i), n); err != nil {
					t.Fatal(err)
				}
				if err := send(w.part, 1, uint64(i), 5); err != nil {
					t.Fatal(err)
				}
				if i == 1 {
					if err := w.part.Emit(NewBarrier(barrier.Barrier{ID: 1})); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := w.part.Flush(); err != nil {
				t.Fatal(err)
			}
			if w.part.Available() {
				t.Error("available with something spilled")
			}
			st := w.part.Stats()
			if st.SpilledBytes < 50_000 || (st.SpilledDiskBytes > 0) != c.wantDisk || st.HardWaits != 0 {
				t.Errorf("stats %+v", st)
			}
			if held := w.part.spill.memory; held > c.memory+2*int64(cfg.BufferSize) {
				t.Errorf("%d bytes of spill in memory, limit %d", held, c.memory)
			}
			for r := range 2 {
				got := w.drainAll(t, r)
				if want := []int64{0, 1, -1, 2}; !equal(got, want) {
					t.Errorf("receiver %d got %v, want %v", r, got, want)
				}
			}
			if !w.part.Available() || w.part.spill.file.size != 0 || w.part.spill.memory != 0 {
				t.Errorf("after all: available %v, %d bytes in the file, %d in memory", w.part.Available(), w.part.spill.file.size, w.part.spill.memory)
			}
			w.close(t)
			mustBeEmpty(t, cfg.SpillDir)
		})
	}
}

func equal(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// TestClosingWithSpilledData: nothing is left, in memory or on disk.
func TestClosingWithSpilledData(t *testing.T) {
	cfg := testConfig()
	cfg.SpillMemory, cfg.SpillDisk, cfg.SpillDir = 4<<10, 1<<20, t.TempDir()
	w := newWire(t, cfg, 1)
	if err := send(w.part, 0, 0, 50_000); err != nil {
		t.Fatal(err)
	}
	w.close(t)
	mustBeEmpty(t, cfg.SpillDir)
	if err := send(w.part, 0, 0, 10); !errors.Is(err, ErrClosed) {
		t.Errorf("send after close: %v", err)
	}
}

// TestDamagedSpillFile: a changed byte of the file is an error, not data.
func TestDamagedSpillFile(t *testing.T) {
	cfg := testConfig()
	cfg.SpillDisk, cfg.SpillDir = 1<<20, t.TempDir()
	w := newWire(t, cfg, 1)
	defer w.close(t)
	if err := send(w.part, 0, 0, 20_000); err != nil {
		t.Fatal(err)
	}
	if _, err := w.part.spill.file.file.WriteAt([]byte{0xff}, 300); err != nil {
		t.Fatal(err)
	}
	for el, ok := w.gates[0].Poll(); ok; el, ok = w.gates[0].Poll() {
		w.gates[0].Recycle(el.Buffer)
		w.part.Available()
	}
	if err := w.part.Err(); !errors.Is(err, ErrSpill) {
		t.Errorf("error %v", err)
	}
	if !w.part.Available() || send(w.part, 0, 1, 1) == nil {
		t.Error("the sender does not learn of it")
	}
}

// TestHardBackpressure: with all spill space used, End waits, says so, and
// goes on when the receiver gives buffers back; Emit does not wait.
func TestHardBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hard []bool
		cfg := testConfig()
		cfg.SpillMemory = 1 << 10
		pool := NewPool(cfg.BufferSize)
		g := NewGate(1, nil)
		p, err := NewPartition(pool, cfg, []Target{{Gate: g}}, Hooks{Hard: func(on bool) { hard = append(hard, on) }})
		if err != nil {
			t.Fatal(err)
		}
		w := &wire{pool: pool, part: p, gates: []*Gate{g}, curs: []*Cursor{NewCursor(0)}}
		sent := false
		go func() {
			if err := send(p, 0, 0, 30_000); err != nil {
				t.Error(err)
			}
			if err := p.Emit(NewBarrier(barrier.Barrier{ID: 1})); err != nil {
				t.Error(err)
			}
			sent = true
		}()
		synctest.Wait()
		if sent || !p.HardBackpressured() || len(hard) != 1 {
			t.Fatalf("sent %v, hard %v, hook %v", sent, p.HardBackpressured(), hard)
		}
		c := w.curs[0]
		records := 0
		for !sent {
			el, ok := g.Poll()
			if !ok {
				t.Fatal("the sender waits, and there is nothing to take")
			}
			c.Feed(el.Buffer.Bytes())
			for f, ok := c.Next(); ok; f, ok = c.Next() {
				checkRecord(t, f, 0, 30_000)
				records++
			}
			g.Recycle(el.Buffer)
			synctest.Wait()
		}
		if p.HardBackpressured() || len(hard)%2 != 0 || p.Stats().HardWaits == 0 {
			t.Errorf("hard %v, hook %v, stats %+v", p.HardBackpressured(), hard, p.Stats())
		}
		if got := w.drainAll(t, 0); len(got)+records != 2 || got[len(got)-1] != -1 {
			t.Errorf("%d records, then %v", records, got)
		}
		w.close(t)
	})
}

// TestCancelEndsTheWait: a sender that waits returns ErrClosed.
func TestCancelEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, testConfig(), 1)
		var err error
		go func() { err = send(w.part, 0, 0, 30_000) }()
		synctest.Wait()
		if err != nil || !w.part.HardBackpressured() {
			t.Fatalf("error %v, waiting %v", err, w.part.HardBackpressured())
		}
		w.part.Cancel()
		synctest.Wait()
		if !errors.Is(err, ErrClosed) || w.part.HardBackpressured() {
			t.Errorf("error %v, waiting %v", err, w.part.HardBackpressured())
		}
		w.close(t)
	})
}
