package edit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/edit"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/store/local"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// job is a copy of a sample's bucket, opened where its job has its checkpoints.
type job struct {
	root   string // of the bucket
	format *edit.Format
	chk    string // the checkpoint, below the store
}

// copied copies a sample, so that a test may write beside it.
func copied(t testing.TB, s *oracle.Sample) *job {
	t.Helper()
	root := t.TempDir()
	must(t, os.CopyFS(root, os.DirFS(filepath.Join(s.Dir, "s3"))))
	st, err := local.Open(root)
	must(t, err)
	t.Cleanup(func() { must(t, st.Close()) })
	path := strings.TrimPrefix(s.Snapshot.Path, oracle.Bucket+"/")
	return &job{root: root, format: edit.NewFormat(st), chk: path}
}

func (j *job) open(t testing.TB, path string) *flink.Checkpoint {
	t.Helper()
	c, err := j.format.OpenCheckpoint(t.Context(), path)
	must(t, err)
	return c
}

// apply applies an edit to the sample.
func (j *job) apply(t testing.TB, e checkpoint.Edit, dst string) checkpoint.Outcome {
	t.Helper()
	out, err := j.format.Apply(t.Context(), j.open(t, j.chk), e, dst, nil)
	must(t, err)
	return out
}

// verified requires that the checks of a checkpoint find nothing.
func verified(t testing.TB, c *flink.Checkpoint) {
	t.Helper()
	for check, err := range c.Checks(t.Context(), checkpoint.LevelRecords) {
		must(t, err)
		must(t, check.Run(t.Context(), func(f checkpoint.Finding) {
			if f.Severity > checkpoint.Note {
				t.Errorf("%s: %v", check.Name, f)
			}
		}))
	}
}

// content is the metadata of a checkpoint with the bytes instead of their places.
func content(t testing.TB, c *flink.Checkpoint) []byte {
	t.Helper()
	b, err := metadata.Append(nil, c.Metadata())
	must(t, err)
	m, err := metadata.Decode("", b, nil)
	must(t, err)
	var all []byte
	for ref := range m.Handles() {
		src, err := c.OpenHandle(context.Background(), *ref.Handle)
		must(t, err)
		data := make([]byte, src.Size())
		if len(data) > 0 {
			_, err = src.ReadAt(data, 0)
			must(t, err)
		}
		must(t, src.Close())
		if _, inline := (*ref.Handle).(*metadata.ByteStream); !inline {
			*ref.Handle = nil
		}
		all = append(all, data...)
	}
	for i := range m.Operators {
		for k := range m.Operators[i].Subtasks {
			s := m.Operators[i].Subtasks[k].State
			if s == nil {
				continue
			}
			private(s.ManagedKeyed)
			if h := s.ManagedOperator; h != nil && h.Empty {
				s.ManagedOperator = nil
			} else if h != nil {
				h.Tag, h.TaskOwnedDir, h.SharedDir = metadata.TagOperator, "", ""
			}
		}
	}
	b, err = metadata.Append(nil, m)
	must(t, err)
	return append(b, all...)
}

// private lists the shared files of a handle as private ones.
func private(h metadata.KeyedHandle) {
	switch h := h.(type) {
	case *metadata.IncrementalHandle:
		h.Shared, h.Private = nil, append(h.Shared, h.Private...)
	case *metadata.ChangelogHandle:
		for _, inner := range h.Materialized {
			private(inner)
		}
	}
}

// Every sample: a copy has the same content, all of it in its own folder, with
// relative paths; a second copy is equal to the first in every byte; a stripped one
// has no in-flight data and else the same.
func TestCopyAndStripSamples(t *testing.T) {
	n, files := 0, 0
	for _, s := range oracle.Samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			j := copied(t, s)
			src := j.open(t, j.chk)
			out := j.apply(t, checkpoint.Edit{Command: "cp", KeepKind: true}, "copy")
			c := j.open(t, "copy")
			verified(t, c)
			if got, want := content(t, c), content(t, src); !bytes.Equal(got, want) {
				t.Errorf("the copy has another content: %d bytes, %d", len(got), len(want))
			}
			for ref := range c.Metadata().Handles() {
				switch h := (*ref.Handle).(type) {
				case *metadata.RelativeFile, *metadata.ByteStream, *metadata.EmptySegment:
				default:
					t.Errorf("%s: %T", ref.Role, h)
				}
				files++
			}
			if len(out.Losses) > 0 {
				t.Errorf("losses: %v", out.Losses)
			}
			if _, err := j.format.Apply(t.Context(), c, checkpoint.Edit{Command: "cp"}, "again", nil); err != nil {
				t.Fatal(err)
			}
			one, err := os.ReadFile(filepath.Join(j.root, "copy", flink.MetadataName))
			must(t, err)
			two, err := os.ReadFile(filepath.Join(j.root, "again", flink.MetadataName))
			must(t, err)
			if !bytes.Equal(one, two) {
				t.Error("the copy of a copy has other metadata")
			}
			out = j.apply(t, checkpoint.Edit{Command: "strip", Drop: []checkpoint.Drop{{Kind: checkpoint.DropInFlight}}}, "clean")
			stripped(t, s, j.open(t, "clean"), c, out)
			n++
		})
	}
	fmt.Printf("RESULT flink-edit-samples samples=%d handles=%d\n", n, files)
}

// stripped compares a stripped checkpoint with a copy.
func stripped(t *testing.T, s *oracle.Sample, clean, whole *flink.Checkpoint, out checkpoint.Outcome) {
	verified(t, clean)
	m := whole.Metadata() // of a copy that nobody needs any more
	had := 0
	for i := range m.Operators {
		for k := range m.Operators[i].Subtasks {
			if st := m.Operators[i].Subtasks[k].State; st != nil {
				had += len(st.Input) + len(st.Output)
				st.Input, st.Output = nil, nil
			}
		}
	}
	if !bytes.Equal(content(t, clean), content(t, whole)) {
		t.Error("stripping changed more than in-flight data")
	}
	var records uint64
	for _, l := range out.Losses {
		records += l.Records
	}
	if (had > 0) != (len(out.Losses) > 0) || had > 0 && records < uint64(len(s.InFlight)) {
		t.Errorf("%d handles went, %d records in flight; the losses are %+v", had, len(s.InFlight), out.Losses)
	}
	told := 0
	for l, err := range clean.Losses(t.Context()) {
		must(t, err)
		if l.Tool != "strip" || l.Bytes == 0 {
			t.Errorf("loss %+v", l)
		}
		told++
	}
	if told != len(out.Losses) {
		t.Errorf("%d losses in the result, %d told", told, len(out.Losses))
	}
}

func refused(t testing.TB, err error) *checkpoint.RefusedError {
	t.Helper()
	var r *checkpoint.RefusedError
	if !errors.As(err, &r) {
		t.Fatalf("%v, want a refusal", err)
	}
	return r
}
