package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/internal/dirfs"
)

// lockName is the file that the lock is taken on. It stays when the lock is
// given back.
const lockName = store.ReservedPrefix + "lock"

// Lock takes the root for this process, without waiting. If another one holds
// it, the error is [store.ErrLocked] and names that process. The system gives
// the lock back when the process ends, however it ends. Over a network file
// system, whether locks reach other hosts is up to its mount; conditional
// creation is what protects the data. Where the system has no such locks the
// error is [store.ErrUnsupported] and nothing is written.
func (s *Store) Lock(ctx context.Context) (release func() error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, failure("lock", lockName, err)
	}
	if s.fs.Locks == nil {
		return nil, failure("lock", lockName, store.ErrUnsupported)
	}
	// A link or a pipe under the lock's name is not opened.
	if fi, err := s.fs.Meta.Lstat(lockName); err == nil && fi.Kind != dirfs.Regular {
		return nil, failure("lock", lockName, notRegular(fi))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, failure("lock", lockName, err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	release, holder, err := s.fs.Locks.Lock(lockName, fmt.Sprintf("pid %d on host %s\n", os.Getpid(), host))
	switch {
	case err != nil:
		return nil, failure("lock", lockName, err)
	case release == nil:
		return nil, failure("lock", s.root, fmt.Errorf("%w: held by %s", store.ErrLocked, holderText(holder)))
	}
	return release, nil
}

// holderText makes another process's record fit for a message: it is one line,
// and control characters cannot reach a terminal.
func holderText(record string) string {
	record = strings.TrimSpace(record)
	if record == "" {
		return "a process that has not given its name yet"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, record)
}
