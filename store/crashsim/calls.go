package crashsim

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"syscall"
	"time"

	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// The calls below do what the system's do, each under the disk's lock and each
// after begin has counted it. A call that begin fails returns that error,
// without effect unless begin says otherwise; the file system's own errors (no
// such file, name taken) come first where both are possible.

// files is the disk as [dirfs.Files].
type files struct{ *Disk }

// Create makes a file whose name is not durable yet.
func (f files) Create(name string) (dirfs.Writer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, effect := f.begin(OpCreate, name)
	if !effect {
		return nil, fail
	}
	n := f.newFile()
	if err := f.put(OpCreate, name, n, false); err != nil {
		return nil, err
	}
	if fail != nil {
		return nil, fail
	}
	f.open++
	return &handle{d: f.Disk, n: n, name: name}, nil
}

// Open opens what is there; it is never changed through the handle.
func (f files) Open(name string) (dirfs.Reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fail, _ := f.begin(OpOpen, name); fail != nil {
		return nil, fail
	}
	n, err := f.find(OpOpen, name)
	if err != nil {
		return nil, err
	}
	f.open++
	return &handle{d: f.Disk, n: n, name: name}, nil
}

// Link adds a name to a file. The new name is durable when its directory is
// synced, whatever the old one is.
func (f files) Link(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, effect := f.begin(OpLink, to)
	if !effect {
		return fail
	}
	n, err := f.find(OpLink, from)
	if err == nil {
		err = f.put(OpLink, to, n, false)
	}
	if err != nil {
		return err
	}
	return fail
}

// Rename replaces, as the system's does. Both names change in one step, also
// over a crash.
func (f files) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, effect := f.begin(OpRename, to)
	if !effect {
		return fail
	}
	n, err := f.find(OpRename, from)
	if err != nil {
		return err
	}
	dir, err := f.find(OpRename, path.Dir(to))
	if err != nil {
		return err
	}
	if path.Dir(from) != path.Dir(to) {
		return pathError(OpRename, to, syscall.EXDEV) // the store never does
	}
	dir.alter(map[string]*node{path.Base(from): nil, path.Base(to): n})
	return fail
}

// Remove removes a name. The file lives on while it has others or is open.
func (f files) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, effect := f.begin(OpRemove, name)
	if !effect {
		return fail
	}
	n, err := f.find(OpRemove, name)
	if err != nil {
		return err
	}
	if len(n.seen) > 0 {
		return pathError(OpRemove, name, syscall.ENOTEMPTY)
	}
	dir, err := f.find(OpRemove, path.Dir(name))
	if err != nil {
		return err
	}
	dir.alter(map[string]*node{path.Base(name): nil})
	return fail
}

// put gives a node a name. The caller holds the lock.
func (d *Disk) put(op Op, name string, n *node, replace bool) error {
	dir, err := d.find(op, path.Dir(name))
	if err != nil {
		return err
	}
	if !dir.isDir() {
		return pathError(op, name, errNotDir)
	}
	if dir.seen[path.Base(name)] != nil && !replace {
		return pathError(op, name, fs.ErrExist)
	}
	dir.alter(map[string]*node{path.Base(name): n})
	return nil
}

// dirs is the disk as [dirfs.Dirs].
type dirs struct{ *Disk }

// Mkdir makes a directory whose name is not durable yet.
func (f dirs) Mkdir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, effect := f.begin(OpMkdir, name)
	if !effect {
		return fail
	}
	if err := f.put(OpMkdir, name, f.newDir(), false); err != nil {
		return err
	}
	return fail
}

// ReadDir shows the entries that the running system sees.
func (f dirs) ReadDir(name string) ([]dirfs.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fail, _ := f.begin(OpReadDir, name); fail != nil {
		return nil, fail
	}
	n, err := f.find(OpReadDir, name)
	if err == nil && !n.isDir() {
		err = pathError(OpReadDir, name, errNotDir)
	}
	if err != nil {
		return nil, err
	}
	var infos []dirfs.Info
	for _, name := range sortedKeys(n.seen) {
		infos = append(infos, dirfs.Info{Name: name, Kind: n.seen[name].kind()})
	}
	return infos, nil
}

// OpenDir opens a directory to sync it.
func (f dirs) OpenDir(name string) (dirfs.Dir, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fail, _ := f.begin(OpOpenDir, name); fail != nil {
		return nil, fail
	}
	n, err := f.find(OpOpenDir, name)
	if err != nil {
		return nil, err
	}
	f.open++
	return &handle{d: f.Disk, n: n, name: name}, nil
}

// meta is the disk as [dirfs.Meta].
type meta struct{ *Disk }

func (f meta) Lstat(name string) (dirfs.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fail, _ := f.begin(OpLstat, name); fail != nil {
		return dirfs.Info{}, fail
	}
	n, err := f.find(OpLstat, name)
	if err != nil {
		return dirfs.Info{}, err
	}
	return n.info(path.Base(name)), nil
}

// Chtimes takes effect at once. That times survive a crash only if synced is
// not simulated: nothing is decided by them after one.
func (f meta) Chtimes(name string, modified time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fail, effect := f.begin(OpChtimes, name)
	if !effect {
		return fail
	}
	n, err := f.find(OpChtimes, name)
	if err != nil {
		return err
	}
	n.modified = modified
	return fail
}

// locks is the disk as [dirfs.Locks]: one holder at a time, none after a crash.
type locks struct{ *Disk }

// Lock is no numbered call: it protects nothing, so no crash point is in it.
func (f locks) Lock(string, string) (release func() error, holder string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked {
		return nil, "another store on this disk", nil
	}
	f.locked = true
	return func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.locked = false
		return nil
	}, "", nil
}

func (n *node) kind() dirfs.Kind {
	if n.isDir() {
		return dirfs.Directory
	}
	return dirfs.Regular
}

func (n *node) info(name string) dirfs.Info {
	return dirfs.Info{
		Name: name, Kind: n.kind(), Size: int64(len(n.data)), Modified: n.modified,
		ID: strconv.FormatUint(n.id, 10),
	}
}

// handle is an open file or directory.
type handle struct {
	d      *Disk
	n      *node
	name   string
	closed bool
}

// Write appends. A short write keeps its error to itself, which no system does
// but a bad wrapper may.
func (h *handle) Write(p []byte) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	fail, effect := h.d.begin(OpWrite, h.name)
	if fail != nil && effect { // a short write
		p = p[:len(p)/2]
	} else if fail != nil {
		return 0, fail
	}
	h.n.append(p)
	h.n.modified = h.d.tick()
	if fail != nil {
		return len(p), nil
	}
	return len(p), nil
}

// Sync makes the file's data, or the directory's names, durable. A failure
// loses them, and is remembered to tell whoever tries again.
func (h *handle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	op := OpSync
	if h.n.isDir() {
		op = OpSyncDir
	}
	fail, lie := h.d.begin(op, h.name)
	if h.n.syncFailed && !h.d.crashed {
		h.d.resyncs = append(h.d.resyncs, h.name)
	}
	if fail != nil {
		if !h.d.crashed {
			h.n.failSync(lie)
		}
		return fail
	}
	h.n.sync()
	return nil
}

// Close closes the handle even if it fails, as Linux does.
func (h *handle) Close() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.closed {
		return pathError(OpClose, h.name, fs.ErrClosed)
	}
	h.closed = true
	h.d.open--
	fail, _ := h.d.begin(OpClose, h.name)
	return fail
}

func (h *handle) Stat() (dirfs.Info, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if fail, _ := h.d.begin(OpFstat, h.name); fail != nil {
		return dirfs.Info{}, fail
	}
	return h.n.info(path.Base(h.name)), nil
}

// ReadAt reads what the running system sees, synced or not.
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if fail, _ := h.d.begin(OpRead, h.name); fail != nil {
		return 0, fail
	}
	switch {
	case h.closed:
		return 0, pathError(OpRead, h.name, fs.ErrClosed)
	case off < 0:
		return 0, pathError(OpRead, h.name, fmt.Errorf("negative offset %d", off))
	case off >= int64(len(h.n.data)):
		return 0, io.EOF
	}
	n := copy(p, h.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
