package barrier

import (
	"fmt"
	"strings"
	"time"
)

// parseEvent reads the line that Event.String writes.
func parseEvent(line string) (Event, error) {
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return Event{}, fmt.Errorf("empty event")
	}
	ch := -1
	var b Barrier
	elapsed := time.Duration(-1)
	for _, f := range fields[1:] {
		name, value, _ := strings.Cut(f, "=")
		var err error
		switch name {
		case "ch":
			_, err = fmt.Sscan(value, &ch)
		case "id":
			b, err = parseBarrier(value)
		case "elapsed":
			elapsed, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("unknown field %q", f)
		}
		if err != nil {
			return Event{}, fmt.Errorf("event %q: %w", line, err)
		}
	}
	var e Event
	switch fields[0] {
	case "barrier":
		e = Arrived(ch, b)
	case "cancel":
		e = Cancelled(ch, b.ID)
	case "end":
		e = Ended(ch)
	case "abort":
		e = Aborted(b.ID)
	case "trigger":
		e = Triggered(b)
	case "timer":
		e = TimerFired(b.ID)
	default:
		return e, fmt.Errorf("unknown event %q", line)
	}
	if elapsed >= 0 {
		e = e.After(elapsed)
	}
	return e, nil
}

func parseBarrier(text string) (b Barrier, err error) {
	parts := strings.Split(text, ",")
	if _, err := fmt.Sscan(parts[0], &b.ID); err != nil {
		return b, err
	}
	for _, o := range parts[1:] {
		switch {
		case o == Savepoint.String():
			b.Kind = Savepoint
		case o == "final":
			b.Final = true
		case o == Unaligned.String():
			b.Alignment = Unaligned
		case o == Passing.String():
			b.Alignment = Passing
		case o == ForcedAligned.String():
			b.Alignment = ForcedAligned
		case strings.HasPrefix(o, "timeout="):
			if b.Timeout, err = time.ParseDuration(o[len("timeout="):]); err != nil {
				return b, err
			}
		default:
			return b, fmt.Errorf("unknown option %q", o)
		}
	}
	return b, nil
}

// parseState makes the state that a script begins with: "3" is three channels
// of the aligned handler, "UUA" three of the alternating one, the last being
// aligned-only, "-" the alternating one of a source.
func parseState(text string) (State, error) {
	var n int
	if _, err := fmt.Sscan(text, &n); err == nil {
		return New(n), nil
	}
	var modes []bool
	for _, c := range strings.Trim(text, "-") {
		if c != 'A' && c != 'U' {
			return State{}, fmt.Errorf("channels %q: want a number, or A and U", text)
		}
		modes = append(modes, c == 'U')
	}
	return NewAlternating(modes), nil
}

// play runs a script: a line "channels N", then events behind ">". It returns
// the script with the answers in it, one action per line, then the state.
// Comments and empty lines are kept, old answers are dropped.
func play(script string) (string, error) {
	var out strings.Builder
	var s State
	var acts []Action
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		case strings.HasPrefix(line, "channels "):
			var err error
			if s, err = parseState(line[len("channels "):]); err != nil {
				return "", err
			}
			fmt.Fprintln(&out, line)
		case strings.HasPrefix(line, "> "):
			e, err := parseEvent(line[2:])
			if err != nil {
				return "", err
			}
			s, acts = Step(s, e, acts[:0])
			fmt.Fprintf(&out, "> %v\n", e)
			for _, a := range acts {
				fmt.Fprintf(&out, "  %v\n", a)
			}
			fmt.Fprintf(&out, "  = %v\n", s)
		}
	}
	return out.String(), nil
}
