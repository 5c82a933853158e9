// Package storetest is the conformance suite of stores: what package store
// promises, as tests that every implementation and every fake has to pass. A
// store that fails it may not be used in other tests.
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store {
//			st, err := local.Open(t.TempDir())
//			...
//			return st
//		})
//	}
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-io/tidemark/store"
)

// Opener returns an empty store. It registers its own cleanup.
type Opener func(t *testing.T) store.Store

// Option adapts the suite to a kind of store.
type Option func(*suite)

type suite struct{ flat bool }

// Flat says that the store's names are no paths: an object may be called "a"
// while others are called "a/b". Buckets are like that.
func Flat() Option { return func(s *suite) { s.flat = true } }

// Run runs the suite; every test gets a store of its own.
func Run(t *testing.T, open Opener, opts ...Option) {
	var set suite
	for _, opt := range opts {
		opt(&set)
	}
	nested := testNested
	if set.flat {
		nested = testFlat
	}
	tests := []struct {
		name string
		run  func(t *testing.T, s store.Store)
	}{
		{"round trip", testRoundTrip},
		{"names", testNames},
		{"ranges", testRanges},
		{"nothing is visible before commit", testInvisible},
		{"a name is taken once", testTaken},
		{"one name inside another", nested},
		{"abort", testAbort},
		{"an upload ends once", testEnds},
		{"cancelled", testCancelled},
		{"list", testList},
		{"list of many", testListMany},
		{"remove", testRemove},
		{"remove against read", testRemoveWhileRead},
		{"versions", testVersions},
		{"helpers", testHelpers},
		{"link", testLink},
		{"checksum", testChecksum},
		{"lock", testLock},
		{"lost replies", testLostReplies},
		{"many at once", testMany},
		{"remove races", testRemoveRace},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// plain hides the abilities of a store, so that the fallbacks are tested too.
type plain struct{ store.Store }

// limit is more than any object of the suite has, in bytes.
const limit = 1 << 20

// put creates an object or ends the test.
func put(t *testing.T, s store.Store, name string, data []byte) store.Info {
	t.Helper()
	info, err := store.WriteAll(t.Context(), s, name, data)
	if err != nil {
		t.Fatalf("create %q: %v", name, err)
	}
	return info
}

// get reads an object or ends the test.
func get(t *testing.T, s store.Store, name string) []byte {
	t.Helper()
	data, err := store.ReadAll(t.Context(), s, name, limit)
	if err != nil {
		t.Fatalf("read %q: %v", name, err)
	}
	return data
}

// wantErr checks for an error of a store with the given cause.
func wantErr(t *testing.T, what string, err, cause error) {
	t.Helper()
	var typed *store.Error
	if !errors.As(err, &typed) || !errors.Is(err, cause) {
		t.Errorf("%s: error is %v, want a *store.Error that is %q", what, err, cause)
	}
}

// names lists what has the prefix.
func names(t *testing.T, s store.Store, prefix string) []string {
	t.Helper()
	var got []string
	for info, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: %v", prefix, err)
		}
		got = append(got, info.Name)
	}
	return got
}

// pattern returns bytes of which each piece tells where it is from.
func pattern(size int) []byte {
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%07d\n", b.Len())
	}
	return b.Bytes()[:size]
}

func testRoundTrip(t *testing.T, s store.Store) {
	for _, size := range []int{0, 1, 511, 512, 513, 65_536, 300_001} {
		name := fmt.Sprintf("dir-%d/object", size)
		want := pattern(size)
		up, err := s.Create(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		// In pieces, and from a buffer that is used again.
		buf := make([]byte, 1000)
		for rest := want; len(rest) > 0; {
			n := copy(buf, rest)
			if m, err := up.Write(buf[:n]); m != n || err != nil {
				t.Fatalf("write of %d bytes: %d, %v", n, m, err)
			}
			rest = rest[n:]
		}
		clear(buf)
		info, err := up.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(get(t, s, name), want) {
			t.Errorf("object of %d bytes comes back different", size)
		}
		stat, err := s.Stat(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if stat != info || info.Name != name || info.Size != int64(size) || info.Version == "" || info.Modified.IsZero() {
			t.Errorf("commit says %+v, stat %+v, the object has %d bytes", info, stat, size)
		}
	}
}

// BadNames are names that no store accepts, in any operation.
func BadNames() []string {
	return []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "../a", "a/..", "a/../b", "a/../../b", "/etc/passwd",
		`a\b`, `..\a`, `C:\a`, "c:a", "CON", "con", "nul.txt", "a/com1", "lpt9.x", "A", "Manifest", "manifest", "manifest.copy",
		"a b", "a\x00b", "a\nb", "a\x1b[31mb", "a\xffb", "ä", "a*", "a?", "a:b", "a|b", "~", "%2e%2e", "a.", "a./b", "...",
		"gs://bucket/a", "https://user:secret@host/a", store.ReservedPrefix + "x", "a/" + store.ReservedPrefix + "tmp-1/b",
		strings.Repeat("a/", 16) + "a", strings.Repeat("a", 256), strings.Repeat("abcdefg/", 64) + "a",
	}
}

func testNames(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, name := range BadNames() {
		_, err := s.Create(ctx, name)
		wantErr(t, "create", err, store.ErrName)
		_, err = s.Open(ctx, name)
		wantErr(t, "open", err, store.ErrName)
		_, err = s.Stat(ctx, name)
		wantErr(t, "stat", err, store.ErrName)
		wantErr(t, "remove", s.Remove(ctx, name, ""), store.ErrName)
	}
	for _, name := range []string{
		"a", "0", ".a", "..a", "-", "_", "a.b", "MANIFEST", "chk-1/MANIFEST.copy", "a..b",
		strings.Repeat("deep/", 15) + "a", "d/" + strings.Repeat("a", 255),
		strings.Repeat(strings.Repeat("x", 127)+"/", 3) + strings.Repeat("y", 128),
	} {
		put(t, s, name, []byte(name))
		if got := get(t, s, name); string(got) != name {
			t.Errorf("%q has %q", name, got)
		}
	}
}

func testRanges(t *testing.T, s store.Store) {
	want := pattern(10_000)
	put(t, s, "object", want)
	o, err := s.Open(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		off int64
		n   int
	}{{0, 0}, {0, 1}, {0, 10_000}, {1, 9_999}, {9_999, 1}, {4_095, 2}, {10_000, 0}, {5_000, 5_000}} {
		p := make([]byte, r.n)
		n, err := o.ReadAt(p, r.off)
		if n != r.n || err != nil && err != io.EOF || !bytes.Equal(p, want[r.off:][:r.n]) {
			t.Errorf("%d bytes at %d: read %d, %v", r.n, r.off, n, err)
		}
	}
	for _, off := range []int64{9_000, 10_000, 10_001, 1 << 40} {
		n, err := o.ReadAt(make([]byte, 2_000), off)
		if err != io.EOF || int64(n) != max(0, 10_000-off) {
			t.Errorf("2000 bytes at %d of 10000: read %d, %v, want io.EOF itself", off, n, err)
		}
	}
	if _, err := o.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("a negative offset: %v", err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if _, err := o.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v, want fs.ErrClosed", err)
	}
}

// absent checks that there is no trace of a name.
func absent(t *testing.T, s store.Store, name string) {
	t.Helper()
	_, err := s.Stat(t.Context(), name)
	wantErr(t, "stat", err, store.ErrNotExist)
	_, err = s.Open(t.Context(), name)
	wantErr(t, "open", err, store.ErrNotExist)
	wantErr(t, "remove", s.Remove(t.Context(), name, ""), store.ErrNotExist)
	if got := names(t, s, name); slices.Contains(got, name) {
		t.Errorf("%q is listed", name)
	}
}

func testInvisible(t *testing.T, s store.Store) {
	absent(t, s, "chk-1/data")
	up, err := s.Create(t.Context(), "chk-1/data")
	if err != nil {
		t.Fatal(err)
	}
	absent(t, s, "chk-1/data")
	if _, err := up.Write(pattern(100_000)); err != nil {
		t.Fatal(err)
	}
	absent(t, s, "chk-1/data")
	if got := names(t, s, ""); len(got) != 0 {
		t.Errorf("an unfinished upload is listed: %q", got)
	}
	if _, err := up.Commit(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s, ""); !slices.Equal(got, []string{"chk-1/data"}) {
		t.Errorf("listed: %q", got)
	}
}

func testTaken(t *testing.T, s store.Store) {
	ctx := t.Context()
	first, err := s.Create(ctx, "object")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Create(ctx, "object")
	if err != nil {
		t.Fatalf("two uploads of a free name may run at once: %v", err)
	}
	for i, up := range []store.Upload{first, second} {
		if _, err := fmt.Fprintf(up, "upload %d", i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := second.Commit(); err != nil {
		t.Fatal(err)
	}
	_, err = first.Commit()
	wantErr(t, "commit of a taken name", err, store.ErrExist)
	if _, again := first.Commit(); again == nil {
		t.Error("a failed upload committed")
	}
	if err := first.Abort(); err != nil {
		t.Error(err)
	}
	if got := get(t, s, "object"); string(got) != "upload 1" {
		t.Errorf("the object has %q", got)
	}
	_, err = store.WriteAll(ctx, s, "object", nil)
	wantErr(t, "create of a taken name", err, store.ErrExist)
}

func testNested(t *testing.T, s store.Store) {
	put(t, s, "a/b/c", []byte("x"))
	_, err := store.WriteAll(t.Context(), s, "a/b", nil)
	wantErr(t, "an object where others are below", err, store.ErrExist)
	absent(t, s, "a/b")
	if _, err := store.WriteAll(t.Context(), s, "a/b/c/d", nil); err == nil {
		t.Error("an object below an object was created")
	}
	absent(t, s, "a/b/c/d")
	if got := names(t, s, ""); !slices.Equal(got, []string{"a/b/c"}) {
		t.Errorf("listed: %q", got)
	}
}

// Where names are no paths, nothing is in the way of anything.
func testFlat(t *testing.T, s store.Store) {
	put(t, s, "a/b/c", []byte("x"))
	put(t, s, "a/b", []byte("y"))
	if got := names(t, s, ""); !slices.Equal(got, []string{"a/b", "a/b/c"}) {
		t.Errorf("listed: %q", got)
	}
}

func testAbort(t *testing.T, s store.Store) {
	up, err := s.Create(t.Context(), "chk-1/object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := up.Abort(); err != nil {
		t.Fatal(err)
	}
	absent(t, s, "chk-1/object")
	if _, err := up.Commit(); err == nil {
		t.Error("commit after abort succeeded")
	}
	if _, err := up.Write([]byte("x")); err == nil {
		t.Error("write after abort succeeded")
	}
	if err := up.Abort(); err != nil {
		t.Errorf("second abort: %v", err)
	}
	absent(t, s, "chk-1/object")
	put(t, s, "chk-1/object", []byte("whole"))
}

func testEnds(t *testing.T, s store.Store) {
	up, err := s.Create(t.Context(), "object")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := up.Abort(); err != nil {
		t.Errorf("abort after commit: %v", err)
	}
	if _, err := up.Write([]byte("late")); err == nil {
		t.Error("write after commit succeeded")
	}
	if _, err := up.Commit(); err == nil {
		t.Error("second commit succeeded")
	}
	if got := get(t, s, "object"); len(got) != 0 {
		t.Errorf("the object has %q", got)
	}
}

func testCancelled(t *testing.T, s store.Store) {
	put(t, s, "there", []byte("x"))
	for _, when := range []string{"before write", "before commit"} {
		ctx, cancel := context.WithCancel(t.Context())
		up, err := s.Create(ctx, "object")
		if err != nil {
			t.Fatal(err)
		}
		if when == "before write" {
			cancel()
			_, err := up.Write([]byte("x"))
			wantErr(t, "write", err, context.Canceled)
		} else if _, err := up.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		cancel()
		_, err = up.Commit()
		wantErr(t, "commit", err, context.Canceled)
		if err := up.Abort(); err != nil {
			t.Error(err)
		}
		absent(t, s, "object")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Create(ctx, "object")
	wantErr(t, "create", err, context.Canceled)
	_, err = s.Open(ctx, "there")
	wantErr(t, "open", err, context.Canceled)
	_, err = s.Stat(ctx, "there")
	wantErr(t, "stat", err, context.Canceled)
	wantErr(t, "remove", s.Remove(ctx, "there", ""), context.Canceled)
	for info, err := range s.List(ctx, "") {
		if wantErr(t, "list", err, context.Canceled); err == nil {
			t.Errorf("listed %+v", info)
		}
	}
	get(t, s, "there")
}

func testHelpers(t *testing.T, s store.Store) {
	want := pattern(600_000)
	put(t, s, "from", want)
	for name, dst := range map[string]store.Store{"copy-1": s, "copy-2": plain{s}} {
		info, err := store.Copy(t.Context(), dst, name, s, "from")
		if err != nil || info.Size != int64(len(want)) {
			t.Fatalf("copy: %+v, %v", info, err)
		}
		if !bytes.Equal(get(t, s, name), want) {
			t.Error("the copy differs")
		}
	}
	_, err := store.Copy(t.Context(), s, "copy-1", s, "from")
	wantErr(t, "copy to a taken name", err, store.ErrExist)
	_, err = store.Copy(t.Context(), s, "copy-3", s, "absent")
	wantErr(t, "copy of nothing", err, store.ErrNotExist)
	absent(t, s, "copy-3")
	_, err = store.ReadAll(t.Context(), s, "from", int64(len(want))-1)
	wantErr(t, "read over the limit", err, store.ErrTooLarge)
}

func testChecksum(t *testing.T, s store.Store) {
	data := pattern(700_001)
	put(t, s, "object", data)
	put(t, s, "empty", nil)
	want := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	for _, s := range []store.Store{s, plain{s}} {
		if sum, err := store.Checksum(t.Context(), s, "object"); sum != want || err != nil {
			t.Errorf("checksum %#x, %v, want %#x", sum, err, want)
		}
		if sum, err := store.Checksum(t.Context(), s, "empty"); sum != 0 || err != nil {
			t.Errorf("checksum of nothing %#x, %v", sum, err)
		}
		_, err := store.Checksum(t.Context(), s, "absent")
		wantErr(t, "checksum", err, store.ErrNotExist)
	}
}
