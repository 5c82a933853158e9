package oracle

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/flink/metadata"
)

// kindsWanted are the types that Flink's own files do not have and ours must.
var kindsWanted = map[string][]string{
	"1.20/heap-canonical":         {"KeyGroupsHandle", "RelativeFile"},
	"1.20/rocksdb-incremental":    {"IncrementalHandle", "File"},
	"1.20/file-merging":           {"Segment"},
	"1.20/changelog":              {"ChangelogHandle", "StreamChangelog"},
	"1.20/entropy":                {"File"},
	"1.20/unaligned":              {"ChannelHandle"},
	"2.2/unaligned":               {"ChannelHandle", "Merged"},
	"2.2/file-merging":            {"Segment"},
	"2.2/unaligned-file-merging":  {"ChannelHandle", "Segment"},
	"1.20/unaligned-file-merging": {"ChannelHandle", "Segment"},
}

// Each sample is whole, small, and what its name says; and its metadata reads.
func TestSamplesAreWhatTheySay(t *testing.T) {
	samples := Samples(t)
	if len(samples) < 60 {
		t.Fatalf("%d samples, want at least 60", len(samples))
	}
	var total int64
	all := map[string]int{}
	for _, s := range samples {
		size := sizeOf(t, s.Dir)
		if total += size; size > 200<<10 {
			t.Errorf("%s has %d bytes", s.Name, size)
		}
		raw, err := os.ReadFile(filepath.Join(s.Metadata(), "_metadata"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := metadata.Decode(s.Name, raw, nil)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		has := map[string]int{}
		count(reflect.ValueOf(m), has)
		for k, n := range has {
			all[k] += n
		}
		for prefix, kinds := range kindsWanted {
			for _, k := range kinds {
				if strings.HasPrefix(s.Name, prefix) && has[k] == 0 {
					t.Errorf("%s has no %s: %v", s.Name, k, has)
				}
			}
		}
		if strings.Contains(s.Name, "/unaligned") && len(s.InFlight) == 0 {
			t.Errorf("%s has nothing in flight", s.Name)
		}
	}
	if total > 3500<<10 {
		t.Errorf("the samples have %d bytes", total)
	}
	fmt.Printf("RESULT oracle-samples samples=%d bytes=%d handles=%v\n", len(samples), total, all)
}

// count tallies the named struct types below v.
func count(v reflect.Value, has map[string]int) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			count(v.Elem(), has)
		}
	case reflect.Struct:
		has[v.Type().Name()]++
		if merged := v.FieldByName("Merged"); merged.IsValid() && merged.Bool() {
			has["Merged"]++
		}
		for i := range v.NumField() {
			count(v.Field(i), has)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				count(v.Index(i), has)
			}
		}
	}
}

func sizeOf(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		n += info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A Flink restores the samples, its own and those of an older one, and does with
// them what expected.json foretells. All of them with TIDEMARK_LONG, else a few.
func TestSamplesRestore(t *testing.T) {
	few := []string{"1.20/unaligned-edges", "2.2/file-merging-rocksdb"}
	each(t, func(t *testing.T, s *Server) {
		n := 0
		for _, sample := range Samples(t) {
			newer := strings.HasPrefix(sample.Name, "2.") && strings.HasPrefix(s.Flink, "1.")
			if newer || os.Getenv("TIDEMARK_LONG") == "" && !slices.Contains(few, sample.Name) {
				continue
			}
			t.Run(sample.Name, func(t *testing.T) { restoreSample(t, s, sample) })
			n++
		}
		fmt.Printf("RESULT oracle-samples-restore flink=%s samples=%d\n", s.Flink, n)
	})
}

func restoreSample(t *testing.T, s *Server, sample *Sample) {
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(filepath.Join(sample.Dir, "s3"))); err != nil {
		t.Fatal(err)
	}
	r := Request{Job: sample.Request.Job, Conf: sample.Request.Conf, Dir: Bucket + "/again", S3Root: root, From: sample.Snapshot.Path, Finish: true}
	if strings.Contains(sample.Name, "changelog") {
		r.Claim = "CLAIM"
	}
	got := s.Must(t, r)
	if r.Job.SinkEdge == "" {
		// Nothing is on its way to the sink, and expected.json leaves out what had arrived.
		sample.Snapshot.Outputs = r.Job.PendingOutputs(sample.Snapshot)
	}
	check(t, r.Job, sample.Snapshot, IDs(sample.InFlight), got)
}
