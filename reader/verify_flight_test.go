package reader_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/native"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// flightFindings verifies at a level and tells problem, place, cause and remedy
// of each finding.
func flightFindings(t *testing.T, m *reader.Model, level checkpoint.Level) (list []string) {
	t.Helper()
	for f, err := range recovery.Verify(t.Context(), m, recovery.Options{Level: level}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%s | %s, edge %s | %v | %s", f.Problem, f.Place.Selector(), f.Place.Edge, f.Err, f.Remedy))
	}
	return list
}

// TestRecordsInFlightAreOfTheirType: a record in flight that was written wrong,
// under right checksums, is found when records are checked, and only then,
// wherever it begins and ends.
func TestRecordsInFlightAreOfTheirType(t *testing.T) {
	text := &format.Schema{Type: format.TypeString}
	frame := func(payload string) []byte {
		b, err := format.AppendFrame(nil, &format.Frame{Payload: []byte(payload)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good, bad := frame("\x04good"), frame("\x09bad!!")
	mark, err := format.AppendFrame(nil, &format.Frame{Element: format.ElementWatermark, HasTime: true, Time: 9})
	if err != nil {
		t.Fatal(err)
	}
	buffer := func(sequence uint64, start int, parts ...[]byte) format.Buffer {
		var data []byte
		for _, p := range parts {
			data = append(data, p...)
		}
		return format.NewBuffer(0, 0, 0, sequence, start, data)
	}
	const wrong, torn = "a record in flight is not of the type of its connection", "a part of a record in flight is missing, or is no record"
	tests := []struct {
		name          string
		schema        *format.Schema
		input, output []format.Buffer
		want          []string // problem, sequence, operator
	}{
		{"right", text, []format.Buffer{buffer(7, 0, mark, good, good[:3])}, []format.Buffer{buffer(8, len(good)-3, good[3:], good)}, nil},
		{"taken by the receiver", text, []format.Buffer{buffer(7, 0, good), buffer(8, 0, good, bad, good)}, nil, []string{wrong, "8", "operator=b,subtask=0"}},
		{"queued at the sender", text, nil, []format.Buffer{buffer(7, 0, bad), buffer(8, 0, good)}, []string{wrong, "7", "operator=a,subtask=0"}},
		{"over both sides", text, []format.Buffer{buffer(7, 0, good, bad[:2])}, []format.Buffer{buffer(8, len(bad)-2, bad[2:], good)}, []string{wrong, "7", "operator=a,subtask=0"}},
		{"without its end", text, []format.Buffer{buffer(7, 0, good, good[:3])}, nil, []string{torn, "7", "operator=b,subtask=0"}},
		{"a buffer is not there", text, []format.Buffer{buffer(7, 0, good[:3]), buffer(9, 0, good)}, nil, []string{torn, "7", "operator=b,subtask=0"}},
		{"of unknown type", nil, []format.Buffer{buffer(7, 0, bad)}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st := mem.New()
			writePieces(t, st, tt.schema, tt.input, tt.output)
			m := openModel(t, st, "chk-1")
			if got := flightFindings(t, m, checkpoint.LevelChecksums); len(got) > 0 {
				t.Errorf("checksums: %q", got)
			}
			got := flightFindings(t, m, checkpoint.LevelRecords)
			if len(tt.want) == 0 {
				if len(got) > 0 {
					t.Errorf("found %q", got)
				}
				return
			}
			head := fmt.Sprintf("%s: on a>b#0, from subtask 0 to subtask 0, generation 0, in the buffer with sequence number %s | %s, edge a>b#0 | ", tt.want[0], tt.want[1], tt.want[2])
			tail := " | tidemark strip chk-1 DST --in-flight operator=b,subtask=0,channel=gate0/0"
			if len(got) != 1 || !strings.HasPrefix(got[0], head) || !strings.HasSuffix(got[0], tail) {
				t.Errorf("found %q\nwant %q…%q", got, head, tail)
			}
			words := strings.Fields(tail)
			sel, err := checkpoint.ParseSelector(words[len(words)-1])
			if err != nil {
				t.Fatal(err)
			}
			drop := checkpoint.Edit{Drop: []checkpoint.Drop{{Kind: checkpoint.DropInFlight, Selector: sel}}, External: checkpoint.ExternalKeep}
			if _, err := native.NewFormat(st).Apply(t.Context(), m, drop, "savepoint-2", nil); err != nil {
				t.Fatal(err)
			}
			if got := flightFindings(t, openModel(t, st, "savepoint-2"), checkpoint.LevelRecords); len(got) > 0 {
				t.Errorf("after what the remedy says: %q", got)
			}
		})
	}
}

// TestDamagedFlightIsNamedOnce: a damaged byte in a channel is a finding of its
// object; that records around it cannot be joined is none of its own.
func TestDamagedFlightIsNamedOnce(t *testing.T) {
	j := writertest.Job{Flight: 60}
	st := mem.New()
	manifest, err := j.Write(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for _, sl := range manifest.Slices {
		if manifest.States[sl.State].Kind != format.KindInputChannel || sl.Blocks < 3 {
			continue
		}
		rewrite(t, st, manifest.Objects[sl.Object].Name, func(data []byte) []byte {
			data[sl.Offset-sl.Bytes/2] ^= 0x10 // the blocks lie before their index
			return data
		})
		damaged++
		break
	}
	got := flightFindings(t, openModel(t, st, j.Dir()), checkpoint.LevelRecords)
	if damaged != 1 || len(got) != 1 || !strings.HasPrefix(got[0], "input-channel block is damaged") {
		t.Errorf("%d bytes damaged, found %q", damaged, got)
	}
}
