package crashsim

import (
	"errors"
	"fmt"
	"syscall"
)

// Fault is a way in which a call fails.
type Fault int

// The ways. The first five hit any call, without effect; a failed fsync always
// loses the data, whatever the error.
const (
	EIO Fault = iota
	ENOSPC
	EDQUOT
	EMFILE
	EINTR
	ShortWrite  // a write takes half and reports no error
	SyncLies    // an fsync fails, each later one of that file does nothing and succeeds
	CloseFails  // the last chance of a network file system to report
	AfterEffect // the call does its work and then fails: link, rename, unlink, mkdir, create, utimens
)

// Faults lists the ways.
func Faults() []Fault {
	return []Fault{EIO, ENOSPC, EDQUOT, EMFILE, EINTR, ShortWrite, SyncLies, CloseFails, AfterEffect}
}

// String names the fault.
func (f Fault) String() string {
	return [...]string{"EIO", "ENOSPC", "EDQUOT", "EMFILE", "EINTR", "short write", "fsync lies", "close fails", "after effect"}[f]
}

// errors of the faults, by number.
var faultErrors = [...]error{
	syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.EINTR,
	errors.New("short write"), syscall.EIO, syscall.EIO, syscall.EIO,
}

// hits reports whether the fault can happen to a call of the kind.
func (f Fault) hits(op Op) bool {
	switch f {
	case ShortWrite:
		return op == OpWrite
	case SyncLies:
		return op == OpSync || op == OpSyncDir
	case CloseFails:
		return op == OpClose
	case AfterEffect:
		return op == OpLink || op == OpRename || op == OpRemove || op == OpMkdir || op == OpCreate || op == OpChtimes
	}
	return true
}

// plan fails calls.
type plan struct {
	at      int // number of the call
	fault   Fault
	forever bool // and all later ones
	fired   int
	first   Op  // the kind of the first call that failed
	firstAt int // its number
}

// strike decides call number n. With effect set, the call fails although it
// does its work (or half of it, or, for an fsync, it lies from now on).
func (p *plan) strike(n int, op Op) (err error, effect bool) {
	if n < p.at || n > p.at && !p.forever || !p.fault.hits(op) {
		return nil, true
	}
	if p.fired++; p.fired == 1 {
		p.first, p.firstAt = op, n
	}
	return faultErrors[p.fault], p.fault == AfterEffect || p.fault == ShortWrite || p.fault == SyncLies
}

// FailCall makes the k-th call from now on fail, counted from 0 over calls of
// all kinds, and if forever is set every later one too. A fault that cannot
// happen to that kind of call does not happen: ask [Disk.Fired].
func (d *Disk) FailCall(k int, f Fault, forever bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan = &plan{at: d.calls + k, fault: f, forever: forever}
}

// Fired returns how often the planned fault happened, and to which kind of call
// first.
func (d *Disk) Fired() (times int, first Op) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plan == nil {
		return 0, ""
	}
	return d.plan.fired, d.plan.first
}

// Heal ends the planned fault.
func (d *Disk) Heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plan = nil
}

// Failure is one run that [Failures] shows.
type Failure struct {
	Call    int // number of the call, all kinds
	Op      Op  // its kind
	Fault   Fault
	Forever bool
	Disk    *Disk // healed, as the process left it
	Result  any   // what the scenario returned
}

// String prints the place such that it can be found again.
func (f Failure) String() string {
	times := "once"
	if f.Forever {
		times = "forever"
	}
	return fmt.Sprintf("(fail (call %d) (op %s) (error %q) (%s))", f.Call, f.Op, f.Fault, times)
}

// Failures runs a scenario with each of its calls failing in each way, once and
// for ever, and shows the check each run in which the fault happened. Besides
// the check's errors it reports handles left open and a second fsync after a
// failed one. Tally.Points counts calls, Tally.Images runs.
func Failures(setup func(*Disk), scenario func(*Disk) any, check func(Failure) error) (Tally, error) {
	var t Tally
	var errs []error
	for k := 0; ; k++ {
		reached := false
		for _, fault := range Faults() {
			for _, forever := range []bool{false, true} {
				d := prepared(setup)
				before, _ := d.Calls()
				d.FailCall(k, fault, forever)
				f := Failure{Call: k, Fault: fault, Forever: forever, Disk: d, Result: scenario(d)}
				calls, _ := d.Calls()
				reached = reached || calls-before > k
				times, op := d.Fired()
				if times == 0 || d.plan.firstAt != d.plan.at {
					continue // a later call's turn
				}
				d.Heal()
				f.Op = op
				t.Images++
				if err := errors.Join(check(f), d.clean()); err != nil {
					t.Bad++
					errs = append(errs, fmt.Errorf("%s: %w\n%s", f, err, d))
				}
			}
		}
		if !reached {
			return t, joinFirst(errs)
		}
		t.Points++
	}
}

// clean reports what no scenario may leave behind.
func (d *Disk) clean() error {
	var err error
	if n := d.OpenHandles(); n != 0 {
		err = fmt.Errorf("%d handles left open", n)
	}
	if again := d.SyncedAgain(); len(again) > 0 {
		err = errors.Join(err, fmt.Errorf("fsync after a failed fsync of %q", again))
	}
	return err
}

// joinFirst keeps messages readable when everything fails.
func joinFirst(errs []error) error {
	const most = 8
	if n := len(errs); n > most {
		errs = append(errs[:most:most], fmt.Errorf("and %d more", n-most))
	}
	return errors.Join(errs...)
}
