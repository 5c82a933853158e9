//go:build unix

package killtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a child.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	done   chan struct{}
	err    error // valid when done is closed
	before uint64
}

// settings of a child.
type settings struct {
	parallelism int
	faults      string
	records     int64
	noLock      bool
}

// launch starts a child and waits until its run has begun.
func launch(t *testing.T, dir string, s settings) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe), done: make(chan struct{}), before: highest(t, dir)}
	p.cmd.Env = append(os.Environ(), envDir+"="+dir, envParallelism+"="+strconv.Itoa(s.parallelism),
		envFaults+"="+s.faults, envRecords+"="+strconv.FormatInt(s.records, 10), "GOMAXPROCS=2")
	if s.noLock {
		p.cmd.Env = append(p.cmd.Env, envNoLock+"=1")
	}
	p.cmd.Stderr = &p.stderr
	began := runs(t, dir)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // fails if it is over, which is good
		<-p.done
	})
	p.await(t, func() bool { return runs(t, dir) > began })
	return p
}

// await looks at the files until ok, and fails if the child ends before.
func (p *process) await(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-p.done:
			t.Fatalf("the child ended by itself: %v\n%s", p.err, p.stderr.String())
		case <-tick.C:
		}
	}
}

// end waits for the child and returns its exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	<-p.done
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Fatal(p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	p.end(t)
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
}

// delays is a fault expression that makes each phase last long enough to be
// seen. Listing the runs is the look at the fence, which comes before the
// manifest and before publishing.
func delays(r *rand.Rand) string {
	ms := func(low, high int) int { return low + r.IntN(high-low) }
	return fmt.Sprintf(`(delay %dms (op commit) (name "*.data"))(delay %dms (op commit) (name "*/MANIFEST"))(delay %dms (op list) (name "runs*"))`,
		ms(1, 10), ms(5, 25), ms(5, 25))
}

// finish runs the job to an end behind everything that was written, undisturbed,
// and checks the output.
func finish(t *testing.T, dir string, parallelism int) (lines int) {
	t.Helper()
	var most int64
	for _, l := range output(t, dir) {
		most = max(most, l.Seq+1)
	}
	records := most + 5000
	p := launch(t, dir, settings{parallelism: parallelism, records: records})
	if code := p.end(t); code != 0 {
		t.Fatalf("the last run ended with exit code %d\n%s", code, p.stderr.String())
	}
	all := output(t, dir)
	check(t, all, records)
	return len(all)
}

func seeded(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed := uint64(1)
	if s := os.Getenv("TIDEMARK_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// A job that is killed in all phases of its checkpoints, and restarted with
// another parallelism each time, loses nothing, doubles nothing and keeps the
// order of the records of each key.
func TestKills(t *testing.T) {
	if testing.Short() {
		return // it makes processes; the long form runs them by the hundred
	}
	kills := 25
	if os.Getenv("TIDEMARK_LONG") != "" {
		kills = 200
	}
	r, seed := seeded(t)
	dir := t.TempDir()
	began := time.Now()
	var hit [phases]int
	var parallelism [9]int
	for k := range kills {
		s := settings{parallelism: 1 + r.IntN(8), faults: delays(r)}
		parallelism[s.parallelism]++
		p := launch(t, dir, s)
		// Kill in the wanted phase of the first, second or third checkpoint
		// of the run, some moments into it.
		want, skip := phase(k%int(phases)), uint64(r.IntN(3))
		if want == beforeData {
			skip = 0
		}
		p.await(t, func() bool {
			now, newest := look(t, dir, p.before)
			return now == want && (want == beforeData || newest > p.before+skip)
		})
		time.Sleep(time.Duration(r.IntN(4000)) * time.Microsecond)
		p.kill(t)
		now, _ := look(t, dir, p.before)
		hit[now]++
	}
	lines := finish(t, dir, 1+r.IntN(8))
	var b strings.Builder
	for p := range phases {
		fmt.Fprintf(&b, " %v=%d", p, hit[p])
		if hit[p]*10 < kills {
			t.Errorf("only %d of %d kills in phase %v: the test is void", hit[p], kills, p)
		}
	}
	t.Logf("RESULT TestKills kills=%d%s records=%d lost=0 twice=0 seed=%d seconds=%.0f", kills, b.String(), lines, seed, time.Since(began).Seconds())
	t.Logf("parallelism 1 to 8 ran %v times", parallelism[1:])
}

// A process that stands still while another one takes its root over does no harm
// when it goes on: it is fenced, and the output is exact.
func TestStoppedProcessIsFenced(t *testing.T) {
	if testing.Short() {
		return // it makes processes
	}
	r, seed := seeded(t)
	fenced := 0
	for want := range phases {
		dir := t.TempDir()
		first := launch(t, dir, settings{parallelism: 1 + r.IntN(4), faults: delays(r), noLock: true})
		first.await(t, func() bool {
			now, newest := look(t, dir, first.before)
			return now == want && (want == beforeData || newest > 2)
		})
		first.signal(t, syscall.SIGSTOP)
		second := launch(t, dir, settings{parallelism: 1 + r.IntN(4), faults: delays(r), noLock: true})
		second.await(t, func() bool {
			now, newest := look(t, dir, second.before)
			return now == published && newest > second.before+1
		})
		first.signal(t, syscall.SIGCONT)
		if code := first.end(t); code != exitFenced {
			t.Fatalf("%v: the first process ended with exit code %d, want %d\n%s", want, code, exitFenced, first.stderr.String())
		}
		fenced++
		_, at := look(t, dir, second.before)
		second.await(t, func() bool { // the second one is not disturbed
			now, newest := look(t, dir, second.before)
			return now == published && newest > at+1
		})
		second.kill(t)
		finish(t, dir, 1+r.IntN(4))
	}
	t.Logf("RESULT TestStoppedProcessIsFenced stopped=%d fenced=%d lost=0 twice=0 seed=%d", int(phases), fenced, seed)
}
