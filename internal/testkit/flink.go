package testkit

import (
	"os"
	"path/filepath"
	"testing"
)

// FlinkFixtures is the folder with checkpoints that Apache Flink's own test
// suite carries. They are too many to be copied into the repository: they lie
// beside it, at ../shared/flink-fixtures, and only where somebody put them. So
// this is the one thing whose absence skips a test even on CI; what must hold
// everywhere is tested with the samples below testdata/flink.
func FlinkFixtures(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
	fixtures := filepath.Join(filepath.Dir(dir), "shared", "flink-fixtures")
	if _, err := os.Stat(fixtures); err != nil {
		t.Skip("skipped: Flink's own files are not beside the repository, at ../shared/flink-fixtures")
	}
	return fixtures
}
