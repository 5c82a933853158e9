package config

import (
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	good := map[string]time.Duration{
		"0": 0, "123": 123 * time.Millisecond, "10 s": 10 * time.Second, "1min": time.Minute, "500 ms": 500 * time.Millisecond,
		"2 HOURS": 2 * time.Hour, "7d": 7 * 24 * time.Hour, "5 µs": 5 * time.Microsecond, "5 μs": 5 * time.Microsecond, "9ns": 9,
		" 3 m ": 3 * time.Minute, "PT10S": 10 * time.Second, "pt1h30m": 90 * time.Minute, "P1D": 24 * time.Hour,
		"P1DT0.5S": 24*time.Hour + 500*time.Millisecond,
	}
	for text, want := range good {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "s", "-1 s", "1.5 s", "10 sx", "9223372036854775807 d", "99999999999999999999", "P", "PT", "PT1",
		"PT1S1M", "PT1S1S", "PT-1S", "P1Y", "PT9999999999999H", "P106751DT24H", "1e3"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), "is no") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseMemory(t *testing.T) {
	good := map[string]int64{"0": 0, "256": 256, "32kb": 32 << 10, "64 mb": 64 << 20, "1g": 1 << 30, "2 tebibytes": 2 << 40, "5 BYTES": 5, "8388607t": 8388607 << 40}
	for text, want := range good {
		if got, err := ParseMemory(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "kb", "-1", "1.5 mb", "1 pb", "8388608t", "9223372036854775808"} {
		if got, err := ParseMemory(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestEditDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xabc", 1}, {"kitten", "sitting", 3}, {"a", "zzzzzz", 5}}
	for _, tt := range tests {
		if got := editDistance(tt.a, tt.b, 5); got != tt.want {
			t.Errorf("%q, %q: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := editDistance(tt.b, tt.a, 5); got != tt.want {
			t.Errorf("%q, %q: got %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}

func TestRedact(t *testing.T) {
	tests := []struct{ key, value, want string }{
		{"s3.access-key", "abc", Redacted},
		{"s3.access.key", "abc", Redacted},
		{"fs.azure.account.key.x", "abc", Redacted},
		{"MY_SECRET", "abc", Redacted},
		{"security.ssl.internal.keystore-password", "abc", Redacted},
		{"kubernetes.token", "abc", Redacted},
		{"some.key", "abc", Redacted},
		{"some.key", "", ""},
		{"pipeline.max-parallelism", "128", "128"},
		{"state.backend.latency-track.keyed-state-enabled", "true", "true"},
		{"execution.checkpointing.dir", "/var/ck@home", "/var/ck@home"},
		{"execution.checkpointing.dir", "ftp://me:pw@host/dir@x", "ftp://" + Redacted + "@host/dir@x"},
		{"execution.checkpointing.dir", "ftp://me:p@w@host", "ftp://" + Redacted + "@host"},
		{"execution.checkpointing.dir", "file:///a@b", "file:///a@b"},
	}
	for _, tt := range tests {
		if got := Redact(tt.key, tt.value); got != tt.want {
			t.Errorf("%s=%s: got %s, want %s", tt.key, tt.value, got, tt.want)
		}
	}
}

// FuzzFile: no text crashes the reader, and every error says where.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{"a: 1", "execution:\n  checkpointing:\n    interval: 1 s\n", "a: [1, 2]", "a: &x 1\nb: *x", "- a", "a: {b: {c: 1}}",
		"a:\n\t- b", "? a\n: b", "a: |\n  text\n", "---\na: 1\n---\nb: 2", "<<: {a: 1}", "a: !!binary x", "\x00", "a: 'x", "parallelism.default: 2"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var c Config
		c.File("x.yaml", text)
		_, err := c.Resolve()
		if err != nil && !strings.Contains(err.Error(), "x.yaml:") {
			t.Errorf("no place in %v", err)
		}
	})
}
