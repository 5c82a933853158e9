// Package place finds the checkpoints that a path on the command line means,
// and is the one place that lists the formats.
package place

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	gopath "path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/flink/edit"
	"github.com/tidemark-io/tidemark/native"
	"github.com/tidemark-io/tidemark/store"
)

// ErrAmbiguous is the error for a path below which several jobs have checkpoints,
// where one checkpoint is needed.
var ErrAmbiguous = errors.New("several jobs have checkpoints here; name the folder of one")

// formats lists the formats, in the order they are probed. The options are what the
// user said about checkpoints of Flink.
func formats(st store.Store, root string, opts []flink.Option) []checkpoint.Format {
	opts = append(opts, flink.WithShow(func(dir string) string {
		return filepath.Join(root, filepath.FromSlash(dir))
	}))
	// Flink names files by the paths they had: with and without links.
	if IsAddress(root) {
		opts = append(opts, flink.WithRoot(root))
	} else if abs, err := filepath.Abs(root); err == nil {
		opts = append(opts, flink.WithRoot(filepath.ToSlash(abs)))
		if real, err := filepath.EvalSymlinks(abs); err == nil && real != abs {
			opts = append(opts, flink.WithRoot(filepath.ToSlash(real)))
		}
	}
	return []checkpoint.Format{native.NewFormat(st), edit.NewFormat(st, opts...)}
}

// describer is a format that describes one checkpoint without listing its
// neighbours.
type describer interface {
	Describe(ctx context.Context, path string) (checkpoint.Info, error)
}

// Place is an opened root and what the path means in it.
type Place struct {
	Root string // directory or address of the store, as it leads there from here
	Path string // of one checkpoint below the root; "" for the root itself

	store   Root
	mounted *mounted // the store, if files lie outside
	formats []checkpoint.Format
}

// Open finds the root of a path: a root, a checkpoint's directory in it, or a
// manifest in that. References of a checkpoint are relative to the root, so the
// root has to be opened even if one checkpoint is meant. The caller closes the
// place.
func Open(ctx context.Context, path string, of Flink) (*Place, error) {
	root, below, st, err := split(ctx, path)
	if err != nil {
		return nil, err
	}
	p := &Place{Root: root, Path: below, store: st}
	opts, err := of.options(ctx, p)
	if err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	p.formats = formats(p.store, root, opts)
	return p, nil
}

// splitPath cuts a local path into a root and what is below it.
func splitPath(path string) (root, below string, err error) {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch base := filepath.Base(path); {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("%s: %w", path, checkpoint.ErrNone)
	case err != nil:
		return "", "", err
	case info.IsDir():
	case base == layout.Manifest || base == layout.ManifestCopy || base == flink.MetadataName:
		path = filepath.Dir(path)
	default:
		return "", "", fmt.Errorf("%s: %w: it is a file; name a checkpoint's directory, its MANIFEST or its _metadata", path, checkpoint.ErrNone)
	}
	// The name tells a checkpoint, so "." needs its real one; a savepoint that
	// was moved may have any.
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", "", err
	}
	_, _, named := layout.ParseDir(filepath.ToSlash(abs))
	if !named && !has(path, layout.Manifest) && !has(path, flink.MetadataName) {
		return path, "", nil
	}
	// Folders of Flink may have names that no store allows; what lies beside them
	// is then out of reach.
	if store.CheckName(filepath.Base(abs)) != nil && has(path, flink.MetadataName) {
		return path, "", nil
	}
	return filepath.Join(path, ".."), filepath.Base(abs), nil
}

// has reports whether a directory has an entry.
func has(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// Close gives the root back.
func (p *Place) Close() error { return p.store.Close() }

// Show is the path that leads from here to something below the root.
func (p *Place) Show(below string) string {
	if p.mounted != nil {
		if at, rest := p.mounted.find(below); at != nil {
			return Join(at.address, rest)
		}
	}
	return Join(p.Root, below)
}

// Remedy makes a command that names things below the root one that works from
// here.
func (p *Place) Remedy(command, below string) string {
	words := strings.Fields(command)
	for i, w := range words {
		if w == below || strings.HasPrefix(w, below+"/") {
			words[i] = out.Word(p.Show(w))
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
		if d, ok := f.(describer); ok && p.Path != "" {
			info, err := p.describe(ctx, f, d)
			if err != nil {
				return nil, err
			}
			all = append(all, info...)
			continue
		}
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

// describe describes the one checkpoint of the place, if it is of the format.
func (p *Place) describe(ctx context.Context, f checkpoint.Format, d describer) ([]checkpoint.Info, error) {
	ok, err := f.Probe(ctx, p.Path)
	if err == nil && !ok {
		return nil, nil
	}
	var info checkpoint.Info
	if err == nil {
		info, err = d.Describe(ctx, p.Path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Show(p.Path), err)
	}
	return []checkpoint.Info{info}, nil
}

// Before is the path of the newest complete checkpoint that is older than the
// given one; "" if there is none.
func (p *Place) Before(ctx context.Context, below string) (string, error) {
	id, _, ok := layout.ParseDir(below)
	older := ""
	if !ok {
		return older, nil
	}
	for _, f := range p.formats {
		lister, ok := f.(checkpoint.Lister)
		if !ok {
			continue
		}
		for info, err := range lister.List(ctx, "") {
			if err != nil {
				return "", fmt.Errorf("%s: %w", p.Root, err)
			}
			if info.Status == checkpoint.Complete && info.ID < id && gopath.Dir(info.Path) == gopath.Dir(below) {
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
	for _, info := range all {
		if gopath.Dir(info.Path) != gopath.Dir(all[0].Path) {
			return "", 0, fmt.Errorf("%s: %w: \"tidemark ls %s\" shows them", p.Root, ErrAmbiguous, out.Word(p.Root))
		}
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Status == checkpoint.Complete {
			return all[i].Path, len(all) - 1 - i, nil
		}
	}
	if len(all) > 0 {
		return "", 0, fmt.Errorf("%s: %w among %d: none is complete; \"tidemark ls %s\" shows them", p.Root, checkpoint.ErrNone, len(all), out.Word(p.Root))
	}
	return "", 0, p.None(ctx)
}
