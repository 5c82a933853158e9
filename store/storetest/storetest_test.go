package storetest_test

import (
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/crashsim"
	"github.com/tidemark-io/tidemark/store/faults"
	"github.com/tidemark-io/tidemark/store/local"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/store/storetest"
)

func openLocal(t *testing.T) store.Store {
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openMem(*testing.T) store.Store { return mem.New() }

func openDisk(t *testing.T) store.Store {
	d := crashsim.New()
	t.Cleanup(func() {
		if n := d.OpenHandles(); n != 0 {
			t.Errorf("%d handles left open", n)
		}
	})
	return d.Store()
}

// wrapped puts a store behind a wrapper whose rules never hold.
func wrapped(open storetest.Opener) storetest.Opener {
	return func(t *testing.T) store.Store {
		s, err := faults.Wrap(open(t), `(error EIO (name "never")) (crash (commit 0)) (delay 1ns (op stat))`)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestConformance(t *testing.T) {
	for name, open := range map[string]storetest.Opener{
		"local":            openLocal,
		"mem":              openMem,
		"crashsim":         openDisk,
		"faults over mem":  wrapped(openMem),
		"faults over disk": wrapped(openDisk),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, open)
		})
	}
}

// T12.
func TestWinners(t *testing.T) {
	less := 1
	if testing.Short() { // under the race detector
		less = 10
	}
	storetest.Winners(t, openMem(t), "mem", 64, 1000/less)
	storetest.Winners(t, openDisk(t), "crashsim", 64, 100/less)
	storetest.Winners(t, openLocal(t), "local", 8, 100/less)
}
