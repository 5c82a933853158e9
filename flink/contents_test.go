package flink_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/flink/serde"
	"github.com/tidemark-io/tidemark/flink/state"
	"github.com/tidemark-io/tidemark/internal/testkit"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/recovery/export"
	"github.com/tidemark-io/tidemark/store/local"
)

// errorsAt counts what verify finds at a level.
func errorsAt(t *testing.T, c checkpoint.Checkpoint, level checkpoint.Level) (bad int, first string) {
	t.Helper()
	for f, err := range recovery.Verify(t.Context(), c, recovery.Options{Workers: 1, Level: level}) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Severity == checkpoint.Error {
			if bad++; first == "" {
				first = f.String()
			}
		}
	}
	return bad, first
}

// Nothing is wrong with what a real Flink wrote, at any level: checksums, values,
// key groups, buffers.
func TestSampleVerify(t *testing.T) {
	samples := 0
	for _, s := range oracle.Samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			if n, first := errorsAt(t, openSample(t, s), checkpoint.LevelRecords); n > 0 {
				t.Errorf("%d errors, the first: %s", n, first)
			}
		})
		samples++
	}
	t.Logf("RESULT TestSampleVerify samples=%d", samples)
}

// Every bit that is flipped in what has a checksum is found at the level of
// checksums: the tables of RocksDB, and the compressed parts of other state.
func TestSampleFlips(t *testing.T) {
	flips := 0
	for _, name := range []string{"1.20/rocksdb-native", "2.2/rocksdb-native", "1.20/compressed-canonical"} {
		s, err := oracle.ReadSample(filepath.Join("..", "testdata", "flink", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		bucket := filepath.Join(t.TempDir(), "s3")
		if err := os.CopyFS(bucket, os.DirFS(filepath.Join(s.Dir, "s3"))); err != nil {
			t.Fatal(err)
		}
		meta := strings.Replace(s.Metadata(), filepath.Join(s.Dir, "s3"), bucket, 1)
		s.Dir = filepath.Dir(bucket)
		c := openSample(t, s)
		for file, from := range checksummed(t, c, bucket) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 25 {
				at := from + (len(data)-from)*i/25
				data[at] ^= 1 << (i % 8)
				if err := os.WriteFile(file, data, 0o600); err != nil {
					t.Fatal(err)
				}
				if n, _ := errorsAt(t, c, checkpoint.LevelChecksums); n == 0 {
					t.Errorf("%s: a flip at %d of %d in %s is not found", name, at, len(data), filepath.Base(file))
				}
				data[at] ^= 1 << (i % 8)
				flips++
			}
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if n, first := errorsAt(t, c, checkpoint.LevelRecords); n > 0 {
			t.Errorf("%s, restored: %s", meta, first)
		}
	}
	t.Logf("RESULT TestSampleFlips flips=%d", flips)
	if flips < 100 {
		t.Errorf("only %d flips", flips)
	}
}

// checksummed are the files with checksums, and where in them the first byte lies
// that is under one.
func checksummed(t *testing.T, c *flink.Checkpoint, bucket string) map[string]int {
	files := map[string]int{}
	for ref := range c.Metadata().Handles() {
		l, err := c.Locate(t.Context(), *ref.Handle)
		if err != nil {
			t.Fatal(err)
		}
		if l.Where != flink.Inside || len(files) == 3 {
			continue
		}
		if strings.HasSuffix(ref.Name, ".sst") {
			files[filepath.Join(bucket, filepath.FromSlash(l.Name))] = 0
		}
	}
	for i := range c.Metadata().Operators {
		for _, task := range c.Metadata().Operators[i].Subtasks {
			if task.State == nil {
				continue
			}
			k, ok := task.State.ManagedKeyed.(*metadata.KeyGroupsHandle)
			if !ok {
				continue
			}
			l, err := c.Locate(t.Context(), k.Delegate)
			if err != nil {
				t.Fatal(err)
			}
			first := int64(1 << 62)
			for _, off := range k.Offsets {
				if off > 0 {
					first = min(first, off)
				}
			}
			if l.Where == flink.Inside && first < l.Size {
				files[filepath.Join(bucket, filepath.FromSlash(l.Name))] = int(first)
			}
		}
	}
	return files
}

// synthetic writes a savepoint of one operator, "big", with a state of longs under
// keys 0, 1, …, each in the key group that group says.
func synthetic(t *testing.T, keys int, value string, group func(key int64) int) string {
	t.Helper()
	dir := t.TempDir()
	long, text, void := serde.Of(serde.KindLong), serde.Of(serde.KindString), serde.Of(serde.KindVoidNamespace)
	header := &state.KeyedHeader{Key: long, States: []state.Meta{{Name: "counts", Kind: state.KeyValue,
		Options:     []state.Option{{Key: state.OptionStateType, Value: state.StateTypeValue}},
		Serializers: []state.Serializer{{Key: state.SerializerNamespace, Type: void}, {Key: state.SerializerValue, Type: text}}}}}
	const groups = 128
	byGroup := make([][]int64, groups)
	for key := range int64(keys) {
		g := group(key)
		byGroup[g] = append(byGroup[g], key)
	}
	f, err := os.Create(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	w, err := state.NewCanonicalWriter(out, header, keygroup.Range{First: 0, Last: groups - 1}, groups)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := text.Append(nil, value)
	if err != nil {
		t.Fatal(err)
	}
	for g, list := range byGroup {
		for _, key := range list {
			k := binary.BigEndian.AppendUint64(nil, uint64(key))
			if err := w.Add(g, 0, state.AppendComposite(nil, long, void, k, []byte{0}, nil), stored); err != nil {
				t.Fatal(err)
			}
		}
	}
	offsets, size, err := w.Finish()
	if err := errors.Join(err, out.Flush()); err != nil {
		t.Fatal(err)
	}
	m := &metadata.Metadata{Version: metadata.Version5, CheckpointID: 1, Tail: metadata.NullTail, Operators: []metadata.Operator{{
		UID: "big", ID: metadata.IDOfUID("big"), Parallelism: 1, MaxParallelism: groups,
		Subtasks: []metadata.Subtask{{State: &metadata.SubtaskState{ManagedKeyed: &metadata.KeyGroupsHandle{Tag: metadata.TagSavepoint,
			Range: metadata.KeyGroupRange{Count: groups}, Offsets: offsets, Delegate: &metadata.RelativeFile{Path: "state", Size: size}}}}}}}}
	data, err := metadata.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, flink.MetadataName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openDir(t *testing.T, dir string) checkpoint.Checkpoint {
	t.Helper()
	st, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	c, err := flink.NewFormat(st).Open(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hashed is the key group that Flink stores a long in.
func hashed(key int64) int { return serde.KeyGroup(int32(key^int64(uint64(key)>>32)), 128) }

// A key in a group that it does not belong to would never be found by Flink again.
func TestWrongKeyGroup(t *testing.T) {
	if n, first := errorsAt(t, openDir(t, synthetic(t, 100, "v", hashed)), checkpoint.LevelRecords); n > 0 {
		t.Fatal(first)
	}
	dir := synthetic(t, 100, "v", func(key int64) int {
		if key == 42 {
			return (hashed(key) + 1) % 128
		}
		return hashed(key)
	})
	n, first := errorsAt(t, openDir(t, dir), checkpoint.LevelRecords)
	if want := fmt.Sprintf(`the key "42" is stored in key group %d and belongs to group %d`, (hashed(42)+1)%128, hashed(42)); n != 1 || !strings.Contains(first, want) {
		t.Errorf("%d findings, the first %q; want one with %q", n, first, want)
	}
}

// verify and export stream: neither holds what it reads.
func TestContentsStream(t *testing.T) {
	const keys = 64 << 10
	c := openDir(t, synthetic(t, keys, strings.Repeat("x", 1000), hashed))
	most := uint64(0)
	watch := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
	}
	if n, first := errorsAt(t, c, checkpoint.LevelRecords); n > 0 {
		t.Fatal(first)
	}
	watch()
	n := 0
	rows, err := export.Write(t.Context(), c, io.Discard, export.Options{Format: export.JSONL, Progress: func(uint64) {
		if n++; n%4096 == 0 {
			watch()
		}
	}})
	if err != nil || rows != keys {
		t.Fatalf("%d rows, %v", rows, err)
	}
	t.Logf("RESULT TestContentsStream bytes=%d heap=%d rows=%d", keys*1020, most, rows)
	if most > 32<<20 {
		t.Errorf("the heap grew to %d bytes", most)
	}
}

// A key is found by its text in each sample, whatever its type, and only that key's
// entries are.
func TestSampleLookup(t *testing.T) {
	found := 0
	for _, s := range oracle.Samples(t) {
		job := s.Request.Job
		if len(s.Snapshot.State.Keyed) == 0 || !strings.HasPrefix(s.Name, "1.20/") {
			continue
		}
		want := s.Snapshot.State.Keyed[0]
		text := want.Key
		if name, n, ok := strings.Cut(want.Key, ","); ok {
			text = fmt.Sprintf(`[%q,%s]`, name, n)
			switch job.KeyType {
			case "pojo", "record":
				text = fmt.Sprintf(`{"name":%q,"number":%s}`, name, n)
			case "pojo-idea":
				text = fmt.Sprintf(`{"name":%q,"number":%s,"odd":%t}`, name, n, strings.ContainsAny(n[len(n)-1:], "13579"))
			}
		}
		c := openSample(t, s)
		counts := 0
		for hit, err := range recovery.Find(t.Context(), c, checkpoint.Selector{Operator: "keyed", State: "count"}, text) {
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			if hit.Entry != nil {
				row := recovery.NewRowPrinter(c, recovery.RowOptions{}).Entry(hit.Entry)
				if got := number(t, value(t, row.Value)); got != want.Count {
					t.Errorf("%s: key %s has the count %d, want %d", s.Name, text, got, want.Count)
				}
				counts++
			}
		}
		if counts != 1 {
			t.Errorf("%s: key %s has %d counts", s.Name, text, counts)
		}
		found += counts
	}
	t.Logf("RESULT TestSampleLookup found=%d", found)
}

// Every entry of the real checkpoints that carry a Flink release's tests is printed,
// or is one of the named kinds that nothing but the job can read.
func TestFixturesPrint(t *testing.T) {
	rows, refused := 0, map[string]int{}
	err := filepath.WalkDir(testkit.FlinkFixtures(t), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != flink.MetadataName {
			return err
		}
		c := openDir(t, filepath.Dir(path))
		for r, err := range recovery.Rows(t.Context(), c, checkpoint.Selector{}, recovery.RowOptions{}) {
			if err == nil {
				err = r.Problem
			}
			switch {
			case errors.Is(err, checkpoint.ErrUnsupported) || err != nil && strings.Contains(err.Error(), "unsupported"):
				refused[filepath.Base(filepath.Dir(path))]++
			case err != nil:
				t.Errorf("%s: %v", path, err)
			}
			rows++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("RESULT TestFixturesPrint rows=%d refused=%v", rows, refused)
	// Flink 1.6 and 1.7 had other headers; a changelog that starts from nothing and
	// has no timers does not say what its keys are.
	if rows < 6000 || len(refused) > 3 {
		t.Errorf("%d rows, refused %v", rows, refused)
	}
}

// The metadata of 20 operators with 4,800 subtasks each, each with a file that is
// not there, is described with 256 MiB of allocations at most.
func TestInspectLargest(t *testing.T) {
	const operators, tasks = 20, 4800
	m := &metadata.Metadata{Version: metadata.Version5, CheckpointID: 1, Tail: metadata.NullTail}
	for i := range operators {
		uid := fmt.Sprintf("operator-%d", i)
		op := metadata.Operator{UID: uid, Name: uid, ID: metadata.IDOfUID(uid), Parallelism: tasks, MaxParallelism: 1 << 15}
		for j := range int32(tasks) {
			r := keygroup.RangeOf(int(j), 1<<15, tasks)
			op.Subtasks = append(op.Subtasks, metadata.Subtask{Index: j, State: &metadata.SubtaskState{ManagedKeyed: &metadata.KeyGroupsHandle{
				Tag: metadata.TagKeyGroups, Range: metadata.KeyGroupRange{Start: int32(r.First), Count: int32(r.Len())}, Offsets: make([]int64, r.Len()),
				Delegate: &metadata.RelativeFile{Path: fmt.Sprintf("%08d-0000-0000-0000-%012d", i, j), Size: 1 << 20}}}})
		}
		m.Operators = append(m.Operators, op)
	}
	data, err := metadata.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	m = nil
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, flink.MetadataName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := openDir(t, dir)
	states := 0
	for _, err := range c.States(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		states++
	}
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("RESULT TestInspectLargest bytes=%d states=%d allocated=%d", len(data), states, allocated)
	if notes := c.Info().Notes; len(notes) != 1 || !strings.Contains(notes[0].Problem, "of 96000 streams of state those of the first 32 subtasks") {
		t.Errorf("it does not say what is left out: %v", notes)
	}
	if states != operators || allocated > 256<<20 {
		t.Errorf("%d states, %d bytes allocated", states, allocated)
	}
}
