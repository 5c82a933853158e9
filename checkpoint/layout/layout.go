// Package layout knows the names of things below a checkpoint root. It does no
// I/O.
//
//	chk-<n>/MANIFEST          the checkpoint n: its appearance is the commit
//	chk-<n>/MANIFEST.copy     the same bytes, written before
//	chk-<n>/<writer>-<k>.data data objects
//	savepoint-<n>/…           the same for savepoints; self-contained
//	shared/…                  data objects that several checkpoints use
//	runs/<n>                  one object for each run that ever used the root
//	history/<run>-<id>        what became of an attempt that has ended
package layout

import (
	"strconv"
	"strings"
)

// Names of objects and directories.
const (
	Manifest     = "MANIFEST"
	ManifestCopy = "MANIFEST.copy"
	Shared       = "shared"
	Runs         = "runs"
	History      = "history"
	DataSuffix   = ".data"

	checkpointPrefix = "chk-"
	savepointPrefix  = "savepoint-"
)

// Checkpoint is the directory of checkpoint id, "chk-7".
func Checkpoint(id uint64) string { return checkpointPrefix + strconv.FormatUint(id, 10) }

// Savepoint is the directory of savepoint id, "savepoint-7".
func Savepoint(id uint64) string { return savepointPrefix + strconv.FormatUint(id, 10) }

// ParseDir reads the last segment of a directory's name. ok is false if it is
// not the canonical name of a checkpoint or a savepoint.
func ParseDir(dir string) (id uint64, savepoint, ok bool) {
	base := dir[strings.LastIndexByte(dir, '/')+1:]
	digits, isCheckpoint := strings.CutPrefix(base, checkpointPrefix)
	if !isCheckpoint {
		if digits, savepoint = strings.CutPrefix(base, savepointPrefix); !savepoint {
			return 0, false, false
		}
	}
	id, ok = parseID(digits)
	return id, savepoint && ok, ok
}

// Run is the name of the object that run n creates, "runs/7".
func Run(n uint64) string { return Runs + "/" + strconv.FormatUint(n, 10) }

// ParseRun reads a name made by [Run].
func ParseRun(name string) (n uint64, ok bool) {
	digits, ok := strings.CutPrefix(name, Runs+"/")
	if !ok {
		return 0, false
	}
	return parseID(digits)
}

// Attempt is the name of the object that says what became of an attempt of a run,
// "history/2-7". A run uses an id once; a later run may use one again of which
// nothing was committed.
func Attempt(run, id uint64) string {
	return History + "/" + strconv.FormatUint(run, 10) + "-" + strconv.FormatUint(id, 10)
}

// ParseAttempt reads a name made by [Attempt].
func ParseAttempt(name string) (run, id uint64, ok bool) {
	rest, ok := strings.CutPrefix(name, History+"/")
	first, second, cut := strings.Cut(rest, "-")
	run, runOK := parseID(first)
	id, idOK := parseID(second)
	return run, id, ok && cut && runOK && idOK
}

// parseID reads a decimal number in its only spelling.
func parseID(digits string) (uint64, bool) {
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == digits
}

// Join makes a name of a directory, which may be empty, and a name in it.
func Join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// Data is the name of a data object: the k-th of a writer in a checkpoint's
// directory.
func Data(dir, writer string, k int) string {
	return Join(dir, writer+"-"+strconv.Itoa(k)+DataSuffix)
}

// DataWriter is the id of the writer that a data object's name carries, "" if
// the name is not one that [Data] makes.
func DataWriter(name string) string {
	base, ok := strings.CutSuffix(name[strings.LastIndexByte(name, '/')+1:], DataSuffix)
	if !ok {
		return ""
	}
	writer, k, ok := strings.Cut(base, "-")
	if _, number := parseID(k); !ok || !number {
		return ""
	}
	return writer
}
