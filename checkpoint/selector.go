package checkpoint

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Selector names a part of a checkpoint in the one syntax of all tools:
//
//	operator=U,state=S,kind=timers,subtask=2-4,keygroup=0-31,channel=gate0/3
//
// Fields that are not named select everything. A value with a comma, a quote,
// an equals sign or a blank at an end is written as a Go string literal:
// operator="a,b".
type Selector struct {
	Operator  string // uid, "" for all
	State     string // name, "" for all
	Kind      StateKind
	Subtasks  *Span // nil for all
	KeyGroups *Span
	Channel   *Channel
}

// Span is the numbers First, First+1, … Last.
type Span struct{ First, Last uint64 }

// Contains reports whether n is one of the numbers.
func (s *Span) Contains(n uint64) bool { return s == nil || s.First <= n && n <= s.Last }

// String is "first-last", or one number.
func (s Span) String() string {
	if s.First == s.Last {
		return strconv.FormatUint(s.First, 10)
	}
	return fmt.Sprintf("%d-%d", s.First, s.Last)
}

// Channel names channels of a gate: "gate0/3", "gate0/2-5", or all of "gate0".
type Channel struct {
	Gate  string
	Index *Span // nil for all
}

// String is the channel as a selector writes it.
func (c Channel) String() string {
	if c.Index == nil {
		return c.Gate
	}
	return c.Gate + "/" + c.Index.String()
}

// Takes reports whether the selector covers a state by operator, name and kind.
// Subtask, key group and channel are for the caller.
func (s Selector) Takes(state State) bool {
	return s.Matches(state.Operator, state.Name) && (s.Kind == "" || s.Kind == state.Kind)
}

// Matches reports whether the selector covers an operator and the name of a
// state.
func (s Selector) Matches(operator, state string) bool {
	return (s.Operator == "" || s.Operator == operator) && (s.State == "" || s.State == state)
}

// IsZero reports whether the selector selects everything.
func (s Selector) IsZero() bool { return s == Selector{} }

// String is the canonical form; [ParseSelector] reads it back.
func (s Selector) String() string {
	var parts []string
	add := func(name, value string) { parts = append(parts, name+"="+quote(value)) }
	if s.Operator != "" {
		add("operator", s.Operator)
	}
	if s.State != "" {
		add("state", s.State)
	}
	if s.Kind != "" {
		add("kind", string(s.Kind))
	}
	if s.Subtasks != nil {
		add("subtask", s.Subtasks.String())
	}
	if s.KeyGroups != nil {
		add("keygroup", s.KeyGroups.String())
	}
	if s.Channel != nil {
		add("channel", s.Channel.String())
	}
	return strings.Join(parts, ",")
}

// quote writes a value so that it reads back, as itself where it can be.
func quote(v string) string {
	if v == "" || strings.ContainsAny(v, ",=\"\\`") || strings.TrimSpace(v) != v || !plain(v) {
		return strconv.Quote(v)
	}
	return v
}

// plain reports whether all of the text is printable.
func plain(v string) bool {
	for _, r := range v {
		if !strconv.IsPrint(r) || r == '\uFFFD' {
			return false
		}
	}
	return true
}

// ParseSelector reads a selector. The empty text selects everything. Errors
// name the field and what was expected.
func ParseSelector(text string) (Selector, error) {
	var s Selector
	rest := strings.TrimSpace(text)
	seen := map[string]bool{}
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimSpace(name)
		if !ok {
			return Selector{}, fmt.Errorf("selector %q: %q is not of the form name=value", text, rest)
		}
		value, tail, err := cutValue(after)
		if err != nil {
			return Selector{}, fmt.Errorf("selector %q: %s: %w", text, name, err)
		}
		if seen[name] {
			return Selector{}, fmt.Errorf("selector %q: %s is given twice", text, name)
		}
		seen[name] = true
		if err := s.set(name, value); err != nil {
			return Selector{}, fmt.Errorf("selector %q: %w", text, err)
		}
		rest = tail
	}
	return s, nil
}

// cutValue splits off the value in front of the next comma.
func cutValue(text string) (value, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		literal, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", fmt.Errorf("the quoted value does not end")
		}
		value, err = strconv.Unquote(literal)
		if err != nil {
			return "", "", err
		}
		rest = text[len(literal):]
		if rest != "" && rest[0] != ',' {
			return "", "", fmt.Errorf("%q follows the quoted value, where a comma is expected", rest)
		}
	} else {
		end := strings.IndexByte(text, ',')
		if end < 0 {
			end = len(text)
		}
		value, rest = strings.TrimSpace(text[:end]), text[end:]
		if strings.ContainsAny(value, "=\"`\\") {
			return "", "", fmt.Errorf("the value %q must be quoted", value)
		}
	}
	if rest == "," {
		return "", "", fmt.Errorf("nothing follows the last comma")
	}
	rest = strings.TrimPrefix(rest, ",")
	if value == "" {
		return "", "", fmt.Errorf("the value is empty")
	}
	return value, rest, nil
}

// set stores one field.
func (s *Selector) set(name, value string) (err error) {
	switch name {
	case "operator":
		s.Operator = value
	case "state":
		s.State = value
	case "kind":
		if s.Kind = StateKind(value); !slices.Contains(StateKinds, s.Kind) {
			err = fmt.Errorf("kind: %q is none of %v", value, StateKinds)
		}
	case "subtask":
		s.Subtasks, err = parseSpan(name, value)
	case "keygroup":
		s.KeyGroups, err = parseSpan(name, value)
	case "channel":
		s.Channel, err = parseChannel(value)
	default:
		err = fmt.Errorf("there is no field %q; the fields are operator, state, kind, subtask, keygroup, channel", name)
	}
	return err
}

// parseSpan reads "3" or "2-4".
func parseSpan(name, value string) (*Span, error) {
	first, last, isRange := strings.Cut(value, "-")
	if !isRange {
		last = first
	}
	lo, err := parseNumber(first)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	hi, err := parseNumber(last)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if lo > hi {
		return nil, fmt.Errorf("%s: the range %s is empty", name, value)
	}
	return &Span{First: lo, Last: hi}, nil
}

// parseNumber reads a decimal number of at most 32 bits.
func parseNumber(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number or a range like 2-4", text)
	}
	return n, nil
}

// parseChannel reads "gate0", "gate0/3" or "gate0/2-4".
func parseChannel(value string) (*Channel, error) {
	slash := strings.LastIndexByte(value, '/')
	if slash < 0 {
		return &Channel{Gate: value}, nil
	}
	if slash == 0 {
		return nil, fmt.Errorf("channel: %q names no gate", value)
	}
	span, err := parseSpan("channel", value[slash+1:])
	if err != nil {
		return nil, err
	}
	return &Channel{Gate: value[:slash], Index: span}, nil
}
