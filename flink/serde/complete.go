package serde

import (
	"slices"
	"strings"
)

// Complete returns nil if the formulas say for every class and field that counts how
// its hash code is computed. Without keys that lie in key groups there is no other
// way to find out before the first key is hashed. The error is a *HashError.
func (h *Hasher) Complete() error { return h.complete(h.typ, "", 0) }

// complete looks at a type whose hash code counts; style is that of the object
// around it, "" if there is none.
func (h *Hasher) complete(t *Type, style string, depth int) error {
	for t != nil && (t.Kind == KindNullable || t.Kind == KindTTLAware) && len(t.Args) == 1 && style != "" {
		t = t.Args[0]
	}
	if t == nil || depth > maxDepth {
		return &HashError{Type: "?", Reason: "its type is not known"}
	}
	if style != "" {
		if elem, ok := element(t); ok || t.Kind == KindBytes {
			return h.completeList(t, elem, style, depth)
		}
		if t.Kind == KindMap && len(t.Args) == 2 {
			return h.completeAll(t.Args, style, depth)
		}
	}
	if why := h.reason(t); why != "" {
		return &HashError{Type: t.String(), Reason: why}
	}
	switch t.Kind {
	case KindTuple, KindRow:
		return h.completeAll(t.Args, "", depth)
	case KindPojo, KindCaseClass:
		return h.completeObject(t, h.user[t.Name], depth)
	}
	return nil
}

func (h *Hasher) completeAll(types []*Type, style string, depth int) error {
	for _, t := range types {
		if err := h.complete(t, style, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// completeList looks at lists, sets and arrays. Of the styles only Lombok's takes the
// contents of an array by itself; elsewhere it is its identity that counts, unless
// the class says otherwise, which its formula does not tell.
func (h *Hasher) completeList(t, elem *Type, style string, depth int) error {
	if t.Kind != KindList && t.Kind != KindSet && !strings.HasPrefix(style, "lombok") {
		return &HashError{Type: t.String(), Reason: "an array's hash code is its identity, which changes from run to run"}
	}
	if elem == nil {
		return nil
	}
	return h.complete(elem, plainElements, depth+1)
}

// plainElements stands for the style of elements of collections, which is always
// the same.
const plainElements = "elements"

// completeObject looks at the formula of a user's class and the fields that it takes.
func (h *Hasher) completeObject(t *Type, f Formula, depth int) error {
	refuse := func(why string) error { return &HashError{Type: t.String(), Reason: why} }
	switch {
	case f.Style.scala != (t.Kind == KindCaseClass):
		return refuse(f.Style.Name + " is for case classes of Scala only, and they have no other")
	case f.Style.scala:
		return h.completeAll(t.Args, "", depth)
	case f.Fields == nil:
		return refuse("which fields count is not said: " + f.Style.Name + "(FIELD, FIELD)")
	}
	for _, name := range f.Fields {
		i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			return refuse("it has no field " + name)
		}
		if err := h.complete(t.Fields[i].Type, f.Style.Name, depth+1); err != nil {
			return err
		}
	}
	return nil
}
