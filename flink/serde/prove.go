package serde

import (
	"fmt"
	"iter"
	"maps"
	"math/bits"
	"slices"
	"strings"
)

// UserClasses lists the types of a key whose hash code is a method of the user's
// class and may be one of the known formulas: POJOs and case classes, each class
// once, the outer ones first.
func (t *Type) UserClasses() []*Type { return userClasses(t, nil, 0) }

func userClasses(t *Type, list []*Type, depth int) []*Type {
	if t == nil || depth > maxDepth {
		return list
	}
	if t.Kind == KindPojo || t.Kind == KindCaseClass {
		if slices.ContainsFunc(list, func(u *Type) bool { return u.Name == t.Name }) {
			return list
		}
		list = append(list, t)
	}
	for _, a := range t.Args {
		list = userClasses(a, list, depth+1)
	}
	for _, f := range t.Fields {
		list = userClasses(f.Type, list, depth+1)
	}
	return list
}

// Fields of a class up to which every choice and order of them is tried; of more
// fields only choices of up to three, and all in the order of the data.
const (
	allOrders = 6
	someOf    = 3
)

// Formulas yields the formulas that objects of a user's class may have their hash
// code by. With a hint only what it leaves open is tried.
func (t *Type) Formulas(hint *Formula) iter.Seq[Formula] {
	return func(yield func(Formula) bool) {
		for _, s := range styles {
			if s.scala != (t.Kind == KindCaseClass) || hint != nil && hint.Style.Name != s.Name || hint == nil && t.twin(s) {
				continue
			}
			if s.scala {
				if !yield(Formula{Style: s}) {
					return
				}
				continue
			}
			if hint != nil && hint.Fields != nil {
				yield(*hint)
				return
			}
			for fields := range t.orders() {
				if s.xor && (len(fields) < 2 || !slices.IsSorted(fields)) {
					continue // the order does not matter; one field alone is a record's
				}
				if !yield(Formula{Style: s, Fields: fields}) {
					return
				}
			}
		}
	}
}

// twin reports whether a style does the same as an earlier one for a class
// without booleans and floating point.
func (t *Type) twin(s Style) bool {
	has := func(kinds ...Kind) bool {
		return slices.ContainsFunc(t.Fields, func(f Field) bool {
			u := f.Type
			for u != nil && u.Kind == KindNullable && len(u.Args) == 1 {
				u = u.Args[0]
			}
			return u != nil && slices.Contains(kinds, u.Kind)
		})
	}
	switch s.Name {
	case "idea":
		return !has(KindBoolean, KindDouble, KindFloat)
	case "start-17-idea", "commons-lang-objects", "lombok-objects":
		return !has(KindBoolean)
	}
	return false
}

// orders yields the choices of a POJO's fields in their orders, the likeliest first:
// all of them before few of them, and the order of the data before others.
func (t *Type) orders() iter.Seq[[]string] {
	names := make([]string, 0, len(t.Fields))
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	return func(yield func([]string) bool) {
		most := len(names)
		if most > allOrders {
			if !yield(names) {
				return
			}
			most = someOf
		}
		for n := most; n > 0; n-- {
			if !arrange(names, make([]string, 0, n), n, yield) {
				return
			}
		}
	}
}

// arrange yields the ordered choices of n names that begin with some chosen ones.
func arrange(names, chosen []string, n int, yield func([]string) bool) bool {
	if len(chosen) == n {
		return yield(slices.Clone(chosen))
	}
	for _, name := range names {
		if slices.Contains(chosen, name) {
			continue
		}
		if !arrange(names, append(chosen, name), n, yield) {
			return false
		}
	}
	return true
}

// Bounds of a proof.
const (
	maxCandidates = 200_000 // combinations of formulas that are tried
	// Agreement by chance has to be less likely than 1 in 2^64, for all that was
	// tried together; and some keys have to be seen.
	proofBits = 64
	proofKeys = 16
)

// Prover finds by which formulas users' classes compute the hash codes of keys,
// from keys and the key groups that Flink put them into.
type Prover struct {
	typ    *Type
	groups int // maxParallelism
	tried  int
	named  bool // there was nothing to choose from
	keys   uint64
	left   []*candidate
}

// candidate is a choice of formulas that agrees with all keys so far.
type candidate struct {
	hasher Hasher
	codes  []int32 // different ones, in order; no more than are needed
	digest uint64  // of all codes
}

// NewProver begins a proof about keys of a type in a number of key groups. The
// hints, by class or under "" for all, name a style or a style with its fields. The error is a
// *HashError: something in the type has no hash code, or there is too much to try.
func (t *Type) NewProver(groups int, hints map[string]Formula) (*Prover, error) {
	p := &Prover{typ: t, groups: groups}
	combos := []map[string]Formula{{}}
	for _, class := range t.UserClasses() {
		hint, err := class.hint(hints)
		if err != nil {
			return nil, err
		}
		var more []map[string]Formula
		for _, m := range combos {
			for f := range class.Formulas(hint) {
				with := maps.Clone(m)
				with[class.Name] = f
				if more = append(more, with); len(more) > maxCandidates {
					return nil, &HashError{Type: t.String(), Reason: "there are too many ways to try; name the formula of each class"}
				}
			}
		}
		combos = more
	}
	for _, m := range combos {
		c := &candidate{hasher: Hasher{typ: t, user: m}}
		if err := c.hasher.hashable(t); err != nil {
			return nil, err
		}
		p.left = append(p.left, c)
	}
	p.tried, p.named = len(combos), len(combos) == 1
	return p, nil
}

// hint is what is said about a class: under its name, or under "" for all.
func (t *Type) hint(hints map[string]Formula) (*Formula, error) {
	h, ok := hints[t.Name]
	if !ok {
		if h, ok = hints[""]; !ok {
			return nil, nil
		}
	}
	for _, name := range h.Fields {
		if !slices.ContainsFunc(t.Fields, func(f Field) bool { return f.Name == name }) {
			return nil, &HashError{Type: t.String(), Reason: "the class " + t.Name + " has no field " + name}
		}
	}
	return &h, nil
}

// Add tells of a key and its key group. It reports whether more keys are wanted: not
// when the formula is found or none is left. Errors are those of keys that are none.
func (p *Prover) Add(key []byte, group int) (more bool, err error) {
	v, err := p.typ.Decode(key)
	if err != nil {
		return false, err
	}
	p.keys++
	p.left = slices.DeleteFunc(p.left, func(c *candidate) bool {
		code, err := c.hasher.HashValue(p.typ, v)
		if err != nil || KeyGroup(code, p.groups) != group {
			return true
		}
		c.digest = (c.digest ^ uint64(uint32(code))) * 0x100000001b3
		if len(c.codes) < p.needed() {
			if at, seen := slices.BinarySearch(c.codes, code); !seen {
				c.codes = slices.Insert(c.codes, at, code)
			}
		}
		return false
	})
	return len(p.left) > 1 || len(p.left) == 1 && len(p.left[0].codes) < p.needed(), nil
}

// needed is how many different hash codes prove a formula.
func (p *Prover) needed() int {
	perKey := bits.Len(uint(p.groups)) - 1 // bits, rounded down
	if perKey <= 0 {
		return maxCandidates // one key group tells nothing
	}
	return max(proofKeys, (proofBits+bits.Len(uint(p.tried))+perKey-1)/perKey)
}

// Result returns the computer of hash codes that agrees with all keys that were
// told, and its formulas by class. It is a *HashError if none agrees, if too few keys were
// told to exclude chance, or if several do that differ. A formula that was
// named, with its fields, only has to agree.
func (p *Prover) Result() (*Hasher, map[string]Formula, error) {
	switch {
	case len(p.left) == 0:
		return nil, nil, &HashError{Type: p.typ.String(), Reason: fmt.Sprintf(
			"none of %d ways to compute the hash code of %s agrees with the key groups that its keys are in", p.tried, p.classes())}
	case p.named:
	case len(p.left[0].codes) < p.needed():
		return nil, nil, &HashError{Type: p.typ.String(), Reason: fmt.Sprintf(
			"%d different hash codes are too few to find out how %s computes them: it takes %d", len(p.left[0].codes), p.classes(), p.needed())}
	default:
		for _, c := range p.left[1:] {
			if c.digest != p.left[0].digest {
				return nil, nil, &HashError{Type: p.typ.String(), Reason: "several ways to compute the hash code of " + p.classes() + " agree with its keys"}
			}
		}
	}
	h := p.left[0].hasher
	return &h, maps.Clone(h.user), nil
}

// Keys is how many keys were told.
func (p *Prover) Keys() uint64 { return p.keys }

// classes names the users' classes of the keys.
func (p *Prover) classes() string {
	var names []string
	for _, t := range p.typ.UserClasses() {
		names = append(names, t.Name)
	}
	return strings.Join(names, " and ")
}
