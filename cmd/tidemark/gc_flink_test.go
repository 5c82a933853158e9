package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink/edit"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/oracle"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
)

// sampleCopy is a copy of a sample's bucket in which everything is old.
type sampleCopy struct {
	*oracle.Sample
	root string
	st   *local.Store
}

// old is a time at which everything was written.
var old = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func copyOf(t *testing.T, s *oracle.Sample) *sampleCopy {
	t.Helper()
	c := &sampleCopy{Sample: s, root: t.TempDir()}
	check(t, os.CopyFS(c.root, os.DirFS(filepath.Join(s.Dir, "s3"))))
	check(t, filepath.WalkDir(c.root, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, old, old))
	}))
	var err error
	c.st, err = local.Open(c.root)
	check(t, err)
	t.Cleanup(func() { check(t, c.st.Close()) })
	return c
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put adds an old file.
func (c *sampleCopy) put(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join(c.root, filepath.FromSlash(name))
	check(t, os.MkdirAll(filepath.Dir(path), 0o700))
	check(t, os.WriteFile(path, []byte("garbage"), 0o600))
	check(t, os.Chtimes(path, old, old))
}

// gc collects all garbage of the bucket.
func (c *sampleCopy) gc(t *testing.T) (*recovery.Garbage, error) {
	t.Helper()
	f := edit.NewFormat(c.st)
	return recovery.GC(t.Context(), c.st, recovery.GCOptions{Open: f.Open, Apply: true, List: func(ctx context.Context) (all []checkpoint.Info, err error) {
		for info, err := range f.List(ctx, "checkpoints") {
			if err != nil {
				return nil, err
			}
			all = append(all, info)
		}
		return all, nil
	}})
}

// used are the objects that the sample's checkpoint uses.
func (c *sampleCopy) used(t *testing.T) (names []string) {
	t.Helper()
	cp, err := edit.NewFormat(c.st).OpenCheckpoint(t.Context(), strings.TrimPrefix(c.Snapshot.Path, oracle.Bucket+"/"))
	check(t, err)
	for ref := range cp.Metadata().Handles() {
		if _, inline := (*ref.Handle).(*metadata.ByteStream); inline {
			continue
		}
		l, err := cp.Locate(t.Context(), *ref.Handle)
		check(t, err)
		if l.Name != "" && !slices.Contains(names, l.Name) {
			names = append(names, l.Name)
		}
	}
	return names
}

// strays adds files that nobody uses, two of which gc may delete.
func (c *sampleCopy) strays(t *testing.T) {
	t.Helper()
	job := "checkpoints/" + strings.Repeat("0", 31) + "1/"
	for i, name := range []string{"shared/", "chk-99/", "taskowned/"} {
		c.put(t, fmt.Sprintf("%s%s0000000%d-aaaa-4bbb-8ccc-dddddddddddd", job, name, i))
	}
	c.put(t, job+"chk-99/notes.txt")
}

// Of no sample gc deletes anything that its checkpoint uses, whatever the kind.
func TestGCFlinkSamples(t *testing.T) {
	n, deleted := 0, 0
	for _, s := range oracle.Samples(t) {
		t.Run(s.Name, func(t *testing.T) {
			c := copyOf(t, s)
			used := c.used(t)
			c.strays(t)
			g, err := c.gc(t)
			check(t, err)
			for _, o := range g.Objects {
				if slices.Contains(used, o.Name) {
					t.Errorf("%s is in use", o.Name)
				}
			}
			for _, name := range used {
				if _, err := c.st.Stat(t.Context(), name); err != nil && !errors.Is(err, store.ErrNotObject) {
					t.Error(err)
				}
			}
			if g.Deleted < 1 {
				t.Errorf("deleted %d", g.Deleted)
			}
			n, deleted = n+len(used), deleted+g.Deleted
		})
	}
	fmt.Printf("RESULT gc-flink-samples used=%d deleted=%d\n", n, deleted)
}

// After gc a real Flink restores the checkpoint that is left: an incremental one that
// shares files with one before it, which is gone.
func TestFlinkRestoresAfterGC(t *testing.T) {
	for _, s := range oracle.Samples(t) {
		if s.Name != "1.20/rocksdb-incremental-long" {
			continue
		}
		c := copyOf(t, s)
		c.strays(t)
		mine := strings.TrimPrefix(s.Snapshot.Path, oracle.Bucket+"/")
		for _, dir := range []string{"chk-1", "chk-2"} { // the other one's metadata goes, as if Flink had been interrupted
			if name := filepath.Join(filepath.Dir(mine), dir); name != mine {
				check(t, os.Remove(filepath.Join(c.root, name, "_metadata")))
			}
		}
		g, err := c.gc(t)
		check(t, err)
		if g.Deleted < 3 {
			t.Errorf("deleted %d: %v", g.Deleted, g.Objects)
		}
		got := oracle.Start(t, oracle.Flink1).Must(t, oracle.Request{Job: s.Request.Job, Conf: s.Request.Conf, Dir: oracle.Bucket + "/again", S3Root: c.root,
			JobID: strings.Repeat("2", 32), From: s.Snapshot.Path, Claim: "NO_CLAIM", Finish: true})
		if diff := oracle.Diff(s.Snapshot.State.Keyed, got.Restored.Keyed); diff != "" {
			t.Error(diff)
		}
		want := s.Request.Job.Expect(s.Snapshot.State, oracle.IDs(s.InFlight))
		if diff := oracle.DiffLines(want.Outputs, got.Outputs); diff != "" {
			t.Error(diff)
		}
		fmt.Printf("RESULT flink-restores-after-gc deleted=%d keys=%d\n", g.Deleted, len(got.Restored.Keyed))
	}
}
