package out

import (
	"os"
	"strings"
)

// plain are the characters that no shell takes for anything else. The separator of
// paths is one, too: on Windows it must not lead to quotes.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,="

// Word is a word of a command that is printed to be typed: quoted for a shell if
// it needs that.
func Word(w string) string {
	special := func(r rune) bool { return r != os.PathSeparator && !strings.ContainsRune(plain, r) }
	if w != "" && !strings.ContainsFunc(w, special) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
