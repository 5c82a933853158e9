package oracle

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed java
var sources embed.FS

// Version is a Flink that the oracle runs: a profile of java/pom.xml, which has
// the exact number.
type Version string

// The versions.
const (
	Flink1 Version = "flink-1" // the last 1.x: metadata version 4
	Flink2 Version = "flink-2" // 2.x: metadata version 6
)

// Versions are all of them.
var Versions = []Version{Flink1, Flink2}

// ErrMissing is wrapped when Java or Maven is not installed.
var ErrMissing = errors.New("not installed")

// install returns the class path of the version: jars and compiled classes in the
// user's cache directory, under the digest of what they were made from. The first
// call on a machine runs Maven, for about a minute; a later one reads the disk
// only. Processes that come at the same time wait for one another.
func install(ctx context.Context, v Version) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("oracle: %w", err)
	}
	cache = filepath.Join(cache, "tidemark", "flink-oracle")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("oracle: %w", err)
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", fmt.Errorf("oracle: %w", err)
	}
	defer unlock()
	lib := filepath.Join(cache, fmt.Sprintf("lib-%s-%s", v, digest("java/pom.xml")))
	if err := once(lib, func(dir string) error { return resolve(ctx, v, dir) }); err != nil {
		return "", err
	}
	classes := filepath.Join(cache, fmt.Sprintf("classes-%s-%s", v, digest("java")))
	if err := once(classes, func(dir string) error { return compile(ctx, lib, dir) }); err != nil {
		return "", err
	}
	return classes + string(os.PathListSeparator) + filepath.Join(lib, "*"), nil
}

// once makes dir by calling do on an empty directory beside it, unless it is there.
func once(dir string, do func(dir string) error) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "tmp-")
	if err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := do(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	return nil
}

// digest names what lies at the path of the embedded sources.
func digest(path string) string {
	h := sha256.New()
	// The embedded tree cannot fail to be read: it is in this program.
	_ = fs.WalkDir(sources, path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			raw, _ := sources.ReadFile(p)
			fmt.Fprintf(h, "%s %d\n%s", p, len(raw), raw)
		}
		return nil
	})
	return fmt.Sprintf("%x", h.Sum(nil))[:16]
}

// resolve copies the jars of the version into dir. Maven is asked without the
// network first: its own repository may have them.
func resolve(ctx context.Context, v Version, dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("oracle: Maven, which fetches Flink once: %w", ErrMissing)
	}
	project, err := os.MkdirTemp("", "flink-oracle-")
	if err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	defer func() { _ = os.RemoveAll(project) }()
	pom, err := sources.ReadFile("java/pom.xml")
	if err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	if err := os.WriteFile(filepath.Join(project, "pom.xml"), pom, 0o644); err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	args := []string{"-B", "-q", "-P", string(v), "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + dir}
	if err := command(ctx, project, mvn, append([]string{"-o"}, args...)...); err == nil {
		return nil
	}
	return command(ctx, project, mvn, args...)
}

// compile puts the classes and resources into dir.
func compile(ctx context.Context, lib, dir string) error {
	javac, err := exec.LookPath("javac")
	if err != nil {
		return fmt.Errorf("oracle: a Java compiler (17 or newer): %w", ErrMissing)
	}
	src, err := os.MkdirTemp("", "flink-oracle-")
	if err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	defer func() { _ = os.RemoveAll(src) }()
	if err := os.CopyFS(src, sources); err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(src, "java", "resources"))); err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(src, "java", "src", "io", "tidemark", "oracle", "*.java"))
	if err != nil {
		return fmt.Errorf("oracle: %w", err)
	}
	args := []string{"--release", "17", "-nowarn", "-encoding", "UTF-8", "-cp", filepath.Join(lib, "*"), "-d", dir}
	return command(ctx, src, javac, slices.Concat(args, files)...)
}

func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("oracle: %s: %w\n%s", filepath.Base(name), err, lastLines(string(out), 30))
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
