package reader_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// findings verifies a checkpoint at the deepest level.
func findings(ctx context.Context, st store.Store, dir string) ([]checkpoint.Finding, error) {
	c, err := reader.NewFormat(st).Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var list []checkpoint.Finding
	for f, err := range recovery.Verify(ctx, c, recovery.Options{}) {
		if err != nil {
			return list, fmt.Errorf("verify: %w", err)
		}
		list = append(list, f)
	}
	return list, nil
}

// rewrite replaces an object by changed bytes, which no checkpoint ever does.
func rewrite(t testing.TB, st store.Store, name string, change func([]byte) []byte) {
	t.Helper()
	ctx := context.Background()
	data, err := store.ReadAll(ctx, st, name, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Remove(ctx, name, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := store.WriteAll(ctx, st, name, change(data)); err != nil {
		t.Fatal(err)
	}
}

// write writes a sample checkpoint into a new store.
func write(t testing.TB, job writertest.Job) *mem.Store {
	t.Helper()
	st := mem.New()
	if _, err := job.Write(context.Background(), st); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestIntactCheckpointHasNoFindings(t *testing.T) {
	for _, job := range []writertest.Job{
		{}, {Keys: 1}, {Keys: 3000, Parallelism: 4, Parallel: true}, {Keys: 200, ValueSize: 100_000}, {Keys: 10, Savepoint: true},
	} {
		st := write(t, job)
		list, err := findings(t.Context(), st, job.Dir())
		if err != nil || len(list) > 0 {
			t.Errorf("%+v: %v, %v", job, list, err)
		}
	}
}
