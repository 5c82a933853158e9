package convert_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/convert"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/store/mem"
)

func openStore(t *testing.T, dir string) *local.Store {
	t.Helper()
	st, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() }) // nothing is being written
	return st
}

// A real Flink restores what the engine wrote, with exactly its state, and goes on.
func TestFlinkRestoresOurs(t *testing.T) {
	backends := []string{"hashmap", "rocksdb"}
	keyTypes := []string{"long", "string", "tuple2", "pojo", "pojo-idea", "record"}
	for _, v := range oracle.Versions {
		t.Run(string(v), func(t *testing.T) {
			s := oracle.Start(t, v)
			n := 0
			for i, key := range keyTypes {
				for b, backend := range backends {
					if os.Getenv("TIDEMARK_LONG") == "" && (b != i%2 || key == "record") {
						continue // each key on one backend
					}
					n++
					t.Run(key+"-"+backend, func(t *testing.T) { restoreOurs(t, s, key, backend) })
				}
			}
			fmt.Printf("RESULT convert-to-flink flink=%s runs=%d keys=%d states=%d\n", s.Flink, n, len(keyTypes), len(oracle.BaseStates))
		})
	}
}

func restoreOurs(t *testing.T, s *oracle.Server, key, backend string) {
	job := oracle.Job{Keys: 40, Records: 240, Splits: 4, Parallelism: 3, MaxParallelism: 96, KeyType: key, States: oracle.BaseStates}
	const until = 150
	src := savepoint(t, mem.New(), job, until, 2)
	dir := t.TempDir()
	r, err := convert.ToFlink(t.Context(), src, openStore(t, dir), "made", convert.Options{Parallelism: 2, KeyGroups: 96,
		Structs: structsFor(key), KeyHash: hashFor(key),
		Drop: drops(t, "operator=source", "operator=out"), Memory: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.States) != 5 {
		t.Errorf("%d states: %+v", len(r.States), r.States)
	}
	got := s.Must(t, oracle.Request{Job: job, Conf: map[string]string{"state.backend.type": backend}, Dir: "file:" + t.TempDir(),
		From: "file:" + filepath.Join(dir, "made"), Finish: true})
	want := view(job, until)
	if d := sameKeyed(want.Keyed, got.Restored.Keyed); d != "" {
		t.Errorf("restored state:\n%s", d)
	}
	// Flink's source begins anew: it has no position of ours.
	want.Positions = map[int]int64{0: 0, 1: 0, 2: 0, 3: 0}
	expect := job.Expect(want, nil)
	if d := oracle.DiffLines(expect.Outputs, got.Outputs); d != "" {
		t.Errorf("output:\n%s", d)
	}
	if d := sameKeyed(expect.Final, got.Final.Keyed); d != "" {
		t.Errorf("state at the end:\n%s", d)
	}
}

func drops(t *testing.T, texts ...string) []checkpoint.Selector {
	t.Helper()
	var list []checkpoint.Selector
	for _, text := range texts {
		sel, err := checkpoint.ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, sel)
	}
	return list
}

// The engine goes on from what a real Flink wrote, with the output that Flink would
// have had, and what it restored converts back to an equal checkpoint.
func TestOursGoesOnFromFlink(t *testing.T) {
	wanted := map[string]bool{"1.20/heap-string": true, "1.20/rocksdb-incremental-tuple2": true, "2.2/heap-long": true, "2.2/rocksdb-canonical": true,
		"1.20/heap-tuple2": true, "2.2/rocksdb-incremental-long": true, "2.2/rocksdb-native": true, "1.20/compressed": true, "1.20/key-groups-300": true,
		"1.20/heap-pojo": true, "2.2/heap-pojo-idea": true, "2.2/rocksdb-incremental-pojo": true, "2.2/rocksdb-canonical-record": true}
	n := 0
	for _, s := range oracle.Samples(t) {
		if !wanted[s.Name] {
			continue
		}
		n++
		t.Run(s.Name, func(t *testing.T) { goOn(t, s) })
	}
	if n < 12 {
		t.Errorf("%d samples", n)
	}
	fmt.Printf("RESULT convert-to-native samples=%d\n", n)
}

func goOn(t *testing.T, s *oracle.Sample) {
	job := s.Request.Job
	ck, st := openSample(t, s), mem.New()
	opts := convert.Options{Memory: 4 << 10, Drop: drops(t, "kind=coordinator", "operator=source", "operator=ops", "operator=sink")}
	for _, name := range []string{"sum", "mean", "ttl", "ttl-map", "pojo", "row", "tuple", "avro"} {
		opts.Drop = append(opts.Drop, drops(t, "operator=keyed,state="+name)...)
	}
	if job.KeyType == "pojo-idea" { // declares its fields in another order than Flink, which has them by name
		opts.Like = savepoint(t, mem.New(), job, 1, 1)
	}
	r, err := convert.ToNative(t.Context(), ck, st, "savepoint-1", opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.States) != 5 {
		t.Errorf("%d states: %+v", len(r.States), r.States)
	}
	from := s.Request.Snapshots[len(s.Request.Snapshots)-1].At
	got := resume(t, st, "savepoint-1", job, from, 3)
	for i := range s.Snapshot.State.Positions { // every split stood at the same number
		if at := s.Snapshot.State.Positions[i]; at < from {
			t.Fatalf("split %d stood at %d and not at %d", i, at, from)
		}
	}
	if d := oracle.DiffLines(job.Expect(s.Snapshot.State, nil).Outputs, got); d != "" {
		t.Errorf("output:\n%s", d)
	}
}

// model presents a checkpoint for comparisons.
func model(c *reader.Checkpoint) checkpoint.Checkpoint { return reader.NewModel(c) }

// structsFor makes a struct as key the tuple that the job has in Flink.
func structsFor(key string) map[string]string {
	choices := map[string]string{"tuple2": "tuple", "pojo": keyClass + "KeyPojo", "pojo-idea": keyClass + "KeyIdea", "record": keyClass + "KeyRecord"}
	if choice := choices[key]; choice != "" {
		return map[string]string{"keyed": choice}
	}
	return nil
}

// keyClass begins the names of the oracle's classes of keys.
const keyClass = "io.tidemark.oracle.Keys$"

// hashFor is how these classes compute their hash codes.
func hashFor(key string) map[string]string {
	formulas := map[string]string{"pojo": "objects-hash(name, number)", "pojo-idea": "idea(number, name, odd)", "record": keyClass + "KeyRecord:record(name,number)"}
	if f := formulas[key]; f != "" {
		return map[string]string{"keyed": f}
	}
	return nil
}

// openSample opens what a real Flink wrote.
func openSample(t *testing.T, s *oracle.Sample) *flink.Checkpoint {
	t.Helper()
	dir := s.Metadata()
	root := filepath.Dir(dir)
	ck, err := flink.NewFormat(openStore(t, root), flink.WithUIDs("source", "ops", "keyed", "sink")).OpenCheckpoint(t.Context(), filepath.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	return ck
}
