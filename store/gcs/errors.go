package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/tidemark-io/tidemark/store"
)

// preconditionFailed is the answer to a request whose condition does not hold.
const preconditionFailed = http.StatusPreconditionFailed

// code is the status of the answer that an error reports, 0 if there is none.
func code(err error) int {
	var answer *googleapi.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

// cause says that the patience had an end, where the client library only says
// that a deadline had passed.
func cause(ctx context.Context, err error) error {
	if err != nil && context.Cause(ctx) == errPatience {
		return fmt.Errorf("%w: %w", errPatience, err)
	}
	return err
}

// repeatable reports whether a request is sent again. A connection that ends
// before the answer is a plain end of file, for which the client library alone
// would give up an upload. Repeating is safe: each request that changes
// something carries a precondition.
func repeatable(err error) bool { return storage.ShouldRetry(err) || errors.Is(err, io.EOF) }

// failure makes the error of an operation: it adds the cause that callers act
// upon and tells transient from permanent. An error that is one already passes.
func failure(op, name string, err error) error {
	var done *store.Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	return &store.Error{Op: op, Name: name, Transient: transient(err), Err: withCause(err)}
}

// withCause joins the service's error with the one of package store that it
// means.
func withCause(err error) error {
	for _, known := range []error{store.ErrNotExist, store.ErrExist, store.ErrChanged, store.ErrName} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch status := code(err); {
	case errors.Is(err, storage.ErrBucketNotExist):
		return fmt.Errorf("%w: the bucket does not exist: %w", store.ErrNotExist, err)
	case errors.Is(err, storage.ErrObjectNotExist), status == http.StatusNotFound:
		return fmt.Errorf("%w: %w", store.ErrNotExist, err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: %w", store.ErrPermission, err)
	}
	return err
}

// transient reports whether the same call may succeed later: the service was
// busy, or the network failed.
func transient(err error) bool {
	if errors.Is(err, errPatience) {
		return true
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false // the caller's wish
	}
	switch status := code(err); {
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return true
	case status != 0:
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
