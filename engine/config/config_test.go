package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestDefaults(t *testing.T) {
	var c Config
	got, err := c.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Job:         Job{Parallelism: 1, Chaining: true, StuckAfter: time.Minute},
		Checkpoints: Checkpoints{Interval: 10 * time.Second, Timeout: 10 * time.Minute, NumRetained: 3, History: 1000, Compression: "s2"},
		Restore:     Restore{Claim: "NO_CLAIM", WithoutInFlight: -1, OnCorrupt: "fail"},
		Restart:     Restart{Strategy: "fixed-delay", Attempts: 1, Delay: time.Second},
		Network: Network{SegmentSize: 32 << 10, BuffersPerChannel: 2, FloatingPerGate: 8, MaxPerChannel: 10, OverdraftPerGate: 5,
			BufferTimeout: 100 * time.Millisecond, Exchange: "local",
			Debloat: Debloat{Target: time.Second, Period: 200 * time.Millisecond, Samples: 20, Threshold: 25, MinSize: 256, StartSize: 1024}},
		Spill: Spill{Memory: 64 << 20, Disk: 1 << 30},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestPrecedence(t *testing.T) {
	const key = "execution.checkpointing.interval"
	file := func(c *Config) { c.File("conf.yaml", []byte("\nexecution.checkpointing.interval: 1 s\n")) }
	define := func(c *Config) { c.Define(key + "=2 s") }
	again := func(c *Config) { c.Define(key + "=4 s") }
	given := func(c *Config) { c.Flag("--interval", key, "3 s") }
	tests := []struct {
		name   string
		steps  []func(*Config)
		want   time.Duration
		origin string
	}{
		{"default", nil, 10 * time.Second, "default"},
		{"file", []func(*Config){file}, time.Second, "conf.yaml:2"},
		{"define over file", []func(*Config){define, file}, 2 * time.Second, "-D"},
		{"last define", []func(*Config){define, again}, 4 * time.Second, "-D"},
		{"switched off", []func(*Config){func(c *Config) { c.Define(key + "=none") }}, 0, "-D"},
		{"flag over all", []func(*Config){given, define, file}, 3 * time.Second, "flag --interval"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Config
			for _, step := range tt.steps {
				step(&c)
			}
			s, err := c.Resolve()
			if err != nil || s.Checkpoints.Interval != tt.want {
				t.Errorf("got %v, %v; want %v", s.Checkpoints.Interval, err, tt.want)
			}
			if v := valueOf(&c, key); v.Origin.String() != tt.origin {
				t.Errorf("origin %q, want %q", v.Origin, tt.origin)
			}
		})
	}
}

func valueOf(c *Config, key string) Value {
	for _, v := range c.Values() {
		if v.Key == key {
			return v
		}
	}
	return Value{}
}

// TestFiles runs every file of testdata through the package and compares what
// comes out: the values not at their default, warnings and errors.
func TestFiles(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, in := range inputs {
		t.Run(filepath.Base(in), func(t *testing.T) {
			text, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(in, ".yaml") + ".golden"
			got := describe(filepath.Base(in), text)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
	t.Logf("RESULT config.TestFiles files=%d", len(inputs))
}

func describe(name string, text []byte) string {
	var c Config
	c.File(name, text)
	_, err := c.Resolve()
	var b strings.Builder
	for _, v := range c.Values() {
		if v.Origin.Kind != FromDefault {
			b.WriteString("value " + v.Key + " = " + v.Value + " (" + v.Origin.String() + ")\n")
		}
	}
	for _, w := range c.Warnings() {
		b.WriteString("warning " + w + "\n")
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			b.WriteString("error " + strings.TrimRight(line, "\n") + "\n")
		}
	}
	return b.String()
}

func TestDefineErrors(t *testing.T) {
	tests := []struct{ arg, want string }{
		{"parallelism.default", `-D: "parallelism.default" is not of the form key=value`},
		{"=3", `-D: "=3" is not of the form key=value`},
		{"parallelism.defalt=3", `-D: parallelism.defalt: unknown key; did you mean parallelism.default?`},
		{"parallelism.default=zero", `-D: parallelism.default: "zero" is no whole number of 32 bits`},
		{"parallelism.default=0", `-D: parallelism.default: "0" is less than 1`},
		{"parallelism.default=4294967297", `-D: parallelism.default: "4294967297" is no whole number of 32 bits`},
		{"execution.checkpointing.interval=5 ms", `-D: execution.checkpointing.interval: "5 ms" is less than 10ms; use 0 to switch it off`},
		{"state.checkpoints.dir=s3://bucket/x", `-D: state.checkpoints.dir: "s3://bucket/x": addresses of s3 are not yet supported; use a directory or gs://BUCKET/PREFIX`},
		{"state.checkpoints.dir=file://host/x", `-D: state.checkpoints.dir: "file://host/x" names a host; write file:///path or the path alone`},
		{"tidemark.exchange=remote", `-D: tidemark.exchange: "remote" is none of local, credit`},
		{"pipeline.max-parallelism=32769", `-D: pipeline.max-parallelism: "32769" is not between 1 and 32768`},
		{"zzz=1", `-D: zzz: unknown key; "tidemark help configuration" lists them`},
	}
	for _, tt := range tests {
		var c Config
		c.Define(tt.arg)
		_, err := c.Resolve()
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.arg, err, tt.want)
		}
	}
}

// TestAtLeastOnce: the mode arrives, and switches unaligned checkpoints off with
// a warning, as in Flink.
func TestAtLeastOnce(t *testing.T) {
	for _, unaligned := range []bool{false, true} {
		var c Config
		c.Define("execution.checkpointing.mode=at_least_once")
		if unaligned {
			c.Define("execution.checkpointing.unaligned=true")
		}
		s, err := c.Resolve()
		if err != nil || !s.Checkpoints.AtLeastOnce || s.Checkpoints.Unaligned {
			t.Errorf("%+v, %v", s.Checkpoints, err)
		}
		if n := len(c.Warnings()); n != 0 && !unaligned || n != 1 && unaligned {
			t.Errorf("unaligned=%v: warnings %q", unaligned, c.Warnings())
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	var c Config
	c.Define("parallelism.defalt=3")
	c.Define("state.backend.changelog.enabled=true")
	c.Flag("--num-retained", "execution.checkpointing.num-retained", "0")
	_, err := c.Resolve()
	if n := strings.Count(err.Error(), "\n"); n != 2 {
		t.Errorf("want three errors, got\n%v", err)
	}
	if !errors.Is(err, ErrUnknownKey) || !errors.Is(err, ErrNotYet) {
		t.Errorf("want both classes in %v", err)
	}
	var e *Error
	if !errors.As(err, &e) || e.Key != "parallelism.defalt" || e.Origin.Kind != FromDefine {
		t.Errorf("got %+v", e)
	}
}

// TestUnalignedNeedsOneCheckpoint: the reason is given even where each value
// alone would be refused too.
func TestUnalignedNeedsOneCheckpoint(t *testing.T) {
	var c Config
	c.Define(keyUnaligned + "=true")
	c.Define(keyMaxConcurrent + "=2")
	_, err := c.Resolve()
	if err == nil || !strings.Contains(err.Error(), "must be 1 with unaligned checkpoints") {
		t.Errorf("got %v", err)
	}
}

// TestTable proves what the rest relies on: keys are unique, defaults parse, and
// each status and difference has its reason.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range Options() {
		for _, k := range append([]string{o.Key}, o.Aliases...) {
			if seen[k] {
				t.Errorf("%s stands twice in the table", k)
			}
			seen[k] = true
			if family(k) {
				t.Errorf("%s counts as a key of another part of Flink", k)
			}
		}
		if o.Default != "" {
			if err := o.apply(&Settings{}, o.Default); err != nil {
				t.Errorf("%s: default: %v", o.Key, err)
			}
		}
		if (o.Status != Supported || o.Flink != "") && o.Reason == "" {
			t.Errorf("%s: no reason", o.Key)
		}
		if o.Status == Supported && (o.Help == "" || o.store == nil) {
			t.Errorf("%s: supported without a help text or a place in the settings", o.Key)
		}
		if o.Type == Enum && len(o.Values) < 2 {
			t.Errorf("%s: an enum without values", o.Key)
		}
	}
	t.Logf("RESULT config.TestTable keys=%d spellings=%d families=%d", len(table), len(seen), len(families))
}

func TestValuesAreSorted(t *testing.T) {
	var c Config
	values := c.Values()
	if !slices.IsSortedFunc(values, func(a, b Value) int { return strings.Compare(a.Key, b.Key) }) {
		t.Error("not sorted")
	}
}
