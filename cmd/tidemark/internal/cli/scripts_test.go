package cli

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scriptCases is what the scripts of testdata/script must show of each verb. A
// verb that is missing here, or has a case too few or too many there, fails
// TestEveryVerbHasItsScripts, which finds the cases by what the scripts do: so
// the table cannot rot.
//
//	good       exit code 0
//	arguments  exit code 2
//	columns    "columns stdout" behind its output, and behind its help
//	damaged    a run on something damaged, with this exit code, and what it says of it
//	exists     exit code 6, and that the destination exists
//	interrupt  it is sent SIGINT
//	codes      each exit code that it can end with, and no other
var scriptCases = map[string]struct {
	codes     string // but 130, which comes with interrupt
	damaged   string // the exit code, "" for verbs that read nothing
	exists    bool
	interrupt bool
	programs  bool // its output is for programs, not for 80 columns
}{
	"ls":      {codes: "0 2 4 5 7", damaged: "0", interrupt: true},
	"inspect": {codes: "0 1 2 4 5 7", damaged: "1", interrupt: true},
	"show":    {codes: "0 1 2 4 5 7", damaged: "1", interrupt: true},
	"diff":    {codes: "0 1 2 4 5 7", damaged: "1", interrupt: true},
	"du":      {codes: "0 1 2 4 5 7", damaged: "0", interrupt: true},
	"export":  {codes: "0 1 2 4 5 6 7", damaged: "1", exists: true, interrupt: true, programs: true},
	"gc":      {codes: "0 2 4 5 6 7", damaged: "6", interrupt: true},
	"doctor":  {codes: "0 1 2 4 5 7", damaged: "1", interrupt: true},
	"history": {codes: "0 1 2 4 5 7", damaged: "1", interrupt: true},
	"verify":  {codes: "0 1 2 3 4 5 6 7", damaged: "1", interrupt: true},
	"rescale": {codes: "0 1 2 4 5 6 7", damaged: "1", exists: true, interrupt: true},
	"strip":   {codes: "0 1 2 4 5 6 7", damaged: "1", exists: true, interrupt: true},
	"remap":   {codes: "0 1 2 4 5 6 7", damaged: "1", exists: true, interrupt: true},
	"cp":      {codes: "0 1 2 4 5 6 7", damaged: "1", exists: true, interrupt: true},
	"salvage": {codes: "0 1 2 3 4 5 6 7", damaged: "1", exists: true, interrupt: true},
	"convert": {codes: "0 1 2 4 5 6 7", damaged: "1", exists: true, interrupt: true},
	"run":     {codes: "0 1 2 4 5 6 7 8", damaged: "1", interrupt: true},
	// These touch no storage: there is nothing to damage, and they end at once.
	"jobs":       {codes: "0 2 7"},
	"version":    {codes: "0 2 7"},
	"completion": {codes: "0 2 7", programs: true},
	"man":        {codes: "0 2 7", programs: true},
	"help":       {codes: "0 2 7"},
}

// saysDamage is what an assertion about damage looks for.
var saysDamage = regexp.MustCompile(`(?i)damage|checksum|does not read|does not open|missing|none is intact|salvage`)

// seen is what scripts show of a verb.
type seen struct {
	codes                                  map[string]int
	columns, help, exists, interrupt, harm bool
}

// scriptSteps are the runs of a verb in a script: the line, and what is asserted
// behind it.
var commandLine = regexp.MustCompile(`^(exits (\d+) (?:sh -c ')?|! exec |exec |interrupted \S+ (\d+) |interrupt \S+ )tidemark(?: (.*))?$`)

// readScript notes what a script does with each verb.
func readScript(text string, verbs []string, all map[string]*seen) {
	var verb, code string
	var about *seen
	background := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "-- ") {
			return
		}
		m := commandLine.FindStringSubmatch(line)
		if m == nil {
			switch {
			case strings.HasPrefix(line, "kill -INT "):
				all[background].interrupt = true
			case about == nil:
			case strings.HasPrefix(line, "columns std"):
				if code == "help" {
					about.help = true
				} else {
					about.columns = true
				}
			case strings.HasPrefix(line, "std") || strings.HasPrefix(line, "cmp stdout"):
				about.exists = about.exists || code == "6" && strings.Contains(line, "exists")
				about.harm = about.harm || code == scriptCases[verb].damaged && saysDamage.MatchString(line)
			}
			continue
		}
		words := strings.Fields(m[4])
		at := slices.IndexFunc(words, func(w string) bool { return slices.Contains(verbs, w) })
		if at < 0 {
			about = nil
			continue
		}
		verb, code = words[at], m[2]
		asked := verb == "help" && len(words) > at+1 && slices.Contains(verbs, words[at+1])
		if asked {
			all["help"].codes[code]++
			all["help"].columns, all["help"].help = true, true
			verb = words[at+1]
		}
		about = all[verb]
		switch {
		case asked || slices.Contains(words, "--help"):
			code = "help"
			continue
		case strings.HasPrefix(m[1], "interrupt"):
			about.interrupt = true
			continue
		case code == "" && strings.Contains(line, "&"):
			background = verb
			continue
		}
		about.codes[code]++
	}
}

// TestEveryVerbHasItsScripts compares the registered commands with scriptCases,
// and those with what the scripts do.
func TestEveryVerbHasItsScripts(t *testing.T) {
	root := (&app{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer)}).root()
	all := map[string]*seen{}
	for _, c := range root.Commands() {
		if c.Runnable() {
			all[c.Name()] = &seen{codes: map[string]int{}}
		}
	}
	if _, ok := all["help"]; !ok {
		all["help"] = &seen{codes: map[string]int{}}
	}
	verbs := slices.Sorted(maps.Keys(all))
	if want := slices.Sorted(maps.Keys(scriptCases)); !slices.Equal(verbs, want) {
		t.Fatalf("registered are %q, in the table are %q", verbs, want)
	}
	names, err := filepath.Glob("../../testdata/script/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		readScript(string(text), verbs, all)
	}
	cases, runs := 0, 0
	for _, verb := range verbs {
		s, want := all[verb], scriptCases[verb]
		for _, code := range strings.Fields(want.codes) {
			if s.codes[code] == 0 {
				t.Errorf("%s: no script has it end with %s", verb, code)
			}
		}
		for code, n := range s.codes {
			if runs += n; !slices.Contains(strings.Fields(want.codes), code) {
				t.Errorf("%s: a script has it end with %s, which the table does not list", verb, code)
			}
		}
		for _, c := range []struct {
			name       string
			want, have bool
		}{
			{"80 columns of its output", !want.programs, s.columns}, {"80 columns of its help", true, s.help},
			{"damaged input", want.damaged != "", s.harm}, {"an existing destination", want.exists, s.exists}, {"SIGINT", want.interrupt, s.interrupt},
		} {
			if c.want && !c.have {
				t.Errorf("%s: no script shows %s", verb, c.name)
			}
			if c.want {
				cases++
			}
		}
		cases += len(strings.Fields(want.codes))
	}
	t.Logf("RESULT verbs=%d cases=%d runs=%d scripts=%d", len(verbs), cases, runs, len(names))
}
