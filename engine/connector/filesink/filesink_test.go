package filesink

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tidemark-io/tidemark/engine"
)

var ctx = context.Background()

type committing interface {
	engine.SinkWriter[int]
	engine.Committer
}

func open(t testing.TB, s *Sink[int], sc engine.SinkContext) committing {
	t.Helper()
	if sc.UID == "" {
		sc.UID = "out"
	}
	if sc.Lineage == "" {
		sc.Lineage = "abc"
	}
	if sc.Run == 0 {
		sc.Run = 1
	}
	if sc.Parallelism == 0 {
		sc.Parallelism = 1
	}
	w, err := s.Open(ctx, sc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w.(committing)
}

func write(t testing.TB, w engine.SinkWriter[int], records ...int) {
	t.Helper()
	for _, r := range records {
		if err := w.Write(r, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// prepare runs both phases and returns the items.
func prepare(t testing.TB, w engine.Committer, id uint64) [][]byte {
	t.Helper()
	finish, err := w.Prepare(id)
	if err != nil {
		t.Fatal(err)
	}
	items, err := finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// visible reads all published records, sorted.
func visible(t testing.TB, dir string) []int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	out := []int{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
			var r int
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %q: %v", f, line, err)
			}
			out = append(out, r)
		}
	}
	slices.Sort(out)
	return out
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

func equal[T comparable](t testing.TB, what string, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestPublishWithCheckpoints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	w := open(t, NewJSONL(dir, Options[int]{}), engine.SinkContext{})
	if err := w.Recover(ctx, nil); err != nil {
		t.Fatal(err)
	}
	write(t, w, 1, 2)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	items := prepare(t, w, 7)
	equal(t, "visible before the commit", visible(t, dir))
	equal(t, "pending", names(t, filepath.Join(dir, pendingDir)), "abc-out-c00000007-r1-s00-0000.jsonl")
	write(t, w, 3)
	if len(items) != 1 {
		t.Fatalf("%d items", len(items))
	}
	it, err := ParseItem(items[0])
	if err != nil || it.Bytes != 4 || it.ID != 7 || it.Dir != dir {
		t.Fatalf("%+v, %v", it, err)
	}
	for range 2 { // publishing is idempotent
		if err := w.Publish(ctx, 7); err != nil {
			t.Fatal(err)
		}
		equal(t, "visible", visible(t, dir), 1, 2)
	}
	// An id without records makes no file, and published parts are forgotten.
	if items := prepare(t, w, 8); len(items) != 1 {
		t.Errorf("%d items at 8", len(items))
	}
	if err := w.Publish(ctx, 8); err != nil {
		t.Fatal(err)
	}
	if items := prepare(t, w, 9); len(items) != 0 {
		t.Errorf("%d items at 9", len(items))
	}
	equal(t, "visible", visible(t, dir), 1, 2, 3)
	equal(t, "pending", names(t, filepath.Join(dir, pendingDir)))
	for _, name := range []string{".", pendingDir, "abc-out-c00000007-r1-s00-0000.jsonl"} {
		if runtime.GOOS == "windows" { // has no such permissions
			break
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// TestAbortedCheckpoint: what checkpoint 1 prepared is published with 2, even
// if the background phase of 1 never ran.
func TestAbortedCheckpoint(t *testing.T) {
	for _, background := range []bool{false, true} {
		dir := t.TempDir()
		w := open(t, NewJSONL(dir, Options[int]{}), engine.SinkContext{})
		write(t, w, 1)
		finish, err := w.Prepare(1)
		if err != nil {
			t.Fatal(err)
		}
		if background {
			if _, err := finish(ctx); err != nil {
				t.Fatal(err)
			}
		}
		write(t, w, 2)
		items := prepare(t, w, 2)
		if len(items) != 2 {
			t.Fatalf("%d items", len(items))
		}
		write(t, w, 3)
		prepare(t, w, 3) // began before 2 was committed
		if err := w.Publish(ctx, 2); err != nil {
			t.Fatal(err)
		}
		equal(t, "visible", visible(t, dir), 1, 2)
	}
}

func TestPublishBeforeDurable(t *testing.T) {
	w := open(t, NewJSONL(t.TempDir(), Options[int]{}), engine.SinkContext{})
	write(t, w, 1)
	if _, err := w.Prepare(1); err != nil {
		t.Fatal(err)
	}
	if err := w.Publish(ctx, 1); err == nil {
		t.Error("published what is not durable")
	}
	if err := w.Write(2, 0); err == nil {
		if _, err = w.Prepare(2); err == nil {
			t.Error("the writer works after a failure")
		}
	}
}

func TestRoll(t *testing.T) {
	dir := t.TempDir()
	w := open(t, NewJSONL(dir, Options[int]{RollBytes: 4}), engine.SinkContext{})
	write(t, w, 1, 2, 3, 4, 5)
	if n := len(prepare(t, w, 1)); n != 3 {
		t.Fatalf("%d parts, want 3", n)
	}
	if err := w.Publish(ctx, 1); err != nil {
		t.Fatal(err)
	}
	equal(t, "files", names(t, dir), "abc-out-c00000001-r1-s00-0000.jsonl",
		"abc-out-c00000001-r1-s00-0001.jsonl", "abc-out-c00000001-r1-s00-0002.jsonl")
	equal(t, "visible", visible(t, dir), 1, 2, 3, 4, 5)
}

// TestRescaledRecovery: three subtasks leave published, pending, aborted and
// unfinished parts; two subtasks recover, the second after the first already
// writes again; a foreign lineage, a foreign uid and a newer run are untouched.
func TestRescaledRecovery(t *testing.T) {
	dir := t.TempDir()
	s := NewJSONL(dir, Options[int]{})
	var items [][]byte
	for i := range 3 {
		w := open(t, s, engine.SinkContext{Subtask: i, Parallelism: 3})
		write(t, w, 10+i)
		prepare(t, w, 1)
		if err := w.Publish(ctx, 1); err != nil {
			t.Fatal(err)
		}
		write(t, w, 20+i)
		items = append(items, prepare(t, w, 2)...) // committed, not published
		write(t, w, 30+i)
		prepare(t, w, 3) // not committed
		write(t, w, 40+i)
		w.Close()
	}
	for _, sc := range []engine.SinkContext{{Lineage: "other"}, {UID: "late"}, {Run: 9}} {
		w := open(t, s, sc)
		write(t, w, 99)
		prepare(t, w, 3)
		write(t, w, 99)
		w.Close()
	}
	if len(items) != 3 {
		t.Fatalf("%d items", len(items))
	}
	a := open(t, s, engine.SinkContext{Subtask: 0, Parallelism: 2, Run: 2, Restored: 2})
	b := open(t, s, engine.SinkContext{Subtask: 1, Parallelism: 2, Run: 2, Restored: 2})
	if err := a.Recover(ctx, items[1:]); err != nil {
		t.Fatal(err)
	}
	write(t, a, 30, 32)
	prepare(t, a, 3)
	write(t, a, 40)
	for range 2 { // recovery is idempotent
		if err := b.Recover(ctx, items[:1]); err != nil {
			t.Fatal(err)
		}
	}
	write(t, b, 31, 41)
	prepare(t, b, 3)
	for _, w := range []committing{a, b} {
		if err := w.Publish(ctx, 3); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "visible", visible(t, dir), 10, 11, 12, 20, 21, 22, 30, 31, 32, 41)
	equal(t, "pending", names(t, filepath.Join(dir, pendingDir)),
		"abc-late-c00000000-r1-s00-0001.open", "abc-late-c00000003-r1-s00-0000.jsonl",
		"abc-out-c00000000-r2-s00-0001.open",
		"abc-out-c00000000-r9-s00-0001.open", "abc-out-c00000003-r9-s00-0000.jsonl",
		"other-out-c00000000-r1-s00-0001.open", "other-out-c00000003-r1-s00-0000.jsonl")
}

func TestRecoverRefusals(t *testing.T) {
	part := "abc-out-c00000001-r1-s00-0000.jsonl"
	for name, tc := range map[string]struct {
		damage func(t *testing.T, dir string)
		want   error
	}{
		"both absent": {func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, pendingDir, part))
		}, ErrMissing},
		"pending is shorter": {func(t *testing.T, dir string) {
			os.Truncate(filepath.Join(dir, pendingDir, part), 1)
		}, ErrConflict},
		"pending has other content": {func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, pendingDir, part), []byte("2\n"), 0o600)
		}, ErrConflict},
		"visible has other content": {func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, part), []byte("2\n"), 0o600)
		}, ErrConflict},
		"visible only, other content": {func(t *testing.T, dir string) {
			os.WriteFile(filepath.Join(dir, part), []byte("2\n"), 0o600)
			os.Remove(filepath.Join(dir, pendingDir, part))
		}, ErrConflict},
		"visible is a directory": {func(t *testing.T, dir string) {
			os.Mkdir(filepath.Join(dir, part), 0o700)
			os.Remove(filepath.Join(dir, pendingDir, part))
		}, ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := NewJSONL(dir, Options[int]{})
			w := open(t, s, engine.SinkContext{})
			write(t, w, 1)
			items := prepare(t, w, 1)
			w.Close()
			tc.damage(t, dir)
			err := open(t, s, engine.SinkContext{Run: 2, Restored: 1}).Recover(ctx, items)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), part) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestItemsAreChecked(t *testing.T) {
	good := `{"kind":"tidemark.filesink/1","name":"abc-out-c00000001-r1-s00-0000.jsonl","id":1,"bytes":2,"crc32c":1,"dir":"d"}`
	if _, err := ParseItem([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"abc-", "../abc-"}, {"abc-", "/abc-"}, {"filesink/1", "filesink/2"}, {`"id":1`, `"id":2`}, {`"bytes":2`, `"bytes":0`},
		{`"dir"`, `"extra":1,"dir"`}, {"s00", "s0"}, {"}", ""}, {"c00000001", "c000000001"}, {"abc", "%61bc"},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if it, err := ParseItem([]byte(bad)); err == nil {
			t.Errorf("%s was accepted: %+v", bad, it)
		}
	}
	if _, err := ParseItem(make([]byte, maxItem+1)); err == nil {
		t.Error("an oversized item was accepted")
	}
}

func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Part{
			Lineage: rapid.StringMatching(`[ -~]{1,12}`).Draw(t, "lineage"),
			UID:     rapid.StringN(1, 12, 20).Draw(t, "uid"),
			ID:      rapid.Uint64().Draw(t, "id"), Run: rapid.Uint64().Draw(t, "run"),
			Subtask: rapid.IntRange(0, 1<<31-1).Draw(t, "subtask"), Counter: rapid.Uint64().Draw(t, "counter"),
		}
		name := p.Name()
		if len(name) > maxName {
			return
		}
		if !filepath.IsLocal(name) || strings.ContainsAny(name, "/\\. ") && strings.Count(name, ".") != 1 {
			t.Fatalf("name %q", name)
		}
		if got, ok := ParseName(name); !ok || got != p {
			t.Fatalf("%q: %+v, want %+v", name, got, p)
		}
	})
	for _, name := range []string{"", "x.jsonl", "a-b-c1-r1-s0-0.jsonl", "..-b-c00000001-r1-s00-0000.jsonl", "-b-c00000001-r1-s00-0000.jsonl"} {
		if p, ok := ParseName(name); ok {
			t.Errorf("%q is %+v", name, p)
		}
	}
}

func TestWithdraw(t *testing.T) {
	dir := t.TempDir()
	s := NewJSONL(dir, Options[int]{})
	publish := func(lineage string, run uint64, ids ...uint64) {
		w := open(t, s, engine.SinkContext{Lineage: lineage, Run: run})
		for _, id := range ids {
			write(t, w, int(id))
			prepare(t, w, id)
			if err := w.Publish(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
	}
	publish("one", 1, 1, 2, 3)
	publish("two", 2, 4)
	later := []string{"one-out-c00000002-r1-s00-0000.jsonl", "one-out-c00000003-r1-s00-0000.jsonl"}
	got, err := s.VisibleAfter("one", 1)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "visible after 1", got, later...)
	if got, err = WithdrawAfter(dir, []string{"one", "two"}, 1); err != nil {
		t.Fatal(err)
	}
	equal(t, "withdrawn", got, append(later, "two-out-c00000004-r2-s00-0000.jsonl")...)
	equal(t, "left", visible(t, dir), 1)
	equal(t, "kept", visible(t, filepath.Join(dir, withdrawnDir)), 2, 3, 4)
	publish("one", 1, 2) // the same name once more
	if got, err = s.Withdraw("one", 1); err != nil {
		t.Fatal(err)
	}
	equal(t, "withdrawn again", got, later[0])
	equal(t, "kept", names(t, filepath.Join(dir, withdrawnDir)), later[0], later[0]+".1", later[1], "two-out-c00000004-r2-s00-0000.jsonl")
	for range 2 {
		if got, err = WithdrawAfter(dir, []string{"one"}, 1); len(got) != 0 || err != nil {
			t.Errorf("nothing to withdraw: %v, %v", got, err)
		}
	}
	if got, err = VisibleAfter(filepath.Join(dir, "absent"), "one", 0); len(got) != 0 || err != nil {
		t.Errorf("absent directory: %v, %v", got, err)
	}
}

func TestWithoutCheckpoints(t *testing.T) {
	dir := t.TempDir()
	s := NewJSONL(dir, Options[int]{})
	sc := engine.SinkContext{UID: "out", Parallelism: 1}
	crashed, err := s.Open(ctx, sc)
	if err != nil {
		t.Fatal(err)
	}
	write(t, crashed, 9)
	crashed.Close()
	w, err := s.Open(ctx, sc)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := w.(engine.Committer); ok {
		t.Fatal("nothing would ever commit")
	}
	for i := range 3 {
		write(t, w, i)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	equal(t, "visible", visible(t, dir), 0, 1, 2)
	equal(t, "pending", names(t, filepath.Join(dir, pendingDir)))
	if _, err := s.Open(ctx, sc); err == nil || !strings.Contains(err.Error(), "earlier run") {
		t.Errorf("a second run: %v", err)
	}
}

func TestOpenRefusals(t *testing.T) {
	s := NewJSONL(t.TempDir(), Options[int]{})
	for _, sc := range []engine.SinkContext{
		{UID: "", Lineage: "l", Run: 1, Parallelism: 1},
		{UID: "u", Lineage: "", Run: 1, Parallelism: 1},
		{UID: strings.Repeat("u", 190), Lineage: "l", Run: 1, Parallelism: 1},
		{UID: "u", Lineage: "l", Run: 1},
		{UID: "u", Lineage: "l", Run: 1, Subtask: 2, Parallelism: 2},
	} {
		if _, err := s.Open(ctx, sc); err == nil {
			t.Errorf("%+v was accepted", sc)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewJSONL(file, Options[int]{}).Open(ctx, engine.SinkContext{UID: "u", Lineage: "l", Run: 1, Parallelism: 1}); err == nil {
		t.Error("a file as directory was accepted")
	}
}

func TestLineOptions(t *testing.T) {
	dir := t.TempDir()
	w := open(t, NewJSONL(dir, Options[int]{Marshal: func(dst []byte, r int) ([]byte, error) {
		switch r {
		case 0:
			return append(dst, "a\nb"...), nil
		case 1:
			return nil, errors.New("no")
		}
		return append(dst, "42"...), nil
	}}), engine.SinkContext{})
	for r := range 2 {
		if err := w.Write(r, 0); err == nil {
			t.Errorf("record %d was written", r)
		}
	}
	write(t, w, 2)
	prepare(t, w, 1)
	if err := w.Publish(ctx, 1); err != nil {
		t.Fatal(err)
	}
	equal(t, "visible", visible(t, dir), 42)
}

func TestCloseWaitsAndStopsFinish(t *testing.T) {
	dir := t.TempDir()
	w := open(t, NewJSONL(dir, Options[int]{}), engine.SinkContext{})
	write(t, w, 1)
	finish, err := w.Prepare(1)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := finish(ctx); !errors.Is(err, errClosed) {
		t.Errorf("finish after Close: %v", err)
	}
	equal(t, "pending", names(t, filepath.Join(dir, pendingDir)), "abc-out-c00000000-r1-s00-0000.open")
}
