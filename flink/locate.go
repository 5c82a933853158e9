package flink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/store"
)

// Where says how the bytes of a handle can be reached.
type Where byte

// Ways to reach bytes.
const (
	// Inline: they are in the metadata.
	Inline Where = iota + 1
	// Inside: the store has a name for them. Whether there is an object of
	// that name is another question.
	Inside
	// Moved: the URI leads elsewhere, but there is an object at the same place
	// relative to the checkpoint, or one of the same folder. Flink would not look
	// there.
	Moved
	// Outside: they lie outside the store's root, and nothing stands in for
	// them.
	Outside
	// Illegal: the path is one that no store has, for example upwards. Flink
	// never writes one.
	Illegal
)

// Location is where the bytes of a handle lie.
type Location struct {
	Where  Where
	Name   string // in the store: for Inside and Moved
	URI    string // as the metadata has it, "" for Inline
	Data   []byte // for Inline; nil is no bytes
	Offset int64  // of the first byte in the object
	Size   int64  // bytes, -1 if the metadata does not say
	Whole  bool   // the object has these bytes and no others
}

// ErrOutside is the error of opening bytes that lie outside the store's root.
var ErrOutside = errors.New("the file lies outside the checkpoint's root")

// Locate says where the bytes of a handle lie. It looks for objects only if a URI
// leads out of the store. A nil handle is Inline without data.
func (c *Checkpoint) Locate(ctx context.Context, h metadata.StreamHandle) (Location, error) {
	for depth := 0; ; depth++ {
		inner, ok := h.(*metadata.KeyGroupsStream)
		if !ok || depth > metadata.DefaultLimits().Nesting {
			break
		}
		h = inner.Delegate
	}
	switch h := h.(type) {
	case *metadata.ByteStream:
		return Location{Where: Inline, Data: h.Data, Size: int64(len(h.Data)), Whole: true}, nil
	case *metadata.RelativeFile:
		l := Location{Where: Inside, Name: layout.Join(c.dir, h.Path), URI: h.Path, Size: h.Size, Whole: true}
		if store.CheckName(l.Name) != nil || strings.Contains(h.Path, "/") {
			l.Where, l.Name = Illegal, ""
		}
		return l, nil
	case *metadata.File:
		return c.locateURI(ctx, Location{URI: h.Path, Size: h.Size, Whole: true})
	case *metadata.Segment:
		return c.locateURI(ctx, Location{URI: h.Path, Offset: h.Start, Size: h.Size})
	}
	return Location{Where: Inline, Whole: true}, nil
}

// locateURI fills in where an absolute URI leads.
func (c *Checkpoint) locateURI(ctx context.Context, l Location) (Location, error) {
	for _, base := range c.f.opts.bases {
		if name, below := base.name(l.URI); below {
			l.Where, l.Name = Inside, name
			if store.CheckName(name) != nil {
				l.Where, l.Name = Illegal, ""
			}
			return l, nil
		}
	}
	scheme, path := cutURI(l.URI)
	for _, root := range c.f.opts.roots {
		name, below := strings.CutPrefix(path, root+"/")
		if !below || scheme != "" && scheme != "file" {
			continue
		}
		l.Where, l.Name = Inside, name
		if store.CheckName(name) != nil {
			l.Where, l.Name = Illegal, ""
		}
		return l, nil
	}
	if err := c.findMoved(ctx, path, &l); err != nil || l.Where == Moved {
		return l, err
	}
	// Where other files of its folder are is where it would be.
	folders, err := c.movedFolders(ctx)
	if err != nil {
		return l, err
	}
	l.Where = Outside
	if folder, known := folders[parentOf(path)]; known && store.CheckName(layout.Join(folder, lastSegment(path))) == nil {
		l.Where, l.Name = Moved, layout.Join(folder, lastSegment(path))
	}
	return l, nil
}

// findMoved looks for the object that stands in for a path.
func (c *Checkpoint) findMoved(ctx context.Context, path string, l *Location) error {
	for _, name := range c.stands(path) {
		there, err := c.exists(ctx, name)
		if err != nil {
			return err
		}
		if there {
			l.Where, l.Name = Moved, name
			return nil
		}
	}
	return nil
}

// movedFolders finds out, once, where files of other places were found: from their
// folder as the metadata has it to that in the store.
func (c *Checkpoint) movedFolders(ctx context.Context) (map[string]string, error) {
	c.mu.Lock()
	known := c.folders
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	folders := map[string]string{}
	for ref := range c.m.Handles() {
		var uri string
		switch h := (*ref.Handle).(type) {
		case *metadata.File:
			uri = h.Path
		case *metadata.Segment:
			uri = h.Path
		default:
			continue
		}
		_, path := cutURI(uri)
		if _, done := folders[parentOf(path)]; done {
			continue
		}
		var l Location
		if err := c.findMoved(ctx, path, &l); err != nil {
			return nil, err
		}
		if l.Where == Moved {
			folders[parentOf(path)] = parentOf(l.Name)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.folders = folders
	return folders, nil
}

// cutURI parts a URI into its scheme, without colon, and the path in it; the
// authority is dropped. A path alone has no scheme.
func cutURI(uri string) (scheme, path string) {
	path = uri
	if i := strings.IndexByte(uri, ':'); i > 1 && !strings.Contains(uri[:i], "/") {
		scheme, path = strings.ToLower(uri[:i]), uri[i+1:]
	}
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			path = rest[i:]
		}
	}
	return scheme, path
}

// stands lists the names that stand in for a path, if the folder of the job or of
// the checkpoint was moved: what follows "shared" or "taskowned" in the folder of
// the job, and the file itself in the folder of the checkpoint. If the file has the
// name of a random UUID, the ends of the path stand in for it too, as in a copy of a
// bucket. Only legal names are among them.
func (c *Checkpoint) stands(path string) []string {
	var names []string
	add := func(name string) {
		if store.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	segments := strings.Split(path, "/")
	for i := len(segments) - 2; i > 0; i-- {
		if segments[i] == sharedDir || segments[i] == taskOwnedDir {
			add(layout.Join(parentOf(c.dir), strings.Join(segments[i:], "/")))
		}
	}
	add(layout.Join(c.dir, segments[len(segments)-1]))
	for i := 0; i < len(segments)-1 && isUUID(segments[len(segments)-1]); i++ {
		add(strings.Join(segments[i:], "/"))
	}
	return names
}

// exists asks the store for an object, once for each name.
func (c *Checkpoint) exists(ctx context.Context, name string) (bool, error) {
	c.mu.Lock()
	there, known := c.there[name]
	c.mu.Unlock()
	if known {
		return there, nil
	}
	_, err := c.f.st.Stat(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotExist) && !errors.Is(err, store.ErrNotObject) {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.there == nil {
		c.there = map[string]bool{}
	}
	c.there[name] = err == nil
	return err == nil, nil
}

// inlineSuffix tells inline data from the metadata in the names of errors.
const inlineSuffix = ", inline data"

// Source is opened bytes of a handle. Offsets count from the handle's first byte.
type Source struct {
	*io.SectionReader
	// Object is what errors should call it: the name in the store. Of inline
	// data it is the metadata's and that it is inline; offsets are those in it.
	Object string
	closer io.Closer
}

// Close releases what is open.
func (s *Source) Close() error {
	if s.closer == nil {
		return nil
	}
	return s.closer.Close()
}

// OpenHandle opens the bytes of a handle. The caller closes them. It never reads
// beyond a segment. An object that is not there is an error that is
// [store.ErrNotExist]; bytes out of reach are [ErrOutside].
func (c *Checkpoint) OpenHandle(ctx context.Context, h metadata.StreamHandle) (*Source, error) {
	l, err := c.Locate(ctx, h)
	if err != nil {
		return nil, err
	}
	switch l.Where {
	case Inline:
		return &Source{SectionReader: io.NewSectionReader(bytes.NewReader(l.Data), 0, int64(len(l.Data))), Object: c.name + inlineSuffix}, nil
	case Outside, Illegal:
		return nil, fmt.Errorf("%s: %q: %w", c.dir, l.URI, ErrOutside)
	}
	o, err := c.f.st.Open(ctx, l.Name)
	if err != nil {
		return nil, err
	}
	size := o.Info().Size
	if !l.Whole {
		size = min(l.Size, max(size-l.Offset, 0))
	}
	return &Source{SectionReader: io.NewSectionReader(o, l.Offset, size), Object: l.Name, closer: o}, nil
}
