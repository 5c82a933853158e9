package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// target is one fuzz function.
type target struct{ pkg, name string }

// fuzzTargets finds the fuzz functions of the module in its source, which takes
// no compiling.
func fuzzTargets(ctx context.Context) ([]target, error) {
	list, err := exec.CommandContext(ctx, "go", "list", "-e", "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var found []target
	for dec := json.NewDecoder(bytes.NewReader(list)); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		for _, file := range append(p.TestGoFiles, p.XTestGoFiles...) {
			names, err := fuzzFunctions(filepath.Join(p.Dir, file))
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				found = append(found, target{p.ImportPath, n})
			}
		}
	}
}

// fuzzFunctions lists the fuzz functions of one file.
func fuzzFunctions(file string) ([]string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
			names = append(names, fn.Name.Name)
		}
	}
	return names, nil
}

// fuzzStart is what a target takes before it fuzzes: compiling, and the seeds.
const fuzzStart = 20 * time.Second

// fuzzParts makes one part of each target, of the given time. The go command
// fuzzes one target at a time.
func fuzzParts(targets []target, fuzztime string) []part {
	budget := 0
	if d, err := time.ParseDuration(fuzztime); err == nil {
		budget = int((d + fuzzStart).Seconds())
	}
	var parts []part
	for _, t := range targets {
		parts = append(parts, part{t.name, t.pkg, budget, func(ctx context.Context) (output, error) {
			return fuzz(ctx, t, fuzztime)
		}})
	}
	return parts
}

// fuzz runs one target and reports how many executions that were.
func fuzz(ctx context.Context, t target, fuzztime string) (output, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+fuzztime, t.pkg)
	text, err := cmd.CombinedOutput()
	if err != nil {
		return output{}, fmt.Errorf("%w\n%s", err, text)
	}
	result := fmt.Sprintf("RESULT %s package=%s execs=%s time=%s crashers=0", t.name, path.Base(t.pkg), lastExecs(string(text)), fuzztime)
	fmt.Println(result)
	return output{results: []string{result}}, nil
}

// lastExecs takes the number of executions from the last progress line.
func lastExecs(text string) string {
	n := "unknown"
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, "execs: "); ok {
			n, _, _ = strings.Cut(rest, " ")
		}
	}
	return n
}
