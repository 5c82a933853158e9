package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/pprof"
	"time"
)

// Each measurement is made by a process of its own, which is this program
// started again: it begins with an empty heap, its processor time is exactly
// that of the run, and the measurements of a pair do not disturb each other.

// childFlag as first argument says that the program is to make one measurement.
const childFlag = "-child"

// params is what a measurement is told.
type params struct {
	Task    string
	Dir     string // of its own, or with what an earlier task left
	Keys    uint64 `json:",omitempty"`
	Entries int    `json:",omitempty"`
	Bytes   int64  `json:",omitempty"`
	Groups  int    `json:",omitempty"` // key groups, 0 is 128
	Repeat  int    `json:",omitempty"` // 0 is once
	// Capacity is that of the peer's channels.
	Capacity int    `json:",omitempty"`
	Codec    string `json:",omitempty"`
	// Still leaves the data in flight out of a sample, Items is the length of each
	// list in a subtask; 0 is in proportion to Bytes.
	Still bool `json:",omitempty"`
	Items int  `json:",omitempty"`
	// Quiet takes no checkpoint but the last, Unaligned enables unaligned ones.
	Quiet     bool `json:",omitempty"`
	Unaligned bool `json:",omitempty"`
	// Mode, Debloat and Buffers (per channel) are the settings of the job under
	// backpressure; Repeat is its number of checkpoints at most.
	Mode    string `json:",omitempty"`
	Debloat bool   `json:",omitempty"`
	Buffers int    `json:",omitempty"`
	// Section is how long a task without end is measured.
	Section time.Duration `json:",omitempty"`
	Profile string        `json:",omitempty"` // file for a CPU profile
}

// figures are the results of one measurement by name: speeds in records or MB
// (10⁶ bytes) per second, times in ms, memory in bytes.
type figures map[string]float64

// tasks are the measurements that a child can make.
var tasks = map[string]func(context.Context, params) (figures, error){
	"count":    countEngine,
	"channels": countChannels,
	"sync":     syncPhase,
	"write":    writeSnapshot,
	"prepare":  prepareState,
	"restore":  restoreState,
	"wide":     prepareWide,
	"sample":   prepareSample,
	"sum":      sumFiles,
	"pressure": underPressure,
}

// child is the main function of a measuring process.
func child(ctx context.Context, arg string) int {
	if err := runChild(ctx, arg); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func runChild(ctx context.Context, arg string) error {
	var p params
	if err := json.Unmarshal([]byte(arg), &p); err != nil {
		return err
	}
	task, ok := tasks[p.Task]
	if !ok {
		return fmt.Errorf("no task %q", p.Task)
	}
	// Results go to stdout as one line of JSON, complaints to stderr.
	found, err := task(ctx, p)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Task, err)
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// measure starts a child and waits for its figures.
func measure(ctx context.Context, p params) (figures, error) {
	arg, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, childFlag, string(arg))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("task %s: %w: %s", p.Task, err, bytes.TrimSpace(complaint.Bytes()))
	}
	found := figures{}
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return nil, fmt.Errorf("task %s: %w", p.Task, err)
	}
	// Only the parent of a process learns its whole peak.
	found["peak"] = float64(peakOf(cmd.ProcessState))
	return found, nil
}

// section is a stretch of a process that is measured.
type section struct {
	cpu     time.Duration
	wall    time.Time
	profile *os.File
}

func beginSection() section { return section{cpu: cpuTime(), wall: time.Now()} }

// beginProfiled begins the section of a task that its profile is of, if one is
// wanted.
func beginProfiled(p params) (section, error) {
	if p.Profile == "" {
		return beginSection(), nil
	}
	f, err := os.Create(p.Profile)
	if err != nil {
		return section{}, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return section{}, errors.Join(err, f.Close())
	}
	s := beginSection()
	s.profile = f
	return s, nil
}

// end returns the processor time and the time that have passed, in seconds.
func (s section) end() (cpu, wall float64) {
	cpu, wall = (cpuTime() - s.cpu).Seconds(), time.Since(s.wall).Seconds()
	if s.profile != nil {
		pprof.StopCPUProfile()
		_ = s.profile.Close() // an unreadable profile is reported by pprof
	}
	return cpu, wall
}
