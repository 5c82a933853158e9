package engine_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/native"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// change rewrites the objects of a directory whose names end so.
func change(t *testing.T, st store.Store, dir, suffix string, f func([]byte) []byte) {
	t.Helper()
	var names []string
	for info, err := range st.List(t.Context(), dir+"/") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(info.Name, suffix) {
			names = append(names, info.Name)
		}
	}
	if len(names) == 0 {
		t.Fatalf("no object %s in %s", suffix, dir)
	}
	for _, name := range names {
		data, err := store.ReadAll(t.Context(), st, name, 1<<30)
		if err == nil {
			err = st.Remove(t.Context(), name, "")
		}
		if data = f(bytes.Clone(data)); err == nil && data != nil {
			var up store.Upload
			if up, err = st.Create(t.Context(), name); err == nil {
				if _, err = up.Write(data); err == nil {
					_, err = up.Commit()
				}
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSalvagedIsRestored damages the newest checkpoint of a job that was cancelled
// under backpressure, salvages it with the tool, and goes on from the result. What
// cost nothing leaves the output exact; what cost something leaves a job that ends,
// and that makes nothing up.
func TestSalvagedIsRestored(t *testing.T) {
	gone := func([]byte) []byte { return nil }
	flip := func(at func(n int) int) func([]byte) []byte {
		return func(b []byte) []byte { b[at(len(b))] ^= 4; return b }
	}
	middle := func(n int) int { return n / 2 }
	for _, tt := range []struct {
		name     string
		damage   func(t *testing.T, st store.Store, dir string)
		lossless bool
		perhaps  bool // an index may be hit, of which nothing depends
	}{
		{"the manifest", func(t *testing.T, st store.Store, dir string) { change(t, st, dir, "/"+layout.Manifest, flip(middle)) }, true, false},
		{"no manifest, but its copy", func(t *testing.T, st store.Store, dir string) { change(t, st, dir, "/"+layout.Manifest, gone) }, true, false},
		{"both manifests", func(t *testing.T, st store.Store, dir string) {
			change(t, st, dir, "/"+layout.Manifest, gone)
			change(t, st, dir, "/"+layout.ManifestCopy, flip(middle))
		}, false, false},
		{"data", func(t *testing.T, st store.Store, dir string) { change(t, st, dir, layout.DataSuffix, flip(middle)) }, false, true},
		{"the end of data", func(t *testing.T, st store.Store, dir string) {
			change(t, st, dir, layout.DataSuffix, func(b []byte) []byte { return b[:len(b)*3/4] })
		}, false, true},
		{"all data", func(t *testing.T, st store.Store, dir string) { change(t, st, dir, layout.DataSuffix, gone) }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const splits, n = 4, 3000
			var st store.Store
			var out *ledger[counted]
			cfg := engine.Config{Parallelism: 3, Exchange: smallBuffers()}
			slower(t, func(rounds int) bool {
				st, out = mem.New(), newLedger[counted]()
				cfg.Checkpoints.Store = st
				cfg.Checkpoints.Interval = 2 * time.Millisecond
				cfg.Checkpoints.Unaligned = true
				return !untilCheckpoints(t, backpressured(numbers(splits, n, all), out, rounds), cfg, 3)
			})
			dir := newestDir(t, st)
			tt.damage(t, st, dir)
			formats := native.NewFormat(st)
			src, err := formats.OpenDamaged(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			r, err := recovery.Salvage(t.Context(), src, nil, recovery.Target{Format: formats, Path: "salvaged"})
			if err != nil {
				t.Fatal(err)
			}
			src.Close()
			made, err := formats.Open(t.Context(), "salvaged")
			if err != nil {
				t.Fatal(err)
			}
			for f, err := range recovery.Verify(t.Context(), made, recovery.Options{}) {
				if err != nil || f.Severity == checkpoint.Error {
					t.Fatalf("the result: %v %v", f, err)
				}
			}
			made.Close()
			if lossless := len(r.Losses) == 0; lossless != tt.lossless && (tt.lossless || !tt.perhaps) {
				t.Fatalf("losses %+v, want none: %v", r.Losses, tt.lossless)
			}
			cfg.Restore.From = "salvaged"
			cfg.Restore.AllowNonRestoredState = true
			if !untilCheckpoints(t, backpressured(numbers(splits, n, all), out, 0), cfg, -1) {
				t.Fatal("the job did not end")
			}
			if len(r.Losses) == 0 {
				checkCounted(t, out.records(), splits, n)
			}
			seen := map[counted]bool{}
			for _, c := range out.records() {
				if seen[c] {
					t.Fatalf("%+v came out twice", c)
				}
				seen[c] = true
			}
			t.Logf("RESULT TestSalvagedIsRestored damage=%q losses=%d records=%d", tt.name, len(r.Losses), len(out.records()))
		})
	}
}
