// Package parquet reads Apache Parquet files into structs.
//
// Use it on files that you trust only. The library below allocates what a
// file's footer says before it looks at the size of the file: twelve hostile
// bytes make it take 1 GiB. It also pulls in ten modules, which is why it is a
// package of its own.
package parquet

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/internal/position"
)

// Source reads files; each row group is a split, so that it needs a file with
// several row groups to read in parallel.
type Source[T any] struct {
	paths []string
}

// New makes a source of the files. T is a struct whose fields name columns by
// the tag `parquet:"name"`; columns without field are not read.
func New[T any](paths []string) *Source[T] { return &Source[T]{paths: paths} }

// splitData is the description of a split.
type splitData struct {
	Path  string `json:"path"`
	Group int    `json:"group"`
	Rows  int64  `json:"rows"` // in the row group
}

// Splits implements [engine.Source].
func (s *Source[T]) Splits(context.Context) ([]engine.Split, error) {
	var out []engine.Split
	for i, path := range s.paths {
		f, pf, err := open(path)
		if err != nil {
			return nil, err
		}
		for g, rg := range pf.RowGroups() {
			var data []byte
			if data, err = json.Marshal(splitData{Path: path, Group: g, Rows: rg.NumRows()}); err != nil {
				break
			}
			out = append(out, engine.Split{ID: fmt.Sprintf("%d:%s#%d", i, path, g), Data: data})
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func open(path string) (*os.File, *parquet.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("parquet: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("parquet: %w", err)
	}
	pf, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("parquet: %s: %w", path, err)
	}
	return f, pf, nil
}

// Open implements [engine.Source].
func (s *Source[T]) Open(_ context.Context, split engine.Split, pos []byte) (engine.SplitReader[T], error) {
	var d splitData
	if err := json.Unmarshal(split.Data, &d); err != nil {
		return nil, fmt.Errorf("parquet: split %s: description: %w", split.ID, err)
	}
	var row int64
	if err := position.Parse(pos, &row); err != nil {
		return nil, fmt.Errorf("parquet: split %s: %w", split.ID, err)
	}
	f, pf, err := open(d.Path)
	if err != nil {
		return nil, err
	}
	r := &reader[T]{file: f, split: d, row: row}
	if err := r.start(pf); err != nil {
		f.Close()
		return nil, fmt.Errorf("parquet: split %s: %w", split.ID, err)
	}
	return r, nil
}

type reader[T any] struct {
	file  *os.File
	split splitData
	rows  *parquet.GenericReader[T]
	row   int64 // the next one of the group
}

func (r *reader[T]) start(pf *parquet.File) error {
	groups := pf.RowGroups()
	if r.split.Group < 0 || r.split.Group >= len(groups) {
		return fmt.Errorf("%s has %d row groups, number %d is wanted", r.split.Path, len(groups), r.split.Group)
	}
	g := groups[r.split.Group]
	if g.NumRows() != r.split.Rows {
		return fmt.Errorf("row group %d of %s has %d rows, it had %d", r.split.Group, r.split.Path, g.NumRows(), r.split.Rows)
	}
	if r.row > r.split.Rows {
		return fmt.Errorf("position %d is behind the %d rows", r.row, r.split.Rows)
	}
	r.rows = parquet.NewGenericRowGroupReader[T](g)
	if r.row == 0 || r.row == r.split.Rows {
		return nil
	}
	return r.rows.SeekToRow(r.row)
}

// Read implements [engine.SplitReader].
func (r *reader[T]) Read(ctx context.Context, batch []T) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	left := r.split.Rows - r.row
	if left == 0 {
		return 0, io.EOF
	}
	if int64(len(batch)) > left {
		batch = batch[:left]
	}
	clear(batch) // columns that are null leave a field as it was
	n, err := r.rows.Read(batch)
	first := r.row
	r.row += int64(n)
	switch {
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("parquet: %s, row group %d, rows from %d: %w", r.split.Path, r.split.Group, first, err)
	case r.row == r.split.Rows:
		return n, io.EOF
	case n == 0:
		return 0, fmt.Errorf("parquet: %s, row group %d ends at row %d of %d: %w", r.split.Path, r.split.Group, r.row, r.split.Rows, io.ErrUnexpectedEOF)
	}
	return n, nil
}

// Position is the number of rows of the group that were read.
func (r *reader[T]) Position(dst []byte) []byte { return position.Append(dst, uint64(r.row)) }

// Close implements [engine.SplitReader].
func (r *reader[T]) Close() error {
	err := r.rows.Close()
	if e := r.file.Close(); err == nil {
		err = e
	}
	return err
}
