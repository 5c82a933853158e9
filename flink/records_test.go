package flink_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/internal/testkit"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/local"
)

// Damage anywhere in the files of a real checkpoint never panics, a file cut in
// the middle is found, and so is an entry that no longer decodes.
func TestDamagedFixture(t *testing.T) {
	from := filepath.Join(testkit.FlinkFixtures(t), "flink-tests/src/test/resources/new-stateful-broadcast-udf-migration-itcase-flink1.20-hashmap-checkpoint")
	dir := t.TempDir()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err := errors.Join(err, os.WriteFile(filepath.Join(dir, e.Name()), data, 0o600)); err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = data
	}
	st, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	// found counts errors; an unreadable metadata is one too.
	found := func() (n int) {
		c, err := flink.NewFormat(st).Open(t.Context(), "")
		if err != nil {
			if !errors.Is(err, checkpoint.ErrDamaged) && !errors.Is(err, checkpoint.ErrUnsupported) {
				t.Fatal(err)
			}
			return 1
		}
		for f, err := range recovery.Verify(t.Context(), c, recovery.Options{Workers: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Severity == checkpoint.Error {
				n++
			}
		}
		return n
	}
	if n := found(); n != 0 {
		t.Fatalf("%d errors in what is intact", n)
	}
	flips, noticed, cuts := 0, 0, 0
	for name, data := range files {
		path := filepath.Join(dir, name)
		for at := 0; at < len(data); at += max(1, len(data)/40) {
			data[at] ^= 0x80
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			flips++
			if found() > 0 {
				noticed++
			}
			data[at] ^= 0x80
		}
		if err := os.WriteFile(path, data[:len(data)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		if cuts++; found() == 0 {
			t.Errorf("half of %s is not missed", name)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("RESULT TestDamagedFixture files=%d flips=%d noticed=%d cuts=%d", len(files), flips, noticed, cuts)
	if noticed == 0 {
		t.Error("no damage was noticed")
	}
}
