package flink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/flink/metadata"
	"github.com/tidemark-io/tidemark/flink/wire"
	"github.com/tidemark-io/tidemark/store"
)

// MetadataName is the name of the file that makes a folder a checkpoint
// (AbstractFsCheckpointStorageAccess.METADATA_FILE_NAME).
const MetadataName = "_metadata"

// Names of the folders of a job (the same class).
const (
	sharedDir      = "shared"
	taskOwnedDir   = "taskowned"
	checkpointName = "chk-"
	savepointName  = "savepoint-"
)

// Format opens Flink's checkpoints of one store for the tools.
type Format struct {
	st   store.Store
	opts options
}

type options struct {
	roots  []string // paths of the store's root, none if unknown
	bases  []base
	uids   []string
	limits *metadata.Limits
	show   func(dir string) string
}

// Option is an option of [NewFormat].
type Option func(*options)

// WithRoot tells the absolute path of the store's root, with "/" as separator;
// there may be several, if it can be reached over links. URIs below it are then
// names in the store. Without it, and for all other URIs, [Checkpoint.Locate] goes
// by the end of the URI.
func WithRoot(path string) Option {
	return func(o *options) {
		if !strings.HasPrefix(path, "/") { // a drive letter, which a URI has behind a slash
			path = "/" + path
		}
		o.roots = append(o.roots, strings.TrimSuffix(path, "/"))
	}
}

// WithBase tells the URI of the store's root where the job ran, such as
// "s3://bucket": URIs below it are names in the store. A copy of a bucket can so be
// read in any place.
func WithBase(uri string) Option {
	return WithPath(uri, "")
}

// WithPath tells where the files are now whose URIs begin with the given one: below
// a name in the store. Of several that fit, the longest counts.
func WithPath(uri, below string) Option {
	return func(o *options) {
		o.bases = append(o.bases, base{strings.TrimRight(uri, "/"), below})
		slices.SortStableFunc(o.bases, func(a, b base) int { return len(b.uri) - len(a.uri) })
	}
}

// base is a URI and what its files lie below in the store, "" for the root.
type base struct{ uri, below string }

// name is the name in the store of a file below the base.
func (b base) name(uri string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(uri, b.uri+"/")
	if !ok && strings.HasPrefix(b.uri, "/") { // a path stands for the URI of a file too
		if scheme, path := cutURI(uri); scheme == "file" {
			rest, ok = strings.CutPrefix(path, b.uri+"/")
		}
	}
	return layout.Join(b.below, rest), ok
}

// WithUIDs names uids of the job's operators. Metadata before version 5 has hashes
// of them only; an operator whose hash is that of one of these is called by it.
func WithUIDs(uids ...string) Option {
	return func(o *options) { o.uids = append(o.uids, uids...) }
}

// WithLimits bounds what is read of metadata; nil stands for the defaults.
func WithLimits(l *metadata.Limits) Option { return func(o *options) { o.limits = l } }

// WithShow tells how a path below the store's root is written in remedies.
func WithShow(show func(dir string) string) Option { return func(o *options) { o.show = show } }

var (
	_ checkpoint.Format = (*Format)(nil)
	_ checkpoint.Lister = (*Format)(nil)
)

// NewFormat returns Flink's format on a store.
func NewFormat(st store.Store, opts ...Option) *Format {
	f := &Format{st: st, opts: options{show: func(dir string) string { return dir }}}
	for _, opt := range opts {
		opt(&f.opts)
	}
	return f
}

// Name is "flink".
func (f *Format) Name() string { return "flink" }

// metadataOf is the name of the metadata that a path means: of a folder, which may
// be "" for the root, or of the metadata itself.
func metadataOf(path string) (dir, name string) {
	if path == MetadataName {
		return "", path
	}
	if dir, ok := strings.CutSuffix(path, "/"+MetadataName); ok {
		return dir, path
	}
	return path, layout.Join(path, MetadataName)
}

// Probe reports whether there is metadata at the path, damaged or not, or files of
// a checkpoint that was never completed.
func (f *Format) Probe(ctx context.Context, path string) (bool, error) {
	dir, name := metadataOf(path)
	if store.CheckName(name) != nil {
		return false, nil
	}
	_, err := f.st.Stat(ctx, name)
	switch {
	case err == nil || errors.Is(err, store.ErrNotObject):
		return true, nil
	case !errors.Is(err, store.ErrNotExist):
		return false, err
	}
	err = f.absent(ctx, dir)
	if errors.Is(err, checkpoint.ErrIncomplete) {
		return true, nil
	}
	if errors.Is(err, checkpoint.ErrNone) {
		return false, nil
	}
	return false, err
}

// absent tells a checkpoint that was never completed from nothing at all: the
// folder of a checkpoint with a file that is named as Flink names its files.
func (f *Format) absent(ctx context.Context, dir string) error {
	if _, ok := checkpointID(dir); !ok || store.CheckPrefix(dir+"/") != nil {
		return fmt.Errorf("%s: %w", dir, checkpoint.ErrNone)
	}
	for info, err := range f.st.List(ctx, dir+"/") {
		if err != nil {
			return fmt.Errorf("open checkpoint %s: %w", dir, err)
		}
		if isUUID(info.Name[len(dir)+1:]) {
			return fmt.Errorf("%s: %w", dir, checkpoint.ErrIncomplete)
		}
	}
	return fmt.Errorf("%s: %w", dir, checkpoint.ErrNone)
}

// checkpointID is the number in the name of a checkpoint's folder, "chk-7".
func checkpointID(dir string) (uint64, bool) {
	digits, ok := strings.CutPrefix(lastSegment(dir), checkpointName)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 63)
	return id, err == nil
}

func lastSegment(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// isUUID reports whether a name is the text of a UUID, as Flink names files.
func isUUID(name string) bool {
	if len(name) != 36 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c < '0' || c > '9' && c < 'a' || c > 'f':
			return false
		}
	}
	return true
}

// Open opens the checkpoint in a folder, or whose metadata stands at the path. The
// metadata is read whole; nothing else is. Besides failures of the store, errors
// are one of [checkpoint.ErrNone], [checkpoint.ErrIncomplete],
// [checkpoint.ErrDamaged] and [checkpoint.ErrUnsupported], the latter two with a
// *[wire.Error] that names the offset.
func (f *Format) Open(ctx context.Context, path string) (checkpoint.Checkpoint, error) {
	c, err := f.OpenCheckpoint(ctx, path)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// OpenCheckpoint is Open with the type that this package has for a checkpoint.
func (f *Format) OpenCheckpoint(ctx context.Context, path string) (*Checkpoint, error) {
	dir, name := metadataOf(path)
	if store.CheckName(name) != nil {
		return nil, fmt.Errorf("%s: %w", path, checkpoint.ErrNone)
	}
	data, err := f.read(ctx, name)
	if errors.Is(err, store.ErrNotExist) {
		return nil, f.absent(ctx, dir)
	}
	var m *metadata.Metadata
	if err == nil {
		m, err = metadata.Decode(name, data, f.opts.limits)
	}
	if err != nil {
		return nil, classified(dir, err)
	}
	return newCheckpoint(f, dir, name, int64(len(data)), m), nil
}

// read reads metadata whole.
func (f *Format) read(ctx context.Context, name string) ([]byte, error) {
	limit := metadata.DefaultLimits().Bytes
	if f.opts.limits != nil && f.opts.limits.Bytes != 0 {
		limit = f.opts.limits.Bytes
	}
	data, err := store.ReadAll(ctx, f.st, name, int64(limit))
	switch {
	case errors.Is(err, store.ErrTooLarge):
		err = &wire.Error{Object: name, What: "metadata", Err: fmt.Errorf("%w: %w", wire.ErrLimit, err)}
	case errors.Is(err, store.ErrNotObject):
		err = &wire.Error{Object: name, What: "metadata", Err: fmt.Errorf("%w: %w", wire.ErrMalformed, err)}
	}
	return data, err
}

// classified adds to an error of decoding what the tools tell cases apart by.
// Errors of the storage stay as they are.
func classified(dir string, err error) error {
	var bad *wire.Error
	switch {
	case !errors.As(err, &bad):
		return fmt.Errorf("open checkpoint %s: %w", dir, err)
	case errors.Is(err, wire.ErrUnsupported) || errors.Is(err, wire.ErrLimit):
		return fmt.Errorf("%s: %w: %w", dir, checkpoint.ErrUnsupported, err)
	case errors.Is(err, wire.ErrMalformed) || errors.Is(err, wire.ErrTruncated):
		return fmt.Errorf("%s: %w: %w", dir, checkpoint.ErrDamaged, err)
	}
	return fmt.Errorf("open checkpoint %s: %w", dir, err)
}

// listDepth is how far below a path checkpoints are listed: the folder of a job,
// and the checkpoint in it.
const listDepth = 2

// List yields the checkpoints at a path, directly below it, and one folder further
// down, since Flink keeps the checkpoints of each job in a folder named by the
// job's id; ascending by job, then by id. Each one's metadata is read.
func (f *Format) List(ctx context.Context, path string) iter.Seq2[checkpoint.Info, error] {
	return func(yield func(checkpoint.Info, error) bool) {
		dirs, err := f.dirs(ctx, path)
		if err != nil {
			yield(checkpoint.Info{}, err)
			return
		}
		all := make([]checkpoint.Info, 0, len(dirs))
		for _, dir := range dirs {
			info, err := f.Describe(ctx, dir)
			if err != nil {
				yield(checkpoint.Info{}, err)
				return
			}
			all = append(all, info)
		}
		slices.SortStableFunc(all, func(a, b checkpoint.Info) int {
			return cmp.Or(strings.Compare(parentOf(a.Path), parentOf(b.Path)), cmp.Compare(a.ID, b.ID), strings.Compare(a.Path, b.Path))
		})
		for _, info := range all {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// dirs finds the folders of checkpoints by the names of the files in them.
func (f *Format) dirs(ctx context.Context, path string) ([]string, error) {
	prefix := ""
	if path != "" {
		prefix = path + "/"
	}
	var dirs []string
	var last string // folder of an incomplete checkpoint that was seen
	for info, err := range f.st.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		below := info.Name[len(prefix):]
		if strings.Count(below, "/") > listDepth {
			continue
		}
		dir, name := "", info.Name
		if i := strings.LastIndexByte(info.Name, '/'); i >= 0 {
			dir, name = info.Name[:i], info.Name[i+1:]
		}
		_, numbered := checkpointID(dir)
		switch {
		case name == MetadataName:
			dirs = append(dirs, dir)
		case numbered && isUUID(name) && dir != last:
			dirs, last = append(dirs, dir), dir
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

// parentOf is the folder that a path lies in.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

// Describe is what [Format.List] says of one checkpoint. One that does not open is
// described by its status; the error is one of the context only.
func (f *Format) Describe(ctx context.Context, dir string) (checkpoint.Info, error) {
	c, err := f.OpenCheckpoint(ctx, dir)
	if err == nil {
		return c.Info(), c.Close()
	}
	if ctx.Err() != nil {
		return checkpoint.Info{}, context.Cause(ctx)
	}
	unknown := checkpoint.UnknownCount
	id, numbered := checkpointID(dir)
	kind := checkpoint.KindFlinkCheckpoint
	if !numbered && strings.HasPrefix(lastSegment(dir), savepointName) {
		kind = checkpoint.KindFlinkSavepoint
	}
	return checkpoint.Info{Path: dir, Kind: kind, Status: checkpoint.StatusOf(err), Reason: err, ID: id, Job: jobOf(dir),
		Subtasks: unknown, Entries: unknown, Bytes: unknown, InFlight: checkpoint.Totals{Bytes: unknown, Records: unknown},
		Watermarks: unknownTimes}, nil
}

// unknownTimes are the watermarks of what has none: Flink stores no event time
// outside the state of its operators.
var unknownTimes = checkpoint.Watermarks{Min: checkpoint.UnknownTime, Max: checkpoint.UnknownTime}

// jobOf is the job's id, by the name of the folder that a checkpoint lies in.
func jobOf(dir string) string {
	if name := lastSegment(parentOf(dir)); len(name) == 32 {
		if _, ok := metadata.ParseOperatorID(name); ok { // 32 hexadecimal digits too
			return name
		}
	}
	return ""
}
