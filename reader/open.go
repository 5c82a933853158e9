// Package reader reads checkpoints in Tidemark's own format, lazily: opening one
// costs a few small reads whatever its size, and each further question reads
// just what it needs.
//
//	c, err := reader.Open(ctx, st, "chk-7")
//	defer c.Close()
//	for e, err := range c.Keyed(ctx, "count", "counter", keygroup.All()) { … }
//
// State written by any number of subtasks is read for any interval of hashes
// without reading the rest. Memory is bounded by a few blocks for each running
// iterator. A byte that is not the one that was written is never returned; what
// is wrong is a [*format.CorruptError] that names object and offset.
//
// [NewFormat] and [NewModel] present all of this in the model of package
// checkpoint, for the tools.
package reader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/store"
)

// ErrNoState: the checkpoint has no such operator or state.
var ErrNoState = errors.New("no such state")

// Option configures Open.
type Option func(*options)

type options struct {
	limits format.Limits
	logger *slog.Logger
	show   func(dir string) string
}

// WithDisplay sets how the commands in findings name a directory of the store,
// for example by its full path. The default is the directory below the root.
func WithDisplay(show func(dir string) string) Option { return func(o *options) { o.show = show } }

// WithLimits bounds what is decoded; zero fields keep their defaults.
func WithLimits(l format.Limits) Option { return func(o *options) { o.limits = l } }

// WithLogger sets where what opening could live with is logged. The default is
// silence; [Checkpoint.Notes] tells the same.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// Checkpoint is an opened checkpoint. Its methods may be called from several
// goroutines at once. Slices that they return may be kept but not changed; they
// are shared.
type Checkpoint struct {
	st       store.Store
	dir      string
	from     string // the object that the manifest was read from
	manifest *format.ManifestReader
	object   store.Object // of the manifest
	limits   format.Limits
	show     func(dir string) string
	handles  handles

	mu           sync.Mutex
	notes        []checkpoint.Finding
	second       *format.ManifestReader // the copy, once a damage was found
	secondObject store.Object

	operators lazy[format.Operator]
	states    lazy[format.State]
	edges     lazy[format.Edge]
	objects   lazy[format.Object]
	schemas   lazy[*format.Schema]
	settings  lazy[format.Setting]
	losses    lazy[format.Loss]
}

// Open opens the checkpoint in a directory of the store: "chk-7", "savepoint-7".
// The store's root must be the checkpoints' root, because shared objects are
// named from there; a savepoint may lie anywhere below any root.
//
// The manifest is opened, not read. If it is there but damaged, its copy is
// opened instead, and [Checkpoint.Notes] says so; if it is absent the copy is
// not looked at, because a checkpoint without a manifest was never committed.
//
// Besides failures of the store, errors are one of [checkpoint.ErrNone],
// [checkpoint.ErrIncomplete], [checkpoint.ErrDamaged] and
// [checkpoint.ErrUnsupported]. ctx is for opening only.
func Open(ctx context.Context, st store.Store, dir string, opts ...Option) (*Checkpoint, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if o.limits.Block == 0 {
		o.limits.Block = format.DefaultLimits().Block
	}
	if o.show == nil {
		o.show = func(dir string) string { return dir }
	}
	c := &Checkpoint{st: st, dir: dir, limits: o.limits, show: o.show, handles: handles{st: st}}
	err := c.openManifest(ctx, layout.Join(dir, layout.Manifest))
	switch {
	case err == nil:
	case errors.Is(err, store.ErrNotExist) || errors.Is(err, store.ErrName):
		return nil, absent(ctx, st, dir)
	case errors.Is(err, format.ErrTooNew) || errors.Is(err, format.ErrLimit):
		return nil, fmt.Errorf("%s: %w: %w", dir, checkpoint.ErrUnsupported, err)
	case errors.Is(err, format.ErrDamaged):
		if second := c.openManifest(ctx, layout.Join(dir, layout.ManifestCopy)); second != nil {
			return nil, fmt.Errorf("%s: %w: %w (and the copy: %w)", dir, checkpoint.ErrDamaged, err, second)
		}
		c.note(err)
		if o.logger != nil {
			o.logger.Warn("the manifest is damaged, its copy is used", "dir", dir, "error", err)
		}
	default:
		return nil, fmt.Errorf("open checkpoint %s: %w", dir, err)
	}
	return c, nil
}

// absent tells a checkpoint that was never committed from nothing at all.
func absent(ctx context.Context, st store.Store, dir string) error {
	if store.CheckPrefix(dir+"/") != nil {
		return fmt.Errorf("%s: %w", dir, checkpoint.ErrNone)
	}
	for info, err := range st.List(ctx, dir+"/") {
		if err != nil {
			return fmt.Errorf("open checkpoint %s: %w", dir, err)
		}
		if base := info.Name[len(dir)+1:]; base == layout.ManifestCopy || layout.DataWriter(base) != "" {
			return fmt.Errorf("%s: %w", dir, checkpoint.ErrIncomplete)
		}
	}
	return fmt.Errorf("%s: %w", dir, checkpoint.ErrNone)
}

// openManifest opens the manifest or its copy.
func (c *Checkpoint) openManifest(ctx context.Context, name string) error {
	object, err := c.st.Open(context.WithoutCancel(ctx), name)
	if err != nil {
		return notObject(name, err)
	}
	m, err := format.OpenManifest(object, object.Info().Size, format.ManifestOptions{Object: name, Limits: &c.limits})
	if err == nil {
		err = c.belongs(name, &m.Summary)
	}
	if err != nil {
		return errors.Join(err, object.Close())
	}
	c.manifest, c.object, c.from = m, object, name
	return nil
}

// notObject makes damage of an error that says that something else than a
// regular object stands under a manifest's name.
func notObject(name string, err error) error {
	if errors.Is(err, store.ErrNotObject) {
		return &format.CorruptError{Object: name, Unit: "manifest", Err: fmt.Errorf("%w: %w", format.ErrMalformed, err)}
	}
	return err
}

// belongs requires that a manifest lies where it says that it lies; only a
// savepoint may have been moved alone (R13).
func (c *Checkpoint) belongs(name string, s *format.Summary) error {
	if s.Path == c.dir {
		return nil
	}
	_, savepoint, ok := layout.ParseDir(c.dir)
	if s.Kind == format.Savepoint && (!ok || savepoint) {
		return nil
	}
	return &format.CorruptError{Object: name, Unit: "summary", Err: fmt.Errorf("%w: this is the manifest of %q, not of %q; to move a checkpoint, copy it with the tool",
		format.ErrMalformed, s.Path, c.dir)}
}

// note remembers that the copy had to be used.
func (c *Checkpoint) note(err error) {
	place := checkpoint.At(layout.Join(c.dir, layout.Manifest))
	var corrupt *format.CorruptError
	if errors.As(err, &corrupt) {
		place.Offset = corrupt.Offset
	}
	c.notes = append(c.notes, checkpoint.Finding{
		Severity: checkpoint.Error, Place: place,
		Problem: "the manifest is damaged; its copy was used instead", Err: err,
		Remedy: c.restore(),
	})
}

// Close releases everything. No iterator may be running.
func (c *Checkpoint) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := errors.Join(c.handles.close(), c.object.Close())
	if c.secondObject != nil {
		err = errors.Join(err, c.secondObject.Close())
		c.secondObject = nil
	}
	return err
}

// Dir is the directory that was opened.
func (c *Checkpoint) Dir() string { return c.dir }

// Summary describes the checkpoint as a whole.
func (c *Checkpoint) Summary() format.Summary { return c.manifest.Summary }

// Notes are what opening, and reading the manifest so far, found wrong and could
// live with.
func (c *Checkpoint) Notes() []checkpoint.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.notes)
}

// remedy is a command of the tool on this checkpoint.
func (c *Checkpoint) remedy(verb string, args ...string) string {
	return strings.Join(append([]string{"tidemark", verb, shellWord(c.show(c.dir))}, args...), " ")
}

// restore is the command for damage that a restore can live with: it makes the
// job write a new checkpoint.
func (c *Checkpoint) restore() string {
	return "tidemark run JOB --restore " + shellWord(c.show(c.dir))
}

// shellWord quotes a word for a shell if it needs that.
func shellWord(w string) string {
	if w != "" && w[0] != '=' && strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%,=") == "" {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
