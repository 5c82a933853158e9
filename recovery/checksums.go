package recovery

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/store"
)

// Checksum is the length and the CRC-32C of an object.
type Checksum struct {
	Bytes int64
	CRC   uint32
}

// Checksums are those of objects by name below the root. They are for checkpoints
// whose format has none of its own. They may be used by several goroutines.
type Checksums struct {
	mu   sync.Mutex
	sums map[string]Checksum
}

// NewChecksums makes checksums of what was noted before; nil is nothing. The map is
// kept.
func NewChecksums(known map[string]Checksum) *Checksums {
	if known == nil {
		known = map[string]Checksum{}
	}
	return &Checksums{sums: known}
}

// All returns the checksums by name. They must not be changed meanwhile.
func (s *Checksums) All() map[string]Checksum {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sums
}

func (s *Checksums) of(name string) (Checksum, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.sums[name]
	return c, ok
}

func (s *Checksums) note(name string, c Checksum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sums[name] = c
}

// Sum reads all objects of a checkpoint that lie below the root, and reports those
// that differ from what is known of them; nil known compares nothing. What it reads
// is noted in noted, which may be nil. Objects that are missing are left to
// [Verify]; what is not known of is a note. Memory is that of the names.
func Sum(ctx context.Context, st store.Store, c checkpoint.Checkpoint, known, noted *Checksums, progress func(bytes uint64), report func(checkpoint.Finding)) error {
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return ErrNotVerifiable
	}
	for o, err := range layered.Objects(ctx) {
		if err != nil {
			return err
		}
		if store.CheckName(o.Name) != nil {
			continue // outside
		}
		if noted != nil {
			if _, again := noted.of(o.Name); again && known == nil {
				continue
			}
		}
		if err := sumObject(ctx, st, o.Name, known, noted, progress, report); err != nil {
			return err
		}
	}
	return nil
}

// sumObject reads one object.
func sumObject(ctx context.Context, st store.Store, name string, known, noted *Checksums, progress func(uint64), report func(checkpoint.Finding)) error {
	info, err := st.Stat(ctx, name)
	if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrNotObject) {
		return nil
	}
	if err != nil {
		return err
	}
	crc, err := store.Checksum(ctx, st, name)
	if err != nil {
		return fmt.Errorf("checksum of %s: %w", name, err)
	}
	if progress != nil {
		progress(uint64(max(info.Size, 0)))
	}
	got := Checksum{Bytes: info.Size, CRC: crc}
	if noted != nil {
		noted.note(name, got)
	}
	if known == nil {
		return nil
	}
	switch want, ok := known.of(name); {
	case !ok:
		report(checkpoint.Finding{Severity: checkpoint.Note, Place: checkpoint.At(name), Problem: "the manifest of checksums does not know the object"})
	case want.Bytes != got.Bytes:
		report(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(name),
			Problem: fmt.Sprintf("the object has %d bytes, when the manifest of checksums was written it had %d", got.Bytes, want.Bytes)})
	case want.CRC != got.CRC:
		report(checkpoint.Finding{Severity: checkpoint.Error, Place: checkpoint.At(name),
			Problem: fmt.Sprintf("the object has the CRC-32C %08x, when the manifest of checksums was written it had %08x", got.CRC, want.CRC)})
	}
	return nil
}
