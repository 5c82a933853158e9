package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// dirSyncs makes directories durable. Callers that wait for the same directory
// share one fsync, and after a failed one nobody syncs the directory again.
type dirSyncs struct {
	dirs dirfs.Dirs

	mu   sync.Mutex
	per  map[string]*dirSync
	dead map[string]error // directories whose fsync failed
	// settled are directories whose own names have been made durable, and what
	// they were then: another one in the place of one of them is not.
	settled map[string]dirfs.Info
}

// dirSync is a directory that somebody is syncing. Syncs of one directory run
// one after the other: were two under way, the kernel could report a failure to
// one and success to the other.
type dirSync struct {
	running chan struct{} // holds one token while an fsync runs; waiting for it is visible to synctest
	next    *flight       // not begun yet; who comes now may join
	users   int
}

// flight is one fsync and all who wait for it.
type flight struct {
	done chan struct{}
	err  error
}

// upTo syncs dir and then each directory above it, the root included. One that
// is gone was empty: whoever removed it removed what was in it before.
func (s *dirSyncs) upTo(dir string) error {
	for {
		if err := s.sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if dir == "." {
			return nil
		}
		dir = path.Dir(dir)
	}
}

// check returns the error of an earlier fsync of dir or of one above it.
func (s *dirSyncs) check(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.dead[dir]; err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
		dir = path.Dir(dir)
	}
}

// made forgets an earlier failure: the directory has just been made, so it is
// another one than that whose fsync failed.
func (s *dirSyncs) made(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dead, dir)
	delete(s.settled, dir)
}

// isSettled reports whether the directory, which is now as described, has a
// durable name.
func (s *dirSyncs) isSettled(dir string, now dirfs.Info) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.settled[dir]
	return ok && dirfs.Same(before, now)
}

// settle notes that the directory, as it was before the fsyncs of those above it,
// has a durable name. Only so many are kept; the others are synced again.
func (s *dirSyncs) settle(dir string, before dirfs.Info) {
	const most = 1000
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled == nil || len(s.settled) >= most {
		s.settled = map[string]dirfs.Info{}
	}
	s.settled[dir] = before
}

// sync returns after an fsync of dir that began after the call.
func (s *dirSyncs) sync(dir string) error {
	s.mu.Lock()
	if s.per == nil {
		s.per, s.dead = make(map[string]*dirSync), make(map[string]error)
	}
	d := s.per[dir]
	if d == nil {
		d = &dirSync{running: make(chan struct{}, 1)}
		s.per[dir] = d
	}
	d.users++
	f, lead := d.next, false
	if f == nil {
		f, lead = &flight{done: make(chan struct{})}, true
		d.next = f
	}
	s.mu.Unlock()

	if lead {
		d.running <- struct{}{}
		s.mu.Lock()
		d.next = nil // who comes from now on may have changed what this fsync misses
		f.err = s.dead[dir]
		s.mu.Unlock()
		if f.err == nil {
			f.err = s.first(dir)
		}
		close(f.done)
		<-d.running
	} else {
		<-f.done
	}

	s.mu.Lock()
	if d.users--; d.users == 0 {
		delete(s.per, dir)
	}
	s.mu.Unlock()
	return f.err
}

// first syncs a directory that never failed before, and remembers a failure.
// That it cannot be opened is no failed fsync: it may work the next time.
func (s *dirSyncs) first(dir string) error {
	d, err := s.dirs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	closeErr := d.Close() // after a good fsync there is nothing left to lose
	if err == nil {
		return nil
	}
	err = &syncError{dir, errors.Join(err, closeErr)}
	s.mu.Lock()
	s.dead[dir] = err
	s.mu.Unlock()
	return err
}

// syncError is a failed fsync of a directory. It is permanent whatever the
// system called it.
type syncError struct {
	dir string
	err error
}

func (e *syncError) Error() string {
	return fmt.Sprintf("fsync of directory %q failed, so nothing is written below it any more: %v", e.dir, e.err)
}

func (e *syncError) Unwrap() error { return e.err }
