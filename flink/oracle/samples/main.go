// Command samples writes the checkpoints and savepoints in testdata/flink with a real Flink. Two runs do not write the same
// bytes: file names are random and what is in flight depends on timing. Each sample's expected.json says what is in it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tidemark-io/tidemark/flink/oracle"
)

// maxBytes is what one sample may take in the repository.
const maxBytes = 200 << 10

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	only := flag.String("only", "", "regular `expression` of the samples to write, 1.20/heap-long for example")
	dir := flag.String("dir", filepath.Join("testdata", "flink"), "`directory` of the samples")
	flag.Parse()
	if err := run(ctx, *only, *dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only, dir string) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	var failed []error
	for _, v := range oracle.Versions {
		s, err := oracle.New(ctx, v)
		if err != nil {
			return err
		}
		short := s.Flink[:strings.LastIndexByte(s.Flink, '.')]
		for _, k := range kinds() {
			name := short + "/" + k.name
			if !match.MatchString(name) {
				continue
			}
			bytes, sample, err := write(ctx, s, k, name, filepath.Join(dir, filepath.FromSlash(name)))
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", name, err))
				s.Close() // it may be the server that broke
				if s, err = oracle.New(ctx, v); err != nil {
					return err
				}
				continue
			}
			fmt.Printf("%-40s %7d bytes, %d keys, %d in flight\n", name, bytes, len(sample.Snapshot.State.Keyed), len(sample.InFlight))
		}
		s.Close()
	}
	return errors.Join(failed...)
}

func write(ctx context.Context, s *oracle.Server, k kind, name, dir string) (int64, *oracle.Sample, error) {
	if err := os.RemoveAll(dir); err != nil {
		return 0, nil, err
	}
	root, err := filepath.Abs(filepath.Join(dir, "s3"))
	if err != nil {
		return 0, nil, err
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return 0, nil, err
	}
	sample := &oracle.Sample{
		Flink: s.Flink, Name: name, Dir: dir, Request: k.request,
		Command: "go run ./flink/oracle/samples -only '^" + name + "$'",
	}
	k.request.S3Root = root
	report, err := s.Run(ctx, k.request)
	if err == nil && k.then != nil {
		report, err = again(ctx, s, k, report, sample)
	}
	if err != nil {
		return 0, nil, err
	}
	if err := sample.Write(report); err != nil {
		return 0, nil, err
	}
	if k.inFlight && len(sample.InFlight) == 0 {
		return 0, nil, errors.New("nothing is in flight")
	}
	var bytes int64
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err == nil && bytes > maxBytes {
		err = fmt.Errorf("%d bytes, at most %d are allowed", bytes, maxBytes)
	}
	return bytes, sample, err
}

// again restores what the first run wrote and takes the kind's second snapshot.
func again(ctx context.Context, s *oracle.Server, k kind, first *oracle.Report, sample *oracle.Sample) (*oracle.Report, error) {
	r := *k.then
	r.From = first.Snapshots[len(first.Snapshots)-1].Path
	sample.Request = r
	r.S3Root = k.request.S3Root
	return s.Run(ctx, r)
}
