package main

import (
	"fmt"
	"strings"
)

// Document is the text of docs/planted.md: all faults, by the packages they are
// in, and what catches them.
func Document(faults []Fault) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Planted faults

Do the tests bite? Below are %d mistakes that one could make in this code. `+"`make planted`"+` plants one
after the other, runs the test beside it and demands that it fails, and that it passes without the
mistake. The mistakes are in [testdata/planted](../testdata/planted); the tree is not changed, the
compiler is given a changed copy of one file. A failure to compile does not count.

`+"`make test`"+` only checks that each mistake can still be planted and that its test is there. This table
is written by `+"`go test ./internal/planted -update`"+`.

| Fault | What is wrong | In | Caught by |
|---|---|---|---|
`, len(faults))
	for _, f := range faults {
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` in %s |\n", f.Name, f.What, f.File, f.Test, f.Package)
	}
	return b.String()
}
