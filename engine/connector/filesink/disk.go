package filesink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Permissions, less the umask: output is customer data.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

// step names what the disk is about to do, for the crash tests.
type step struct {
	op   string // create write sync link rename remove syncdir
	name string // relative to the sink's directory
	to   string // of link and rename
}

// disk is the file system below the sink's directory. Nothing that it does can
// leave that directory: all goes through an os.Root.
type disk struct {
	dir  string // as the job named it
	root *os.Root
	// hook, if set, is called before each change, which does not happen if it
	// fails. Crash tests use it; they emulate what fsync does, so that with a
	// hook fsync itself is left out.
	hook func(step) error
}

func openDisk(dir string, hook func(step) error) (*disk, error) {
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("filesink: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("filesink: %w", err)
	}
	d := &disk{dir: dir, root: root, hook: hook}
	if err := d.makeSub(pendingDir); err != nil {
		root.Close()
		return nil, err
	}
	return d, nil
}

// makeDir makes the directory and those above it, each durably.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	// Another subtask may have been quicker.
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer f.Close()
	return syncDirectory(f)
}

// makeSub makes a folder in the directory.
func (d *disk) makeSub(name string) error {
	err := d.root.Mkdir(name, dirMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("filesink: %s: %w", d.dir, err)
	}
	return d.syncDir(".")
}

func (d *disk) before(s step) error {
	if d.hook == nil {
		return nil
	}
	return d.hook(s)
}

// create makes a new file; it fails if the name exists.
func (d *disk) create(name string) (*os.File, error) {
	if err := d.before(step{op: "create", name: name}); err != nil {
		return nil, err
	}
	return d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
}

// link gives a file a second name; it fails if that exists. Where the file
// system has no links it renames instead: the check for the target is then a
// moment earlier, which the uniqueness of our names makes up for.
func (d *disk) link(from, to string) error {
	if err := d.before(step{op: "link", name: from, to: to}); err != nil {
		return err
	}
	err := d.root.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) || !noLinks(err) {
		return err
	}
	if _, err := d.root.Lstat(to); err == nil {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.root.Rename(from, to)
}

// noLinks tells whether an error of Link means that there are no links here.
func noLinks(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission)
}

// rename moves a file to a name that must be free.
func (d *disk) rename(from, to string) error {
	if err := d.before(step{op: "rename", name: from, to: to}); err != nil {
		return err
	}
	if _, err := d.root.Lstat(to); err == nil {
		return fmt.Errorf("filesink: %s: %s would overwrite %s: %w", d.dir, from, to, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.root.Rename(from, to)
}

// remove takes a name away; that it is gone already is good.
func (d *disk) remove(name string) error {
	if err := d.before(step{op: "remove", name: name}); err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("filesink: %s: %w", d.dir, err)
	}
	return nil
}

// syncDir makes the names in a folder durable.
func (d *disk) syncDir(name string) error {
	if err := d.before(step{op: "syncdir", name: name}); err != nil {
		return err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return fmt.Errorf("filesink: %s: %w", d.dir, err)
	}
	defer f.Close()
	if d.hook != nil {
		return nil
	}
	if err := syncDirectory(f); err != nil {
		return fmt.Errorf("filesink: fsync of %s: %w", filepath.Join(d.dir, name), err)
	}
	return nil
}

// list returns the names in a folder, none if it does not exist.
func (d *disk) list(name string) ([]string, error) {
	f, err := d.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("filesink: %s: %w", d.dir, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("filesink: listing %s: %w", filepath.Join(d.dir, name), err)
	}
	return names, nil
}
