package filesink

import (
	"fmt"
	"strconv"
	"strings"
)

// Folders below the sink's directory.
const (
	pendingDir   = ".pending"
	withdrawnDir = ".withdrawn"
)

// Suffixes of file names.
const (
	partSuffix = ".jsonl"
	openSuffix = ".open"
)

// maxName bounds the length of a file name; file systems stop at 255 bytes.
const maxName = 200

// Part identifies a part file, and is what its name says.
type Part struct {
	Lineage string // of the run that wrote it
	UID     string // of the sink
	ID      uint64 // the first checkpoint that covers all its records
	Run     uint64 // number of the run on its checkpoint root, 0 without checkpoints
	Subtask int    // that wrote it
	Counter uint64 // distinguishes the parts of one subtask and id, from 0
}

// Name is the file name of the part, visible or pending.
func (p Part) Name() string {
	return fmt.Sprintf("%s-%s-c%08d-r%d-s%02d-%04d%s",
		escape(p.Lineage), escape(p.UID), p.ID, p.Run, p.Subtask, p.Counter, partSuffix)
}

// openName is the file name while the part is being written: its id is not
// known yet, and the counter is that of all files of the writer.
func (p Part) openName() string {
	return fmt.Sprintf("%s-%s-c%08d-r%d-s%02d-%04d%s",
		escape(p.Lineage), escape(p.UID), 0, p.Run, p.Subtask, p.Counter, openSuffix)
}

// ParseName is the reverse of [Part.Name]; ok is false for the names of other
// files.
func ParseName(name string) (p Part, ok bool) {
	p, ok = parse(name, partSuffix)
	return p, ok && p.Name() == name
}

func parseOpenName(name string) (p Part, ok bool) {
	p, ok = parse(name, openSuffix)
	return p, ok && p.openName() == name
}

// parse reads the six parts of a name; the caller compares with the canonical
// spelling.
func parse(name, suffix string) (p Part, ok bool) {
	stem, ok := strings.CutSuffix(name, suffix)
	if !ok || len(name) > maxName {
		return p, false
	}
	f := strings.Split(stem, "-")
	if len(f) != 6 {
		return p, false
	}
	good := true
	number := func(s, prefix string, bits int) uint64 {
		digits, found := strings.CutPrefix(s, prefix)
		n, err := strconv.ParseUint(digits, 10, bits)
		good = good && found && err == nil
		return n
	}
	text := func(s string) string {
		t, valid := unescape(s)
		good = good && valid
		return t
	}
	p = Part{Lineage: text(f[0]), UID: text(f[1]), ID: number(f[2], "c", 64), Run: number(f[3], "r", 64)}
	p.Subtask = int(number(f[4], "s", 31))
	p.Counter = number(f[5], "", 64)
	return p, good
}

// plain tells whether a byte of a lineage or uid stands for itself. The dash
// separates parts, the percent sign escapes, and a name that begins with a dot
// would be hidden.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// escape spells arbitrary text with bytes that every file system takes.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if plain(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02x", s[i])
		}
	}
	return b.String()
}

func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+3 > len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), b.Len() > 0
}
