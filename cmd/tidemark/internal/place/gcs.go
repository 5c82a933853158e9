//go:build !nogcs

package place

import (
	"context"

	"github.com/tidemark-io/tidemark/store/gcs"
)

// The client library makes the program three times as large, and its start some
// milliseconds longer; the build tag nogcs leaves it out.
func init() {
	remote[gcs.Scheme] = func(ctx context.Context, address string) (Root, error) {
		return gcs.Open(ctx, address, gcs.WithReadsUntil(ctx))
	}
}
