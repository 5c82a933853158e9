package place

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/flink"
	"github.com/tidemark-io/tidemark/store"
)

// Flink is what a user says about checkpoints of Flink.
type Flink struct {
	// UIDs name operators of which a checkpoint has only a hash.
	UIDs []string
	// Paths say where files are now, "OLD=NEW": those whose URI in the metadata
	// begins with OLD are below NEW, a directory or an address.
	Paths []string
}

// ErrPath is the error for a path of Flink's files that is not of the form OLD=NEW.
var ErrPath = errors.New("it is not of the form OLD=NEW, what the metadata says and where it is now")

// options opens the stores of the paths, as a store of which the opened root is a
// part, and says to Flink's format where files are. The store closes what it opened.
func (f *Flink) options(ctx context.Context, p *Place) ([]flink.Option, error) {
	opts := []flink.Option{flink.WithUIDs(f.UIDs...)}
	for _, text := range f.Paths {
		was, is, ok := strings.Cut(text, "=")
		if was = strings.TrimRight(was, "/"); !ok || was == "" || is == "" {
			return nil, fmt.Errorf("--path %q: %w", text, ErrPath)
		}
		if below, inside := p.below(absolute(is)); inside {
			opts = append(opts, flink.WithPath(was, below))
			continue
		}
		st, err := OpenRoot(ctx, is, false)
		if errors.Is(err, store.ErrNotExist) {
			err = fmt.Errorf("--path %q: %s: %w", text, is, checkpoint.ErrNone)
		}
		if err != nil {
			return nil, err
		}
		if p.mounted == nil {
			p.mounted = &mounted{Root: p.store}
			p.store = p.mounted
		}
		opts = append(opts, flink.WithPath(was, p.mounted.mount(is, st)))
	}
	return opts, nil
}

// absolute is a local path from the top, without links as far as it exists.
func absolute(path string) string {
	if IsAddress(path) {
		return strings.TrimRight(path, "/")
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}

// mounted is a root with other stores in it, which are only read: their objects are
// found by their names and not listed.
type mounted struct {
	Root
	mounts []mount
}

// mount is a store under a name; address is where it is.
type mount struct {
	name, address string
	st            Root
}

// mount adds a store, and returns the name that its objects lie below.
func (m *mounted) mount(address string, st Root) string {
	name := fmt.Sprintf("tidemark-path-%d", len(m.mounts)+1)
	m.mounts = append(m.mounts, mount{name: name, address: address, st: st})
	return name
}

// find tells the store of an object and its name there.
func (m *mounted) find(name string) (*mount, string) {
	for i := range m.mounts {
		if rest, ok := strings.CutPrefix(name, m.mounts[i].name+"/"); ok {
			return &m.mounts[i], rest
		}
	}
	return nil, name
}

// Open opens an object of any of the stores.
func (m *mounted) Open(ctx context.Context, name string) (store.Object, error) {
	if at, rest := m.find(name); at != nil {
		return at.st.Open(ctx, rest)
	}
	return m.Root.Open(ctx, name)
}

// Stat describes an object of any of the stores.
func (m *mounted) Stat(ctx context.Context, name string) (store.Info, error) {
	at, rest := m.find(name)
	if at == nil {
		return m.Root.Stat(ctx, name)
	}
	info, err := at.st.Stat(ctx, rest)
	info.Name = name
	return info, err
}

// Create makes objects of the root only.
func (m *mounted) Create(ctx context.Context, name string) (store.Upload, error) {
	if at, _ := m.find(name); at != nil {
		return nil, &store.Error{Op: "create", Name: name, Err: store.ErrUnsupported}
	}
	return m.Root.Create(ctx, name)
}

// Remove removes objects of the root only.
func (m *mounted) Remove(ctx context.Context, name, version string) error {
	if at, _ := m.find(name); at != nil {
		return &store.Error{Op: "remove", Name: name, Err: store.ErrUnsupported}
	}
	return m.Root.Remove(ctx, name, version)
}

// List lists the root's objects.
func (m *mounted) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return m.Root.List(ctx, prefix)
}

// Link links objects of the root; those of others have to be copied.
func (m *mounted) Link(ctx context.Context, from, to string) error {
	l, ok := store.As[store.Linker](m.Root)
	if at, _ := m.find(from); at != nil || !ok {
		return &store.Error{Op: "link", Name: from, Err: store.ErrUnsupported}
	}
	return l.Link(ctx, from, to)
}

// Checksum asks the store that has the object.
func (m *mounted) Checksum(ctx context.Context, name string) (uint32, error) {
	if at, rest := m.find(name); at != nil {
		return store.Checksum(ctx, at.st, rest)
	}
	return store.Checksum(ctx, m.Root, name)
}

// Unwrap is the root, for its other abilities.
func (m *mounted) Unwrap() store.Store { return m.Root }

// Close closes all of the stores.
func (m *mounted) Close() error {
	err := m.Root.Close()
	for _, at := range m.mounts {
		err = errors.Join(err, at.st.Close())
	}
	return err
}
