package recovery

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
)

// pile is a root of which a test says what its checkpoints use.
type pile struct {
	*mem.Store
	now     time.Time
	uses    map[string][]string // by path of a complete checkpoint
	kind    checkpoint.Kind     // of all of them
	partial []string            // paths that were never committed
	broken  string              // path that does not read
	timeout string
	listed  func(n int) // called before the n-th listing of checkpoints
	lists   int
}

func newPile() *pile {
	p := &pile{now: time.Unix(1e9, 0), uses: map[string][]string{}}
	p.Store = mem.NewWithClock(func() time.Time { return p.now })
	return p
}

// add makes objects and lets time pass.
func (p *pile) add(t *testing.T, after time.Duration, names ...string) {
	t.Helper()
	for _, name := range names {
		put(t, p.Store, map[string]int{name: 10})
	}
	p.now = p.now.Add(after)
}

// drop takes a checkpoint away as a job does.
func (p *pile) drop(t *testing.T, path string) {
	t.Helper()
	delete(p.uses, path)
	for _, name := range []string{"/MANIFEST", "/MANIFEST.copy"} {
		if err := p.Remove(t.Context(), path+name, ""); err != nil && !errors.Is(err, store.ErrNotExist) {
			t.Error(err)
		}
	}
}

func (p *pile) list(context.Context) (infos []checkpoint.Info, err error) {
	if p.lists++; p.listed != nil {
		p.listed(p.lists)
	}
	for path := range p.uses {
		infos = append(infos, checkpoint.Info{Path: path, Kind: p.kind, Status: checkpoint.Complete})
	}
	for _, path := range p.partial {
		infos = append(infos, checkpoint.Info{Path: path, Kind: p.kind, Status: checkpoint.Incomplete})
	}
	slices.SortFunc(infos, func(a, b checkpoint.Info) int { return strings.Compare(a.Path, b.Path) })
	return infos, nil
}

func (p *pile) open(_ context.Context, path string) (checkpoint.Checkpoint, error) {
	if path == p.broken {
		return nil, checkpoint.ErrDamaged
	}
	return pileCheckpoint{p: p, path: path}, nil
}

// pileCheckpoint is one of its checkpoints.
type pileCheckpoint struct {
	checkpoint.Checkpoint
	p    *pile
	path string
}

func (c pileCheckpoint) Close() error { return nil }

func (c pileCheckpoint) Parts(context.Context, checkpoint.Selector) iter.Seq2[checkpoint.Part, error] {
	return nil
}

func (c pileCheckpoint) Objects(context.Context) iter.Seq2[checkpoint.Object, error] {
	return func(yield func(checkpoint.Object, error) bool) {
		for _, name := range c.p.uses[c.path] {
			if !yield(checkpoint.Object{Name: name}, nil) {
				return
			}
		}
	}
}

func (c pileCheckpoint) Settings(context.Context) iter.Seq2[checkpoint.Setting, error] {
	return func(yield func(checkpoint.Setting, error) bool) {
		if c.p.timeout != "" {
			yield(checkpoint.Setting{Key: timeoutKey, Value: c.p.timeout}, nil)
		}
	}
}

func (p *pile) collect(t *testing.T, apply bool, age time.Duration) (*Garbage, error) {
	t.Helper()
	return GC(t.Context(), p.Store, GCOptions{List: p.list, Open: p.open, Apply: apply, MinAge: age,
		ParseTimeout: time.ParseDuration, Now: func() time.Time { return p.now }})
}

// names of what was found.
func (g *Garbage) names() string {
	var list []string
	for _, o := range g.Objects {
		list = append(list, o.Name)
	}
	return strings.Join(list, " ")
}

// Only what is unused, old by the store's clock, and older than the newest run
// goes; what is not a checkpoint's is left alone.
func TestGC(t *testing.T) {
	p := newPile()
	p.uses["chk-1"] = []string{"chk-1/a", "shared/a"}
	p.uses["chk-2"] = []string{"shared/b"}
	p.partial = []string{"chk-3"}
	p.add(t, time.Hour, "chk-1/a", "chk-1/MANIFEST", "chk-1/MANIFEST.copy", "chk-1/stray", "chk-2/MANIFEST", "chk-3/x", "chk-3/MANIFEST.copy",
		"shared/a", "shared/b", "shared/c", "note.txt", "history/1", "other/d")
	p.add(t, 30*time.Hour, "runs/1")
	p.add(t, 30*time.Hour, "shared/since")
	p.add(t, time.Hour, "shared/young")
	const want = "chk-1/stray chk-3/MANIFEST.copy chk-3/x shared/c"
	for _, apply := range []bool{false, true} {
		g, err := p.collect(t, apply, 0)
		if err != nil || g.names() != want || g.Young != 1 || g.Newest != 1 || g.Bytes != 40 || g.MinAge != 24*time.Hour {
			t.Fatalf("apply=%v: %+v, %v", apply, g, err)
		}
	}
	if g, err := p.collect(t, true, 0); err != nil || len(g.Objects) != 0 {
		t.Errorf("the second time: %v, %v", g.names(), err)
	}
	p.timeout = "40h"
	if g, err := p.collect(t, false, time.Hour); err != nil || g.MinAge != 80*time.Hour {
		t.Errorf("%+v, %v", g, err)
	}
	p.broken = "chk-2"
	if _, err := p.collect(t, true, 0); !errors.Is(err, ErrUncertain) || !errors.Is(err, checkpoint.ErrDamaged) {
		t.Errorf("error %v", err)
	}
	for path := range p.uses {
		p.drop(t, path)
	}
	p.drop(t, "chk-3")
	if _, err := p.collect(t, true, 0); !errors.Is(err, checkpoint.ErrNone) {
		t.Errorf("error %v", err)
	}
}

// The shared folder of a root below this one is not this one's, and a checkpoint
// that lies deeper than any that is listed makes everything uncertain.
func TestGCBelow(t *testing.T) {
	p := newPile()
	p.uses["chk-1"] = []string{"shared/a"}
	p.uses["job/chk-1"] = []string{"job/shared/a"}
	p.add(t, 48*time.Hour, "chk-1/MANIFEST", "job/chk-1/MANIFEST", "shared/a", "shared/b", "job/shared/a", "job/shared/b", "other/shared/c")
	if g, err := p.collect(t, false, 0); err != nil || g.names() != "job/shared/b shared/b" {
		t.Errorf("%v, %v", g.names(), err)
	}
	p.add(t, 48*time.Hour, "far/job/chk-7/MANIFEST")
	if g, err := p.collect(t, true, 0); !errors.Is(err, ErrBeyond) || g.Deleted != 0 || !strings.Contains(err.Error(), "far/job/chk-7: ") {
		t.Errorf("%v, %v", g.names(), err)
	}
}

// A checkpoint that appears while manifests are read, or between them and the
// first deletion, keeps what it uses; one that vanishes is no damage.
func TestGCWhileCheckpointsChange(t *testing.T) {
	for at := 2; at <= 3; at++ {
		p := newPile()
		p.uses["chk-1"] = []string{"shared/a"}
		p.add(t, 48*time.Hour, "chk-1/MANIFEST", "shared/a", "shared/b", "shared/c")
		p.listed = func(n int) {
			if n == at {
				p.drop(t, "chk-1")
				p.uses = map[string][]string{"chk-2": {"shared/a", "shared/b"}}
			}
		}
		g, err := p.collect(t, true, 0)
		if err != nil || g.names() != "shared/c" || g.Deleted != 1 {
			t.Errorf("at listing %d: %v, %v", at, g.names(), err)
		}
		if _, err := p.Stat(t.Context(), "shared/b"); err != nil {
			t.Error(err)
		}
	}
	p := newPile()
	p.uses["chk-1"] = []string{"shared/a"}
	p.add(t, 48*time.Hour, "chk-1/MANIFEST", "shared/a", "shared/c")
	p.listed = func(n int) {
		p.drop(t, "chk-1")
		p.uses = map[string][]string{"chk-" + strings.Repeat("1", n): {"shared/a"}}
	}
	if _, err := p.collect(t, true, 0); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v", err)
	}
	if _, err := p.Stat(t.Context(), "shared/c"); err != nil {
		t.Error(err)
	}
}

// An object that was made anew under its name after it was listed stays, and so
// does another name of one in use.
func TestGCVersions(t *testing.T) {
	p := newPile()
	p.uses["chk-1"] = []string{"chk-1/a"}
	p.partial = []string{"savepoint-2"}
	p.add(t, 0, "chk-1/MANIFEST", "chk-1/a", "shared/c")
	if err := p.Link(t.Context(), "chk-1/a", "savepoint-2/a"); err != nil {
		t.Fatal(err)
	}
	p.now = p.now.Add(48 * time.Hour)
	p.listed = func(n int) {
		if n == 2 {
			if err := p.Remove(t.Context(), "shared/c", ""); err != nil {
				t.Error(err)
			}
			put(t, p.Store, map[string]int{"shared/c": 10})
		}
	}
	g, err := p.collect(t, true, 0)
	if err != nil || g.names() != "shared/c" || g.Deleted != 0 {
		t.Errorf("%v, %d deleted, %v", g.names(), g.Deleted, err)
	}
	for _, name := range []string{"shared/c", "savepoint-2/a"} {
		if _, err := p.Stat(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

// The pieces that a salvage could not place are part of its result: nothing else
// has them. Where there is no result they are garbage as the rest.
func TestGCKeepsTheLostAndFound(t *testing.T) {
	p := newPile()
	p.uses["savepoint-8"] = []string{"savepoint-8/a"}
	p.partial = []string{"savepoint-9"}
	p.add(t, 48*time.Hour, "savepoint-8/MANIFEST", "savepoint-8/a", "savepoint-8/"+LostAndFound, "savepoint-9/"+LostAndFound)
	if g, err := p.collect(t, true, 0); err != nil || g.names() != "savepoint-9/"+LostAndFound {
		t.Errorf("%v, %v", g.names(), err)
	}
}

// A link that a tool has given another name, since that of the object was taken,
// or since the object lay under a wrong one, is not deleted before the tool commits.
func TestGCKeepsRenamedLinks(t *testing.T) {
	p := newPile()
	p.uses["chk-1"] = []string{"chk-1/a", "shared/a"}
	p.partial = []string{"savepoint-2"}
	p.add(t, time.Second, "chk-1/MANIFEST", "chk-1/a")
	p.add(t, 0, "shared/a")
	for old, name := range map[string]string{"chk-1/a": "savepoint-2/a", "shared/a": "savepoint-2/1.a"} {
		if err := p.Link(t.Context(), old, name); err != nil {
			t.Fatal(err)
		}
	}
	p.now = p.now.Add(48 * time.Hour)
	if g, err := p.collect(t, true, 0); err != nil || g.names() != "" {
		t.Errorf("%v, %v", g.names(), err)
	}
}
