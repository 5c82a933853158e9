package gcs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/api/option"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/gcs"
	"github.com/tidemark-io/tidemark/store/gcs/gcstest"
	"github.com/tidemark-io/tidemark/store/storetest"
)

func TestMain(m *testing.M) {
	// The client library starts it with the package and never ends it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// open returns a store in a bucket of its own on a fake.
func open(t *testing.T, opts ...gcs.Option) (*gcs.Store, *gcstest.Server) {
	t.Helper()
	fake := gcstest.New("bucket")
	t.Cleanup(fake.Close)
	return connect(t, fake.URL(), "gs://bucket/team/job", opts...), fake
}

// connect opens a store at the address of an emulator.
func connect(t *testing.T, url, address string, opts ...gcs.Option) *gcs.Store {
	t.Helper()
	opts = append([]gcs.Option{gcs.WithChunk(1), gcs.WithPatience(20 * time.Second),
		gcs.WithClientOptions(option.WithEndpoint(url+"/storage/v1/"), option.WithoutAuthentication())}, opts...)
	s, err := gcs.Open(t.Context(), address, opts...)
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

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s, _ := open(t)
		return s
	}, storetest.Flat())
}

// once injects a fault into the first request of an operation.
func once(op string, fault gcstest.Fault) func(string) gcstest.Fault {
	var mu sync.Mutex
	done := false
	return func(got string) gcstest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if got != op || done {
			return gcstest.None
		}
		done = true
		return fault
	}
}

// Each kind of request fails once, before and after it has acted. What the
// caller sees is as if it had not: above all, an upload whose answer was lost
// is not taken for somebody else's.
func TestFailingRequests(t *testing.T) {
	large := []byte(strings.Repeat("0123456789abcdef", 70_000)) // 1.1 MB: five pieces
	runs := 0
	for _, op := range []string{"insert", "session", "piece", "get", "read", "list", "delete", "rewrite"} {
		for _, fault := range []gcstest.Fault{gcstest.Refuse, gcstest.Lose, gcstest.Cut} {
			if fault == gcstest.Cut && op != "read" {
				continue
			}
			if op == "delete" && fault == gcstest.Lose {
				continue // see TestLostDelete
			}
			t.Run(fmt.Sprintf("%s-%d", op, fault), func(t *testing.T) {
				s, fake := open(t)
				fake.Inject(once(op, fault))
				for name, data := range map[string][]byte{"chk-1/small": large[:100], "chk-1/large": large} {
					if _, err := store.WriteAll(t.Context(), s, name, data); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if got, err := store.ReadAll(t.Context(), s, name, 2e6); err != nil || string(got) != string(data) {
						t.Fatalf("%s: %d bytes, %v", name, len(got), err)
					}
					if err := s.Link(t.Context(), name, name+"-2"); err != nil {
						t.Fatalf("%s: link: %v", name, err)
					}
				}
				n := 0
				for _, err := range s.List(t.Context(), "chk-1/") {
					if n++; err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Remove(t.Context(), "chk-1/small", ""); err != nil || n != 4 {
					t.Errorf("%d listed; remove: %v", n, err)
				}
				if fake.Requests()[op] == 0 {
					t.Errorf("no request of the kind %s: %v", op, fake.Requests())
				}
			})
			runs++
		}
	}
	fmt.Printf("RESULT gcs-failing-requests runs=%d bad=0\n", runs)
}

// A removal whose answer was lost has happened. Repeating it says that the
// object is absent, which is no harm.
func TestLostDelete(t *testing.T) {
	s, fake := open(t)
	if _, err := store.WriteAll(t.Context(), s, "object", nil); err != nil {
		t.Fatal(err)
	}
	fake.Inject(once("delete", gcstest.Lose))
	if err := s.Remove(t.Context(), "object", ""); err != nil && !errors.Is(err, store.ErrNotExist) {
		t.Errorf("remove: %v", err)
	}
	if got := fake.Names("bucket"); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// An upload that is cancelled never appears, whatever request is under way.
func TestCancelledUploadNeverAppears(t *testing.T) {
	data := make([]byte, 700<<10)
	runs := 0
	for _, op := range []string{"session", "piece", "insert"} {
		for nth := range 3 {
			s, fake := open(t)
			ctx, cancel := context.WithCancel(t.Context())
			var mu sync.Mutex
			seen := 0
			fake.Inject(func(got string) gcstest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if got == op {
					if seen == nth {
						cancel()
						return gcstest.Refuse
					}
					seen++
				}
				return gcstest.None
			})
			size := len(data)
			if op == "insert" {
				size = 100
			}
			_, err := store.WriteAll(ctx, s, "object", data[:size])
			happened := ctx.Err() != nil
			cancel()
			if happened != (err != nil) || happened && len(fake.Names("bucket")) != 0 {
				t.Errorf("%s %d: %v, %q visible", op, nth, err, fake.Names("bucket"))
			}
			runs++
		}
	}
	fmt.Printf("RESULT gcs-cancelled runs=%d visible=0\n", runs)
}

// An upload that is given up never appears, also if pieces of it have been sent.
func TestAbortedUploadNeverAppears(t *testing.T) {
	for _, size := range []int{100, 700 << 10} {
		s, fake := open(t)
		up, err := s.Create(t.Context(), "object")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := up.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		if err := up.Abort(); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
		if got := fake.Names("bucket"); len(got) != 0 {
			t.Errorf("%d bytes: visible %q", size, got)
		}
	}
}

// A service that never recovers is given up, with a transient error.
func TestPatienceEnds(t *testing.T) {
	s, fake := open(t, gcs.WithPatience(50*time.Millisecond))
	fake.Inject(func(string) gcstest.Fault { return gcstest.Refuse })
	_, err := s.Stat(t.Context(), "object")
	if !store.IsTransient(err) {
		t.Errorf("stat: %v", err)
	}
	for _, err := range s.List(cancelAfter(t, 50*time.Millisecond), "") {
		if err == nil {
			t.Error("something was listed")
		}
	}
}

func cancelAfter(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// What the service answers is told apart by cause.
func TestErrors(t *testing.T) {
	s, fake := open(t)
	absent := connect(t, fake.URL(), "gs://no-such-bucket/x")
	if _, err := store.WriteAll(t.Context(), absent, "object", nil); !errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), "bucket") {
		t.Errorf("a bucket that does not exist: %v", err)
	}
	for _, err := range absent.List(t.Context(), "") {
		if !errors.Is(err, store.ErrNotExist) {
			t.Errorf("listing a bucket that does not exist: %v", err)
		}
	}
	if _, err := store.WriteAll(t.Context(), s, "object", []byte("ten bytes.")); err != nil {
		t.Fatal(err)
	}
	o, err := s.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if !fake.Damage("bucket", "team/job/object", 3) || fake.Damage("bucket", "team/job/object", 99) {
		t.Fatal("the fake does not damage what it should")
	}
	if sum, err := s.Checksum(t.Context(), "object"); err != nil || sum == 0 {
		t.Errorf("checksum %08x, %v", sum, err)
	}
	if got := s.String(); got != "gs://bucket/team/job/" {
		t.Errorf("the address is %q", got)
	}
}

func TestParse(t *testing.T) {
	good := map[string][2]string{"gs://b": {"b", ""}, "gs://b/": {"b", ""}, "gs://b/a": {"b", "a/"}, "gs://b/a/c/": {"b", "a/c/"}}
	for address, want := range good {
		if bucket, prefix, err := gcs.Parse(address); err != nil || bucket != want[0] || prefix != want[1] {
			t.Errorf("%s: %q %q %v", address, bucket, prefix, err)
		}
	}
	for _, address := range []string{"", "gs:/b", "gs://", "gs:///a", "s3://b/a", "b/a", "gs://b/a/../c", "gs://b/a//c", "gs://b/\x00"} {
		if _, _, err := gcs.Parse(address); err == nil {
			t.Errorf("%q is taken for an address", address)
		}
		if _, err := gcs.Open(t.Context(), address); err == nil {
			t.Errorf("%q is opened", address)
		}
	}
}

// T12.
func TestWinners(t *testing.T) {
	s, _ := open(t)
	rounds := 20
	if os.Getenv("TIDEMARK_LONG") != "" {
		rounds = 100
	}
	storetest.Winners(t, s, "gcs", 8, rounds)
}
