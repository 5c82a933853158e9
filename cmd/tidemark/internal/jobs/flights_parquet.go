//go:build parquet

package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/parquet"
)

// parquetFlight is a row of the Parquet file; times are microseconds of an
// unnamed zone and are taken as UTC.
type parquetFlight struct {
	Date        int64  `parquet:"date"`
	Delay       int64  `parquet:"delay"`
	Distance    int64  `parquet:"distance"`
	Origin      string `parquet:"origin"`
	Destination string `parquet:"destination"`
}

// loadParquet reads all rows, since they are to be sorted by arrival.
func loadParquet(path string) ([]Flight, error) {
	ctx := context.Background()
	src := parquet.New[parquetFlight]([]string{path})
	splits, err := src.Splits(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	var flights []Flight
	airports := map[string]string{} // each name once in memory
	for _, split := range splits {
		if flights, err = loadSplit(ctx, src, split, flights, airports); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return flights, nil
}

func loadSplit(ctx context.Context, src *parquet.Source[parquetFlight], split engine.Split, flights []Flight, airports map[string]string) ([]Flight, error) {
	r, err := src.Open(ctx, split, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	name := func(s string) string {
		if _, ok := airports[s]; !ok {
			airports[s] = s
		}
		return airports[s]
	}
	batch := make([]parquetFlight, 1024)
	for {
		n, err := r.Read(ctx, batch)
		for _, f := range batch[:n] {
			flights = append(flights, Flight{
				Departure: f.Date / int64(time.Millisecond/time.Microsecond),
				Delay:     int32(f.Delay), Distance: int32(f.Distance),
				Origin: name(f.Origin), Destination: name(f.Destination),
			})
		}
		if errors.Is(err, io.EOF) {
			return flights, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
