package layout

import "testing"

func TestNamesReadBack(t *testing.T) {
	for _, id := range []uint64{0, 1, 7, 1<<64 - 1} {
		if got, savepoint, ok := ParseDir("root/" + Checkpoint(id)); got != id || savepoint || !ok {
			t.Errorf("checkpoint %d reads back as %d, %v, %v", id, got, savepoint, ok)
		}
		if got, savepoint, ok := ParseDir(Savepoint(id)); got != id || !savepoint || !ok {
			t.Errorf("savepoint %d reads back as %d, %v, %v", id, got, savepoint, ok)
		}
		if got, ok := ParseRun(Run(id)); got != id || !ok {
			t.Errorf("run %d reads back as %d, %v", id, got, ok)
		}
		if run, got, ok := ParseAttempt(Attempt(3, id)); run != 3 || got != id || !ok {
			t.Errorf("attempt %d reads back as %d of run %d, %v", id, got, run, ok)
		}
	}
	if got := Data("chk-7", "00ff", 3); got != "chk-7/00ff-3.data" || DataWriter(got) != "00ff" {
		t.Errorf("data object %q of writer %q", got, DataWriter(got))
	}
	if Join("", "x") != "x" || Join("a", "x") != "a/x" {
		t.Error("Join is wrong")
	}
}

func TestOtherNamesAreRefused(t *testing.T) {
	for _, dir := range []string{"", "chk-", "chk-07", "chk--1", "chk-1x", "savepoint-", "chk-18446744073709551616", "shared", "chk-+1"} {
		if id, _, ok := ParseDir(dir); ok {
			t.Errorf("%q is taken for %d", dir, id)
		}
	}
	for _, name := range []string{"runs/", "runs/01", "run/1", "runs/1/2", "1"} {
		if n, ok := ParseRun(name); ok {
			t.Errorf("%q is taken for run %d", name, n)
		}
	}
	for _, name := range []string{"history/", "history/1", "history/1-", "history/01-2", "history/1-2-3", "runs/1-2", "1-2"} {
		if run, id, ok := ParseAttempt(name); ok {
			t.Errorf("%q is taken for attempt %d of run %d", name, id, run)
		}
	}
	for _, name := range []string{"chk-7/MANIFEST", "a.data", "a-x.data", "a-1", "a-01.data"} {
		if w := DataWriter(name); w != "" {
			t.Errorf("%q is taken for data of writer %q", name, w)
		}
	}
}
