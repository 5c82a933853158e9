package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// part is one step of a tier.
type part struct {
	name   string
	what   string // for the reader of the log
	budget int    // seconds on two cores with nothing cached
	run    func(context.Context) (output, error)
}

// output is what a part leaves for the summary.
type output struct {
	results []string // RESULT lines
	closing []string // lines to print last: the verdict of each package
}

// bit32 are the packages whose tests also run where int has 32 bits.
var bit32 = []string{"./format/...", "./keygroup/...", "./reader/...", "./writer/...", "./rescale/..."}

var platforms = []string{"linux/amd64", "linux/arm64", "linux/386", "linux/s390x", "darwin/arm64", "windows/amd64"}

// tierParts returns the parts of a tier in the order they run. The tests come
// last, so that their verdicts end the log.
func tierParts(ctx context.Context, tier string) ([]part, error) {
	build := part{"build", "compile everything", 90, plain(nil, "go", "build", "./...")}
	vet := part{"vet", "go vet for " + strings.Join(platforms, " "), 240, vetAll}
	bits := part{"386", "tests of the format where int has 32 bits", 90, tests([]string{"GOARCH=386", "CGO_ENABLED=0"}, "-short", bit32...)}
	switch tier {
	case "test":
		return []part{build, vet, bits,
			{"race", "tests marked short, under the race detector", 180, raceTests},
			{"tests", "all tests", 480, tests(nil, "-timeout=20m", "./...")},
		}, nil
	case "cross":
		return []part{vet, bits}, nil
	case "fuzz":
		targets, err := fuzzTargets(ctx)
		if err != nil {
			return nil, err
		}
		each := os.Getenv("FUZZTIME")
		if each == "" {
			each = "30s"
		}
		return fuzzParts(targets, each), nil
	case "long":
		targets, err := fuzzTargets(ctx)
		if err != nil {
			return nil, err
		}
		return longParts(targets, time.Now()), nil
	}
	return nil, fmt.Errorf("no tier %q: use test, cross, fuzz or long", tier)
}

// longFuzz is the time that all fuzz targets take together in a long run, and the
// most that one of them gets.
const (
	longFuzz = 45 * time.Minute
	mostFuzz = 2 * time.Minute
)

// longParts are the parts of a long run: fuzzing, and all tests at their long
// size. Each run takes another range of seeds, from the clock; the log shows
// which.
func longParts(targets []target, now time.Time) []part {
	each := min(mostFuzz, longFuzz/time.Duration(max(1, len(targets)))-fuzzStart).Truncate(time.Second)
	seed := strconv.FormatInt(now.Unix(), 10)
	env := []string{"TIDEMARK_LONG=1", "TIDEMARK_SEED=" + seed}
	long := part{"long", "all tests at their long size, TIDEMARK_SEED=" + seed, 2100, tests(env, "-timeout=60m", "./...")}
	return append(fuzzParts(targets, each.String()), long)
}

func plain(env []string, args ...string) func(context.Context) (output, error) {
	return func(ctx context.Context) (output, error) { return output{}, command(ctx, env, args...) }
}

// vetAll vets everything for this platform, and for the others everything but
// the client of Google Cloud Storage: compiling its modules six times would take
// longer than all other parts together, and they are not ours.
func vetAll(ctx context.Context) (output, error) {
	if err := command(ctx, nil, "go", "vet", "./..."); err != nil {
		return output{}, err
	}
	packages, err := listPackages(ctx)
	if err != nil {
		return output{}, err
	}
	packages = slices.DeleteFunc(packages, func(p string) bool { return strings.HasSuffix(p, "/store/gcs") })
	return output{}, each(platforms, func(p string) error {
		goos, goarch, _ := strings.Cut(p, "/")
		args := slices.Concat([]string{"go", "vet", "-tags=nogcs"}, packages)
		return command(ctx, []string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch}, args...)
	})
}

// listPackages lists the packages of the module.
func listPackages(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list ./...: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// raceTests needs a C compiler on Linux. A developer's machine may lack one,
// CI may not.
func raceTests(ctx context.Context) (output, error) {
	if _, err := exec.LookPath("cc"); err != nil {
		if os.Getenv("TIDEMARK_REQUIRE") == "all" {
			return output{}, errors.New("the race detector needs a C compiler, and TIDEMARK_REQUIRE=all forbids to skip it")
		}
		fmt.Println("SKIP the race detector needs a C compiler (cc)")
		return output{}, nil
	}
	return tests(nil, "-race -short -timeout=20m", "./...")(ctx)
}

// tests runs go test with the flags on the packages.
func tests(env []string, flags string, packages ...string) func(context.Context) (output, error) {
	return func(ctx context.Context) (output, error) {
		args := slices.Concat([]string{"test", "-json"}, strings.Fields(flags), packages)
		return goTest(ctx, env, args)
	}
}
