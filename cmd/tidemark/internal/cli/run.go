package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/jobs"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/place"
	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/config"
	"github.com/tidemark-io/tidemark/engine/runtime"
)

func (a *app) jobs() *cobra.Command {
	return &cobra.Command{
		Use:   "jobs",
		Short: "List the jobs that run knows",
		Args:  exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			type row struct {
				Name    string `json:"name"`
				Summary string `json:"summary"`
				Input   string `json:"input"`
				Output  string `json:"output"`
			}
			rows := []row{}
			for _, j := range jobs.All() {
				rows = append(rows, row{j.Name, j.Summary, j.Input, j.Output})
			}
			switch a.output {
			case asJSON, asYAML:
				return a.document(struct {
					Schema string `json:"schema"`
					Jobs   []row  `json:"jobs"`
				}{"tidemark.jobs/1", rows})
			case asLines:
				return lines(a, "job", listed(rows))()
			}
			for _, r := range rows {
				if err := out.Fields(a.stdout, [2]string{"job", r.Name}, [2]string{"", r.Summary}, [2]string{"reads", r.Input}, [2]string{"writes", r.Output}); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// runFlags map flags to configuration keys; all take a text.
var runFlags = []struct{ name, key, help string }{
	{"input", "tidemark.run.input", "`file` that the job reads"},
	{"sink-dir", "tidemark.run.sink-dir", "`dir` that the job writes its output to"},
	{"parallelism", "parallelism.default", "`n` subtasks of each operator"},
	{"checkpoint-dir", "execution.checkpointing.dir", "`dir` of the checkpoints; without it, none"},
	{"interval", "execution.checkpointing.interval", "`time` between checkpoints, 10 s by default"},
	{"num-retained", "execution.checkpointing.num-retained", "keep `n` completed checkpoints, 3 by default"},
	{"rate", "tidemark.run.rate", "read `n` records per second in all"},
	{"restore", "execution.state-recovery.path", "start from the checkpoint `path`, or latest"},
	{"on-corrupt-channel-state", "tidemark.restore.on-corrupt-channel-state", "in-flight data of that path is damaged:\n`p` is fail, drop-damaged or drop-all"},
}

// runSwitches map flags without a value to configuration keys.
var runSwitches = []struct{ name, key, help string }{
	{"restore-fallback", "tidemark.restore.fallback", "if it is damaged, take the next older"},
	{"rollback-output", "tidemark.restore.rollback-output", "withdraw output newer than the restored"},
	{"allow-non-restored-state", "execution.state-recovery.ignore-unclaimed-state", "leave behind state the job does not have"},
}

func (a *app) run() *cobra.Command {
	var file string
	var defines []string
	var printConfig bool
	stop := stopCheckpoint
	cmd := &cobra.Command{
		Use:   "run JOB",
		Short: "Run a job of the catalogue",
		Long: `Run a job of the catalogue ("tidemark jobs" lists it) to the end of its input.

SIGINT or SIGTERM stops the sources, takes a final checkpoint, publishes the
output and exits with 0; a second one quits at once. With --stop savepoint the
final checkpoint is a savepoint: self-contained, without in-flight data, and
kept until you remove it.

Flags are short for configuration keys; "tidemark help configuration" lists all.`,
		Example: `  tidemark run flights --input testdata/flights-20k.json --sink-dir out \
      --checkpoint-dir ck --interval 1s --parallelism 4
  tidemark run flights --restore latest … --parallelism 2`,
		Args: exactly(1, "one JOB"),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	for _, f := range runFlags {
		flags.String(f.name, "", f.help)
	}
	for _, f := range runSwitches {
		flags.Bool(f.name, false, f.help)
	}
	flags.StringVar(&stop, "stop", stop, "what a signal ends with: checkpoint or\n`savepoint`")
	flags.StringVar(&file, "config", "", "read configuration keys from a YAML `file`")
	flags.StringArrayVarP(&defines, "define", "D", nil, "set a configuration `key=value`; repeatable")
	flags.BoolVar(&printConfig, "print-config", false, "show all values and origins, do not run")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		job, err := jobs.Find(args[0])
		if err != nil {
			return usageError{err}
		}
		if stop != stopCheckpoint && stop != stopSavepoint {
			return usage("--stop %s: want %s or %s", stop, stopCheckpoint, stopSavepoint)
		}
		conf, err := gather(cmd, file, defines)
		if err != nil {
			return err
		}
		settings, err := conf.Resolve()
		for _, w := range conf.Warnings() {
			a.say("warning: %s", w)
		}
		if err != nil {
			return err
		}
		if printConfig {
			return a.printConfig(conf)
		}
		return a.runJob(cmd.Context(), job, settings, conf.Values(), stop)
	}
	return cmd
}

// gather collects the configuration of file, -D and flags. Only flags that were
// given count: the defaults are the configuration's.
func gather(cmd *cobra.Command, file string, defines []string) (*config.Config, error) {
	conf := &config.Config{}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError{err}
		}
		conf.File(file, text)
	}
	for _, d := range defines {
		conf.Define(d)
	}
	for _, f := range runFlags {
		if cmd.Flags().Changed(f.name) {
			conf.Flag("--"+f.name, f.key, cmd.Flag(f.name).Value.String())
		}
	}
	for _, f := range runSwitches {
		if cmd.Flags().Changed(f.name) {
			conf.Flag("--"+f.name, f.key, cmd.Flag(f.name).Value.String())
		}
	}
	return conf, nil
}

// printConfig prints the values; as a table that is a file which --config takes.
func (a *app) printConfig(conf *config.Config) error {
	type row struct {
		Key    string `json:"key"`
		Value  string `json:"value"`
		Origin string `json:"origin"`
	}
	rows := []row{}
	var text strings.Builder
	for _, v := range conf.Values() {
		rows = append(rows, row{v.Key, v.Value, v.Origin.String()})
		fmt.Fprintf(&text, "%s: %s  # %s\n", v.Key, out.YAMLString(v.Value), out.Escape(v.Origin.String()))
	}
	switch a.output {
	case asJSON, asYAML:
		return a.document(struct {
			Schema string `json:"schema"`
			Values []row  `json:"values"`
		}{"tidemark.config/1", rows})
	case asLines:
		return lines(a, "value", listed(rows))()
	}
	_, err := io.WriteString(a.stdout, text.String())
	return err
}

// What a signal ends a job with.
const (
	stopCheckpoint = "checkpoint"
	stopSavepoint  = "savepoint"
)

// stop asks a job to end. A savepoint that fails lets the job go on, so a
// checkpoint is tried then: the user wants it to end. dir is the root.
func (a *app) stop(running *engine.Job, with, dir string) {
	if with == stopCheckpoint {
		running.Stop()
		return
	}
	made, err := running.StopWithSavepoint(context.Background()) // a second signal ends the process
	if err != nil {
		a.say("no savepoint: %v; stopping with a checkpoint", err)
		running.Stop()
		return
	}
	a.say("%s: go on from it with --restore", place.Join(dir, made.Path))
}

// runJob runs a job until it ends or a signal stops it.
func (a *app) runJob(ctx context.Context, job jobs.Job, s config.Settings, values []config.Value, stop string) error {
	if stop == stopSavepoint && s.Checkpoints.Dir == "" {
		return usage("--stop %s needs --checkpoint-dir", stop)
	}
	graph, err := job.Build(jobs.Params{Input: s.Job.Input, SinkDir: s.Job.SinkDir, Rate: s.Job.Rate})
	if err != nil {
		return usageError{err}
	}
	setup, err := prepare(ctx, s, values)
	if err != nil {
		return err
	}
	defer setup.close()
	w := newWatcher(a)
	setup.config.Observer = w
	// A signal must not cancel the job: it is to take a final checkpoint.
	running, err := engine.Start(context.WithoutCancel(ctx), graph, setup.config)
	if err != nil {
		return fmt.Errorf("%s: %w", job.Name, err)
	}
	setup.sweep()
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() { defer close(watched); w.watch(running, done) }()
	select {
	case <-ctx.Done():
		a.say("stopping: final %s; once more quits at once", stop)
		a.stop(running, stop, s.Checkpoints.Dir)
	case <-running.Done():
	}
	err = running.Wait()
	close(done)
	<-watched
	if errors.Is(err, runtime.ErrStopped) && ctx.Err() != nil {
		return context.Cause(ctx) // it could not end well: no final checkpoint
	}
	return jobError(err)
}

// jobError gives failures of a job their exit code. Failures of the storage,
// refusals and damage have their own, also when a job met them; what is left would
// otherwise count as a defect of this program.
func jobError(err error) error {
	if err == nil {
		return nil
	}
	if code := exitCode(err); code == exitInternal {
		return codeError{exitJob, err}
	}
	return err
}

// spillDir is where tasks spill, below a checkpoint root. Its name is none that an
// object can have, so the store does not see it.
func spillDir(root string) string {
	if root == "" || place.IsAddress(root) {
		root = filepath.Join(os.TempDir(), "tidemark")
	}
	return filepath.Join(root, ".tm-spill")
}
