//go:build unix

package reader_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/store/local"
)

// T10 on a directory: what stands where an object should be is never followed,
// never waited for, and named.
func TestHostileDirectory(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	cases := map[string]func(path string) error{
		"a symbolic link out of the root": func(path string) error {
			return errors.Join(os.Rename(path, outside), os.Symlink(outside, path))
		},
		"a dangling link":        func(path string) error { return errors.Join(os.Remove(path), os.Symlink("nowhere", path)) },
		"a loop of links":        func(path string) error { return errors.Join(os.Remove(path), os.Symlink(filepath.Base(path), path)) },
		"a pipe":                 func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
		"a directory":            func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a device":               func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/dev/zero", path)) },
		"nothing":                os.Remove,
		"a link within the root": func(path string) error { return errors.Join(os.Remove(path), os.Symlink("MANIFEST", path)) },
	}
	for name, plant := range cases {
		root := t.TempDir()
		st, err := local.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := damageJob().Write(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		want, _, err := contents(t.Context(), st, "chk-1")
		if err != nil {
			t.Fatal(err)
		}
		if err := plant(filepath.Join(root, damageObject)); err != nil {
			t.Fatal(err)
		}
		if damage, err := neverWrong(st, "chk-1", want); err != nil || len(damage) == 0 {
			t.Errorf("%s: reading gives %v, %v", name, damage, err)
		}
		list, err := findings(t.Context(), st, "chk-1")
		if err != nil || len(list) == 0 || list[0].Severity != checkpoint.Error || list[0].Place.Object != damageObject {
			t.Errorf("%s: found %v, %v", name, list, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Something else in the place of the manifest is damage, and its copy serves.
func TestManifestIsNoFile(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"a link":      func(path string) error { return os.Symlink("MANIFEST.copy", path) },
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		root := t.TempDir()
		st, err := local.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := damageJob().Write(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		want, _, err := contents(t.Context(), st, "chk-1")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, "chk-1", "MANIFEST")
		if err := errors.Join(os.Remove(path), plant(path)); err != nil {
			t.Fatal(err)
		}
		damage, err := neverWrong(st, "chk-1", want)
		list, err2 := findings(t.Context(), st, "chk-1")
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case len(damage) > 0 && errors.Is(damage[0], checkpoint.ErrIncomplete): // a directory is no object at all
		case len(damage) > 0 || err2 != nil || len(list) != 1 || list[0].Place.Object != "chk-1/MANIFEST":
			t.Errorf("%s: reading gives %v, verify %v, %v", name, damage, list, err2)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}
