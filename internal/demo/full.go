package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go"
)

// The data set of the full demonstration.
const (
	npmPackage = "vega-datasets@3.2.1"
	npmFile    = "package/data/flights-3m.parquet"
)

// runFull runs the job on three million records, without a kill.
func (d *demo) runFull(ctx context.Context) error {
	fmt.Printf("# this needs npm and about 60 MB of its registry's package %s\n", npmPackage)
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("npm is not on this machine; `make demo` runs without it: %w", err)
	}
	if err := d.build(ctx, "parquet"); err != nil {
		return err
	}
	input := d.path("flights-3m.parquet")
	if _, err := os.Stat(input); errors.Is(err, os.ErrNotExist) {
		if err := d.fetch(ctx, input); err != nil {
			return err
		}
	}
	say("run the job flights on 3,000,000 records, half of them out of order")
	if err := d.show(ctx, append(d.job(input, ""), "--parallelism", "2")...); err != nil {
		return err
	}
	say("compare the output, merged and sorted, with a sequential oracle")
	rows, err := readParquet(input)
	if err != nil {
		return err
	}
	want, err := oracle(rows)
	if err != nil {
		return err
	}
	if err := d.compareWith(want, len(rows)); err != nil {
		return err
	}
	return d.inspect(ctx)
}

// fetch takes the Parquet file out of the npm package.
func (d *demo) fetch(ctx context.Context, to string) error {
	say("fetch the data")
	if err := d.exec(ctx, "npm", "pack", "--silent", "--pack-destination", d.dir, npmPackage); err != nil {
		return err
	}
	archives, err := filepath.Glob(d.path("vega-datasets-*.tgz"))
	if err != nil || len(archives) == 0 {
		return fmt.Errorf("npm pack left no archive in %s", d.dir)
	}
	return extract(archives[0], npmFile, to)
}

// extract copies one file of an archive, under its own name only when whole.
func extract(archive, name, to string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", archive, err)
	}
	for files := tar.NewReader(z); ; {
		h, err := files.Next()
		if err != nil {
			return fmt.Errorf("%s has no %s: %w", archive, name, err)
		}
		if h.Name != name {
			continue
		}
		out, err := os.Create(to + ".part")
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, files); err != nil {
			return errors.Join(err, out.Close())
		}
		if err := out.Close(); err != nil {
			return err
		}
		return os.Rename(to+".part", to)
	}
}

// readParquet reads the rows for the oracle, with the library alone.
func readParquet(path string) ([]row, error) {
	type record struct {
		Date     int64  `parquet:"date"`
		Delay    int64  `parquet:"delay"`
		Distance int64  `parquet:"distance"`
		Origin   string `parquet:"origin"`
	}
	records, err := parquet.ReadFile[record](path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	rows := make([]row, len(records))
	for i, r := range records {
		rows[i] = row{Date: time.UnixMicro(r.Date).UTC().Format("2006/01/02 15:04"),
			Delay: int32(r.Delay), Distance: int32(r.Distance), Origin: r.Origin}
	}
	return rows, nil
}
