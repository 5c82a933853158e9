package metadata_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/wire"
)

var versions = []int32{2, 3, 4, 5, 6, 7}

func encode(t testing.TB, m *metadata.Metadata) []byte {
	t.Helper()
	data, err := metadata.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Every tag of every version reads back as what was written, from the same bytes.
func TestEveryTag(t *testing.T) {
	total := 0
	for _, v := range versions {
		m := sample(v)
		data := encode(t, m)
		total += len(data)
		got, err := metadata.Decode("_metadata", data, nil)
		if err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if d := cmp.Diff(m, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("version %d reads back differently:\n%s", v, d)
		}
		if again := encode(t, got); !bytes.Equal(data, again) {
			t.Errorf("version %d: written again it differs", v)
		}
	}
	t.Logf("RESULT TestEveryTag versions=%d bytes=%d keyed=%d streams=%d", len(versions), total, len(keyedHandles()), len(streams()))
}

// The handles of incremental state are those of its metadata and of all its files,
// of which only the shared ones are called shared.
func TestHandlesOfIncrementalState(t *testing.T) {
	file := func(name string) metadata.NamedFile {
		return metadata.NamedFile{Name: name, Handle: &metadata.File{Path: name, Size: 1}}
	}
	state := &metadata.IncrementalHandle{Meta: &metadata.File{Path: "meta", Size: 1},
		Shared: []metadata.NamedFile{file("1.sst"), file("2.sst")}, Private: []metadata.NamedFile{file("MANIFEST")}}
	m := &metadata.Metadata{Operators: []metadata.Operator{{Subtasks: []metadata.Subtask{{State: &metadata.SubtaskState{ManagedKeyed: state}}}}}}
	var got []string
	for ref := range m.Handles() {
		got = append(got, fmt.Sprintf("%s %v", (*ref.Handle).(*metadata.File).Path, ref.SharedFile))
	}
	want := []string{"meta false", "1.sst true", "2.sst true", "MANIFEST false"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Published vectors of the hash, in the order of bytes that Guava prints. Real pairs
// of uid and id are in TestFixturesRoundTrip.
func TestIDOfUID(t *testing.T) {
	for uid, want := range map[string]string{
		"":                          "00000000000000000000000000000000",
		"hello":                     "029bbd41b3a7d8cb191dae486a901e5b", // Guava's own vector of murmur3_128
		"hello, world":              "8ebc5e3a62ac2f344d41429607bcdc4c",
		"19 Jan 2038 at 3:14:07 AM": "fcaf37b788599eb8cbb2310295c24f66",
	} {
		if got := metadata.IDOfUID(uid).String(); got != want {
			t.Errorf("id of %q is %s, not %s", uid, got, want)
		}
		if id, ok := metadata.ParseOperatorID(want); !ok || id.String() != want {
			t.Errorf("%s reads back as %s", want, id)
		}
	}
}

// Each cut is found, as a cut; bytes behind the end are found too.
func TestCuts(t *testing.T) {
	cuts, extended := 0, 0
	for _, v := range versions {
		data := encode(t, sample(v))
		for n := range data {
			if _, err := metadata.Decode("_metadata", data[:n], nil); !errors.Is(err, wire.ErrTruncated) && !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("version %d cut at %d of %d: %v", v, n, len(data), err)
			}
			cuts++
		}
		for _, more := range []string{"\x00", "\xFF", strings.Repeat("\x00", 4096), string(data)} {
			if _, err := metadata.Decode("_metadata", append(bytes.Clone(data), more...), nil); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("version %d with %d bytes more: %v", v, len(more), err)
			}
			extended++
		}
	}
	t.Logf("RESULT TestCuts cuts=%d extended=%d", cuts, extended)
}

// check decodes what may be damaged: no panic, a typed error, or something that is
// written again in the same bytes. The file has no checksums, so a flipped bit in
// a number cannot be found here.
func check(t testing.TB, data []byte) (accepted bool) {
	m, err := metadata.Decode("_metadata", data, nil)
	if err != nil {
		var bad *wire.Error
		if !errors.As(err, &bad) || bad.Offset < 0 || bad.Offset > int64(len(data)) || bad.What == "" {
			t.Fatalf("error without a place: %v", err)
		}
		return false
	}
	if again, err := metadata.Append(nil, m); err != nil || !bytes.Equal(again, data) {
		t.Fatalf("accepted, but written again it differs (%v)", err)
	}
	for range m.Handles() {
	}
	if _, err := m.Properties("_metadata"); err != nil && !errors.Is(err, wire.ErrUnsupported) {
		t.Fatal(err)
	}
	return true
}

func TestBitFlips(t *testing.T) {
	flips, refused := 0, 0
	for _, v := range versions {
		data := encode(t, sample(v))
		step := 37 // hits each bit of a byte
		if os.Getenv("TIDEMARK_LONG") != "" {
			step = 1
		}
		for bit := 0; bit < len(data)*8; bit += step {
			data[bit/8] ^= 1 << (bit % 8)
			if !check(t, data) {
				refused++
			}
			data[bit/8] ^= 1 << (bit % 8)
			flips++
		}
	}
	t.Logf("RESULT TestBitFlips flips=%d refused=%d", flips, refused)
}

// What the version has no place for is refused by the writer, not dropped.
func TestAppendRefuses(t *testing.T) {
	for _, v := range versions[1:] {
		m := sample(v)
		if m.Version--; v == metadata.Version4 {
			m.Operators = nil
		}
		if _, err := metadata.Append(nil, m); !errors.Is(err, metadata.ErrInvalid) {
			t.Errorf("version %d as version %d: %v", v, m.Version, err)
		}
	}
	for name, edit := range map[string]func(*metadata.Metadata){
		"text too long":   func(m *metadata.Metadata) { m.Operators[0].UID = strings.Repeat("x", 1<<16) },
		"subtask twice":   func(m *metadata.Metadata) { m.Operators[0].Subtasks[0].Index = 0 },
		"negative id":     func(m *metadata.Metadata) { m.CheckpointID = -1 },
		"parallelism":     func(m *metadata.Metadata) { m.Operators[0].Parallelism = 200 },
		"finished, state": func(m *metadata.Metadata) { m.Operators[0].Finished = true },
		"version 1":       func(m *metadata.Metadata) { m.Version = 1 },
		"version 8":       func(m *metadata.Metadata) { m.Version = 8 },
		"two channels": func(m *metadata.Metadata) {
			h := &m.Operators[0].Subtasks[0].State.Input[0]
			h.Channels = append(h.Channels, h.Channels[0])
		},
	} {
		m := sample(7)
		edit(m)
		if _, err := metadata.Append(nil, m); !errors.Is(err, metadata.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Numbers that lie about what follows cost no memory, and each error is of its
// class.
func TestBombs(t *testing.T) {
	word := func(list ...int32) (b []byte) {
		for _, v := range list {
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		}
		return b
	}
	head := word(metadata.Magic, 3, 0, 1)                                  // version 3, checkpoint 1
	oper := append(bytes.Clone(head), word(0, 1, 1, 2, 3, 4, 128, 128)...) // one operator, 128 subtasks
	state := append(append(bytes.Clone(oper), 0), word(1, 0)...)           // no coordinator, subtask 0
	keyed := append(bytes.Clone(state), word(0, 0)...)                     // no operator state
	nested := append(bytes.Clone(keyed), bytes.Repeat([]byte{14, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 20)...)
	tests := []struct {
		name  string
		data  []byte
		class error
	}{
		{"magic", word(1, 3), wire.ErrMalformed},
		{"version 1", word(metadata.Magic, 1), wire.ErrUnsupported},
		{"version 8", word(metadata.Magic, 8), wire.ErrUnsupported},
		{"version -1", word(metadata.Magic, -1), wire.ErrUnsupported},
		{"negative id", word(metadata.Magic, 3, -1, 0), wire.ErrMalformed},
		{"master states", append(bytes.Clone(head), word(1<<30)...), wire.ErrMalformed},
		{"negative master states", append(bytes.Clone(head), word(-1)...), wire.ErrMalformed},
		{"operators", append(bytes.Clone(head), word(0, 1<<31-1)...), wire.ErrMalformed},
		{"many operators", append(append(bytes.Clone(head), word(0, 10_001)...), make([]byte, 400_000)...), wire.ErrLimit},
		{"subtasks", append(append(bytes.Clone(oper), 0), word(128)...), wire.ErrMalformed},
		{"too many subtasks", append(append(bytes.Clone(oper), 0), word(129)...), wire.ErrMalformed},
		{"coordinator", append(append(bytes.Clone(oper), 6), word(0, 0, 0)...), wire.ErrMalformed},
		{"stream tag", append(append(bytes.Clone(oper), 99), make([]byte, 64)...), wire.ErrUnsupported},
		{"keyed tag", append(bytes.Clone(keyed), 200), wire.ErrUnsupported},
		{"operator tag", append(append(bytes.Clone(state), word(1)...), 5), wire.ErrUnsupported},
		{"key groups", append(append(bytes.Clone(keyed), 3), word(0, 32769)...), wire.ErrMalformed},
		{"key groups beyond", append(append(bytes.Clone(keyed), 3), word(32768, 1)...), wire.ErrMalformed},
		{"inline data", append(append(bytes.Clone(oper), 1, 0, 0), word(1<<31-1)...), wire.ErrLimit},
		{"inline data cut", append(append(bytes.Clone(oper), 1, 0, 0), word(1<<20)...), wire.ErrTruncated},
		{"nesting", nested, wire.ErrLimit},
	}
	for _, tt := range tests {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := metadata.Decode("_metadata", tt.data, nil)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tt.class) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.class)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s took %d bytes", tt.name, used)
		}
	}
	big := encode(t, sample(6))
	for name, l := range map[string]*metadata.Limits{"bytes": {Bytes: 100}, "memory": {Memory: 1000}, "operators": {Operators: 3}, "nesting": {Nesting: 1}} {
		if _, err := metadata.Decode("_metadata", big, l); !errors.Is(err, wire.ErrLimit) {
			t.Errorf("limit of %s: %v", name, err)
		}
	}
	t.Logf("RESULT TestBombs cases=%d", len(tests)+4)
}

func FuzzMetadata(f *testing.F) {
	for _, v := range versions {
		f.Add(encode(f, sample(v)))
	}
	f.Fuzz(func(t *testing.T, data []byte) { check(t, data) })
}

// largest is the metadata of a job of 20 operators with 4,800 subtasks each: keyed
// and operator state, and in-flight data of two channels.
func largest() *metadata.Metadata {
	m := &metadata.Metadata{Version: metadata.Version6, CheckpointID: 7, Tail: metadata.NullTail}
	for o := range 20 {
		op := metadata.Operator{Name: fmt.Sprintf("operator %d", o), UID: fmt.Sprintf("uid-%d", o), Parallelism: 4800, MaxParallelism: 32768}
		op.ID = metadata.IDOfUID(op.UID)
		for i := range int32(4800) {
			start, end := (i*32768+4799)/4800, ((i+1)*32768-1)/4800
			r := metadata.KeyGroupRange{Start: start, Count: end - start + 1}
			file := func(kind string) metadata.StreamHandle {
				return &metadata.RelativeFile{Path: fmt.Sprintf("%08x-060e-41bd-8590-%s%08x", o, kind, i), Size: 1 << 20}
			}
			c := []metadata.Channel{{Channel: i, Size: 100, Offsets: []int64{4, 54}}}
			op.Subtasks = append(op.Subtasks, metadata.Subtask{Index: i, State: &metadata.SubtaskState{
				ManagedOperator: &metadata.OperatorHandle{Tag: metadata.TagOperator, Delegate: file("000a"),
					States: []metadata.OperatorState{{Name: "offsets", Offsets: []int64{100, 200, 300}}}},
				ManagedKeyed: &metadata.KeyGroupsHandle{Tag: metadata.TagKeyGroupsV2, Range: r, Offsets: make([]int64, r.Count), Delegate: file("000b"),
					StateID: "6f9619ff-8b86-d011-b42d-00cf4fc964ff"},
				Input:  []metadata.ChannelHandle{{Subtask: i, Size: 100, Channels: c, Delegate: file("000c")}},
				Output: []metadata.ChannelHandle{{Subtask: i, Size: 100, Channels: c, Delegate: file("000d")}},
			}})
		}
		m.Operators = append(m.Operators, op)
	}
	return m
}

func BenchmarkDecodeLargest(b *testing.B) {
	data := encode(b, largest())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := metadata.Decode("_metadata", data, nil); err != nil {
			b.Fatal(err)
		}
	}
}
