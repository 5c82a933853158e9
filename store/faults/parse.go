package faults

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of expressions.
const (
	maxText  = 64 << 10 // bytes
	maxDepth = 16
)

// Parse reads an expression, see the package comment. The empty one has no
// rules. Errors name the byte at which the text stops making sense.
func Parse(text string) (*Faults, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("fault expression has %d bytes, at most %d are allowed", len(text), maxText)
	}
	p := &parser{text: text}
	f := &Faults{}
	for p.skip(); p.pos < len(p.text); p.skip() {
		r := p.rule()
		if p.err != nil {
			return nil, fmt.Errorf("fault expression, byte %d: %w", p.pos, p.err)
		}
		f.rules = append(f.rules, r)
	}
	return f, nil
}

// parser reads text from left to right. After an error it reads on but yields
// nothing of use; err is the first one and pos stays there.
type parser struct {
	text  string
	pos   int
	depth int
	err   error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

func (p *parser) skip() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// at reports whether c is next, and passes it.
func (p *parser) at(c byte) bool {
	p.skip()
	if p.err == nil && p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(c byte) {
	if !p.at(c) {
		p.fail("expected %q", c)
	}
}

// word reads up to a blank or parenthesis.
func (p *parser) word() string {
	p.skip()
	rest := p.text[p.pos:]
	if i := strings.IndexAny(rest, " \t\r\n()\""); i >= 0 {
		rest = rest[:i]
	}
	if rest == "" {
		p.fail("expected a word")
	}
	if p.err != nil {
		return ""
	}
	p.pos += len(rest)
	return rest
}

// more reports whether the list that is open goes on.
func (p *parser) more() bool {
	p.skip()
	return p.err == nil && p.pos < len(p.text) && p.text[p.pos] != ')'
}

func (p *parser) rule() *rule {
	p.expect('(')
	r := &rule{action: action(p.word())}
	switch r.action {
	case delay:
		w := p.word()
		d, err := time.ParseDuration(w)
		if err == nil && d < 0 {
			err = errors.New("a delay cannot be negative")
		}
		if err != nil && p.err == nil {
			p.fail("delay %q: %w", w, err)
		}
		r.wait = d
	case fail:
		r.cause = p.word()
		if !slices.Contains(ErrorNames(), r.cause) {
			p.fail("unknown error %q; known are %s", r.cause, strings.Join(ErrorNames(), " "))
		}
	case failForNow, loseReply, crashAction:
	default:
		p.fail("unknown action %q; known are delay error transient lost crash", r.action)
	}
	r.when = p.conditions()
	p.expect(')')
	return r
}

func (p *parser) conditions() []condition {
	var cs []condition
	for p.more() {
		cs = append(cs, p.condition())
	}
	return cs
}

func (p *parser) condition() condition {
	if p.depth++; p.depth > maxDepth {
		p.fail("nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	p.expect('(')
	head := p.word()
	if p.err != nil {
		return nil
	}
	var c condition
	switch head {
	case "op":
		c = p.ops()
	case "name":
		c = onName(p.quoted())
	case "id":
		c = p.ids()
	case "and":
		c = every(p.conditions())
	case "or":
		c = some(p.conditions())
	case "not":
		c = not{p.condition()}
	case "nth":
		c = &nth{n: p.number()}
	case "count":
		c = &count{n: p.number()}
	case "every":
		n := p.number()
		if n == 0 {
			p.fail("every 0 is never")
		}
		c = &each{n: n}
	default:
		if !slices.Contains(Ops(), Op(head)) {
			p.fail("unknown condition %q; known are op name id and or not nth count every, and operations with a number", head)
			return nil
		}
		c = every{onOp{Op(head)}, &nth{n: p.number()}}
	}
	p.expect(')')
	return c
}

func (p *parser) ops() condition {
	var c onOp
	for p.more() {
		w := p.word()
		if p.err == nil && !slices.Contains(Ops(), Op(w)) {
			p.fail("unknown operation %q; known are %v", w, Ops())
		}
		c = append(c, Op(w))
	}
	return c
}

func (p *parser) ids() condition {
	var c onID
	for p.more() {
		c = append(c, p.number())
	}
	return c
}

func (p *parser) number() uint64 {
	w := p.word()
	n, err := strconv.ParseUint(w, 10, 64)
	if err != nil {
		p.fail("%q is no number", w)
	}
	return n
}

// quoted reads a string as Go writes it, or a bare word.
func (p *parser) quoted() string {
	p.skip()
	q, err := strconv.QuotedPrefix(p.text[p.pos:])
	if err != nil || q[0] == '\'' {
		return p.word()
	}
	p.pos += len(q)
	s, err := strconv.Unquote(q)
	if err != nil {
		p.fail("string %s: %w", q, err)
	}
	return s
}
