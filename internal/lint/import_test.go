package lint

import (
	"slices"
	"strings"
	"testing"
)

// house is the import rule: for each package of ours (and those below it, up to
// the next line that fits better) the packages of ours that it may import, as
// prefixes. The arrows go down only.
var house = map[string][]string{
	"cmd/tidemark": {"cmd/tidemark", "engine", "convert", "recovery", "native", "reader", "writer", "flink", "rescale", "history", "checkpoint", "store", "format", "keygroup", "internal"},
	"engine":       {"engine", "writer", "reader", "rescale", "history", "checkpoint", "store", "format", "keygroup"},
	"convert":      {"convert", "flink", "writer", "reader", "checkpoint", "store", "format", "keygroup"},
	"recovery":     {"recovery", "checkpoint", "rescale", "store", "keygroup"},
	"native":       {"native", "reader", "writer", "rescale", "checkpoint", "store", "format", "keygroup"},
	"reader":       {"reader", "checkpoint", "store", "format", "keygroup"},
	"writer":       {"writer", "checkpoint", "store", "format", "keygroup"},
	"flink":        {"flink", "checkpoint", "store", "keygroup"},
	"flink/oracle": {"flink", "internal/testkit"},
	"rescale":      {"rescale", "checkpoint", "keygroup"},
	"history":      {"history", "checkpoint/layout", "store"},
	"checkpoint":   {"checkpoint", "store", "format", "keygroup"},
	"store":        {"store"},
	"format":       {"format", "keygroup"},
	"keygroup":     {"keygroup"},

	// The configuration is pure: the engine's settings are made of it elsewhere.
	"engine/config": {},
	// Programs and helpers of the repository itself.
	"internal/demo":     {"cmd/tidemark", "engine", "reader", "store", "checkpoint", "format", "internal"},
	"internal/bench":    {"engine", "reader", "writer", "store", "checkpoint", "format", "keygroup", "internal"},
	"internal/killtest": {"engine", "reader", "writer", "store", "checkpoint", "format", "keygroup", "internal"},
	"internal/lint":     {},
	"internal/testrun":  {},
	"internal/dist":     {},
	"internal/planted":  {},
	"internal/testkit":  {},
}

// outside says which modules a package may link, itself and through others. A
// package takes the line that fits best.
var outside = map[string][]string{
	"format":           {"github.com/klauspost/compress"},
	"keygroup":         {},
	"keygroup/keyhash": {"github.com/zeebo/xxh3", "github.com/klauspost/cpuid/v2"},
	"store":            {"golang.org/x/sys"},
	"store/gcs":        {}, // a holder: what the client library links is its affair
	"rescale":          {"github.com/klauspost/compress", "golang.org/x/sys"},
	"engine/config":    {"github.com/goccy/go-yaml"},
	"flink/wire":       {},
	"flink/serde":      {},
	"flink/state":      {"github.com/klauspost/compress"},
	"flink/sst":        {"github.com/klauspost/compress", "github.com/klauspost/cpuid/v2", "github.com/zeebo/xxh3", "github.com/cespare/xxhash/v2", "github.com/pierrec/lz4/v4"},
	"internal/lint":    {},
	"internal/testrun": {},
	"store/storetest":  {"golang.org/x/sys", "github.com/google/go-cmp", "pgregory.net/rapid", "go.uber.org/goleak"},
}

// heavy modules stay out of the libraries, whatever the way.
var heavy = []string{
	"github.com/spf13/cobra", "cloud.google.com", "github.com/cockroachdb/pebble", "github.com/parquet-go/parquet-go",
	"github.com/twmb/franz-go", "github.com/prometheus", "github.com/goccy/go-yaml", "github.com/jedib0t/go-pretty",
	"google.golang.org/grpc",
}

// holders are the packages made to hold a heavy module.
var holders = []string{"cmd/tidemark", "store/gcs", "engine/connector/parquet", "engine/state/pebble", "engine/config", "internal/demo", "internal/bench"}

// fit returns the longest key of the table that is path or a folder above it.
func fit(table map[string][]string, path string) (string, bool) {
	for {
		if _, ok := table[path]; ok {
			return path, true
		}
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return "", false
		}
		path = path[:i]
	}
}

func below(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}

func TestImportsGoDownOnly(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, p := range all {
		name, mine := ours(p.ImportPath)
		if !mine {
			continue
		}
		count++
		rule, ok := fit(house, name)
		if !ok {
			t.Errorf("%s stands in no line of the import rule; add it to the table in import_test.go, as low as it can be", name)
			continue
		}
		for _, imp := range p.Imports {
			if i, mine := ours(imp); mine && !below(i, house[rule]) {
				t.Errorf("%s imports %s; the line of %s allows %v", name, i, rule, house[rule])
			}
		}
	}
	t.Logf("RESULT TestImportsGoDownOnly packages=%d", count)
}

func TestForeignModules(t *testing.T) {
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		name, mine := ours(p.ImportPath)
		if !mine {
			continue
		}
		rule, limited := fit(outside, name)
		for _, dep := range p.Deps {
			d := all[dep]
			if d.Standard || d.Module == nil || d.Module.Path == module {
				continue
			}
			if limited && !below(dep, outside[rule]) && !slices.Contains(holders, rule) {
				t.Errorf("%s links %s; the line of %s allows %v", name, dep, rule, outside[rule])
			}
			if below(dep, heavy) && !below(name, holders) {
				t.Errorf("%s links %s, which belongs in a package of its own (%v)", name, dep, holders)
			}
		}
	}
}

func TestNoCgo(t *testing.T) {
	for _, s := range mustSources(t) {
		for _, imp := range s.file.Imports {
			if imp.Path.Value == `"C"` {
				t.Errorf("%s uses cgo", s.path)
			}
		}
	}
}
