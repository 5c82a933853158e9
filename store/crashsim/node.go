package crashsim

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

var errNotDir = syscall.ENOTDIR

// sector is what a disk writes in one piece, in bytes.
const sector = 512

// node is a file or a directory.
type node struct {
	id       uint64
	modified time.Time

	data    []byte  // of a file: as the running system sees it
	onDisk  []byte  // as a crash at least leaves it
	pending []write // what leads from onDisk to data, in order

	seen    map[string]*node // of a directory: as the running system sees it
	durable map[string]*node // as a crash at least leaves it
	changes []change         // what leads from durable to seen, in order

	syncFailed bool // an fsync of it failed
	lies       bool // every further fsync succeeds and does nothing
}

// write is one write that is not durable yet.
type write struct {
	off  int
	data []byte
	lost bool // a failed fsync gave it up: no later one makes it durable
}

// change is one change of a directory that is not durable yet; all its names
// change together or none (a rename has two).
type change struct {
	names map[string]*node // nil: removed
	lost  bool
}

func (n *node) isDir() bool { return n.seen != nil }

// append adds bytes to a file.
func (n *node) append(p []byte) {
	w := write{off: len(n.data), data: slices.Clone(p)}
	n.data = append(n.data, p...)
	n.pending = append(n.pending, w)
}

// alter changes names of a directory.
func (n *node) alter(names map[string]*node) {
	apply(n.seen, names)
	n.changes = append(n.changes, change{names: names})
}

func apply(to, names map[string]*node) {
	for name, child := range names {
		if child == nil {
			delete(to, name)
		} else {
			to[name] = child
		}
	}
}

// sync makes everything durable that no failed fsync has given up.
func (n *node) sync() {
	if n.lies {
		return
	}
	var kept []write
	for _, w := range n.pending {
		if w.lost {
			kept = append(kept, w)
			continue
		}
		n.onDisk = overlay(n.onDisk, w.off, w.data)
	}
	n.pending = kept
	var left []change
	for _, c := range n.changes {
		if c.lost {
			left = append(left, c)
			continue
		}
		apply(n.durable, c.names)
	}
	n.changes = left
}

// failSync does what Linux does: the pages are marked clean, so that no later
// fsync writes them.
func (n *node) failSync(lie bool) {
	n.syncFailed = true
	n.lies = n.lies || lie
	for i := range n.pending {
		n.pending[i].lost = true
	}
	for i := range n.changes {
		n.changes[i].lost = true
	}
}

// overlay writes p at off, with zeros in a gap before it.
func overlay(b []byte, off int, p []byte) []byte {
	if need := off + len(p); need > len(b) {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[off:], p)
	return b
}

// parts yields the segments of a name.
func parts(name string) iter.Seq[string] { return strings.SplitSeq(name, "/") }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
