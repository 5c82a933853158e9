package recovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// compared is what a comparison told.
type compared struct {
	lines  []string // one for each difference
	states map[string]StateDiff
}

// line names a difference.
func line(d *Difference) string {
	name := d.State.Operator + "/" + d.State.Name + "/" + string(d.State.Kind)
	if d.Problem != "" {
		return fmt.Sprintf("%s %s: %s", d.Change, name, d.Problem)
	}
	text := ""
	for _, c := range []Content{d.A, d.B} {
		switch {
		case c.Entry != nil:
			text += fmt.Sprintf(" [%q %q %q %d]", c.Entry.Key, c.Entry.Namespace, c.Entry.Value, c.Entry.Time)
		case c.Record != nil:
			text += fmt.Sprintf(" [%d %q]", c.Record.Time, c.Record.Payload)
		}
	}
	return fmt.Sprintf("%s %s%s x%d", d.Change, name, text, d.Count)
}

func compare(t interface {
	Helper()
	Fatal(...any)
}, a, b checkpoint.Checkpoint, selector string) compared {
	t.Helper()
	sel, err := checkpoint.ParseSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	got := compared{states: map[string]StateDiff{}}
	opts := DiffOptions{Select: sel, Done: func(s StateDiff) {
		got.states[s.State.Operator+"/"+s.State.Name+"/"+string(s.State.Kind)] = s
	}}
	for d, err := range Diff(ctxOf(t), a, b, opts) {
		if err != nil {
			t.Fatal(err)
		}
		got.lines = append(got.lines, line(&d))
	}
	return got
}

func TestEqualContents(t *testing.T) {
	j := writertest.Job{Keys: 200, Flight: 50}
	a := native(t, j)
	other := j
	other.ID = 9
	if got := compare(t, a, native(t, other), ""); len(got.lines) > 0 {
		t.Errorf("another id: %q", got.lines)
	} else if s := got.states["count/counter/keyed"]; s.A != 200 || s.B != 200 || s.Equal != 200 {
		t.Errorf("counted %+v", s)
	} else if s := got.states["count//input-channel"]; s.Equal != 50 {
		t.Errorf("in flight %+v", s)
	}
	// Another layout: other subtasks, other key groups.
	other.Parallelism, other.Groups = 5, 97
	b := native(t, other)
	for _, kind := range []string{"keyed", "timers", "broadcast", "input-channel"} {
		if got := compare(t, a, b, "kind="+kind); len(got.lines) > 0 {
			t.Errorf("%s in another layout: %q", kind, got.lines)
		}
	}
}

func TestDifferences(t *testing.T) {
	j := writertest.Job{Keys: 20, Flight: 10}
	a := native(t, j)
	more := j
	more.Keys, more.Flight = 21, 11
	got := compare(t, a, native(t, more), "")
	want := []string{
		`only-b count/counter/keyed ["\x06key-20" "" "\a\x9e\x00\x9d\x00z\x00\xbe" 0] x1`,
		`only-b count/windows/keyed ["\x06key-20" "\x00\x14" "\x14\x00\x00\x00\x00\x00\x00\x00" 0] x1`,
		`only-b count/windows/keyed ["\x06key-20" "\x01\x14" "\x15\x00\x00\x00\x00\x00\x00\x00" 0] x1`,
		`only-b count/due/timers ["\x06key-20" "\x00\x00" "" 15] x1`,
		`only-b count/due/timers ["\x06key-20" "\x00\x00" "" 20000] x1`,
		`only-b count//input-channel [1010 "\x06key-10\n\x00\x00\x00\x00\x00\x00\x00"] x1`,
	}
	// The bytes of the value come out of a generator.
	if len(got.lines) != len(want) || !slices.Equal(got.lines[1:], want[1:]) || !strings.HasPrefix(got.lines[0], want[0][:40]) {
		t.Errorf("got %q\nwant %q", got.lines, want)
	}
	if s := got.states["count/windows/keyed"]; s.OnlyB != 2 || s.Equal != 40 || len(s.Groups) != 1 {
		t.Errorf("windows %+v", s)
	}
	values := j
	values.Seed = 7
	got = compare(t, a, native(t, values), "operator=count,state=counter")
	if s := got.states["count/counter/keyed"]; s.Changed != 20 || s.Equal != 0 || len(got.states) != 1 {
		t.Errorf("values %+v", got.states)
	}
	if got := compare(t, a, native(t, writertest.Job{Keys: 20, Flight: 10, Parallelism: 3}), "state=splits"); len(got.lines) != 3 {
		t.Errorf("three more items give %q", got.lines)
	}
}

// entry makes an entry of a sorted state: the hash is the key.
func entry(key byte, value string) checkpoint.Entry {
	return checkpoint.Entry{Hash: keygroup.Hash(key), Key: []byte{key}, Value: []byte(value), KeyGroup: uint32(key) % 4}
}

func keyedModel(inOrder bool, entries []checkpoint.Entry) *model {
	return &model{inOrder: inOrder, states: []checkpoint.State{{Operator: "o", Name: "s", Kind: checkpoint.Keyed, Entries: 1}}, entries: [][]checkpoint.Entry{entries}}
}

// TestSwappedValues: keys that have changed their values with each other are
// found, also where sums are all that is compared at first.
func TestSwappedValues(t *testing.T) {
	var a, b []checkpoint.Entry
	const n = 4096 // so many that some share a bucket
	for k := range n {
		values := []string{"x", "y"}
		e := checkpoint.Entry{Hash: keygroup.Hash(k), Key: binary.BigEndian.AppendUint16(nil, uint16(k)), Value: []byte(values[k%2])}
		a = append(a, e)
		e.Value = []byte(values[1-k%2])
		b = append(b, e)
	}
	for _, inOrder := range []bool{true, false} {
		got := compare(t, keyedModel(inOrder, a), keyedModel(inOrder, b), "")
		if s := got.states["o/s/keyed"]; s.Changed != n || s.Equal != 0 {
			t.Errorf("in order %v: %+v", inOrder, s)
		}
	}
}

// TestDiffAgreesWithSets: merging and comparing by buckets find the same, which
// is what comparing maps finds.
func TestDiffAgreesWithSets(t *testing.T) {
	side := func(t *rapid.T, name string) map[byte]string {
		return rapid.MapOfN(rapid.Byte(), rapid.SampledFrom([]string{"", "x", "y"}), 0, 60).Draw(t, name)
	}
	list := func(m map[byte]string) (all []checkpoint.Entry) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			all = append(all, entry(k, m[k]))
		}
		return all
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := side(t, "a"), side(t, "b")
		var want []string
		for k := range 256 {
			va, inA := a[byte(k)]
			vb, inB := b[byte(k)]
			ea, eb := entry(byte(k), va), entry(byte(k), vb)
			d := Difference{State: checkpoint.State{Operator: "o", Name: "s", Kind: checkpoint.Keyed}, Count: 1}
			switch {
			case inA && inB && va != vb:
				d.Change, d.A.Entry, d.B.Entry = Changed, &ea, &eb
			case inA && !inB:
				d.Change, d.A.Entry = OnlyA, &ea
			case inB && !inA:
				d.Change, d.B.Entry = OnlyB, &eb
			default:
				continue
			}
			want = append(want, line(&d))
		}
		slices.Sort(want)
		shuffled := rapid.Permutation(list(b)).Draw(t, "order")
		for _, pair := range [][2]*model{{keyedModel(true, list(a)), keyedModel(true, list(b))}, {keyedModel(false, list(a)), keyedModel(false, shuffled)}} {
			got := compare(t, pair[0], pair[1], "")
			slices.Sort(got.lines)
			if !slices.Equal(got.lines, want) {
				t.Fatalf("got %q, want %q", got.lines, want)
			}
			s := got.states["o/s/keyed"]
			if s.A != uint64(len(a)) || s.B != uint64(len(b)) || s.Equal+s.OnlyA+s.Changed != s.A || s.Equal+s.OnlyB+s.Changed != s.B {
				t.Fatalf("counts %+v", s)
			}
		}
	})
}

func TestDiffOfItems(t *testing.T) {
	items := func(values ...string) *model {
		m := &model{states: []checkpoint.State{{Operator: "o", Name: "l", Kind: checkpoint.SplitList, Entries: 1}}, entries: [][]checkpoint.Entry{nil}}
		for i, v := range values {
			m.entries[0] = append(m.entries[0], checkpoint.Entry{Subtask: uint32(i), Value: []byte(v), KeyGroup: checkpoint.NoKeyGroup})
		}
		return m
	}
	got := compare(t, items("a", "b", "b", "b", "c"), items("c", "b", "a", "d"), "")
	slices.Sort(got.lines)
	want := []string{`only-a o/l/split-list ["" "" "b" 0] x2`, `only-b o/l/split-list ["" "" "d" 0] x1`}
	if s := got.states["o/l/split-list"]; !slices.Equal(got.lines, want) || s.Equal != 3 {
		t.Errorf("got %q, %+v", got.lines, s)
	}
}

func TestDiffOfBroadcast(t *testing.T) {
	copies := func(subtasks ...string) *model {
		m := &model{states: []checkpoint.State{{Operator: "o", Name: "r", Kind: checkpoint.BroadcastState, Entries: 1}}, entries: [][]checkpoint.Entry{nil}}
		for i, text := range subtasks {
			for k := range len(text) {
				m.entries[0] = append(m.entries[0], checkpoint.Entry{Subtask: uint32(i), Key: []byte{byte(k)}, Value: []byte{text[k]}, KeyGroup: checkpoint.NoKeyGroup})
			}
		}
		return m
	}
	for _, tt := range []struct {
		a, b *model
		want int
	}{
		{copies("xy", "xy"), copies("xy", "xy", "xy"), 0},
		{copies("xy"), copies("xz"), 1},
		{copies("xy"), copies("xyz"), 1},
		{copies("xy", "xy"), copies("xy", "xq"), 1},
	} {
		if got := compare(t, tt.a, tt.b, ""); len(got.lines) != tt.want {
			t.Errorf("got %q, want %d", got.lines, tt.want)
		}
	}
}

func TestDiffOfFloors(t *testing.T) {
	floors := func(list ...int64) *model { // lo, hi, watermark
		m := &model{states: []checkpoint.State{{Operator: "o", Kind: checkpoint.Floors, Entries: 1}}, entries: [][]checkpoint.Entry{nil}}
		for i := 0; i < len(list); i += 3 {
			m.entries[0] = append(m.entries[0], checkpoint.Entry{Interval: keygroup.Interval{Lo: uint64(list[i]), Hi: uint64(list[i+1])}, Time: list[i+2], KeyGroup: checkpoint.NoKeyGroup})
		}
		return m
	}
	for _, tt := range []struct {
		a, b *model
		want int
	}{
		{floors(0, 10, 5), floors(0, 4, 5, 4, 10, 5), 0},
		{floors(0, 10, 5), floors(4, 10, 5, 0, 4, 5), 0},
		{floors(0, 10, 5), floors(0, 4, 5, 4, 10, 6), 1},
		{floors(0, 10, 5), floors(), 1},
		{floors(), floors(3, 4, 1, 6, 7, 1), 2},
		{floors(0, 2, 1), floors(4, 6, 1), 2},
	} {
		if got := compare(t, tt.a, tt.b, ""); len(got.lines) != tt.want {
			t.Errorf("got %q, want %d", got.lines, tt.want)
		}
	}
}

func TestDiffOfFlight(t *testing.T) {
	flight := func(sender uint32, records ...string) *model {
		m := &model{states: []checkpoint.State{{Operator: "o", Kind: checkpoint.InputChannel, Edge: "e", Entries: 1}}}
		for _, r := range records {
			element := checkpoint.ElementRecord
			if r == "w" {
				element = checkpoint.ElementWatermark
			}
			m.records = append(m.records, checkpoint.Record{State: m.states[0], Edge: "e", Sender: sender, Element: element, Payload: []byte(r)})
		}
		return m
	}
	for _, tt := range []struct {
		name string
		a, b *model
		want string
	}{
		{"equal", flight(0, "a", "w", "b"), flight(0, "a", "w", "b"), ""},
		{"another layout", flight(0, "a", "w", "b"), flight(3, "b", "w", "w", "a"), ""},
		{"another order", flight(0, "a", "b"), flight(0, "b", "a"), "another order or place among watermarks in 1 channel(s), first from 0 to 0"},
		{"a record more", flight(0, "a"), flight(0, "a", "a"), `only-b o//input-channel [0 "a"] x1`},
	} {
		got := compare(t, tt.a, tt.b, "")
		if text := strings.Join(got.lines, "\n"); (tt.want == "") != (text == "") || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %q", tt.name, text)
		}
	}
}

// TestDiffOfStructure: operators, states and types are compared too; an empty
// state is as good as none.
func TestDiffOfStructure(t *testing.T) {
	a := &model{operators: []checkpoint.Operator{{UID: "o", KeyType: "string"}, {UID: "p"}},
		states: []checkpoint.State{{Operator: "o", Name: "gone", Kind: checkpoint.Keyed, Entries: 3}, {Operator: "o", Name: "empty", Kind: checkpoint.Keyed}, {Operator: "o", Name: "t", Kind: checkpoint.Keyed, ValueType: "int64", Entries: 1}}}
	b := &model{operators: []checkpoint.Operator{{UID: "q"}, {UID: "o", KeyType: "int64"}},
		states: []checkpoint.State{{Operator: "o", Name: "t", Kind: checkpoint.Keyed, ValueType: "int32", Entries: 1}}}
	got := compare(t, a, b, "")
	want := []string{`changed o//: keys are of type "string" in A and "int64" in B`, `only-a p//: the operator is missing in B`, `only-b q//: the operator is missing in A`,
		`only-a o/gone/keyed: the state is missing in B, with 3 entries`, `changed o/t/keyed: the types differ: namespace "", value "int64" in A, namespace "", value "int32" in B`}
	if !slices.Equal(got.lines, want) {
		t.Errorf("got %q", got.lines)
	}
}

func TestDiffEnds(t *testing.T) {
	broken := keyedModel(true, nil)
	broken.fail = errors.New("unreachable")
	for _, inOrder := range []bool{true, false} {
		broken.inOrder = inOrder
		var last error
		for _, err := range Diff(t.Context(), keyedModel(inOrder, []checkpoint.Entry{entry(1, "")}), broken, DiffOptions{}) {
			last = err
		}
		if !errors.Is(last, broken.fail) {
			t.Errorf("got %v", last)
		}
		for range Diff(t.Context(), keyedModel(inOrder, []checkpoint.Entry{entry(1, ""), entry(2, "")}), keyedModel(inOrder, nil), DiffOptions{}) {
			break
		}
	}
}

// TestRoundsOfBuckets: more differing elements than the table holds are compared
// in several rounds.
func TestRoundsOfBuckets(t *testing.T) {
	const n = 50_000
	var list []checkpoint.Entry
	for i := range n {
		list = append(list, checkpoint.Entry{Key: fmt.Appendf(nil, "%d", i), KeyGroup: checkpoint.NoKeyGroup})
	}
	got := 0
	d := &differ{ctx: t.Context(), a: keyedModel(false, list), b: keyedModel(false, list[:1]), table: n / 7, yield: func(Difference, error) bool { got++; return true }}
	if err := d.run(); err != nil {
		t.Fatal(err)
	}
	if got != n-1 || d.now.OnlyA != n-1 || d.now.Equal != 1 {
		t.Errorf("%d differences, %+v", got, d.now)
	}
	t.Logf("RESULT TestRoundsOfBuckets entries=%d rounds=8", n)
}
