package store_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/store"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/store/storetest"
)

func TestCheckName(t *testing.T) {
	for _, name := range storetest.BadNames() {
		if err := store.CheckName(name); !errors.Is(err, store.ErrName) {
			t.Errorf("%q: %v", name, err)
		} else if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q: the message has control characters: %q", name, err)
		}
	}
	for _, name := range []string{"a", "chk-1/MANIFEST", "savepoint-2/MANIFEST.copy", "shared/0a-b_c.d", "com", "com10", "console", "nul-1", strings.Repeat("a", 255), ".withdrawn/x"} {
		if err := store.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for prefix, ok := range map[string]bool{"": true, "a": true, "a/": true, "a/b": true, "A": true, "A/": false, "/": false, "../a": false, "a//": false} {
		if err := store.CheckPrefix(prefix); ok != (err == nil) {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

// FuzzName checks an accepted name by the definition instead of the code.
func FuzzName(f *testing.F) {
	for _, name := range append(storetest.BadNames(), "a", "chk-1/MANIFEST", "a.b/c-d_e/0") {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if store.CheckName(name) != nil {
			return
		}
		segments := strings.Split(name, "/")
		if len(name) == 0 || len(name) > 512 || len(segments) > 16 || !fs.ValidPath(name) || name == "." {
			t.Errorf("%q was accepted", name)
		}
		for _, s := range segments {
			if s == "MANIFEST" || s == "MANIFEST.copy" {
				continue
			}
			if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" || strings.HasPrefix(s, store.ReservedPrefix) {
				t.Errorf("%q was accepted", name)
			}
		}
	})
}

func TestError(t *testing.T) {
	err := fmt.Errorf("checkpoint 3: %w", &store.Error{Op: "commit", Name: "chk-3/MANIFEST", Transient: true, Err: store.ErrExist})
	if !errors.Is(err, store.ErrExist) || !store.IsTransient(err) || store.IsTransient(io.EOF) || store.IsTransient(nil) {
		t.Error("causes are not found")
	}
	if got, want := err.Error(), `checkpoint 3: commit "chk-3/MANIFEST": object already exists`; got != want {
		t.Errorf("prints %q", got)
	}
}

type wrapper struct{ store.Store }

func (w wrapper) Unwrap() store.Store { return w.Store }

type opaque struct{ store.Store }

func TestAs(t *testing.T) {
	m := mem.New()
	if got, ok := store.As[store.Linker](wrapper{wrapper{m}}); !ok || got != store.Linker(m) {
		t.Error("not found through two wrappers")
	}
	if _, ok := store.As[store.Linker](wrapper{opaque{m}}); ok {
		t.Error("found through a wrapper that does not unwrap")
	}
	if _, ok := store.As[store.Linker](nil); ok {
		t.Error("found in nothing")
	}
	if _, ok := store.As[store.Sweeper](store.Store(m)); ok {
		t.Error("found what is not there")
	}
}

// lying says that its objects are longer than they are.
type lying struct{ store.Store }

func (l lying) Open(ctx context.Context, name string) (store.Object, error) {
	o, err := l.Store.Open(ctx, name)
	return longer{o}, err
}

type longer struct{ store.Object }

func (l longer) Info() store.Info {
	info := l.Object.Info()
	info.Size++
	return info
}

// An object that ends early is an error, and a copy of it is not made.
func TestShortObject(t *testing.T) {
	m := mem.New()
	ctx := t.Context()
	if _, err := store.WriteAll(ctx, m, "a", []byte("four")); err != nil {
		t.Fatal(err)
	}
	_, readErr := store.ReadAll(ctx, lying{m}, "a", 100)
	_, copyErr := store.Copy(ctx, m, "b", lying{m}, "a")
	_, sumErr := store.Checksum(ctx, lying{m}, "a")
	for _, err := range []error{readErr, copyErr, sumErr} {
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "at offset 4 of 5") {
			t.Errorf("error %v", err)
		}
	}
	if _, err := m.Stat(ctx, "b"); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("the copy: %v", err)
	}
}

func Example() {
	ctx := context.Background()
	s := mem.New()
	up, err := s.Create(ctx, "chk-1/data-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(up, "some bytes")
	info, err := up.Commit()
	fmt.Println(info.Name, info.Size, err)

	_, err = store.WriteAll(ctx, s, "chk-1/data-1", []byte("others"))
	fmt.Println(errors.Is(err, store.ErrExist))

	data, err := store.ReadAll(ctx, s, "chk-1/data-1", 1<<20)
	fmt.Printf("%s %v\n", data, err)
	// Output:
	// chk-1/data-1 10 <nil>
	// true
	// some bytes <nil>
}

// Names are listed in the order of slices.Sort.
func ExampleStore() {
	ctx := context.Background()
	var s store.Store = mem.New()
	for _, name := range []string{"chk-2/data", "chk-1/data", "chk-1/MANIFEST", "runs/1"} {
		if _, err := store.WriteAll(ctx, s, name, nil); err != nil {
			fmt.Println(err)
		}
	}
	var names []string
	for info, err := range s.List(ctx, "chk-") {
		if err != nil {
			fmt.Println(err)
			return
		}
		names = append(names, info.Name)
	}
	fmt.Println(names, slices.IsSorted(names))
	// Output: [chk-1/MANIFEST chk-1/data chk-2/data] true
}
