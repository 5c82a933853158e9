package dirfs

import (
	"io"
	"io/fs"
	"os"
	"time"
)

// Root returns the tree below an opened root directory. Closing the root is
// the caller's.
//
// [os.Root] guarantees that no name and no symbolic link leads out of it, even
// if somebody changes the tree at the same time. That links are not followed
// at all is up to the caller, who looks before it opens.
func Root(root *os.Root) FS {
	t := tree{root}
	return FS{Files: t, Dirs: t, Meta: t, Locks: t}
}

type tree struct{ root *os.Root }

func (t tree) Create(name string) (Writer, error) {
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err // not f, a nil pointer that would be a non-nil Writer
	}
	return f, nil
}

func (t tree) Open(name string) (Reader, error) {
	f, err := t.root.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	return reader{f}, nil
}

func (t tree) Link(from, to string) error   { return t.root.Link(from, to) }
func (t tree) Rename(from, to string) error { return t.root.Rename(from, to) }
func (t tree) Remove(name string) error     { return t.root.Remove(name) }
func (t tree) Mkdir(name string) error      { return t.root.Mkdir(name, 0o700) }

func (t tree) ReadDir(name string) ([]Info, error) {
	d, err := t.root.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, len(entries))
	for i, e := range entries {
		infos[i] = Info{Name: e.Name(), Kind: kindOf(e.Type())}
	}
	return infos, nil
}

func (t tree) OpenDir(name string) (Dir, error) {
	d, err := t.root.OpenFile(name, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		return nil, err
	}
	if !syncsDirectories {
		return noSync{d}, nil
	}
	return d, nil
}

// noSync is a directory on a system that cannot sync one.
type noSync struct{ io.Closer }

func (noSync) Sync() error { return nil }

func (t tree) Lstat(name string) (Info, error) {
	fi, err := t.root.Lstat(name)
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}

func (t tree) Chtimes(name string, modified time.Time) error {
	return t.root.Chtimes(name, time.Time{}, modified) // the zero time leaves atime alone
}

type reader struct{ *os.File }

func (r reader) Stat() (Info, error) {
	fi, err := r.File.Stat()
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}

func infoOf(fi fs.FileInfo) Info {
	return Info{Name: fi.Name(), Kind: kindOf(fi.Mode().Type()), Size: fi.Size(), Modified: fi.ModTime(), ID: fileID(fi)}
}

func kindOf(m fs.FileMode) Kind {
	switch {
	case m.IsRegular():
		return Regular
	case m.IsDir():
		return Directory
	case m&fs.ModeSymlink != 0:
		return Symlink
	}
	return Other
}
