package filesink

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Bring copies the part that an item of a checkpoint refers to into the pending
// files of the directory of another sink, which is made if it is absent, and
// returns the item that refers to the copy. A job whose sink writes to that
// directory publishes the copy when it is restored. The part may be pending or
// visible; the original is not changed. It is an error if the part is not what
// the item says, or if the copy's name is taken by something else.
//
// It is for tools that copy a checkpoint, on request of the user: the item says
// which directory is read.
func Bring(ctx context.Context, item []byte, dir string) ([]byte, error) {
	it, err := ParseItem(item)
	if err != nil {
		return nil, err
	}
	from, err := openExisting(it.Dir)
	if err != nil {
		return nil, err
	}
	if from == nil {
		return nil, fmt.Errorf("filesink: %s, the directory of %s: %w; call the tool where the job ran, if its path is relative", it.Dir, it.Name, ErrMissing)
	}
	defer from.root.Close()
	to, err := openDisk(dir, nil)
	if err != nil {
		return nil, err
	}
	defer to.root.Close()
	if err := bring(ctx, from, to, it); err != nil {
		return nil, fmt.Errorf("filesink: copying %s to %s: %w", filepath.Join(it.Dir, it.Name), dir, err)
	}
	it.Dir = dir
	return it.encode()
}

// bring copies one part, pending or visible, durably.
func bring(ctx context.Context, from, to *disk, it Item) error {
	in, err := from.root.Open(pendingDir + "/" + it.Name)
	if errors.Is(err, fs.ErrNotExist) {
		in, err = from.root.Open(it.Name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it is neither pending nor visible: %w", ErrMissing)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	name := pendingDir + "/" + it.Name
	out, err := to.create(name)
	if errors.Is(err, fs.ErrExist) { // of an item that another state repeats
		return to.check(it, name, true)
	}
	if err != nil {
		return err
	}
	err = pour(ctx, out, in, it)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, to.remove(name))
	}
	return to.syncDir(pendingDir)
}

// pour copies the bytes and compares them with the item.
func pour(ctx context.Context, out io.Writer, in *os.File, it Item) error {
	sum := crc32.New(castagnoli)
	src, n := io.LimitReader(in, it.Bytes+1), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		k, err := io.CopyN(io.MultiWriter(out, sum), src, 1<<20)
		n += k
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if n != it.Bytes || sum.Sum32() != it.CRC {
		return fmt.Errorf("it has %d bytes or more and CRC-32C %08x, checkpoint %d recorded %d and %08x: %w", n, sum.Sum32(), it.ID, it.Bytes, it.CRC, ErrConflict)
	}
	return nil
}

// DirName is a name for the directory of a sink, of its uid, that every file
// system takes.
func DirName(uid string) string { return escape(uid) }
