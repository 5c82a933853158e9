package recovery

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/store"
)

// Errors of GC; those returned wrap them with what it is about.
var (
	// ErrUncertain: a checkpoint does not read, so it may use anything.
	ErrUncertain = errors.New("it does not read and may use any object, so nothing can be removed")
	// ErrBeyond: a checkpoint lies deeper below the root than checkpoints are
	// looked for, so what it uses is not known.
	ErrBeyond = errors.New("it is a checkpoint of another root below this one, so nothing can be removed from here")
	// ErrBusy: the set of checkpoints changed each time that it was looked at.
	ErrBusy = errors.New("the checkpoints change faster than they can be read")
)

const (
	// defaultGCAge is how old garbage must be unless somebody says otherwise.
	defaultGCAge = 24 * time.Hour
	// defaultTimeout is that of checkpoints which do not state theirs.
	defaultTimeout = 10 * time.Minute
	gcBatch        = 100 // objects deleted between two looks at the checkpoints
	gcTries        = 10
)

// timeoutKey is the setting that bounds the time that a checkpoint takes.
const timeoutKey = "execution.checkpointing.timeout"

// GCOptions say what GC works on. List and Open are required.
type GCOptions struct {
	// List describes all checkpoints of the root, those that do not read too.
	List func(context.Context) ([]checkpoint.Info, error)
	Open Opener
	// Apply deletes; else GC only says what it would delete.
	Apply bool
	// MinAge is how old an object must be, 0 for 24 hours. It is raised to twice
	// the longest timeout of a checkpoint that is found.
	MinAge time.Duration
	// ParseTimeout reads the value of the setting that has the timeout.
	ParseTimeout func(string) (time.Duration, error)
	// Now is the time where nothing may be written to ask the store for its
	// own, that is without Apply; nil is the machine's.
	Now func() time.Time
	// Deleted is called for each object that was deleted; nil is nobody.
	Deleted func(store.Info)
}

// Garbage is the result of GC.
type Garbage struct {
	Objects []store.Info  // that no checkpoint uses and that go, or are gone
	Bytes   uint64        // of Objects
	Young   int           // objects that no checkpoint uses but that are too young
	Newest  int           // old enough, but not older than the newest run
	MinAge  time.Duration // that was applied
	Deleted int           // of Objects
}

// GC finds, and with Apply deletes, the objects that no checkpoint of a root
// uses: in the shared folder, in directories that were never committed, and
// strays in those of checkpoints. Writers may be at work (R12): candidates are
// listed before the manifests are read, everything begins anew if the checkpoints
// change meanwhile, they are listed again before each batch of deletions, and an
// object goes only in the version that was listed. An object younger than MinAge
// by the store's clock, or than the record of the newest run, stays.
//
// A checkpoint that does not read is an error that is [ErrUncertain], one that
// List does not reach [ErrBeyond], a root without any one [checkpoint.ErrNone]. After an error what was deleted
// until then is gone, and Garbage says how much that is. Memory is proportional to
// the number of objects.
func GC(ctx context.Context, st store.Store, o GCOptions) (*Garbage, error) {
	g := collector{st: st, o: o, Garbage: &Garbage{}}
	var err error
	if g.now, err = g.clock(ctx); err != nil {
		return g.Garbage, err
	}
	for range gcTries {
		var again bool
		if again, err = g.pass(ctx); err != nil || !again {
			return g.Garbage, err
		}
	}
	return g.Garbage, ErrBusy
}

// collector is one collection.
type collector struct {
	*Garbage
	st      store.Store
	o       GCOptions
	now     time.Time
	timeout time.Duration // longest found
	run     time.Time     // when the newest run began
	old     []store.Info
	seen    []string        // the checkpoints, as they were listed
	dirs    map[string]bool // of the checkpoints
	homes   map[string]bool // folders that these lie in, each behind a slash
	used    map[string]bool
	twins   map[twin]bool // of used objects
	gone    []store.Info  // deleted by passes before this one
	flink   foreign
}

// twin tells objects that may be names of one file.
type twin struct {
	base string
	size int64
	time int64
}

// twinOf is the same for a link whose name has got a number in front, since that of
// the object was taken.
func twinOf(info store.Info) twin {
	base := info.Name[strings.LastIndexByte(info.Name, '/')+1:]
	if number, rest, ok := strings.Cut(base, "."); ok && strings.Trim(number, "0123456789") == "" {
		base = rest
	}
	return twin{base, info.Size, info.Modified.UnixNano()}
}

// clock asks the store for its time, by an object that is made and deleted.
func (g *collector) clock(ctx context.Context) (time.Time, error) {
	if !g.o.Apply {
		if g.o.Now != nil {
			return g.o.Now(), nil
		}
		return time.Now(), nil
	}
	var random [8]byte
	rand.Read(random[:])
	name := layout.Shared + "/gc-" + hex.EncodeToString(random[:]) + ".probe"
	info, err := store.WriteAll(ctx, g.st, name, []byte("gc\n"))
	if err != nil {
		return time.Time{}, fmt.Errorf("asking the store for its time: %w", err)
	}
	return info.Modified, g.st.Remove(context.WithoutCancel(ctx), name, info.Version)
}

// pass does everything once. again says that the checkpoints have changed.
func (g *collector) pass(ctx context.Context) (again bool, err error) {
	g.Objects, g.Bytes, g.Young, g.Newest = slices.Clone(g.gone), 0, 0, 0
	if err := g.candidates(ctx); err != nil {
		return false, err
	}
	if again, err = g.read(ctx); err != nil || again {
		return again, err
	}
	g.MinAge = g.o.MinAge
	if g.MinAge == 0 {
		g.MinAge = defaultGCAge
	}
	g.MinAge = max(g.MinAge, 2*g.timeout)
	g.twins = map[twin]bool{}
	for _, info := range g.old {
		if g.used[info.Name] {
			g.twins[twinOf(info)] = true
		}
	}
	for _, info := range g.old {
		switch {
		case g.used[info.Name] || !g.ours(info.Name) || g.linked(info):
		case g.now.Sub(info.Modified) < g.MinAge:
			g.Young++
		case !g.run.IsZero() && !info.Modified.Before(g.run):
			g.Newest++
		default:
			g.Objects = append(g.Objects, info)
		}
	}
	for _, info := range g.Objects {
		g.Bytes += uint64(max(info.Size, 0))
	}
	if !g.o.Apply {
		return false, nil
	}
	return g.remove(ctx)
}

// candidates lists all objects, and finds out when the newest run began.
func (g *collector) candidates(ctx context.Context) error {
	g.old, g.run = nil, time.Time{}
	for info, err := range g.st.List(ctx, "") {
		if err != nil {
			return err
		}
		if _, ok := layout.ParseRun(info.Name); ok && info.Modified.After(g.run) {
			g.run = info.Modified
		}
		g.old = append(g.old, info)
	}
	return nil
}

// read reads what all checkpoints use. again says that one has come or gone
// meanwhile.
func (g *collector) read(ctx context.Context) (again bool, err error) {
	g.seen, g.dirs, g.homes, g.used, g.timeout = nil, map[string]bool{}, map[string]bool{}, map[string]bool{}, 0
	g.flink = foreign{}
	infos, err := g.o.List(ctx)
	if err != nil {
		return false, err
	}
	visible := 0
	for _, info := range infos {
		g.seen = append(g.seen, identity(info))
		g.dirs[info.Path] = true
		g.flink.note(info)
		path := "/" + info.Path
		g.homes[path[:strings.LastIndexByte(path, '/')]] = true
	}
	if err := g.beyond(ctx); err != nil {
		return false, err
	}
	for _, info := range infos {
		if info.Status == checkpoint.Incomplete {
			continue
		}
		visible++
		err := g.readOne(ctx, info.Path)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		if changed, lerr := g.changed(ctx); changed || lerr != nil {
			return changed, lerr
		}
		return false, fmt.Errorf("%s: %w: %w", info.Path, ErrUncertain, err)
	}
	if visible == 0 {
		return false, checkpoint.ErrNone
	}
	return g.changed(ctx)
}

// beyond returns an error if there is a checkpoint that was not listed: objects
// that only it uses would look like garbage.
func (g *collector) beyond(ctx context.Context) error {
	for _, o := range g.old {
		i := strings.LastIndexByte(o.Name, '/')
		if i < 0 || !metadata(o.Name[i+1:]) || g.dirs[o.Name[:i]] {
			continue
		}
		_, err := g.st.Stat(ctx, o.Name)
		switch {
		case errors.Is(err, store.ErrNotExist): // removed since the candidates were listed
		case err != nil:
			return err
		default:
			return fmt.Errorf("%s: %w", o.Name[:i], ErrBeyond)
		}
	}
	return nil
}

// identity tells whether a checkpoint is the one that was listed before.
func identity(info checkpoint.Info) string {
	return fmt.Sprint(info.Path, "\x00", info.ID, "\x00", info.Status, "\x00", info.WriterID, "\x00", info.Created.UnixNano())
}

// readOne notes what one checkpoint uses, and its timeout.
func (g *collector) readOne(ctx context.Context, path string) (err error) {
	c, err := g.o.Open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	layered, ok := c.(checkpoint.Layered)
	if !ok {
		return ErrNotReadable
	}
	for o, err := range layered.Objects(ctx) {
		if err != nil {
			return err
		}
		g.used[o.Name] = true
		if g.flink.bases != nil {
			g.flink.bases[o.Name[strings.LastIndexByte(o.Name, '/')+1:]] = true
		}
	}
	timeout := defaultTimeout
	if s, ok := c.(checkpoint.Configured); ok && g.o.ParseTimeout != nil {
		for set, err := range s.Settings(ctx) {
			if err != nil {
				return err
			}
			if set.Key != timeoutKey {
				continue
			}
			if d, perr := g.o.ParseTimeout(set.Value); perr == nil {
				timeout = d
			}
		}
	}
	g.timeout = max(g.timeout, timeout)
	return nil
}

// changed lists the checkpoints again and compares.
func (g *collector) changed(ctx context.Context) (bool, error) {
	infos, err := g.o.List(ctx)
	if err != nil {
		return false, err
	}
	var now []string
	for _, info := range infos {
		now = append(now, identity(info))
	}
	return !slices.Equal(g.seen, now), nil
}

// ours reports whether an object is one that can be garbage: of a shared folder
// beside checkpoints, or of a checkpoint's directory, and neither manifest nor
// lost-and-found of a visible checkpoint, which nothing refers to. Records of runs, of
// history, and what is not a checkpoint's, are left alone.
func (g *collector) ours(name string) bool {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return false
	}
	if decides, garbage := g.flink.decides(name); decides {
		return garbage
	}
	dir, base := name[:i], name[i+1:]
	if home, ok := strings.CutSuffix("/"+dir, "/"+layout.Shared); ok && g.homes[home] {
		return true
	}
	if !g.dirs[dir] {
		return false
	}
	return !metadata(base) && base != LostAndFound || !slices.ContainsFunc(g.old, func(o store.Info) bool {
		return o.Name == dir+"/MANIFEST" || o.Name == dir+"/_metadata"
	})
}

// linked reports whether an object is perhaps another name of one in use, made by
// a tool that has not committed yet: it is as old as that one and takes no space.
func (g *collector) linked(info store.Info) bool {
	return !strings.HasPrefix(info.Name, layout.Shared+"/") && g.twins[twinOf(info)]
}

// remove deletes what was found. A checkpoint that has come meanwhile may use what
// is left, so everything begins anew.
func (g *collector) remove(ctx context.Context) (again bool, err error) {
	for i, info := range g.Objects[len(g.gone):] {
		if i%gcBatch == 0 {
			if again, err := g.changed(ctx); err != nil || again {
				return again, err
			}
		}
		err := g.st.Remove(ctx, info.Name, info.Version)
		if errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrChanged) {
			continue
		}
		if err != nil {
			return false, err
		}
		g.Deleted++
		g.gone = append(g.gone, info)
		if g.o.Deleted != nil {
			g.o.Deleted(info)
		}
	}
	return false, nil
}
