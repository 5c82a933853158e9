package filesink

import (
	"path/filepath"
	"testing"
)

// FuzzParse feeds arbitrary names and items: what is accepted is canonical, and
// never leaves the directory.
func FuzzParse(f *testing.F) {
	f.Add("abc-out-c00000001-r1-s00-0000.jsonl")
	f.Add("a%2db-%c3%bc-c18446744073709551615-r7-s12-12345.jsonl")
	f.Add(`{"kind":"tidemark.filesink/1","name":"abc-out-c00000001-r1-s00-0000.jsonl","id":1,"bytes":2,"crc32c":1,"dir":"d"}`)
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := ParseName(s); ok && (p.Name() != s || !filepath.IsLocal(s) || filepath.Base(s) != s) {
			t.Fatalf("%q is %+v", s, p)
		}
		if p, ok := parseOpenName(s); ok && p.openName() != s {
			t.Fatalf("%q is %+v", s, p)
		}
		if it, err := ParseItem([]byte(s)); err == nil {
			if b, err := it.encode(); err != nil {
				t.Fatal(err)
			} else if again, err := ParseItem(b); err != nil || again != it {
				t.Fatalf("%s: %+v, %v", b, again, err)
			}
		}
	})
}
