package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// Fault is a mistake in one file. It is written down as a txtar archive, whose
// comment is a header of lines "field: value", and whose files are texts to
// find and what to put there instead, in pairs:
//
//	what: the directory is not made durable after the rename
//	file: store/local/publish.go
//	package: store/crashsim
//	test: TestEveryCrash
//	-- old --
//		return syncDir(dir)
//	-- new --
//		return nil
//
// An old text consists of whole lines and stands exactly once in the file, so
// that a change of the code that a fault is about is noticed at once.
type Fault struct {
	Name    string // the file's name without .txtar
	What    string // the mistake, for a reader
	File    string // where, from the module's root, with slashes
	Package string // the directory of the test's package, from the module's root
	Test    string // its name; a subtest's after a slash
	// Hangs says that the test notices by never ending, "hangs: yes" in the
	// header. Without it a test that runs into its time limit shows nothing.
	Hangs bool
	Edits []Edit
}

// Edit replaces a text that stands once in a file.
type Edit struct{ Old, New string }

// Load reads the faults of a directory, in the order of their names.
func Load(dir string) ([]Fault, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no faults (*.txtar) in %s; start in the module's root", dir)
	}
	slices.Sort(paths)
	var faults []Fault
	var errs []error
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		f, err := Parse(strings.TrimSuffix(filepath.Base(path), ".txtar"), data)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
		faults = append(faults, f)
	}
	return faults, errors.Join(errs...)
}

// Parse reads one fault. Every field is required, but hangs.
func Parse(name string, data []byte) (Fault, error) {
	f := Fault{Name: name}
	archive := txtar.Parse(data)
	fields := map[string]*string{"what": &f.What, "file": &f.File, "package": &f.Package, "test": &f.Test}
	for line := range strings.Lines(string(archive.Comment)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch field := fields[key]; {
		case key == "hangs" && value == "yes" && !f.Hangs:
			f.Hangs = true
		case field == nil || *field != "" || value == "":
			return f, fmt.Errorf("header line %q", line)
		default:
			*field = value
		}
	}
	for key, value := range fields {
		if *value == "" {
			return f, fmt.Errorf("the header has no line %q", key+":")
		}
	}
	if len(archive.Files) == 0 || len(archive.Files)%2 != 0 {
		return f, fmt.Errorf("%d texts, expected pairs of old and new", len(archive.Files))
	}
	for pair := range slices.Chunk(archive.Files, 2) {
		if pair[0].Name != "old" || pair[1].Name != "new" {
			return f, fmt.Errorf("texts %q and %q, expected old and new", pair[0].Name, pair[1].Name)
		}
		if len(pair[0].Data) == 0 || string(pair[0].Data) == string(pair[1].Data) {
			return f, errors.New("a pair that changes nothing")
		}
		f.Edits = append(f.Edits, Edit{string(pair[0].Data), string(pair[1].Data)})
	}
	return f, nil
}

// Apply returns the text of the file with the fault in it.
func (f Fault) Apply(source string) (string, error) {
	for _, e := range f.Edits {
		at, n := places(source, e.Old)
		if n != 1 {
			return "", fmt.Errorf("%s: this stands %d times in it, expected once: write the fault anew\n%s", f.File, n, e.Old)
		}
		source = source[:at] + e.New + source[at+len(e.Old):]
	}
	return source, nil
}

// places counts the lines at which old begins, and returns the last of these.
func places(source, old string) (at, n int) {
	line := 0
	for text := range strings.Lines(source) {
		if strings.HasPrefix(source[line:], old) {
			at, n = line, n+1
		}
		line += len(text)
	}
	return at, n
}
