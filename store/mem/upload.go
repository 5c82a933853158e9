package mem

import (
	"context"
	"hash/crc32"

	"github.com/tidemark-io/tidemark/store"
)

// upload collects bytes. After the first error it stays failed.
type upload struct {
	s    *Store
	ctx  context.Context
	name string
	data []byte
	err  error // the first error; errEnded after Commit and Abort
}

// Create begins an object. The context also holds for the upload: after it
// ends, Write and Commit fail and publish nothing. An upload is used by one
// goroutine at a time.
func (s *Store) Create(ctx context.Context, name string) (store.Upload, error) {
	if err := begin(ctx, "create", name); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.free(name); err != nil {
		return nil, failure("create", name, err)
	}
	return &upload{s: s, ctx: ctx, name: name}, nil
}

func (u *upload) alive(op string) error {
	if u.err == nil {
		u.err = failure(op, u.name, u.ctx.Err())
	}
	return u.err
}

// Write appends a copy of p.
func (u *upload) Write(p []byte) (int, error) {
	if u.err == errEnded {
		return 0, failure("write", u.name, errEnded)
	}
	if err := u.alive("write"); err != nil {
		return 0, err
	}
	u.data = append(u.data, p...)
	return len(p), nil
}

// Commit publishes the object in one step.
func (u *upload) Commit() (store.Info, error) {
	if u.err == errEnded {
		return store.Info{}, failure("commit", u.name, errEnded)
	}
	if err := u.alive("commit"); err != nil {
		return store.Info{}, err
	}
	sum := crc32.Checksum(u.data, castagnoli)
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	info, err := u.s.publish("commit", u.name, u.data, sum)
	u.data, u.err = nil, err
	if err == nil {
		u.err = errEnded
	}
	return info, err
}

// Abort drops the bytes.
func (u *upload) Abort() error {
	u.data, u.err = nil, errEnded
	return nil
}
