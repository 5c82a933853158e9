package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
	"github.com/tidemark-io/tidemark/store/local"
)

// meanwhile does something between the look at a file and its opening.
type meanwhile struct {
	dirfs.Files
	do func(name string)
}

func (m meanwhile) Open(name string) (dirfs.Reader, error) {
	m.do(name)
	return m.Files.Open(name)
}

// A file that is replaced between check and open is looked at again; one that
// keeps being replaced is an error, not a mixture.
func TestReplacedWhileOpening(t *testing.T) {
	for _, test := range []struct {
		times int
		want  error
	}{{1, nil}, {2, nil}, {3, store.ErrChanged}} {
		d := crashsim.New()
		ctx, other, left := t.Context(), d.Store(), test.times
		if _, err := store.WriteAll(ctx, other, "object", []byte("old")); err != nil {
			t.Fatal(err)
		}
		fsys := d.FS()
		fsys.Files = meanwhile{fsys.Files, func(name string) {
			if left--; left < 0 {
				return
			}
			if err := other.Remove(ctx, name, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := store.WriteAll(ctx, other, name, []byte("new")); err != nil {
				t.Fatal(err)
			}
		}}
		got, err := store.ReadAll(ctx, local.New(fsys), "object", 10)
		if !errors.Is(err, test.want) || err == nil && string(got) != "new" {
			t.Errorf("replaced %d times: %q, %v", test.times, got, err)
		}
		if n := d.OpenHandles(); n != 0 {
			t.Errorf("%d handles left open", n)
		}
	}
}

// A symbolic link that slips in between is not followed, wherever it leads.
func TestLinkSlipsIn(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "root")
	if err := errors.Join(os.Mkdir(base, 0o700), os.WriteFile(dir+"/secret", []byte("secret"), 0o600), os.WriteFile(base+"/inside", []byte("inside"), 0o600)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, target := range []string{"../secret", dir + "/secret", "inside"} {
		fsys := dirfs.Root(root)
		if _, err := store.WriteAll(t.Context(), local.New(fsys), "object", []byte("object")); err != nil {
			t.Fatal(err)
		}
		fsys.Files = meanwhile{fsys.Files, func(name string) {
			path := filepath.Join(base, name)
			if err := errors.Join(os.Remove(path), os.Symlink(target, path)); err != nil {
				t.Fatal(err)
			}
		}}
		if got, err := store.ReadAll(t.Context(), local.New(fsys), "object", 10); err == nil {
			t.Errorf("link to %s was followed to %q", target, got)
		}
		if err := os.Remove(base + "/object"); err != nil {
			t.Fatal(err)
		}
	}
}
