package format

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestOldRevisions reads files of the revisions before this one, as a program of
// their time wrote them: they are golden files that no -update touches.
func TestOldRevisions(t *testing.T) {
	for revision := OldestRevision; revision < Revision; revision++ {
		files := map[string][]byte{}
		for _, name := range []string{"manifest", "object"} {
			text, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("v0.%d", revision), name+".txt"))
			must(t, err)
			files[name], err = parseGolden(string(text))
			must(t, err)
		}
		data := files["manifest"]
		r, err := OpenManifest(bytes.NewReader(data), int64(len(data)), ManifestOptions{Object: "MANIFEST", Path: "chk-7"})
		must(t, err)
		m, err := r.Read()
		must(t, err)
		if int(r.Header.Revision) != revision || m.Summary.ID != 7 || len(m.Slices) == 0 {
			t.Errorf("manifest of revision %d is read as %d with %d slices", revision, r.Header.Revision, len(m.Slices))
		}
		for _, s := range m.States {
			if s.Kind.Channel() && s.Value != None {
				t.Errorf("revision %d: a type of records in flight, which it does not store", revision)
			}
		}
		object := files["object"]
		o, err := OpenObject(bytes.NewReader(object), int64(len(object)), OpenOptions{Object: "object"})
		must(t, err)
		if int(o.Header.Revision) != revision || o.Len() == 0 {
			t.Errorf("object of revision %d is read as %d with %d slices", revision, o.Header.Revision, o.Len())
		}
	}
	fmt.Printf("RESULT old-revisions read=%d\n", Revision-OldestRevision)
}

// TestOpaque: what only a codec of the user's understands has a name, and its
// bytes are printed as they are.
func TestOpaque(t *testing.T) {
	s := &Schema{Type: TypeOpaque, Name: "jobs.Flight"}
	for _, value := range [][]byte{nil, {0}, {0xff, 1, 2}} {
		must(t, s.Validate(value))
		text, err := AppendJSON(nil, s, value, nil)
		must(t, err)
		if want := fmt.Sprintf("\"%x\"", value); string(text) != want {
			t.Errorf("% x is printed as %s, expected %s", value, text, want)
		}
	}
	if _, err := ParseText(nil, s, "00"); err == nil {
		t.Error("an opaque value is parsed")
	}
	enc, err := AppendSchema(nil, s)
	must(t, err)
	if want := "\x18\x0bjobs.Flight"; string(enc) != want {
		t.Errorf("encoded as %q, expected %q", enc, want)
	}
}
