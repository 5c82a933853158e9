package flink_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/internal/testkit"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/local"
)

// Every checkpoint that Flink's test suite carries opens, and is intact as far as
// metadata and files go.
func TestFixturesVerify(t *testing.T) {
	ctx := context.Background()
	counts := map[string]int{}
	kinds := map[checkpoint.Kind]int{}
	err := filepath.WalkDir(testkit.FlinkFixtures(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != flink.MetadataName {
			return err
		}
		dir := filepath.Dir(path)
		st, err := local.Open(dir)
		if err != nil {
			return err
		}
		defer st.Close()
		c, err := flink.NewFormat(st, flink.WithRoot(filepath.ToSlash(dir))).Open(ctx, "")
		if err != nil {
			t.Error(err)
			return nil
		}
		kinds[c.Info().Kind]++
		counts["checkpoints"]++
		if _, known := c.Info().Bytes.Known(); !known {
			t.Errorf("%s: the size is unknown", dir)
		}
		for s, err := range c.States(ctx) {
			if err != nil {
				return err
			}
			counts["states"]++
			counts[string(s.Kind)]++
		}
		for o, err := range c.(checkpoint.Layered).Objects(ctx) {
			if err != nil {
				return err
			}
			counts["objects"]++
			_ = o
		}
		for f, err := range recovery.Verify(ctx, c, recovery.Options{Workers: 1}) {
			if err != nil {
				return err
			}
			counts[f.Severity.String()]++
			if f.Severity == checkpoint.Error {
				t.Errorf("%s: %s", dir, f)
			} else {
				t.Logf("%s: %s", filepath.Base(dir), f)
			}
		}
		return errors.Join(c.Close())
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("RESULT TestFixturesVerify counts=%v kinds=%v", counts, kinds)
}
