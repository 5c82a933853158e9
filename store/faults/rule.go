package faults

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tidemark-io/tidemark/store"
)

// action is what a rule does.
type action string

const (
	delay       action = "delay"
	fail        action = "error"
	failForNow  action = "transient"
	loseReply   action = "lost"
	crashAction action = "crash"
)

// rule is an action and its conditions. The counters are guarded by the lock of
// [Faults].
type rule struct {
	action action
	wait   time.Duration // of delay
	cause  string        // of error: its name in the table
	when   []condition
	fired  int
}

func (r *rule) matches(op Op, name string) bool {
	for _, c := range r.when {
		if !c.holds(op, name) {
			return false
		}
	}
	return true
}

// String prints the rule such that it parses again.
func (r *rule) String() string {
	var b strings.Builder
	b.WriteString("(" + string(r.action))
	switch r.action {
	case delay:
		b.WriteString(" " + r.wait.String())
	case fail:
		b.WriteString(" " + r.cause)
	}
	printAll(&b, r.when)
	b.WriteByte(')')
	return b.String()
}

func printRules(rules []*rule) string {
	s := make([]string, len(rules))
	for i, r := range rules {
		s[i] = r.String()
	}
	return strings.Join(s, " ")
}

func printAll(b *strings.Builder, cs []condition) {
	for _, c := range cs {
		b.WriteByte(' ')
		b.WriteString(c.String())
	}
}

// failures are the errors that a rule can name. Which of them are transient is
// what the local store says of the system's.
var failures = []struct {
	name      string
	err       error
	transient bool
}{
	{"EACCES", fmt.Errorf("%w: %w", store.ErrPermission, syscall.EACCES), false},
	{"EDQUOT", syscall.EDQUOT, false},
	{"EINTR", syscall.EINTR, true},
	{"EIO", syscall.EIO, false},
	{"EMFILE", syscall.EMFILE, true},
	{"ENOSPC", syscall.ENOSPC, false},
	{"changed", store.ErrChanged, false},
	{"exist", store.ErrExist, false},
	{"not-exist", store.ErrNotExist, false},
	{"permission", store.ErrPermission, false},
	{"timeout", syscall.ETIMEDOUT, true},
	{"unavailable", errors.New("service unavailable"), true},
	{"unsupported", store.ErrUnsupported, false},
}

// ErrorNames lists what may follow "error" in a rule.
func ErrorNames() []string {
	var names []string
	for _, f := range failures {
		names = append(names, f.name)
	}
	return names
}

// condition is asked once per call, unless one before it was false.
type condition interface {
	holds(op Op, name string) bool
	String() string
}

type onOp []Op

func (c onOp) holds(op Op, _ string) bool { return slices.Contains(c, op) }
func (c onOp) String() string {
	var b strings.Builder
	b.WriteString("(op")
	for _, op := range c {
		b.WriteString(" " + string(op))
	}
	return b.String() + ")"
}

type onName string

func (c onName) holds(_ Op, name string) bool { return glob(string(c), name) }
func (c onName) String() string               { return "(name " + strconv.Quote(string(c)) + ")" }

type onID []uint64

func (c onID) holds(_ Op, name string) bool {
	dir, _, _ := strings.Cut(name, "/")
	number, ok := strings.CutPrefix(dir, "chk-")
	if !ok {
		number, ok = strings.CutPrefix(dir, "savepoint-")
	}
	id, err := strconv.ParseUint(number, 10, 64)
	return ok && err == nil && slices.Contains(c, id)
}

func (c onID) String() string {
	var b strings.Builder
	b.WriteString("(id")
	for _, id := range c {
		fmt.Fprintf(&b, " %d", id)
	}
	return b.String() + ")"
}

// every is and, some is or.
type (
	every []condition
	some  []condition
)

func (c every) holds(op Op, name string) bool {
	for _, x := range c {
		if !x.holds(op, name) {
			return false
		}
	}
	return true
}

func (c some) holds(op Op, name string) bool {
	for _, x := range c {
		if x.holds(op, name) {
			return true
		}
	}
	return false
}

func (c every) String() string { return printList("and", c) }
func (c some) String() string  { return printList("or", c) }

func printList(head string, cs []condition) string {
	var b strings.Builder
	b.WriteString("(" + head)
	printAll(&b, cs)
	return b.String() + ")"
}

type not struct{ c condition }

func (c not) holds(op Op, name string) bool { return !c.c.holds(op, name) }
func (c not) String() string                { return "(not " + c.c.String() + ")" }

// nth, count and each (every N) keep how often they were asked.
type (
	nth   struct{ n, asked uint64 }
	count struct{ n, asked uint64 }
	each  struct{ n, asked uint64 }
)

func (c *nth) holds(Op, string) bool   { c.asked++; return c.asked == c.n }
func (c *nth) String() string          { return fmt.Sprintf("(nth %d)", c.n) }
func (c *count) holds(Op, string) bool { c.asked++; return c.asked <= c.n }
func (c *count) String() string        { return fmt.Sprintf("(count %d)", c.n) }
func (c *each) holds(Op, string) bool  { c.asked++; return c.asked%c.n == 0 }
func (c *each) String() string         { return fmt.Sprintf("(every %d)", c.n) }

// glob matches a name against a pattern in which "*" stands for any bytes and
// "?" for one. It takes time proportional to the product of the lengths and
// does not recurse.
func glob(pattern, name string) bool {
	star, mark := -1, 0 // the last star, and where its match ends so far
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0: // let the last star take one byte more
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
