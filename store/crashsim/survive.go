package crashsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Rule decides what of the unsynced data and names survives a crash. What was
// synced always does.
type Rule int

// The rules.
const (
	KeepNone   Rule = iota // nothing
	KeepAll                // everything
	Keep10                 // each change of a name and each sector, with 10 %
	Keep50                 // the same with 50 %
	Torn                   // everything but the last write of each file: that is cut at a sector or has a hole
	NamesFirst             // all names, no data: files are empty or full of zeros
)

// Rules lists the rules.
func Rules() []Rule { return []Rule{KeepNone, KeepAll, Keep10, Keep50, Torn, NamesFirst} }

// String names the rule.
func (r Rule) String() string {
	return [...]string{"none", "all", "10%", "50%", "torn", "names first"}[r]
}

// AfterCrash returns a disk with what survives, all of it durable. The seed
// chooses where the rule leaves a choice. The old disk is left as it is, so
// that one crash gives many images.
func (d *Disk) AfterCrash(rule Rule, seed uint64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &survivor{rule: rule, rnd: rand.New(rand.NewPCG(seed, uint64(rule))), done: map[*node]*node{}}
	return &Disk{root: s.node(d.root), next: d.next, clock: d.clock, crashAt: none}
}

type survivor struct {
	rule Rule
	rnd  *rand.Rand
	done map[*node]*node // files with several names survive once
}

// keeps draws whether one unsynced piece survives.
func (s *survivor) keeps() bool {
	switch s.rule {
	case KeepNone:
		return false
	case Keep10:
		return s.rnd.IntN(10) == 0
	case Keep50:
		return s.rnd.IntN(2) == 0
	}
	return true
}

func (s *survivor) node(n *node) *node {
	if c := s.done[n]; c != nil {
		return c
	}
	c := &node{id: n.id, modified: n.modified}
	s.done[n] = c
	if !n.isDir() {
		c.data = s.content(n)
		c.onDisk = slices.Clone(c.data)
		return c
	}
	entries := make(map[string]*node)
	apply(entries, n.durable)
	for _, change := range n.changes {
		if s.keeps() {
			apply(entries, change.names)
		}
	}
	c.seen, c.durable = make(map[string]*node), make(map[string]*node)
	for _, name := range sortedKeys(entries) { // in order, so that a seed always draws the same
		child := s.node(entries[name])
		c.seen[name], c.durable[name] = child, child
	}
	return c
}

// content returns what is left of a file's bytes.
func (s *survivor) content(n *node) []byte {
	b := slices.Clone(n.onDisk)
	for i, w := range n.pending {
		switch {
		case s.rule == KeepAll || s.rule == Torn && i < len(n.pending)-1:
			b = overlay(b, w.off, w.data)
		case s.rule == Torn:
			b = s.torn(b, w)
		case s.rule == Keep10 || s.rule == Keep50:
			b = s.sectors(b, w)
		}
	}
	if s.rule == NamesFirst && len(n.pending) > 0 && s.rnd.IntN(2) == 0 {
		b = overlay(b, len(n.data), nil) // the length got there before the data
	}
	return b
}

// torn applies a write of which the end, or one sector inside, is missing.
func (s *survivor) torn(b []byte, w write) []byte {
	cuts := (len(w.data) - 1) / sector
	if cuts <= 0 || s.rnd.IntN(2) == 0 {
		return overlay(b, w.off, w.data[:s.rnd.IntN(cuts+1)*sector])
	}
	hole := s.rnd.IntN(cuts) * sector
	data := slices.Clone(w.data)
	clear(data[hole : hole+sector])
	return overlay(b, w.off, data)
}

// sectors applies the sectors of a write that survive, each on its own.
func (s *survivor) sectors(b []byte, w write) []byte {
	for from := 0; from < len(w.data); {
		// Sectors are those of the file, not of the write.
		to := min(len(w.data), from+sector-(w.off+from)%sector)
		if s.keeps() {
			b = overlay(b, w.off+from, w.data[from:to])
		}
		from = to
	}
	return b
}

// Crash is one image that [Crashes] shows.
type Crash struct {
	Before Call // the first call that did not happen
	Point  int  // its number among the changes
	Rule   Rule
	Seed   uint64
	Disk   *Disk // what survived
	Result any   // what the scenario returned, for example what it was promised
}

// String prints the place such that it can be found again.
func (c Crash) String() string {
	return fmt.Sprintf("(crash (change %d) (before %q) (keep %q) (seed %d))", c.Point, c.Before, c.Rule, c.Seed)
}

// Tally counts what [Crashes] did.
type Tally struct {
	Points int // calls before which the disk was crashed
	Images int // states looked at
	Bad    int // of which the check complained
}

// Crashes runs a scenario again and again on a disk that setup has prepared,
// each time crashing one change later, until one run is not hit any more, and
// shows the check what survives under every rule with every seed below seeds.
// The changes of setup are not crashed; it may be nil. Errors of the check are
// joined, at most eight.
func Crashes(seeds uint64, setup func(*Disk), scenario func(*Disk) any, check func(Crash) error) (Tally, error) {
	var t Tally
	var errs []error
	trace := traceOf(setup, scenario)
	for k := 0; ; k++ {
		d := prepared(setup)
		d.CrashBefore(k)
		result := scenario(d)
		if !d.Crashed() {
			return t, joinFirst(errs)
		}
		t.Points++
		c := Crash{Point: k, Result: result}
		if k < len(trace) {
			c.Before = trace[k]
		}
		for _, c.Rule = range Rules() {
			for c.Seed = range seeds {
				if c.Seed > 0 && (c.Rule == KeepNone || c.Rule == KeepAll) {
					break // nothing to draw
				}
				c.Disk = d.AfterCrash(c.Rule, c.Seed)
				t.Images++
				if err := check(c); err != nil {
					t.Bad++
					errs = append(errs, fmt.Errorf("%s: %w\n%s", c, err, c.Disk))
				}
			}
		}
	}
}

func prepared(setup func(*Disk)) *Disk {
	d := New()
	if setup != nil {
		setup(d)
	}
	return d
}

// traceOf returns the changes that an undisturbed scenario makes.
func traceOf(setup func(*Disk), scenario func(*Disk) any) []Call {
	d := prepared(setup)
	before, _ := d.Calls()
	scenario(d)
	var changes []Call
	for _, c := range d.Trace()[before:] {
		if c.Changes {
			changes = append(changes, c)
		}
	}
	return changes
}
