// Command dist builds the programs of a release into a folder: make dist calls
// it. For each platform there is one static binary; SHA256SUMS beside them is
// in the format that sha256sum -c reads.
//
// The same commit built with the same Go version gives the same bytes,
// whatever the machine and the folder: no C compiler takes part, paths are
// trimmed, and what the binary knows of its origin comes from the commit. Only
// of a clean checkout, though: changed files mark the binary as modified.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// platforms are those that a release serves: where the tests of the format run
// or go vet looks at every package.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

// sums is the name of the list of checksums.
const sums = "SHA256SUMS"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: dist FOLDER")
		os.Exit(2)
	}
	if err := release(ctx, ".", os.Args[1], platforms, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// release builds all platforms of the module in root into the folder, which it
// makes, and lists them.
func release(ctx context.Context, root, folder string, platforms []string, list io.Writer) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, platform := range platforms {
		name, err := build(ctx, root, folder, platform)
		if err != nil {
			return err
		}
		sum, size, err := digest(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sum, name)
		fmt.Fprintf(list, "%x  %s  %.1f MB\n", sum, name, float64(size)/1e6)
	}
	return os.WriteFile(filepath.Join(folder, sums), lines.Bytes(), 0o644)
}

// build makes the binary of one platform and returns its name.
func build(ctx context.Context, root, folder, platform string) (string, error) {
	goos, goarch, ok := strings.Cut(platform, "/")
	if !ok {
		return "", fmt.Errorf("platform %q is not of the form OS/ARCHITECTURE", platform)
	}
	name := "tidemark-" + goos + "-" + goarch
	if goos == "windows" {
		name += ".exe"
	}
	var said bytes.Buffer
	// The tag leaves out what the storage library has for gRPC only, which we do
	// not use: a third of the program, and of its start.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags=disable_grpc_modules", "-ldflags=-s -w -buildid=", "-o", filepath.Join(folder, name), "./cmd/tidemark")
	cmd.Dir = root
	// GOFLAGS of the builder must not reach the bytes.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+goos, "GOARCH="+goarch, "GOAMD64=v1", "GOARM64=v8.0")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building for %s: %w\n%s", platform, err, said.Bytes())
	}
	return name, nil
}

// digest is the SHA-256 and the size of a file.
func digest(path string) (sum []byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return h.Sum(nil), size, err
}
