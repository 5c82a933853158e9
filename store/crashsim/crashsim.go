// Package crashsim is a simulated disk on which the local store runs: the real
// sequence of file system calls, against files and directories that know what
// has been made durable and what has not. Tests crash it before any call, fail
// any call, and look at what is left.
//
//	tally, err := crashsim.Crashes(4, nil, func(d *crashsim.Disk) any {
//		return run(d.Store()) // ends early when the disk crashes; returns what it was promised
//	}, func(c crashsim.Crash) error {
//		return check(c.Disk.Store(), c.Result.(promises)) // a store over what survived
//	})
//
// [Crashes] crashes a scenario before each of its calls, [Failures] makes each
// of its calls fail in each way. Both are built of [Disk]'s methods, which a
// test may also call itself.
//
// What survives a crash is chosen by a [Rule]. A disk has one process on it,
// and calls are numbered in the order in which they are made, so a scenario
// that is to be repeated exactly runs in one goroutine. Several goroutines are
// allowed; then the numbers vary, not the guarantees.
//
// What is simulated: files with data that is written but not synced, in sectors
// of 512 bytes; directories whose new and removed names are not synced, each
// directory on its own; an fsync that fails loses the data that it should have
// written, although reading still shows it. What is not: permissions, symbolic
// links, a full disk other than as an injected error, damage of what was synced.
package crashsim

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/tidemark-io/tidemark/store/internal/dirfs"
	"github.com/tidemark-io/tidemark/store/local"
)

// ErrCrashed is in the error of every call from the crash on.
var ErrCrashed = errors.New("simulated crash")

// Disk is a simulated disk. The zero value is not ready; see [New].
type Disk struct {
	mu   sync.Mutex
	root *node
	next uint64 // number of the next file

	calls   int // made so far, all kinds
	changes int // made so far, those that change something

	crashAt int // the change before which the disk crashes, or none
	crashed bool
	plan    *plan // calls to fail, or nil

	open    int // handles
	trace   []Call
	resyncs []string // files synced again after a failed fsync
	locked  bool
	clock   time.Time
}

// none is a call number that never comes.
const none = -1

// Call is one call on the file system, as the trace shows it.
type Call struct {
	Op      Op
	Name    string
	Changes bool // it can change what a crash leaves
}

// String prints the call.
func (c Call) String() string { return string(c.Op) + " " + c.Name }

// Op is a kind of call.
type Op string

// The kinds of calls.
const (
	OpCreate  Op = "create"
	OpWrite   Op = "write"
	OpSync    Op = "fsync"
	OpClose   Op = "close"
	OpOpen    Op = "open"
	OpRead    Op = "pread"
	OpFstat   Op = "fstat"
	OpLink    Op = "link"
	OpRename  Op = "rename"
	OpRemove  Op = "unlink"
	OpMkdir   Op = "mkdir"
	OpReadDir Op = "readdir"
	OpOpenDir Op = "opendir"
	OpSyncDir Op = "fsyncdir"
	OpLstat   Op = "lstat"
	OpChtimes Op = "utimens"
)

// changing tells the calls before which it makes a difference to crash. Closing
// changes nothing on the disk.
var changing = map[Op]bool{
	OpCreate: true, OpWrite: true, OpSync: true, OpLink: true, OpRename: true,
	OpRemove: true, OpMkdir: true, OpSyncDir: true, OpChtimes: true,
}

// New returns an empty disk.
func New() *Disk {
	d := &Disk{crashAt: none, clock: time.Unix(1_700_000_000, 0)}
	d.root = d.newDir()
	return d
}

// Store returns a local store on the disk, as a process that starts opens it.
// It needs no closing.
func (d *Disk) Store() *local.Store { return local.New(d.FS()) }

// FS returns the disk as a file system.
func (d *Disk) FS() dirfs.FS {
	return dirfs.FS{Files: files{d}, Dirs: dirs{d}, Meta: meta{d}, Locks: locks{d}}
}

// CrashBefore makes the disk crash before its k-th change from now on, counted
// from 0. That call and every later one fail with [ErrCrashed].
func (d *Disk) CrashBefore(k int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashAt = d.changes + k
}

// Crashed reports whether the crash has happened: whether there was a k-th call.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashed
}

// Crash makes the disk crash now.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = true
}

// Calls returns the number of calls made so far, and of those among them that
// change something.
func (d *Disk) Calls() (all, changes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls, d.changes
}

// Trace returns the calls made so far, for messages of tests. The slice is the
// caller's.
func (d *Disk) Trace() []Call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Call(nil), d.trace...)
}

// OpenHandles returns how many files and directories are open.
func (d *Disk) OpenHandles() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// SyncedAgain names files and directories on which fsync was called although it
// had failed before. It must be empty: the second one succeeds without the data.
func (d *Disk) SyncedAgain() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.resyncs...)
}

// begin counts a call and says whether it fails: by a crash, or by the plan.
// The caller holds the lock. If effect is true the call has to do its work
// although it fails.
func (d *Disk) begin(op Op, name string) (err error, effect bool) {
	if d.crashed || changing[op] && d.changes == d.crashAt {
		d.crashed = true
		return pathError(op, name, ErrCrashed), false
	}
	n := d.calls
	d.calls++
	if changing[op] {
		d.changes++
	}
	d.trace = append(d.trace, Call{op, name, changing[op]})
	if d.plan == nil {
		return nil, true
	}
	err, effect = d.plan.strike(n, op)
	if err != nil {
		err = pathError(op, name, err)
	}
	return err, effect
}

func pathError(op Op, name string, err error) error {
	return &fs.PathError{Op: string(op), Path: name, Err: err}
}

// tick is the disk's clock: every call that stamps a file finds it later.
func (d *Disk) tick() time.Time {
	d.clock = d.clock.Add(time.Millisecond)
	return d.clock
}

func (d *Disk) newFile() *node {
	d.next++
	return &node{id: d.next, modified: d.tick()}
}

func (d *Disk) newDir() *node {
	n := d.newFile()
	n.seen, n.durable = map[string]*node{}, map[string]*node{}
	return n
}

// find walks to a node by its name. The caller holds the lock.
func (d *Disk) find(op Op, name string) (*node, error) {
	n := d.root
	if name == "." {
		return n, nil
	}
	for part := range parts(name) {
		if !n.isDir() {
			return nil, pathError(op, name, errNotDir)
		}
		if n = n.seen[part]; n == nil {
			return nil, pathError(op, name, fs.ErrNotExist)
		}
	}
	return n, nil
}

// Files returns the names of all files as the running system sees them, the
// store's own included, with their contents.
func (d *Disk) Files() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[string]string)
	d.root.walk("", func(name string, n *node) { out[name] = string(n.data) })
	return out
}

// walk calls fn for the files below a directory.
func (n *node) walk(prefix string, fn func(name string, n *node)) {
	for name, child := range maps.All(n.seen) {
		if child.isDir() {
			child.walk(prefix+name+"/", fn)
		} else {
			fn(prefix+name, child)
		}
	}
}

// String says what is left of a disk, for messages of tests.
func (d *Disk) String() string {
	s := "disk:"
	files := d.Files()
	for _, name := range sortedKeys(files) {
		s += fmt.Sprintf(" %s(%d)", name, len(files[name]))
	}
	return s
}
