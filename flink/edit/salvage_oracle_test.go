package edit_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/flink/serde"
)

// hurtChannel overwrites bytes within the in-flight data of one channel to an operator,
// so that the lengths of some records are lost, and takes these records from what must
// arrive.
func hurtChannel(to string, sink bool) func(*testing.T, *job, *oracle.Sample, *wanted) {
	return func(t *testing.T, j *job, s *oracle.Sample, want *wanted) {
		t.Helper()
		c := j.open(t, j.chk)
		name := func(uid string) string {
			for _, op := range c.Metadata().Operators {
				if op.ID == metadata.IDOfUID(uid) {
					return c.OperatorName(op.ID)
				}
			}
			return uid
		}
		// The channel with the most records in a file.
		byFile := map[string][]item{}
		for _, i := range contentsOf(t, c).flight {
			if len(i.where) == 1 && i.to == name(to) {
				byFile[i.channel] = append(byFile[i.channel], i)
			}
		}
		var list []item
		for _, of := range byFile {
			if len(of) > len(list) || len(of) == len(list) && len(of) > 0 && of[0].channel < list[0].channel {
				list = of
			}
		}
		if len(list) < 3 {
			t.Fatalf("no channel to %s has three records", to)
		}
		hit := list[len(list)/2]
		path := filepath.Join(j.root, hit.where[0].name)
		clean, err := os.ReadFile(path)
		must(t, err)
		h := hurt{name: hit.where[0].name, clean: clean, dirty: slices.Clone(clean)}
		for at := hit.where[0].from - 7; at < hit.where[0].from+12; at++ { // the end of one record and the head of the next
			h.dirty[at] ^= 0xA5
		}
		must(t, os.WriteFile(path, h.dirty, 0o600))
		lost := 0
		for _, i := range list {
			if !i.touched(h) {
				continue
			}
			lost++
			if sink {
				line := i.line(t)
				n := len(want.pending)
				want.pending = slices.DeleteFunc(slices.Clone(want.pending), func(l string) bool { return l == line })
				if len(want.pending) != n-1 {
					t.Fatalf("line %q is not in flight", line)
				}
				continue
			}
			id := i.id(t)
			if !slices.Contains(want.flights, id) {
				t.Fatalf("record %d is not in flight", id)
			}
			want.flights = slices.DeleteFunc(slices.Clone(want.flights), func(f int64) bool { return f == id })
		}
		if lost == 0 || lost > 3 {
			t.Fatalf("%d records are hit", lost)
		}
	}
}

// hurtStraddling hits a record that lies in both halves of its channel.
func hurtStraddling(t *testing.T, j *job, _ *oracle.Sample, want *wanted) {
	t.Helper()
	for _, i := range contentsOf(t, j.open(t, j.chk)).flight {
		if !i.straddles || !hurtHead(t, j, i) {
			continue
		}
		id, n := i.id(t), len(want.flights)
		want.flights = slices.DeleteFunc(slices.Clone(want.flights), func(f int64) bool { return f == id })
		if len(want.flights) != n-1 {
			t.Fatalf("record %d is not in flight", id)
		}
		return
	}
	t.Fatal("there is no such record")
}

// bytes is a record without its length and tag.
func (x item) bytes(t *testing.T) []byte {
	_, text, _ := strings.Cut(x.text, ": ")
	b, err := hex.DecodeString(text)
	must(t, err)
	if b[4] == 0 {
		return b[4+1+8:]
	}
	return b[4+1:]
}

// id is the number in a record on its way to the keyed operator.
func (x item) id(t *testing.T) int64 { return int64(binary.BigEndian.Uint64(x.bytes(t))) }

// line is the text in a record on its way to the sink.
func (x item) line(t *testing.T) string {
	v, err := serde.Of(serde.KindString).Decode(x.bytes(t))
	must(t, err)
	return v.(string)
}

// loseFile removes a file of the keyed state of a subtask, without which nothing of it
// reads.
func loseFile(subtask int32, name string) func(*testing.T, *job, *oracle.Sample, *wanted) {
	return func(t *testing.T, j *job, s *oracle.Sample, want *wanted) {
		t.Helper()
		c := j.open(t, j.chk)
		gone := 0
		for ref := range c.Metadata().Handles() {
			if ref.Role != metadata.RoleManagedKeyed || ref.Subtask != subtask || !strings.HasPrefix(ref.Name, name) {
				continue
			}
			l, err := c.Locate(t.Context(), *ref.Handle)
			must(t, err)
			must(t, os.Remove(filepath.Join(j.root, l.Name)))
			gone++
		}
		want.state.Keyed = slices.DeleteFunc(slices.Clone(want.state.Keyed), func(e oracle.Entry) bool { return e.Subtask == int(subtask) })
		if gone != 1 || len(want.state.Keyed) == len(s.Snapshot.State.Keyed) || len(want.state.Keyed) == 0 {
			t.Fatalf("%d files, %d keys of %d are left", gone, len(want.state.Keyed), len(s.Snapshot.State.Keyed))
		}
	}
}

// hurtHeader makes the description of the keyed state of a subtask unreadable, which
// costs nothing: the other subtasks have it too.
func hurtHeader(subtask int32) func(*testing.T, *job, *oracle.Sample, *wanted) {
	return func(t *testing.T, j *job, s *oracle.Sample, want *wanted) {
		t.Helper()
		c := j.open(t, j.chk)
		for ref := range c.Metadata().Handles() {
			if ref.Role != metadata.RoleManagedKeyed || ref.Subtask != subtask {
				continue
			}
			l, err := c.Locate(t.Context(), *ref.Handle)
			must(t, err)
			b, err := os.ReadFile(filepath.Join(j.root, l.Name))
			must(t, err)
			at := bytes.Index(b, []byte("count"))
			if at < 0 {
				t.Fatal("the header does not name the state")
			}
			b[at-1] = 0xFF // the length of the name
			must(t, os.WriteFile(filepath.Join(j.root, l.Name), b, 0o600))
			return
		}
	}
}

// A real Flink restores what was salvaged: without the records that damage touched,
// and with everything else; without the key groups whose file is gone.
func TestFlinkRestoresSalvaged(t *testing.T) {
	two := []oracle.Version{oracle.Flink2}
	run(t, "flink-restores-salvaged", []trial{
		{sample: "1.20/unaligned-edges", edit: salvageEdit, damage: hurtChannel("keyed", false), flinks: both, short: true},
		{sample: "1.20/unaligned-edges", edit: salvageEdit, damage: hurtChannel("sink", true), flinks: both},
		{sample: "1.20/unaligned-3", edit: salvageEdit, damage: hurtChannel("keyed", false), flinks: both},
		{sample: "1.20/unaligned-rocksdb", edit: salvageEdit, damage: hurtChannel("keyed", false), flinks: both},
		{sample: "1.20/unaligned-own-files", edit: salvageEdit, damage: hurtChannel("keyed", false), flinks: both},
		{sample: "2.2/unaligned-3", edit: salvageEdit, damage: hurtChannel("keyed", false), flinks: two, short: true},
		{sample: "2.2/unaligned-edges", edit: salvageEdit, damage: hurtChannel("sink", true), flinks: two},
		{sample: "2.2/unaligned-3", edit: salvageEdit, damage: hurtStraddling, flinks: two},
		{sample: "1.20/unaligned-long-records", edit: salvageEdit, damage: hurtStraddling, flinks: both},
		{sample: "1.20/heap-tuple2", edit: salvageEdit, damage: loseFile(1, ""), flinks: both},
		{sample: "1.20/heap-string", edit: salvageEdit, damage: hurtHeader(1), flinks: both},
		{sample: "1.20/rocksdb-incremental-tuple2", edit: salvageEdit, damage: loseFile(0, "MANIFEST"), flinks: both, short: true},
		{sample: "2.2/rocksdb-incremental-string", edit: salvageEdit, damage: loseFile(0, "MANIFEST"), flinks: two},
	})
}

// A real Flink restores what was stripped in part: nothing arrives from the stripped
// edge, everything from the others.
func TestFlinkRestoresPartlyStripped(t *testing.T) {
	part := func(to, from string) checkpoint.Edit {
		return checkpoint.Edit{Command: "strip-" + to, Drop: []checkpoint.Drop{{Kind: checkpoint.DropInFlight, Selector: checkpoint.Selector{Operator: to}, Upstream: from}}}
	}
	two := []oracle.Version{oracle.Flink2}
	run(t, "flink-restores-partly-stripped", []trial{
		{sample: "1.20/unaligned-edges", edit: part("keyed", "ops"), noFlights: true, flinks: both, short: true},
		{sample: "1.20/unaligned-edges", edit: part("sink", "keyed"), noPending: true, flinks: both},
		{sample: "2.2/unaligned-edges", edit: part("keyed", "ops"), noFlights: true, flinks: two},
		{sample: "2.2/unaligned-edges", edit: part("sink", "keyed"), noPending: true, flinks: two, short: true},
	})
}
