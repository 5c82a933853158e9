package exchange

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
)

// ErrSpill is the cause of errors of spill files.
var ErrSpill = errors.New("exchange spill file")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// place is where bytes lie in a spill file.
type place struct {
	off int64
	n   int
	sum uint32 // CRC-32C
}

// spillFile is a temporary file for bytes that memory has no room for. It is
// written at its end; what was written stays until everybody who needs it has
// dropped it, and when nothing is needed the file is empty again. It is made
// with the first write. Any goroutine may use it.
type spillFile struct {
	mu     sync.Mutex
	file   *os.File
	size   int64 // of what was written since the file was last empty
	live   int   // holders of places
	closed bool
}

// write appends data to the file, which lies in dir, and returns its place
// with one holder.
func (s *spillFile) write(dir string, data []byte) (place, error) {
	s.mu.Lock()
	f, err := s.openLocked(dir)
	if err != nil {
		s.mu.Unlock()
		return place{}, err
	}
	at := place{off: s.size, n: len(data)}
	s.size += int64(at.n)
	s.live++
	s.mu.Unlock()
	if _, err := f.WriteAt(data, at.off); err != nil {
		return place{}, errors.Join(fmt.Errorf("%w: write %d bytes at offset %d: %w", ErrSpill, at.n, at.off, err), s.drop())
	}
	at.sum = crc32.Checksum(data, castagnoli)
	return at, nil
}

func (s *spillFile) openLocked(dir string) (*os.File, error) {
	if s.closed {
		return nil, ErrClosed
	}
	if s.file != nil {
		return s.file, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpill, err)
	}
	f, err := os.CreateTemp(dir, "exchange-*.spill")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpill, err)
	}
	s.file = f
	return f, nil
}

// read fills dst, of the place's length, and checks what it read.
func (s *spillFile) read(at place, dst []byte) error {
	s.mu.Lock()
	f := s.file
	s.mu.Unlock()
	if _, err := f.ReadAt(dst, at.off); err != nil {
		return fmt.Errorf("%w: read %d bytes at offset %d: %w", ErrSpill, at.n, at.off, err)
	}
	if sum := crc32.Checksum(dst, castagnoli); sum != at.sum {
		return fmt.Errorf("%w: %d bytes at offset %d: checksum %08x, written was %08x", ErrSpill, at.n, at.off, sum, at.sum)
	}
	return nil
}

// keep adds n holders to what is in the file already.
func (s *spillFile) keep(n int) {
	s.mu.Lock()
	s.live += n
	s.mu.Unlock()
}

// drop ends one hold. The last one empties the file, or removes it if it was
// closed meanwhile.
func (s *spillFile) drop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
	if s.live > 0 || s.file == nil {
		return nil
	}
	if s.closed {
		return s.removeLocked()
	}
	s.size = 0
	if err := s.file.Truncate(0); err != nil {
		return fmt.Errorf("%w: %w", ErrSpill, err)
	}
	return nil
}

// used returns the length of the file in bytes.
func (s *spillFile) used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// close removes the file as soon as nobody holds a place in it.
func (s *spillFile) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.live > 0 || s.file == nil {
		return nil
	}
	return s.removeLocked()
}

func (s *spillFile) removeLocked() error {
	f := s.file
	s.file = nil
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return fmt.Errorf("%w: %w", ErrSpill, err)
	}
	return nil
}
