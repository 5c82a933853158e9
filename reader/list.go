package reader

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/checkpoint/layout"
	"github.com/tidemark-io/tidemark/store"
)

// Dir is what a listing shows of the directory of one checkpoint or savepoint,
// whether or not it was ever committed.
type Dir struct {
	Path      string // below the store's root
	ID        uint64
	Savepoint bool
	Manifest  bool // committed
	Copy      bool
	Objects   int   // data objects in the directory
	Bytes     int64 // of everything in the directory
	Newest    time.Time
}

// Dirs lists the checkpoints and savepoints directly below a directory,
// which may be "" for the root, ascending by id. Each is described by names and
// sizes only; nothing is opened. What has another name is skipped.
func Dirs(ctx context.Context, st store.Store, dir string) ([]Dir, error) {
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	var all []Dir
	at := map[string]int{}
	for info, err := range st.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		base, name, ok := strings.Cut(info.Name[len(prefix):], "/")
		if !ok {
			continue
		}
		id, savepoint, ok := layout.ParseDir(base)
		if !ok {
			continue
		}
		i, known := at[base]
		if !known {
			i = len(all)
			at[base] = i
			all = append(all, Dir{Path: prefix + base, ID: id, Savepoint: savepoint})
		}
		all[i].add(name, info)
	}
	slices.SortFunc(all, func(a, b Dir) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), strings.Compare(a.Path, b.Path))
	})
	return all, nil
}

// add counts one object of the directory.
func (e *Dir) add(name string, info store.Info) {
	e.Bytes += info.Size
	if info.Modified.After(e.Newest) {
		e.Newest = info.Modified
	}
	switch {
	case name == layout.Manifest:
		e.Manifest = true
	case name == layout.ManifestCopy:
		e.Copy = true
	case strings.HasSuffix(name, layout.DataSuffix):
		e.Objects++
	}
}

// HighestID is the largest id of any entry directly below a directory, damaged
// and partial ones included, 0 if there is none. The next checkpoint takes one
// more (R9), so that no name is ever used twice.
func HighestID(ctx context.Context, st store.Store, dir string) (uint64, error) {
	all, err := Dirs(ctx, st, dir)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[len(all)-1].ID, nil
}
