package engine_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/native"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/recovery/export"
	"github.com/tidemark-io/tidemark/store/mem"
)

// rebalancedFlights has records in flight on a rebalanced connection, without a
// hash, and behind it on a keyed one.
func rebalancedFlights() typed[flight1] {
	ty := typed1
	ty.wire = engine.Stream[flight1].Rebalance
	return ty
}

// opened opens a checkpoint of a root for the tools.
func opened(t *testing.T, st *mem.Store, at string) checkpoint.Checkpoint {
	t.Helper()
	c, err := native.NewFormat(st).Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Records that a job has left in flight are printed by their type, whichever way
// they are asked for.
func TestInFlightIsPrinted(t *testing.T) {
	root, at := rebalancedFlights().take(t, 2, engine.RestoreConfig{})
	st := root.(*mem.Store)
	c := opened(t, st, at)

	// Each record is the one that its number says, and found under its key.
	shown, byKey := 0, map[string]int{}
	for row, err := range recovery.Rows(t.Context(), c, checkpoint.Selector{}, recovery.RowOptions{}) {
		if err != nil || row.Problem != nil {
			t.Fatal(err, row.Problem)
		}
		if !row.State.Kind.InFlight() || row.Value == nil {
			continue
		}
		var v struct {
			Key, Seq, Note string
			Fare           int32
		}
		if err := json.Unmarshal(row.Value, &v); err != nil {
			t.Fatalf("%s: %v", row.Value, err)
		}
		if v.Note != "note "+v.Seq || fmt.Sprint(-v.Fare-1) != v.Seq {
			t.Errorf("record %s", row.Value)
		}
		shown++
		byKey[v.Key]++
	}
	if n := newestInFlight(t, st).InFlightRecords; uint64(shown) != n || len(byKey) == 0 {
		t.Errorf("%d records of %d, keys %v", shown, n, byKey)
	}
	for key, want := range byKey {
		found := 0
		for hit, err := range recovery.Find(t.Context(), c, checkpoint.Selector{}, key) {
			if err != nil {
				t.Fatal(err)
			}
			if hit.Record != nil {
				found++
			}
		}
		if found < want { // a number may also be the Seq of another record
			t.Errorf("key %s: %d records found of %d", key, found, want)
		}
	}

	for _, f := range export.Formats {
		var b bytes.Buffer
		n, err := export.Write(t.Context(), c, &b, export.Options{Format: f, Select: checkpoint.Selector{Kind: checkpoint.InputChannel}})
		if err != nil || n == 0 {
			t.Fatalf("%s: %d rows, %v", f, n, err)
		}
		if f != export.CSV {
			continue
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil || !slices.Contains(rows[0], "value.Fare") {
			t.Errorf("head %v, %v", rows[0], err)
		}
	}
	for d, err := range recovery.Diff(t.Context(), c, opened(t, st, at), recovery.DiffOptions{}) {
		t.Errorf("a checkpoint differs from itself: %+v, %v", d, err)
	}
	t.Logf("RESULT TestInFlightIsPrinted records=%d keys=%d", shown, len(byKey))
}

// What the tools make of a checkpoint keeps the type of the records in flight, so
// that they are taken over by a job with another one.
func TestInFlightTypeOutlivesTools(t *testing.T) {
	root, at := typed1.take(t, 2, engine.RestoreConfig{})
	st := root.(*mem.Store)
	before := recordTypes(t, st, at)
	lines, _, err := typed1.resume(t, mem.New(), engine.RestoreConfig{From: at, External: st}, 2)
	if err != nil {
		t.Fatal(err)
	}
	seqs := seqsOf(t, lines)
	formats := native.NewFormat(st)
	src := opened(t, st, at)
	salvage := func(to recovery.Target) (*recovery.Result, error) {
		damaged, err := recovery.OpenDamaged(t.Context(), formats, at)
		if err != nil {
			return nil, err
		}
		defer damaged.Close()
		return recovery.Salvage(t.Context(), damaged, nil, to)
	}
	tools := []struct {
		name string
		work func(to recovery.Target) (*recovery.Result, error)
	}{
		{"rescaled", func(to recovery.Target) (*recovery.Result, error) {
			return recovery.Rescale(t.Context(), src, recovery.Rescaling{Parallelism: 3}, to)
		}},
		{"other key groups", func(to recovery.Target) (*recovery.Result, error) {
			return recovery.Rescale(t.Context(), src, recovery.Rescaling{KeyGroups: 97}, to)
		}},
		{"copied", func(to recovery.Target) (*recovery.Result, error) {
			return recovery.Copy(t.Context(), src, checkpoint.ExternalKeep, to)
		}},
		{"salvaged", salvage},
		{"salvaged without a manifest", func(to recovery.Target) (*recovery.Result, error) {
			for _, m := range []string{layout.Manifest, layout.ManifestCopy} {
				if err := st.Remove(t.Context(), layout.Join(at, m), ""); err != nil {
					return nil, err
				}
			}
			return salvage(to)
		}},
	}
	for i, tool := range tools {
		dst := layout.Savepoint(uint64(10 + i))
		if _, err := tool.work(recovery.Target{Format: formats, Path: dst}); err != nil {
			t.Fatalf("%s: %v", tool.name, err)
		}
		for edge, typ := range recordTypes(t, st, dst) {
			if typ != before[edge] || !strings.HasPrefix(typ, "struct{") {
				t.Errorf("%s: records of %q on %s, they were %q", tool.name, typ, edge, before[edge])
			}
		}
		expect(t, tool.name, typed2, st, dst, seqs, typed2.make)
	}
	t.Logf("RESULT TestInFlightTypeOutlivesTools tools=%d records=%d", len(tools), len(seqs))
}
