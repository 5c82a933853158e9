package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/config"
	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/history"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store"
)

// Exit codes. They are a promise: scripts act on them.
const (
	exitGood        = 0
	exitFound       = 1 // damage, a difference
	exitUsage       = 2 // or configuration
	exitPartial     = 3 // a result with losses, reported
	exitNone        = 4 // no checkpoint there
	exitUnsupported = 5 // format or version
	exitRefused     = 6 // for safety
	exitStorage     = 7 // storage, permission
	exitJob         = 8 // the job failed
	exitInternal    = 70
	exitSignal      = 128 // and the signal's number
)

// precedence orders the codes of several paths: the first that occurred is the
// command's.
var precedence = []int{exitInternal, exitStorage, exitUnsupported, exitNone, exitFound}

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// codeError is an error whose exit code is already known.
type codeError struct {
	code int
	err  error // nil if everything has been said
}

func (e codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e codeError) Unwrap() error { return e.err }

// signalError is the cause of a context that a signal ended.
type signalError struct{ sig os.Signal }

func (e signalError) Error() string { return "ended by signal: " + e.sig.String() }

// classes maps errors to codes; the first that fits counts.
var classes = []struct {
	is   error
	code int
}{
	{checkpoint.ErrNone, exitNone},
	{checkpoint.ErrIncomplete, exitNone},
	{checkpoint.ErrUnsupported, exitUnsupported},
	{recovery.ErrNotVerifiable, exitUnsupported},
	{recovery.ErrNotEditable, exitUnsupported},
	{checkpoint.ErrExists, exitRefused},
	{recovery.ErrBusy, exitRefused},
	{place.ErrParent, exitUsage},
	{place.ErrPath, exitUsage},
	{recovery.ErrNotReadable, exitUnsupported},
	{place.ErrScheme, exitUnsupported},
	{place.ErrAmbiguous, exitUsage},
	{checkpoint.ErrDamaged, exitFound},
	{history.ErrDamaged, exitFound},
	{store.ErrLocked, exitRefused},
	{fs.ErrNotExist, exitNone},
}

// exitCode maps an error to the exit code of the command.
func exitCode(err error) int {
	var (
		known   codeError
		bad     usageError
		conf    *config.Error
		sig     signalError
		damage  *format.CorruptError
		storage *store.Error
		path    *fs.PathError
		task    *engine.TaskError
		misfit  *engine.RestoreError
		late    *engine.RollbackError
		broken  *engine.DamagedError
		edit    *checkpoint.EditError
		refused *checkpoint.RefusedError
	)
	switch {
	case err == nil:
		return exitGood
	case errors.As(err, &known):
		return known.code
	case errors.As(err, &sig):
		return signalCode(sig.sig)
	case errors.As(err, &bad), errors.As(err, &conf), errors.As(err, &edit):
		return exitUsage
	case errors.As(err, &misfit), errors.As(err, &late), errors.As(err, &refused):
		return exitRefused
	case errors.As(err, &broken):
		return exitFound
	case errors.Is(err, engine.ErrFenced):
		return exitRefused
	case errors.As(err, &damage) && (errors.Is(err, format.ErrDamaged) || errors.Is(err, format.ErrMissing)): // also when a task met it
		return exitFound
	case errors.As(err, &task):
		return exitJob
	}
	for _, c := range classes {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	switch {
	case errors.As(err, &damage):
		return exitFound
	case errors.As(err, &storage), errors.As(err, &path), errors.Is(err, syscall.EPIPE), errors.Is(err, context.DeadlineExceeded):
		return exitStorage
	}
	return exitInternal
}

func signalCode(sig os.Signal) int {
	if s, ok := sig.(syscall.Signal); ok {
		return exitSignal + int(s)
	}
	return exitSignal + int(syscall.SIGINT)
}

// worst is the code of a command that worked on several paths.
func worst(codes []int) int {
	for _, c := range precedence {
		if slices.Contains(codes, c) {
			return c
		}
	}
	for _, c := range codes {
		if c != exitGood {
			return c
		}
	}
	return exitGood
}
