package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
	"github.com/tidemark-io/tidemark/store/local"
)

func open(t *testing.T, root string) *local.Store {
	t.Helper()
	s, err := local.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// holdEnv makes the test binary hold the lock of a root until its input ends.
const holdEnv = "TIDEMARK_TEST_HOLD"

func TestMain(m *testing.M) {
	if root := os.Getenv(holdEnv); root != "" {
		os.Exit(hold(root))
	}
	os.Exit(m.Run())
}

func hold(root string) int {
	s, err := local.Open(root)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := s.Lock(context.Background()); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("held")
	bufio.NewReader(os.Stdin).ReadByte()
	return 0
}

// Another process that holds the root is named, and its end frees the root.
func TestLockBetweenProcesses(t *testing.T) {
	root := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+root)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	s := open(t, root)
	_, err = s.Lock(t.Context())
	host, _ := os.Hostname()
	want := fmt.Sprintf("held by pid %d on host %s", cmd.Process.Pid, host)
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("lock: %v, want %q in it", err, want)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	release, err := s.Lock(t.Context())
	if err != nil {
		t.Fatalf("lock after the holder's end: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// The calls that make an object, in their order. This is the protocol of the
// package comment; the crash tests show what each is for.
func TestCallsOfACommit(t *testing.T) {
	d := crashsim.New()
	if _, err := store.WriteAll(t.Context(), d.Store(), "chk-1/data", []byte("x")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range d.Trace() {
		if !c.Changes && c.Op != crashsim.OpClose {
			continue
		}
		name := c.Name
		if strings.HasPrefix(path.Base(name), ".tm-tmp-") {
			name = path.Dir(name) + "/temp"
		}
		got = append(got, string(c.Op)+" "+name)
	}
	want := []string{
		"mkdir chk-1", "create chk-1/temp", "write chk-1/temp", "utimens chk-1/temp", "fsync chk-1/temp", "close chk-1/temp",
		"link chk-1/data", "unlink chk-1/temp", "fsyncdir chk-1", "close chk-1", "fsyncdir .", "close .",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("calls:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// noLinks is a file system without hard links.
type noLinks struct{ dirfs.Files }

func (noLinks) Link(from, to string) error {
	return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM}
}

func withoutLinks(d *crashsim.Disk) *local.Store {
	fsys := d.FS()
	fsys.Files = noLinks{fsys.Files}
	return local.New(fsys)
}

// Where there are no hard links, objects still appear whole and once, also
// under crashes; a guard that was left is swept.
func TestWithoutLinks(t *testing.T) {
	d := crashsim.New()
	s, ctx := withoutLinks(d), t.Context()
	a, err := s.Create(ctx, "chk-1/data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.WriteAll(ctx, s, "chk-1/data", []byte("first")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Commit(); !errors.Is(err, store.ErrExist) {
		t.Errorf("second commit: %v", err)
	}
	if err := s.Link(ctx, "chk-1/data", "other"); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("link: %v", err)
	}
	if err := store.LinkOrCopy(ctx, s, "chk-1/data", "other"); err != nil {
		t.Errorf("link or copy: %v", err)
	}
	if files := d.Files(); len(files) != 2 {
		t.Errorf("files: %s", d)
	}
	// A process died while it held the guard.
	w, err := d.FS().Files.Create("chk-1/.tm-guard-new")
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := store.WriteAll(ctx, s, "chk-1/new", nil); !store.IsTransient(err) || !strings.Contains(err.Error(), "sweep") {
		t.Errorf("create under a guard: %v", err)
	}
	if n, err := s.Sweep(ctx, 0); n != 1 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	if _, err := store.WriteAll(ctx, s, "chk-1/new", nil); err != nil {
		t.Errorf("create after the sweep: %v", err)
	}
}

func TestCrashesWithoutLinks(t *testing.T) {
	tally, err := crashsim.Crashes(4, nil, func(d *crashsim.Disk) any {
		_, err := store.WriteAll(t.Context(), withoutLinks(d), "chk-1/data", []byte("content"))
		return err == nil
	}, func(c crashsim.Crash) error {
		s := withoutLinks(c.Disk)
		got, err := store.ReadAll(t.Context(), s, "chk-1/data", 100)
		switch {
		case err == nil && string(got) != "content":
			return fmt.Errorf("partial: %q", got)
		case err != nil && (c.Result.(bool) || !errors.Is(err, store.ErrNotExist)):
			return err
		}
		if _, err := s.Sweep(t.Context(), 0); err != nil {
			return err
		}
		if _, err = store.WriteAll(t.Context(), s, "chk-1/data", []byte("content")); err != nil && !errors.Is(err, store.ErrExist) {
			return err
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	fmt.Printf("RESULT store-T1-without-links points=%d images=%d bad=%d\n", tally.Points, tally.Images, tally.Bad)
}

// A link that the file system refuses because of too many names is a case for
// copying.
type fullLinks struct{ dirfs.Files }

func (fullLinks) Link(from, to string) error {
	return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EMLINK}
}

func TestTooManyLinks(t *testing.T) {
	d := crashsim.New()
	if _, err := store.WriteAll(t.Context(), d.Store(), "data", nil); err != nil {
		t.Fatal(err)
	}
	fsys := d.FS()
	fsys.Files = fullLinks{fsys.Files}
	s := local.New(fsys)
	if err := s.Link(t.Context(), "data", "other"); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("link: %v", err)
	}
	if n, err := d.Store().Sweep(t.Context(), 0); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
}

// Opening makes the root and what is above it only if asked to.
func TestOpenRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b", "c")
	if _, err := local.Open(root); !errors.Is(err, store.ErrNotExist) {
		t.Fatalf("open of nothing: %v", err)
	}
	for range 2 { // the second time it is there
		s, err := local.Open(root, local.WithCreate())
		if err != nil {
			t.Fatal(err)
		}
		if s.Root() != root {
			t.Errorf("root %q", s.Root())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Directories come with their first object and go with their last; the root
// stays.
func TestEmptyDirectories(t *testing.T) {
	root := t.TempDir()
	s, ctx := open(t, root), t.Context()
	left := func() (names []string) {
		filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if rel, _ := filepath.Rel(root, path); rel != "." {
				names = append(names, filepath.ToSlash(rel))
			}
			return err
		})
		return names
	}
	up, err := s.Create(ctx, "a/b/c")
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Abort(); err != nil {
		t.Fatal(err)
	}
	if got := left(); len(got) != 0 {
		t.Errorf("after abort: %q", got)
	}
	for _, name := range []string{"a/b/c", "a/d"} {
		if _, err := store.WriteAll(ctx, s, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remove(ctx, "a/b/c", ""); err != nil {
		t.Fatal(err)
	}
	if got := left(); strings.Join(got, " ") != "a a/d" {
		t.Errorf("after the first remove: %q", got)
	}
	if err := s.Remove(ctx, "a/d", ""); err != nil {
		t.Fatal(err)
	}
	if got := left(); len(got) != 0 {
		t.Errorf("after the last remove: %q", got)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	if _, err := store.WriteAll(ctx, s, "a", nil); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("create below a removed root: %v", err)
	}
}

// failing makes every file that is to be created fail.
type failing struct {
	dirfs.Files
	err error
}

func (f failing) Create(name string) (dirfs.Writer, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: f.err}
}

// What the system says becomes what callers act upon.
func TestErrorClasses(t *testing.T) {
	for _, test := range []struct {
		system    error
		cause     error // of package store, or nil
		transient bool
	}{
		{syscall.EACCES, store.ErrPermission, false},
		{syscall.EPERM, store.ErrPermission, false},
		{syscall.EROFS, store.ErrPermission, false},
		{syscall.ENOENT, store.ErrNotExist, false},
		{syscall.ENOTDIR, store.ErrNotExist, false},
		{syscall.EEXIST, store.ErrExist, false},
		{syscall.ENOSYS, store.ErrUnsupported, false},
		{syscall.ENOSPC, nil, false},
		{syscall.EDQUOT, nil, false},
		{syscall.EIO, nil, false},
		{syscall.EINTR, nil, true},
		{syscall.EMFILE, nil, true},
		{syscall.ENFILE, nil, true},
		{syscall.EAGAIN, nil, true},
		{syscall.ETIMEDOUT, nil, true},
	} {
		d := crashsim.New()
		fsys := d.FS()
		fsys.Files = failing{fsys.Files, test.system}
		_, err := local.New(fsys).Create(t.Context(), "chk-1/data")
		if !errors.Is(err, test.system) || test.cause != nil && !errors.Is(err, test.cause) || store.IsTransient(err) != test.transient {
			t.Errorf("%v becomes %v, transient %v", test.system, err, store.IsTransient(err))
		}
		if !strings.Contains(err.Error(), `create "chk-1/data"`) {
			t.Errorf("%v does not name the operation and the object", err)
		}
		if files := d.Files(); len(files) != 0 {
			t.Errorf("left: %s", d)
		}
	}
}
