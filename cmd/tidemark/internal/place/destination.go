package place

import (
	"context"
	"errors"
	gopath "path"
	"path/filepath"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/store"
)

// Destination is where a tool makes a checkpoint.
type Destination struct {
	Format checkpoint.Format // on the store that the path is in
	Path   string            // below that store's root
	Shown  string            // as it was given

	// Store is the store that the path is in, for what makes a checkpoint of
	// another format than the source's.
	Store store.Store

	store Root // nil if it is the source's
}

// ErrParent is the error for a destination in a directory that does not exist.
var ErrParent = errors.New("the directory that it is to be in does not exist")

// Destination finds out where a path leads to at which a tool is to make a
// checkpoint of another one, the source, of this place. Below the place's root that is the same
// store, so that objects can be linked there instead of copied. Nothing may be
// at the path yet. The caller closes the destination before the place.
func (p *Place) Destination(ctx context.Context, source, path string) (*Destination, error) {
	shown := path
	if !IsAddress(path) {
		shown = filepath.Clean(path)
	}
	parent, base, err := parentOf(ctx, strings.TrimRight(shown, "/"))
	if err != nil {
		return nil, err
	}
	of := p.formatOf(ctx, source)
	if below, ok := p.below(parent); ok {
		return &Destination{Format: p.formats[of], Path: gopath.Join(below, base), Shown: shown, Store: p.store}, nil
	}
	st, err := OpenRoot(ctx, parent, false)
	if err != nil {
		return nil, err
	}
	return &Destination{Format: formats(st, parent, nil)[of], Path: base, Shown: shown, Store: st, store: st}, nil
}

// formatOf is the number of the format that recognises a checkpoint.
func (p *Place) formatOf(ctx context.Context, below string) int {
	for i, f := range p.formats {
		if ok, err := f.Probe(ctx, below); ok && err == nil {
			return i
		}
	}
	return 0
}

// below is the path of a directory below the root, if it is there.
func (p *Place) below(dir string) (string, bool) {
	if IsAddress(p.Root) || IsAddress(dir) {
		rest, ok := strings.CutPrefix(dir+"/", strings.TrimRight(p.Root, "/")+"/")
		return strings.Trim(rest, "/"), ok
	}
	root, err := filepath.EvalSymlinks(p.Root)
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		return "", false
	}
	rel, err := filepath.Rel(root, dir)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// Close gives the store back.
func (d *Destination) Close() error {
	if d.store == nil {
		return nil
	}
	return d.store.Close()
}
