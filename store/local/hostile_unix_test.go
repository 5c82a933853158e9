//go:build unix

package local_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-io/tidemark/internal/testkit"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
)

// hostile is what somebody puts below the root, and what the store says of the
// object "chk-1/data" then.
type hostile struct {
	name string
	make func(root, outside string) error
	want error // of open, stat and remove
	list int   // objects listed below "chk-1"
}

func mkdir(path string) error { return os.Mkdir(path, 0o700) }

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// inDir makes chk-1 and then something in it.
func inDir(fn func(dir, outside string) error) func(root, outside string) error {
	return func(root, outside string) error {
		dir := filepath.Join(root, "chk-1")
		return errors.Join(mkdir(dir), fn(dir, outside))
	}
}

var hostiles = []hostile{
	{"link to a file outside, absolute", inDir(func(dir, outside string) error {
		return os.Symlink(filepath.Join(outside, "secret"), dir+"/data")
	}), store.ErrNotObject, 0},
	{"link to a file outside, relative", inDir(func(dir, outside string) error {
		rel, err := filepath.Rel(dir, filepath.Join(outside, "secret"))
		return errors.Join(err, os.Symlink(rel, dir+"/data"))
	}), store.ErrNotObject, 0},
	{"link to a file beside", inDir(func(dir, _ string) error {
		return errors.Join(write(dir+"/real", "x"), os.Symlink("real", dir+"/data"))
	}), store.ErrNotObject, 1},
	{"dangling link", inDir(func(dir, _ string) error { return os.Symlink("nothing", dir+"/data") }), store.ErrNotObject, 0},
	{"link to itself", inDir(func(dir, _ string) error { return os.Symlink("data", dir+"/data") }), store.ErrNotObject, 0},
	{"loop of links", inDir(func(dir, _ string) error {
		return errors.Join(os.Symlink("other", dir+"/data"), os.Symlink("data", dir+"/other"))
	}), store.ErrNotObject, 0},
	{"link to /dev/zero", inDir(func(dir, _ string) error { return os.Symlink("/dev/zero", dir+"/data") }), store.ErrNotObject, 0},
	{"link to a directory outside as directory", func(root, outside string) error {
		return errors.Join(write(outside+"/data", "secret"), os.Symlink(outside, root+"/chk-1"))
	}, store.ErrNotObject, 0},
	{"link to a directory inside as directory", func(root, _ string) error {
		return errors.Join(mkdir(root+"/real"), write(root+"/real/data", "x"), os.Symlink("real", root+"/chk-1"))
	}, store.ErrNotObject, 0},
	{"link to the directory above as directory", func(root, _ string) error { return os.Symlink("..", root+"/chk-1") }, store.ErrNotObject, 0},
	{"loop of directories", func(root, _ string) error { return os.Symlink(".", root+"/chk-1") }, store.ErrNotObject, 0},
	{"pipe", inDir(func(dir, _ string) error { return syscall.Mkfifo(dir+"/data", 0o600) }), store.ErrNotObject, 0},
	{"pipe as directory", func(root, _ string) error { return syscall.Mkfifo(root+"/chk-1", 0o600) }, store.ErrNotObject, 0},
	{"socket", inDir(func(dir, _ string) error { return mksocket(dir + "/data") }), store.ErrNotObject, 0},
	{"directory as file", inDir(func(dir, _ string) error { return mkdir(dir + "/data") }), store.ErrNotExist, 0},
	{"full directory as file", inDir(func(dir, _ string) error {
		return errors.Join(mkdir(dir+"/data"), write(dir+"/data/x", "x"))
	}), store.ErrNotExist, 1},
	{"file as directory", func(root, _ string) error { return write(root+"/chk-1", "x") }, store.ErrNotExist, 0},
	{"names in other spellings", inDir(func(dir, _ string) error {
		return errors.Join(write(dir+"/DATA", "x"), write(dir+"/Data", "x"), write(dir+"/data ", "x"), write(dir+"/data.", "x"),
			write(dir+"/da\nta", "x"), write(dir+"/d\xffta", "x"), write(dir+`/a\b`, "x"), write(dir+"/\x1b[31m", "x"))
	}), store.ErrNotExist, 0},
	{"file of the store's own", inDir(func(dir, _ string) error {
		return errors.Join(write(dir+"/.tm-tmp-0123", "x"), write(dir+"/.tm-lock", "x"), mkdir(dir+"/.tm-x"), write(dir+"/.tm-x/data", "x"))
	}), store.ErrNotExist, 0},
}

func mksocket(path string) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Close(fd))
}

// T10, as far as the store sees it: whatever lies below the root, nothing
// outside is touched, nothing blocks, and the error is typed.
func TestHostileTree(t *testing.T) {
	refused := 0
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			base, err := os.MkdirTemp("", "tm") // short: the path of a socket is limited
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(base) })
			root, outside := base+"/root", base+"/outside"
			if err := errors.Join(mkdir(root), mkdir(outside), write(outside+"/secret", "secret")); err != nil {
				t.Fatal(err)
			}
			if err := h.make(root, outside); err != nil {
				t.Fatal(err)
			}
			s, err := local.Open(root)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			checkHostile(t, s, h)
			secret, err := os.ReadFile(outside + "/secret")
			if err != nil || string(secret) != "secret" {
				t.Errorf("outside: %q, %v", secret, err)
			}
			refused++
		})
	}
	fmt.Printf("RESULT store-T10 trees=%d refused=%d\n", len(hostiles), refused)
}

func checkHostile(t *testing.T, s *local.Store, h hostile) {
	ctx := t.Context()
	_, openErr := s.Open(ctx, "chk-1/data")
	_, statErr := s.Stat(ctx, "chk-1/data")
	removeErr := s.Remove(ctx, "chk-1/data", "")
	for what, err := range map[string]error{"open": openErr, "stat": statErr, "remove": removeErr} {
		var typed *store.Error
		if !errors.Is(err, h.want) || !errors.As(err, &typed) || typed.Name != "chk-1/data" || typed.Op != what || typed.Transient {
			t.Errorf("%s: %v, want an error of that name that is %q", what, err, h.want)
		}
	}
	if err := s.Link(ctx, "chk-1/data", "stolen"); !errors.Is(err, h.want) {
		t.Errorf("link: %v", err)
	}
	n := 0
	for info, err := range s.List(ctx, "chk-1/") {
		if err != nil {
			if !errors.Is(err, store.ErrNotObject) {
				t.Errorf("list: %v", err)
			}
			continue
		}
		if n++; info.Name == "chk-1/data" {
			t.Errorf("listed: %+v", info)
		}
	}
	if n != h.list {
		t.Errorf("%d objects listed, want %d", n, h.list)
	}
	for range s.List(ctx, "") { // the whole tree: ends, and follows nothing
		n++
	}
	if n > 3 {
		t.Errorf("%d objects listed in all", n)
	}
	_, err := store.WriteAll(ctx, s, "chk-1/data", []byte("new"))
	free := h.name == "names in other spellings" || h.name == "file of the store's own"
	if free != (err == nil) {
		t.Errorf("create: %v", err)
	}
	if err != nil && !errors.Is(err, store.ErrExist) && !errors.Is(err, store.ErrNotObject) {
		t.Errorf("create: %v, want ErrExist or ErrNotObject", err)
	}
}

// A hard link is a file like any other: there is no telling it apart, and
// reading it is safe. It is never written through.
func TestHardLink(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := errors.Join(mkdir(root), write(dir+"/other", "other"), os.Link(dir+"/other", root+"/object")); err != nil {
		t.Fatal(err)
	}
	s := open(t, root)
	if got, err := store.ReadAll(t.Context(), s, "object", 100); err != nil || string(got) != "other" {
		t.Fatalf("read: %q, %v", got, err)
	}
	if _, err := store.WriteAll(t.Context(), s, "object", []byte("x")); !errors.Is(err, store.ErrExist) {
		t.Errorf("create: %v", err)
	}
	if err := s.Remove(t.Context(), "object", ""); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(dir + "/other"); err != nil || string(b) != "other" {
		t.Errorf("the other name: %q, %v", b, err)
	}
}

func TestDevice(t *testing.T) {
	root := t.TempDir()
	testkit.Require(t, "root, to make a device", os.Getuid() == 0)
	const zero = 1<<8 | 5 // the numbers of /dev/zero on Linux
	testkit.Require(t, "the right to make a device", syscall.Mknod(root+"/object", syscall.S_IFCHR|0o600, zero) == nil)
	s := open(t, root)
	if _, err := s.Open(t.Context(), "object"); !errors.Is(err, store.ErrNotObject) {
		t.Errorf("open: %v", err)
	}
	if err := s.Remove(t.Context(), "object", ""); !errors.Is(err, store.ErrNotObject) {
		t.Errorf("remove: %v", err)
	}
}

// The lock's name may be taken by a pipe or a link.
func TestHostileLock(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link": func(path string) error { return os.Symlink("../secret", path) },
	} {
		root := t.TempDir()
		if err := make(root + "/.tm-lock"); err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, root).Lock(t.Context()); !errors.Is(err, store.ErrNotObject) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRootIsNoDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(write(dir+"/file", "x"), syscall.Mkfifo(dir+"/pipe", 0o600), os.Symlink("real", dir+"/link"), mkdir(dir+"/real")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"file": store.ErrNotObject, "pipe": store.ErrNotObject, "none": store.ErrNotExist, "link": nil} {
		s, err := local.Open(filepath.Join(dir, name))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if err == nil {
			s.Close()
		}
	}
}

func TestPermissions(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b")
	s, err := local.Open(root, local.WithCreate())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := store.WriteAll(t.Context(), s, "chk-1/data", nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"..": 0o700, ".": 0o700, "chk-1": 0o700, "chk-1/data": 0o600} {
		fi, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got&^want != 0 {
			t.Errorf("%s has mode %o, want at most %o", path, got, want)
		}
	}
}

func TestSweep(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	ctx := t.Context()
	up, err := s.Create(ctx, "chk-1/mine")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(mkdir(root+"/chk-2"), mkdir(root+"/chk-3"),
		write(root+"/chk-2/.tm-tmp-old", "x"), write(root+"/chk-2/.tm-guard-old", "x"), write(root+"/chk-3/.tm-tmp-new", "x"),
		write(root+"/.tm-lock", ""), write(root+"/strange.TMP", "x")); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"chk-2/.tm-tmp-old", "chk-2/.tm-guard-old", ".tm-lock", "strange.TMP"} {
		if err := os.Chtimes(filepath.Join(root, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	mine, err := filepath.Glob(root + "/chk-1/.tm-tmp-*")
	if err != nil || len(mine) != 1 {
		t.Fatalf("temporary files: %q, %v", mine, err)
	}
	if err := os.Chtimes(mine[0], old, old); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(ctx, time.Hour); n != 2 || err != nil {
		t.Errorf("swept %d, %v, want 2", n, err)
	}
	if _, err := os.Stat(root + "/chk-2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty directory: %v", err)
	}
	for _, name := range []string{"chk-3/.tm-tmp-new", ".tm-lock", "strange.TMP"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := up.Commit(); err != nil {
		t.Errorf("the upload under way: %v", err)
	}
	// Another process's upload that idles for too long is swept, and fails.
	up, err = open(t, root).Create(ctx, "chk-4/data")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(ctx, -time.Hour); n != 2 || err != nil {
		t.Errorf("swept %d, %v, want 2", n, err)
	}
	if _, err := up.Commit(); err == nil {
		t.Error("an upload without its file was committed")
	}
	if _, err := s.Stat(ctx, "chk-4/data"); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir())
		a, err := store.WriteAll(t.Context(), s, "a", nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := store.WriteAll(t.Context(), s, "b", nil)
		if err != nil {
			t.Fatal(err)
		}
		if !a.Modified.Equal(time.Now()) || !b.Modified.After(a.Modified) || a.Version == b.Version {
			t.Errorf("stamps %v and %v at %v", a.Modified, b.Modified, time.Now())
		}
	})
}
