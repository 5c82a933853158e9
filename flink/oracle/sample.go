package oracle

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Bucket is the URL of what a Sample's directory "s3" holds: the absolute paths in
// the samples begin with it, as those of a job that writes to S3 do.
const Bucket = "s3://flink"

// expectedName is the file beside a sample's bytes.
const expectedName = "expected.json"

// Sample is one checkpoint or savepoint below testdata/flink, written by a real
// Flink, with what is in it. `make oracle-samples` writes them all anew.
type Sample struct {
	Flink   string  `json:"flink"` // exact version
	Command string  `json:"command"`
	Request Request `json:"request"`
	// Snapshot is the last of the request's; earlier ones may lie beside it.
	Snapshot Taken `json:"snapshot"`
	// InFlight are the records between the sources and the keyed operator.
	InFlight []Flight `json:"in_flight,omitempty"`

	Name string `json:"-"` // "1.20/heap-long"
	Dir  string `json:"-"` // with expected.json and s3/
}

// Metadata returns the local directory that has the sample's _metadata.
func (s *Sample) Metadata() string {
	return filepath.Join(s.Dir, "s3", filepath.FromSlash(strings.TrimPrefix(s.Snapshot.Path, Bucket)))
}

// Write makes the sample: it empties s.Dir, runs s.Request with that as bucket, and
// writes what there is to know beside the bytes.
func (s *Sample) Write(r *Report) error {
	s.Snapshot = r.Snapshots[len(r.Snapshots)-1]
	job := s.Request.Job
	if job.has("ids") {
		s.InFlight = job.InFlight(s.Snapshot.State)
	}
	if job.SinkEdge == "" {
		s.Snapshot.Outputs = nil // all that the state tells have arrived
	}
	s.Request.S3Root = "" // of this machine
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("oracle: sample %s: %w", s.Name, err)
	}
	text := strings.ReplaceAll(string(raw), `},{"key"`, "},\n{\"key\"")
	for _, field := range []string{"command", "request", "snapshot", "in_flight"} {
		text = strings.ReplaceAll(text, `,"`+field+`":`, ",\n\""+field+`":`)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, expectedName), []byte(text+"\n"), 0o644); err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	return nil
}

// ReadSample reads the sample in the directory.
func ReadSample(dir string) (*Sample, error) {
	raw, err := os.ReadFile(filepath.Join(dir, expectedName))
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	s := &Sample{Dir: dir, Name: filepath.Base(filepath.Dir(dir)) + "/" + filepath.Base(dir)}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("oracle: sample %s: %w", dir, err)
	}
	return s, nil
}

// Samples returns all samples of the repository, by name. Its tests run below the
// repository's root.
func Samples(t testing.TB) []*Sample {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			err = fmt.Errorf("oracle: no go.mod above the working directory: %w", fs.ErrNotExist)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "testdata", "flink", "*", "*", expectedName))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	var all []*Sample
	for _, f := range found {
		s, err := ReadSample(filepath.Dir(f))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}
