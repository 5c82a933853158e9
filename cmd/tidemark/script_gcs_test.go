package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tidemark-io/tidemark/store/gcs/gcstest"
)

// fakeOf is the fake of Google Cloud Storage that belongs to a script.
func fakeOf(ts *testscript.TestScript) *gcstest.Server { return ts.Value("gcs").(*gcstest.Server) }

// bucket is the one that each fake has.
const bucket = "bucket"

// settle is how long a command may take to reach a request, or to end. It only
// ends a test that would hang.
const settle = time.Minute

// awaitObject polls for an object whose name matches a pattern.
func awaitObject(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(settle); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if slices.ContainsFunc(fakeOf(ts).Names(bucket), func(name string) bool { ok, _ := path.Match(args[0], name); return ok }) {
			return
		}
	}
	ts.Fatalf("no object %s after a minute", args[0])
}

// objects compares how many objects match a pattern, * standing for anything.
func objects(ts *testscript.TestScript, _ bool, args []string) {
	n := 0
	for _, name := range fakeOf(ts).Names(bucket) {
		if strings.HasPrefix(name, args[1]) {
			n++
		}
	}
	if strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d objects begin with %s, want %s", n, args[1], args[0])
	}
}

// copyObject makes an object of an age as gc sees it: copyobject FROM TO AGE.
func copyObject(ts *testscript.TestScript, _ bool, args []string) {
	age, err := time.ParseDuration(args[2])
	ts.Check(err)
	if !fakeOf(ts).Age(bucket, args[0], args[1], age) {
		ts.Fatalf("no object %s", args[0])
	}
}

// damageObject changes a byte of an object. Its checksum stays, unless "noticed"
// is said.
func damageObject(ts *testscript.TestScript, _ bool, args []string) {
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	do := fakeOf(ts).Damage
	if len(args) > 2 && args[2] == "noticed" {
		do = fakeOf(ts).Replace
	}
	if !do(bucket, args[0], at) {
		ts.Fatalf("no byte %d in %s; there are %q", at, args[0], fakeOf(ts).Names(bucket))
	}
}

// downloaded requires that at most so many bytes of objects, and at least one for
// a limit with "some", have been sent since the last call.
func downloaded(ts *testscript.TestScript, _ bool, args []string) {
	n := fakeOf(ts).Sent()
	limit, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	ts.Logf("%d bytes downloaded, %v", n, fakeOf(ts).Requests())
	if n > limit {
		ts.Fatalf("%d bytes were downloaded, at most %d expected", n, limit)
	}
}

// requested compares the number of requests of an operation so far: requested OP
// COUNT, COUNT being a number or "some".
func requested(ts *testscript.TestScript, _ bool, args []string) {
	n := fakeOf(ts).Requests()[args[0]]
	if args[1] == "some" && n > 0 || args[1] == strconv.Itoa(n) {
		return
	}
	ts.Fatalf("%d requests %s, want %s", n, args[0], args[1])
}

// unconditional requires that each request that changed something had a
// precondition.
func unconditional(ts *testscript.TestScript, _ bool, args []string) {
	if n := fakeOf(ts).Unconditional(); strconv.Itoa(n) != args[0] {
		ts.Fatalf("%d changes without a precondition, want %s", n, args[0])
	}
}

// startTool starts the command under test.
func startTool(ts *testscript.TestScript, args []string) *exec.Cmd {
	tool := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, args[0])); err == nil && tool == "" {
			tool = filepath.Join(dir, args[0])
		}
	}
	cmd := exec.Command(tool, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "STORAGE_EMULATOR_HOST="+ts.Getenv("STORAGE_EMULATOR_HOST"), "NO_COLOR=1")
	ts.Check(cmd.Start())
	return cmd
}

// interrupted runs a command again and again: interrupted OPS CODE command…. The
// fake lets the n-th request of the operations OPS (read,list) wait, the command
// gets SIGINT meanwhile, for n = 1, 2, … until it ends before there is such a
// request, with the exit code CODE; beyond ten, some are passed over. What was interrupted must end with 130 and
// leave the bucket as it was.
func interrupted(ts *testscript.TestScript, _ bool, args []string) {
	fake, ops := fakeOf(ts), strings.Split(args[0], ",")
	defer fake.Inject(nil)
	before := fake.Names(bucket)
	tries := 0
	for n := 1; ; n += 1 + n/10 { // the first ten each, then fewer and fewer
		reached, release := make(chan struct{}), make(chan struct{})
		var mu sync.Mutex
		count := 0
		fake.Inject(func(op string) gcstest.Fault {
			mu.Lock()
			count++
			mine := slices.Contains(ops, op)
			if !mine {
				count--
			}
			mine = mine && count == n
			mu.Unlock()
			if !mine {
				return gcstest.None
			}
			close(reached)
			<-release // its client has gone by then: nothing is done any more
			return gcstest.Refuse
		})
		cmd := startTool(ts, args[2:])
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		done, err := waitFor(reached, ended)
		if !done {
			ts.Check(cmd.Process.Signal(os.Interrupt))
			done, err = waitFor(nil, ended)
			close(release)
			if !done {
				_ = cmd.Process.Kill() // it hangs, and the test fails
				ts.Fatalf("request %d: it did not end after SIGINT", n)
			}
			if code := exitCode(err); code != 130 {
				ts.Fatalf("request %d: exit code %d after SIGINT, want 130", n, code)
			}
			if now := fake.Names(bucket); !slices.Equal(before, now) {
				ts.Fatalf("request %d: the bucket has %q, before it had %q", n, now, before)
			}
			tries++
			continue
		}
		if code := exitCode(err); strconv.Itoa(code) != args[1] {
			ts.Fatalf("without SIGINT: exit code %d, want %s", code, args[1])
		}
		mu.Lock() // the fake may still be answering
		ts.Logf("interrupted at %d of %d requests", tries, count)
		mu.Unlock()
		if tries == 0 {
			ts.Fatalf("it makes no request %v; there were %v", ops, slices.Collect(maps.Keys(fake.Requests())))
		}
		return
	}
}

// waitFor waits until a request is reached, or a process has ended.
func waitFor(reached <-chan struct{}, ended <-chan error) (done bool, err error) {
	limit := time.NewTimer(settle)
	defer limit.Stop()
	select {
	case <-reached:
		return false, nil
	case err := <-ended:
		return true, err
	case <-limit.C:
		return false, fmt.Errorf("neither after %v", settle)
	}
}

// exitCode is that of a process that was waited for.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// sortedLines writes the lines of all files that match a pattern, sorted, to a
// file: what a sink has published.
func sortedLines(ts *testscript.TestScript, _ bool, args []string) {
	var all []string
	names, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	for _, name := range names {
		data, err := os.ReadFile(name)
		ts.Check(err)
		all = append(all, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
	}
	if len(all) == 0 {
		ts.Fatalf("no line in %s", args[1])
	}
	slices.Sort(all)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(all, "\n")+"\n"), 0o600))
}
