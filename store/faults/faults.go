// Package faults wraps a store and disturbs it as an expression says: errors,
// delays, lost replies, a crash. The expression is text, so that a failing test
// prints it and a command line takes it:
//
//	(delay 500ms (op create write commit) (name "chk-3/*.data"))
//	(error ENOSPC (op commit) (count 1))
//	(transient (op commit) (name "*MANIFEST") (nth 2))
//	(lost (op commit) (id 3))
//	(crash (write 41))
//
// An expression is any number of rules. A rule is an action and conditions, all
// of which must hold:
//
//	(delay D c…)       wait, or until the context ends, then go on
//	(error E c…)       fail with E without doing anything; E is one of [ErrorNames]
//	(transient c…)     fail with a transient error without doing anything
//	(lost c…)          do it, then fail with a transient error: the reply is lost
//	(crash c…)         fail this call and every later one, doing nothing any more
//
//	(op K…)            the operation is one of the kinds [Ops]
//	(name "glob")      the name matches; "*" stands for anything, slashes too,
//	                   "?" for one byte
//	(id N…)            the name is below chk-N or savepoint-N
//	(and c…) (or c…) (not c)
//	(nth N)            true the N-th time it is asked, counted from 1
//	(count N)          true the first N times it is asked
//	(every N)          true each N-th time it is asked; N is at least 1
//	(K N)              short for (and (op K) (nth N)), K an operation
//
// Conditions are asked from left to right until one is false, so nth, count and
// every stand last: behind the conditions whose matches they are to count. Rules are
// asked in order; delays add up, and the first rule with another action ends
// the call.
//
//	st, err := faults.Wrap(inner, `(delay 2s (op write) (name "chk-3/data-*"))`)
package faults

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tidemark-io/tidemark/store"
)

// Op is a kind of operation.
type Op string

// The kinds of operations. Read is one ReadAt, List one whole listing.
const (
	Open     Op = "open"
	Read     Op = "read"
	Create   Op = "create"
	Write    Op = "write"
	Commit   Op = "commit"
	Abort    Op = "abort"
	List     Op = "list"
	Stat     Op = "stat"
	Remove   Op = "remove"
	Link     Op = "link"
	Checksum Op = "checksum"
)

// Ops lists the kinds of operations.
func Ops() []Op {
	return []Op{Open, Read, Create, Write, Commit, Abort, List, Stat, Remove, Link, Checksum}
}

// Causes of injected errors, asked with errors.Is.
var (
	// ErrInjected is in every error that this package makes.
	ErrInjected = errors.New("injected fault")
	// ErrCrashed is in the error of every call from a crash on.
	ErrCrashed = errors.New("crashed")
	// ErrReplyLost is in the error of a call that took effect.
	ErrReplyLost = errors.New("reply lost")
)

// Faults are rules together with their counters. They may be shared by several
// stores and goroutines.
type Faults struct {
	rules   []*rule
	crashed atomic.Bool

	mu    sync.Mutex
	calls map[Op]int
	fired int
	onHit func(Event)
}

// Event is a rule that has fired.
type Event struct {
	Rule string // as it prints
	Op   Op
	Name string
}

// String prints the rules such that [Parse] gives the same rules back. Counters
// are not shown.
func (f *Faults) String() string { return printRules(f.rules) }

// Fired returns how often rules have fired, all together.
func (f *Faults) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// Unfired returns the rules that have not fired yet, as they print. A test
// whose fault never happened has shown nothing.
func (f *Faults) Unfired() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.rules {
		if r.fired == 0 {
			out = append(out, r.String())
		}
	}
	return out
}

// Calls returns how many operations of the kind were asked for, those that
// failed included.
func (f *Faults) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Crashed reports whether a crash has fired.
func (f *Faults) Crashed() bool { return f.crashed.Load() }

// OnFire makes fn be called whenever a rule fires, before its action. It is
// called from the goroutine of the operation, without locks, and may end the
// process. Set it before the first operation.
func (f *Faults) OnFire(fn func(Event)) { f.onHit = fn }

// verdict is what the rules have decided for one call.
type verdict struct {
	before error // do nothing and return this
	after  error // do it and return this
}

// rules that fired for one call; the delays among them run outside the lock.
func (f *Faults) matching(op Op, name string) []*rule {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.calls == nil {
		f.calls = make(map[Op]int)
	}
	f.calls[op]++
	var hits []*rule
	for _, r := range f.rules {
		if !r.matches(op, name) {
			continue
		}
		r.fired++
		f.fired++
		hits = append(hits, r)
		if r.action != delay {
			break
		}
	}
	return hits
}

// injected makes the error of a rule.
func injected(op Op, name string, r *rule, transient bool, cause error) error {
	return &store.Error{Op: string(op), Name: name, Transient: transient, Err: fmt.Errorf("%w %s: %w", ErrInjected, r, cause)}
}

// crashError is the error of every call after a crash.
func crashError(op Op, name string) error {
	return &store.Error{Op: string(op), Name: name, Err: fmt.Errorf("%w: %w", ErrInjected, ErrCrashed)}
}
