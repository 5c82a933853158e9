package flink_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/local"
)

// The records in flight in what a real Flink wrote are joined over buffers and over the
// two sides of their channels: each that the sources had emitted and the keyed operator
// had not seen is there once, and nothing is torn.
func TestSampleRecords(t *testing.T) {
	samples, records := 0, 0
	for _, s := range oracle.Samples(t) {
		if len(s.InFlight) == 0 {
			continue
		}
		samples++
		t.Run(s.Name, func(t *testing.T) {
			got := map[int64]int{}
			for r, err := range openSample(t, s).Records(t.Context(), checkpoint.Selector{}) {
				switch {
				case err != nil:
					t.Fatal(err)
				case r.Element == checkpoint.ElementTorn:
					t.Errorf("torn: %v", r.Detail)
				case r.Element == checkpoint.ElementRecord:
					records++
					if b := r.Payload; len(b) >= 8 && binary.BigEndian.Uint32(b) == 0 { // an id; a line for the sink begins with its length
						got[int64(binary.BigEndian.Uint64(b))]++
					}
				}
			}
			for _, f := range s.InFlight {
				if got[f.ID] != 1 {
					t.Errorf("record %d is there %d times", f.ID, got[f.ID])
				}
			}
			if len(got) != len(s.InFlight) {
				t.Errorf("%d ids, Flink had %d in flight", len(got), len(s.InFlight))
			}
		})
	}
	fmt.Printf("RESULT flink-sample-records samples=%d records=%d\n", samples, records)
	if samples == 0 {
		t.Error("no sample has records in flight")
	}
}

// element is an element with its length.
func element(tag byte, b ...byte) []byte {
	e := append([]byte{tag}, b...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(e))), e...)
}

func i64(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func i32(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// inFlight makes a checkpoint whose only operator has an input and an output of one
// channel, in buffers of some bytes each.
func inFlight(t *testing.T, size int, input, output []byte) *flink.Checkpoint {
	t.Helper()
	side := func(name string, data []byte) []metadata.ChannelHandle {
		b, ch := make([]byte, 4), metadata.Channel{}
		for len(data) > 0 {
			n := min(size, len(data))
			ch.Offsets = append(ch.Offsets, int64(len(b)))
			b = append(append(b, i32(int32(n))...), data[:n]...)
			data = data[n:]
		}
		ch.Size = int64(len(b)) - 4
		return []metadata.ChannelHandle{{Size: ch.Size, Channels: []metadata.Channel{ch}, Delegate: &metadata.ByteStream{Name: name, Data: b}}}
	}
	m := &metadata.Metadata{Version: metadata.Version3, CheckpointID: 1, Operators: []metadata.Operator{{ID: metadata.IDOfUID("op"), Parallelism: 1, MaxParallelism: 128,
		Subtasks: []metadata.Subtask{{State: &metadata.SubtaskState{Input: side("in", input), Output: side("out", output)}}}}}}
	b, err := metadata.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, flink.MetadataName), b, 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	c, err := flink.NewFormat(st, flink.WithUIDs("op")).OpenCheckpoint(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rows prints what is in flight.
func rows(t *testing.T, c checkpoint.Checkpoint, sel checkpoint.Selector) string {
	t.Helper()
	var lines []string
	p := recovery.NewRowPrinter(c, recovery.RowOptions{Raw: true})
	for x, err := range recovery.Contents(t.Context(), c, sel, false) {
		if err != nil {
			t.Fatal(err)
		}
		row := p.Record(x.Record)
		line := row.State.Name + " " + string(row.Value)
		if row.Time != checkpoint.UnknownTime {
			line += fmt.Sprint(" @", row.Time)
		}
		for _, d := range row.Detail {
			line += " " + d.Name + "=" + d.Value
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// Elements of all kinds print as what they are, however buffers cut them; what is not
// whole is torn: of an input from where it stops to be elements, of an output all.
func TestRecordsInFlight(t *testing.T) {
	kinds := join(element(0, append(i64(7), 'a', 'b')...), element(1), element(2, i64(9)...), element(3, join(i64(5), make([]byte, 15), []byte{1}, i32(3))...),
		element(4, i32(-1)...), element(4, i32(0)...), element(5, 1), element(6, append(i32(2), i64(11)...)...))
	const in = " sender=gate0/0 receiver=0"
	const out = " sender=0 receiver=partition0/0"
	whole := strings.Join([]string{
		`input "6162" @7 element=record` + in + " length=2",
		`input "" element=record` + in + " length=0",
		`input  @9 element=watermark` + in,
		`input "0000000000000005000000000000000000000000000000010000` + `0003" @5 element=latency-marker` + in + " operator=00000000000000000000000000000001, subtask 3",
		`input  element=status` + in + " status=idle",
		`input  element=status` + in + " status=active",
		`input "01" element=record-attributes` + in + " backlog=1",
		`input  @11 element=watermark` + in + " subpartition=2"}, "\n")
	long := element(1, []byte(strings.Repeat("x", 20))...)
	damaged := join(element(1, 'a'), i32(-5), []byte("rest"))
	for _, tt := range []struct {
		name          string
		input, output []byte
		sel           checkpoint.Selector
		want          string
	}{
		{"all kinds", kinds, nil, checkpoint.Selector{}, whole},
		{"over both sides", join(element(1, 'a'), long[:9]), join(long[9:], element(1, 'b')), checkpoint.Selector{}, strings.Join([]string{
			`input "61" element=record` + in + " length=1",
			`output "` + strings.Repeat("78", 20) + `" element=record` + out + " length=20",
			`output "62" element=record` + out + " length=1"}, "\n")},
		{"the sender's side alone", long[:9], long[9:], checkpoint.Selector{Kind: checkpoint.OutputChannel},
			`output "` + strings.Repeat("78", 20) + `" element=record` + out + " length=20"},
		{"damage", damaged, nil, checkpoint.Selector{}, strings.Join([]string{
			`input "61" element=record` + in + " length=1",
			`input  element=torn` + in + " length=8 bytes=fffffffb72657374"}, "\n")},
		{"no rest", long[:9], nil, checkpoint.Selector{}, `input  element=torn` + in + " length=9 bytes=000000150178787878"},
		{"no beginning", nil, join(long[20:], element(1, 'b')), checkpoint.Selector{}, `output  element=torn` + out + " length=11 bytes=7878787878" + "000000020162"},
		{"a length beyond the end", join(element(1, 'a'), i32(1<<31-1), []byte{1, 'x'}), nil, checkpoint.Selector{}, strings.Join([]string{
			`input "61" element=record` + in + " length=1",
			`input  element=torn` + in + " length=6 bytes=7fffffff0178"}, "\n")},
		{"another channel", kinds, nil, checkpoint.Selector{Channel: &checkpoint.Channel{Gate: "gate1"}}, ""},
	} {
		for _, size := range []int{1, 3, 1000} {
			t.Run(fmt.Sprint(tt.name, " in buffers of ", size), func(t *testing.T) {
				if got := rows(t, inFlight(t, size, tt.input, tt.output), tt.sel); got != tt.want {
					t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
				}
			})
		}
	}
}

// Verify finds what is in flight and is not whole elements, and nothing else.
func TestVerifyRecordsInFlight(t *testing.T) {
	long := element(1, []byte(strings.Repeat("x", 20))...)
	for _, tt := range []struct {
		name          string
		input, output []byte
		want          int
	}{
		{"whole", long, long, 0},
		{"over both sides", long[:9], long[9:], 0},
		{"a length that none has", join(long, i32(-5), long), nil, 1},
		{"a tag that none has", element(9, 'a'), nil, 1},
		{"no rest", long[:9], long, 1},
		{"no beginning", long, long[9:], 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n, first := errorsAt(t, inFlight(t, 6, tt.input, tt.output), checkpoint.LevelRecords); n != tt.want {
				t.Errorf("%d errors, want %d: %s", n, tt.want, first)
			}
		})
	}
}

// Two checkpoints with records in flight compare, though nothing says which edge they
// are on.
func TestDiffInFlight(t *testing.T) {
	a, b := inFlight(t, 5, element(1, 'a'), nil), inFlight(t, 9, join(element(1, 'a'), element(1, 'b')), nil)
	for _, tt := range []struct {
		name  string
		other checkpoint.Checkpoint
		want  int
	}{{"same", a, 0}, {"one more", b, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			n := 0
			for d, err := range recovery.Diff(t.Context(), a, tt.other, recovery.DiffOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				if d.State.Kind == checkpoint.InputChannel {
					n++
				}
			}
			if n != tt.want {
				t.Errorf("%d differences, want %d", n, tt.want)
			}
		})
	}
}
