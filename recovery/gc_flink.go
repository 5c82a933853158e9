package recovery

import (
	"path"
	"strings"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/checkpoint/layout"
)

// foreign is what GC knows of folders of Flink's, whose rules are narrower than ours.
type foreign struct {
	dirs  map[string]checkpoint.Kind // of the checkpoints
	homes map[string]bool            // folders that these lie in, each behind a slash
	// bases are the last parts of the names of all files in use. Flink's names are
	// random, so that a file is not garbage wherever one of its name is in use: a
	// checkpoint names files by the place that they had when it was taken.
	bases map[string]bool
}

// isFlink reports whether a kind is one of Flink's.
func isFlink(k checkpoint.Kind) bool {
	return k == checkpoint.KindFlinkCheckpoint || k == checkpoint.KindFlinkSavepoint
}

// note notes a checkpoint.
func (f *foreign) note(info checkpoint.Info) {
	if !isFlink(info.Kind) {
		return
	}
	if f.dirs == nil {
		f.dirs, f.homes, f.bases = map[string]checkpoint.Kind{}, map[string]bool{}, map[string]bool{}
	}
	f.dirs[info.Path] = info.Kind
	dir := "/" + info.Path
	f.homes[dir[:strings.LastIndexByte(dir, '/')]] = true
}

// decides reports whether an object lies where Flink's rules hold, and if so whether
// it can be garbage: if it is named as Flink names its files (by a random UUID) and lies
// in the folder shared of a job, or in that of a checkpoint. What lies in taskowned may
// be used by what no checkpoint names (write-ahead logs of sinks), savepoints are their
// owner's, and other names are somebody else's.
func (f *foreign) decides(name string) (decides, garbage bool) {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	random := isUUID(base) && !f.bases[base]
	if kind, is := f.dirs[dir]; is {
		return true, random && kind == checkpoint.KindFlinkCheckpoint && strings.HasPrefix(path.Base(dir), "chk-")
	}
	for home := range f.homes {
		// Merged files lie in folders of their own below it.
		if below, ok := strings.CutPrefix("/"+name, home+"/"); ok && strings.HasPrefix(below, layout.Shared+"/") {
			return true, random
		}
	}
	return false, false
}

// isUUID reports whether a name is the text of a UUID.
func isUUID(name string) bool {
	if len(name) != 36 {
		return false
	}
	for i, c := range []byte(name) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
