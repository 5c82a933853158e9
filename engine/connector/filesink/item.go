package filesink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
)

// Errors of publishing; ask with errors.Is.
var (
	// ErrMissing says that a part is neither pending nor visible: somebody
	// took it away, or the sink looks at another directory.
	ErrMissing = errors.New("output is missing")
	// ErrConflict says that a file has another length or checksum than the
	// checkpoint recorded.
	ErrConflict = errors.New("output differs from what the checkpoint recorded")
)

// itemKind heads every item, so that tools recognise it in a state they know
// nothing about. The number changes if the meaning of the fields does.
const itemKind = "tidemark.filesink/1"

// maxItem bounds what is parsed of an item, in bytes.
const maxItem = 64 << 10

// Item is what a checkpoint stores of a part to publish: JSON, so that every
// tool shows it.
type Item struct {
	Kind  string `json:"kind"`
	Name  string `json:"name"`  // file name of the part
	ID    uint64 `json:"id"`    // checkpoint that the part was made for
	Bytes int64  `json:"bytes"` // length of the file
	CRC   uint32 `json:"crc32c"`
	Dir   string `json:"dir"` // as the job named it; for messages only
}

func (it Item) encode() ([]byte, error) {
	it.Kind = itemKind
	return json.Marshal(it)
}

// ParseItem reads an item of the sink's pending state, for tools that list
// what a checkpoint refers to outside itself.
func ParseItem(b []byte) (Item, error) {
	var it Item
	if len(b) > maxItem {
		return it, fmt.Errorf("filesink: item of %d bytes, at most %d expected", len(b), maxItem)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&it); err != nil {
		return it, fmt.Errorf("filesink: item: %w", err)
	}
	if it.Kind != itemKind {
		return it, fmt.Errorf("filesink: item of kind %q, %q expected", it.Kind, itemKind)
	}
	// The name goes to the file system: accept only what this package makes.
	if p, ok := ParseName(it.Name); !ok || p.ID != it.ID || it.Bytes <= 0 {
		return it, fmt.Errorf("filesink: item names %q, id %d, %d bytes, which is no part", it.Name, it.ID, it.Bytes)
	}
	return it, nil
}

// check compares a file with the item. Without deep only the length counts.
func (d *disk) check(it Item, name string, deep bool) error {
	info, err := d.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != it.Bytes {
		return fmt.Errorf("%s has %d bytes, checkpoint %d recorded %d: %w", name, info.Size(), it.ID, it.Bytes, ErrConflict)
	}
	if !deep {
		return nil
	}
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if h.Sum32() != it.CRC {
		return fmt.Errorf("%s has CRC-32C %08x, checkpoint %d recorded %08x: %w", name, h.Sum32(), it.ID, it.CRC, ErrConflict)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// publish makes the parts of the items visible. It may be repeated, and others
// may publish the same items at the same time. deep also reads the files and
// compares checksums, for items that come from a checkpoint.
func (d *disk) publish(items []Item, deep bool) error {
	if len(items) == 0 {
		return nil
	}
	for _, it := range items {
		if err := d.show(it, deep); err != nil {
			return fmt.Errorf("filesink: publishing in %s: %w", d.dir, err)
		}
	}
	// One fsync for all. Only now may the pending names go: until the visible
	// ones are durable they are the only certain ones.
	if err := d.syncDir("."); err != nil {
		return err
	}
	for _, it := range items {
		if err := d.remove(pendingDir + "/" + it.Name); err != nil {
			return err
		}
	}
	return d.syncDir(pendingDir)
}

// show links the pending part of an item to its visible name.
func (d *disk) show(it Item, deep bool) error {
	pending := pendingDir + "/" + it.Name
	if err := d.check(it, pending, deep); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := d.link(pending, it.Name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		// Linked before, by us or another: right if it is the same content.
		return d.check(it, it.Name, true)
	case errors.Is(err, fs.ErrNotExist):
		if err := d.check(it, it.Name, true); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return fmt.Errorf("%s is neither pending nor visible (checkpoint %d wrote it to %s): %w", it.Name, it.ID, it.Dir, ErrMissing)
	}
	return err
}
