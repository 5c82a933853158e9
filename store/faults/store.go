package faults

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/tidemark-io/tidemark/store"
)

// Store is a store that obeys rules. Abilities that are not here are found
// through it and are not disturbed.
type Store struct {
	inner  store.Store
	faults *Faults
}

var (
	_ store.Unwrapper   = (*Store)(nil)
	_ store.Linker      = (*Store)(nil)
	_ store.Checksummer = (*Store)(nil)
)

// New wraps a store. The rules may be shared.
func New(inner store.Store, f *Faults) *Store { return &Store{inner: inner, faults: f} }

// Wrap wraps a store with the rules of an expression.
func Wrap(inner store.Store, expression string) (*Store, error) {
	f, err := Parse(expression)
	if err != nil {
		return nil, err
	}
	return New(inner, f), nil
}

// Unwrap returns the wrapped store.
func (s *Store) Unwrap() store.Store { return s.inner }

// Faults returns the rules, to ask what has fired.
func (s *Store) Faults() *Faults { return s.faults }

// judge lets the rules decide one call, and waits if they say so. A wait that
// the context cuts short is no error here: the call itself finds the context
// ended.
func (f *Faults) judge(ctx context.Context, op Op, name string) verdict {
	if f.crashed.Load() {
		return verdict{before: crashError(op, name)}
	}
	for _, r := range f.matching(op, name) {
		if f.onHit != nil {
			f.onHit(Event{Rule: r.String(), Op: op, Name: name})
		}
		switch r.action {
		case delay:
			sleep(ctx, r.wait)
			if f.crashed.Load() { // meanwhile, by another call
				return verdict{before: crashError(op, name)}
			}
		case fail:
			for _, known := range failures {
				if known.name == r.cause {
					return verdict{before: injected(op, name, r, known.transient, known.err)}
				}
			}
		case failForNow:
			return verdict{before: injected(op, name, r, true, fmt.Errorf("try again"))}
		case loseReply:
			return verdict{after: injected(op, name, r, true, ErrReplyLost)}
		case crashAction:
			f.crashed.Store(true)
			return verdict{before: crashError(op, name)}
		}
	}
	return verdict{}
}

// sleep waits on the timers of package time, so that a test's synthetic clock
// governs it.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// lost returns the error of a lost reply, or that of the call.
func (v verdict) lost(err error) error {
	if v.after != nil {
		return v.after
	}
	return err
}

// Open opens an object; reading it counts as [Read] for each ReadAt. A lost
// reply closes what was opened.
func (s *Store) Open(ctx context.Context, name string) (store.Object, error) {
	v := s.faults.judge(ctx, Open, name)
	if v.before != nil {
		return nil, v.before
	}
	o, err := s.inner.Open(ctx, name)
	if err == nil && v.after != nil {
		err = o.Close()
	}
	if err := v.lost(err); err != nil {
		return nil, err
	}
	return &object{Object: o, ctx: ctx, faults: s.faults, name: name}, nil
}

// Create begins an upload. A lost reply aborts it: the caller has nothing that
// it could end.
func (s *Store) Create(ctx context.Context, name string) (store.Upload, error) {
	v := s.faults.judge(ctx, Create, name)
	if v.before != nil {
		return nil, v.before
	}
	u, err := s.inner.Create(ctx, name)
	if err == nil && v.after != nil {
		err = u.Abort()
	}
	if err := v.lost(err); err != nil {
		return nil, err
	}
	return &upload{inner: u, ctx: ctx, faults: s.faults, name: name}, nil
}

// List lists. It is judged once, when the iteration begins, by its prefix; a
// lost reply fails it at the end.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		v := s.faults.judge(ctx, List, prefix)
		if v.before != nil {
			yield(store.Info{}, v.before)
			return
		}
		for info, err := range s.inner.List(ctx, prefix) {
			if !yield(info, err) || err != nil {
				return
			}
		}
		if v.after != nil {
			yield(store.Info{}, v.after)
		}
	}
}

// Stat describes an object.
func (s *Store) Stat(ctx context.Context, name string) (store.Info, error) {
	v := s.faults.judge(ctx, Stat, name)
	if v.before != nil {
		return store.Info{}, v.before
	}
	info, err := s.inner.Stat(ctx, name)
	if err := v.lost(err); err != nil {
		return store.Info{}, err
	}
	return info, nil
}

// Remove removes an object.
func (s *Store) Remove(ctx context.Context, name, version string) error {
	v := s.faults.judge(ctx, Remove, name)
	if v.before != nil {
		return v.before
	}
	return v.lost(s.inner.Remove(ctx, name, version))
}

// Link links if the wrapped store can, judged by the new name.
func (s *Store) Link(ctx context.Context, from, to string) error {
	l, ok := store.As[store.Linker](s.inner)
	if !ok {
		return &store.Error{Op: string(Link), Name: to, Err: store.ErrUnsupported}
	}
	v := s.faults.judge(ctx, Link, to)
	if v.before != nil {
		return v.before
	}
	return v.lost(l.Link(ctx, from, to))
}

// Checksum returns the checksum that the wrapped store keeps, if it does.
func (s *Store) Checksum(ctx context.Context, name string) (uint32, error) {
	c, ok := store.As[store.Checksummer](s.inner)
	if !ok {
		return 0, &store.Error{Op: string(Checksum), Name: name, Err: store.ErrUnsupported}
	}
	v := s.faults.judge(ctx, Checksum, name)
	if v.before != nil {
		return 0, v.before
	}
	sum, err := c.Checksum(ctx, name)
	if err := v.lost(err); err != nil {
		return 0, err
	}
	return sum, nil
}

// object judges reads. Their delays end with the context of Open.
type object struct {
	store.Object
	ctx    context.Context
	faults *Faults
	name   string
}

func (o *object) ReadAt(p []byte, off int64) (int, error) {
	v := o.faults.judge(o.ctx, Read, o.name)
	if v.before != nil {
		return 0, v.before
	}
	n, err := o.Object.ReadAt(p, off)
	if v.after != nil {
		return 0, v.after
	}
	return n, err
}

// upload judges writes, commit and abort. Their delays end with the context of
// Create. Once a fault has hit it, it stays failed, as every upload does.
type upload struct {
	inner  store.Upload
	ctx    context.Context
	faults *Faults
	name   string
	err    error
}

func (u *upload) Write(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	v := u.faults.judge(u.ctx, Write, u.name)
	if v.before != nil {
		u.err = v.before
		return 0, u.err
	}
	n, err := u.inner.Write(p)
	u.err = v.lost(err)
	return n, u.err
}

// Commit commits. After a fault that kept it from happening the wrapped upload
// is aborted, unless it was a crash: that leaves what it leaves.
func (u *upload) Commit() (store.Info, error) {
	v := verdict{before: u.err}
	if u.err == nil {
		v = u.faults.judge(u.ctx, Commit, u.name)
	}
	if v.before != nil {
		u.err = v.before
		if !u.faults.Crashed() {
			_ = u.inner.Abort() // its error is less telling than the first
		}
		return store.Info{}, u.err
	}
	info, err := u.inner.Commit()
	if err := v.lost(err); err != nil {
		u.err = err
		return store.Info{}, err
	}
	return info, nil
}

// Abort aborts. A fault that keeps it from happening leaves the upload as a
// dying process would.
func (u *upload) Abort() error {
	v := u.faults.judge(u.ctx, Abort, u.name)
	if v.before != nil {
		return v.before
	}
	return v.lost(u.inner.Abort())
}
