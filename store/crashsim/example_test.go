package crashsim_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
)

// An object is either promised or not when the disk crashes. Promised ones must
// survive under every rule, others be whole or absent.
func ExampleCrashes() {
	ctx := context.Background()
	tally, err := crashsim.Crashes(1, nil, func(d *crashsim.Disk) any {
		_, err := store.WriteAll(ctx, d.Store(), "MANIFEST", []byte("content"))
		return err == nil
	}, func(c crashsim.Crash) error {
		got, err := store.ReadAll(ctx, c.Disk.Store(), "MANIFEST", 100)
		switch promised := c.Result.(bool); {
		case err == nil && string(got) == "content":
			return nil
		case !promised && errors.Is(err, store.ErrNotExist):
			return nil
		}
		return fmt.Errorf("read %q: %w", got, err)
	})
	fmt.Println(tally.Points, "points,", tally.Images, "images,", tally.Bad, "bad,", err)
	// Output: 7 points, 42 images, 0 bad, <nil>
}
