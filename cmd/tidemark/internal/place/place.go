// Package place finds the checkpoints that a path on the command line means,
// and is the one place that lists the formats.
package place

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/local"
)

// ErrScheme is the error for an address of a storage that this version does not
// know.
var ErrScheme = errors.New("only local directories are supported so far")

// formats lists the formats, in the order they are probed.
func formats(st store.Store) []checkpoint.Format {
	return []checkpoint.Format{reader.NewFormat(st)}
}

// Place is an opened root and what the path means in it.
type Place struct {
	Root string // directory of the store, as it leads there from here
	Path string // of one checkpoint below the root; "" for the root itself

	store   *local.Store
	formats []checkpoint.Format
}

// Open finds the root of a path: a root, a checkpoint's directory in it, or a
// manifest in that. References of a checkpoint are relative to the root, so the
// root has to be opened even if one checkpoint is meant. The caller closes the
// place.
func Open(path string) (*Place, error) {
	if scheme, _, ok := strings.Cut(path, "://"); ok {
		return nil, fmt.Errorf("%s: %w, not %s", path, ErrScheme, scheme)
	}
	root, below, err := split(path)
	if err != nil {
		return nil, err
	}
	st, err := local.Open(root)
	if err != nil {
		return nil, err
	}
	return &Place{Root: root, Path: below, store: st, formats: formats(st)}, nil
}

// split cuts a path into a root and what is below it.
func split(path string) (root, below string, err error) {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch base := filepath.Base(path); {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("%s: %w", path, checkpoint.ErrNone)
	case err != nil:
		return "", "", err
	case info.IsDir():
	case base == layout.Manifest || base == layout.ManifestCopy:
		path = filepath.Dir(path)
	default:
		return "", "", fmt.Errorf("%s: %w: it is a file; name a checkpoint's directory or its MANIFEST", path, checkpoint.ErrNone)
	}
	// The name tells a checkpoint, so "." needs its real one; a savepoint that
	// was moved may have any.
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", "", err
	}
	_, _, named := layout.ParseDir(filepath.ToSlash(abs))
	if _, err := os.Lstat(filepath.Join(path, layout.Manifest)); err != nil && !named {
		return path, "", nil
	}
	return filepath.Join(path, ".."), filepath.Base(abs), nil
}

// Close gives the root back.
func (p *Place) Close() error { return p.store.Close() }

// Show is the path that leads from here to something below the root.
func (p *Place) Show(below string) string {
	return filepath.Join(p.Root, filepath.FromSlash(below))
}

// Remedy makes a command that names things below the root one that works from
// here.
func (p *Place) Remedy(command, below string) string {
	words := strings.Fields(command)
	for i, w := range words {
		if w == below || strings.HasPrefix(w, below+"/") {
			words[i] = p.Show(w)
		}
	}
	return strings.Join(words, " ")
}

// Open opens the checkpoint at a path below the root with the format that
// recognises it.
func (p *Place) Open(ctx context.Context, below string) (checkpoint.Checkpoint, error) {
	for _, f := range p.formats {
		ok, err := f.Probe(ctx, below)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Show(below), err)
		}
		if !ok {
			continue
		}
		c, err := f.Open(ctx, below)
		if err != nil {
			return nil, p.named(below, err)
		}
		return c, nil
	}
	return nil, fmt.Errorf("%s: %w", p.Show(below), checkpoint.ErrNone)
}

// named says in an error what it is about, as the path that leads there from
// here, instead of the path below the root where the error begins with that.
func (p *Place) named(below string, err error) error {
	if rest, ok := strings.CutPrefix(err.Error(), below+": "); ok {
		return &shownError{text: p.Show(below) + ": " + rest, err: err}
	}
	return fmt.Errorf("%s: %w", p.Show(below), err)
}

// shownError is an error with another text.
type shownError struct {
	text string
	err  error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.err }

// List describes the checkpoints that the path means: all of the root, or the
// one. Those that cannot be read are among them, with their status.
func (p *Place) List(ctx context.Context) ([]checkpoint.Info, error) {
	all, err := p.All(ctx)
	if p.Path == "" || err != nil {
		return all, err
	}
	return slices.DeleteFunc(all, func(info checkpoint.Info) bool { return info.Path != p.Path }), nil
}

// Store is the opened root. It is closed with the place.
func (p *Place) Store() store.Store { return p.store }

// All describes all checkpoints of the root, even if the path means one.
func (p *Place) All(ctx context.Context) ([]checkpoint.Info, error) {
	var all []checkpoint.Info
	for _, f := range p.formats {
		lister, ok := f.(checkpoint.Lister)
		if !ok {
			continue
		}
		for info, err := range lister.List(ctx, "") {
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.Root, err)
			}
			all = append(all, info)
		}
	}
	return all, nil
}

// Before is the path of the newest complete checkpoint that is older than the
// given one; "" if there is none.
func (p *Place) Before(ctx context.Context, below string) (string, error) {
	id, _, _ := layout.ParseDir(below)
	older := ""
	for _, f := range p.formats {
		lister, ok := f.(checkpoint.Lister)
		if !ok {
			continue
		}
		for info, err := range lister.List(ctx, "") {
			if err != nil {
				return "", fmt.Errorf("%s: %w", p.Root, err)
			}
			if info.Status == checkpoint.Complete && info.ID < id {
				older = info.Path
			}
		}
	}
	return older, nil
}

// Newest is the path of the newest complete checkpoint that the path means.
// skipped counts newer ones that are not complete.
func (p *Place) Newest(ctx context.Context) (below string, skipped int, err error) {
	if p.Path != "" {
		return p.Path, 0, nil
	}
	all, err := p.List(ctx)
	if err != nil {
		return "", 0, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Status == checkpoint.Complete {
			return all[i].Path, len(all) - 1 - i, nil
		}
	}
	if len(all) > 0 {
		return "", 0, fmt.Errorf("%s: %w among %d: none is complete; \"tidemark ls %s\" shows them", p.Root, checkpoint.ErrNone, len(all), p.Root)
	}
	return "", 0, fmt.Errorf("%s: %w", p.Root, checkpoint.ErrNone)
}
