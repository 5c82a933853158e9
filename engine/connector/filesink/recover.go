package filesink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Recover publishes the items of the restored checkpoint and removes what this
// lineage left unpublished behind it; see the package comment for who removes
// what.
func (w *writer[T]) Recover(ctx context.Context, items [][]byte) error {
	if err := w.err(); err != nil {
		return err
	}
	parsed := make([]Item, len(items))
	for i, b := range items {
		var err error
		if parsed[i], err = ParseItem(b); err != nil {
			return w.fail(fmt.Errorf("item %d of the restored checkpoint: %w", i, err))
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.disk.publish(parsed, true); err != nil {
		return w.fail(err)
	}
	later := func(p Part) bool { return p.ID > w.restored && w.mine(p) }
	if err := w.sweep(later); err != nil {
		return w.fail(err)
	}
	return nil
}

// sweep removes the unpublished parts that leftover picks, and unfinished files
// of this subtask to look after: those are later than every checkpoint.
func (w *writer[T]) sweep(leftover func(Part) bool) error {
	names, err := w.disk.list(pendingDir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	removed := false
	for _, name := range names {
		p, ok := ParseName(name)
		if ok = ok && leftover(p); !ok {
			p, ok = parseOpenName(name)
			ok = ok && w.mine(p)
		}
		if !ok {
			continue
		}
		if err := w.disk.remove(pendingDir + "/" + name); err != nil {
			return err
		}
		removed = true
	}
	if !removed {
		return nil
	}
	return w.disk.syncDir(pendingDir)
}

// mine tells whether a part belongs to this sink's lineage, is not of a newer
// run, and is this subtask's to look after.
func (w *writer[T]) mine(p Part) bool {
	return p.Lineage == w.id.Lineage && p.UID == w.id.UID && p.Run <= w.id.Run &&
		p.Subtask%w.parallelism == w.id.Subtask
}

// VisibleAfter returns the names of the visible files in dir that the lineage
// wrote for checkpoints later than id, in order: output that a restore of
// checkpoint id would repeat (R9). A directory that does not exist has none.
func VisibleAfter(dir, lineage string, id uint64) ([]string, error) {
	d, err := openExisting(dir)
	if err != nil || d == nil {
		return nil, err
	}
	defer d.root.Close()
	return d.visibleAfter([]string{lineage}, id)
}

func (d *disk) visibleAfter(lineages []string, id uint64) ([]string, error) {
	names, err := d.list(".")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range names {
		if p, ok := ParseName(name); ok && p.ID > id && slices.Contains(lineages, p.Lineage) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// WithdrawAfter moves the files of [VisibleAfter], of several lineages, to
// <dir>/.withdrawn and returns their names. It may be repeated after an error;
// no job may write to dir meanwhile.
func WithdrawAfter(dir string, lineages []string, id uint64) ([]string, error) {
	d, err := openExisting(dir)
	if err != nil || d == nil {
		return nil, err
	}
	defer d.root.Close()
	return d.withdraw(lineages, id)
}

func (d *disk) withdraw(lineages []string, id uint64) ([]string, error) {
	names, err := d.visibleAfter(lineages, id)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	if err := d.makeSub(withdrawnDir); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := d.keepWithdrawn(name); err != nil {
			return nil, fmt.Errorf("filesink: withdrawing %s in %s: %w", name, d.dir, err)
		}
	}
	// As in publish: the new names first, then away with the old ones.
	if err := d.syncDir(withdrawnDir); err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := d.remove(name); err != nil {
			return nil, err
		}
	}
	return names, d.syncDir(".")
}

// maxWithdrawn is how often a name can be withdrawn with different content.
const maxWithdrawn = 1000

// keepWithdrawn links a visible file into .withdrawn, under the first name that
// is free or that is the same file already.
func (d *disk) keepWithdrawn(name string) error {
	for i := range maxWithdrawn {
		to := withdrawnDir + "/" + name
		if i > 0 {
			to = fmt.Sprintf("%s.%d", to, i)
		}
		err := d.link(name, to)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file system without links: renamed before
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		if same, err := d.sameFile(name, to); err != nil || same {
			return err
		}
	}
	return fmt.Errorf("withdrawn %d times already", maxWithdrawn)
}

func (d *disk) sameFile(a, b string) (bool, error) {
	ia, err := d.root.Lstat(a)
	if err != nil {
		return false, err
	}
	ib, err := d.root.Lstat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(ia, ib), nil
}

// openExisting opens a directory for reading and withdrawing; nil if there is
// none.
func openExisting(dir string) (*disk, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("filesink: %w", err)
	}
	return &disk{dir: dir, root: root}, nil
}
