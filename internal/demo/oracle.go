package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// departures is a line of the job's output.
type departures struct {
	Window   string `json:"window"`
	Origin   string `json:"origin"`
	Flights  int64  `json:"flights"`
	Delay    int64  `json:"delayMinutes"`
	MaxDelay int32  `json:"maxDelayMinutes"`
	Distance int64  `json:"distanceMiles"`
}

// row is a record of the input.
type row struct {
	Date     string `json:"date"`
	Delay    int32  `json:"delay"`
	Distance int32  `json:"distance"`
	Origin   string `json:"origin"`
}

// oracle computes what the job must write, from the rows alone: a loop, a map
// and a sort, no line of the engine.
func oracle(rows []row) ([]departures, error) {
	type place struct{ window, origin string }
	sums := map[place]*departures{}
	for i, r := range rows {
		t, err := time.Parse("2006/01/02 15:04", r.Date)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		at := place{t.Truncate(time.Hour).Format(time.RFC3339), r.Origin}
		d := sums[at]
		if d == nil {
			d = &departures{Window: at.window, Origin: at.origin, MaxDelay: r.Delay}
			sums[at] = d
		}
		d.Flights++
		d.Delay += int64(r.Delay)
		d.MaxDelay = max(d.MaxDelay, r.Delay)
		d.Distance += int64(r.Distance)
	}
	all := make([]departures, 0, len(sums))
	for _, d := range sums {
		all = append(all, *d)
	}
	sortDepartures(all)
	return all, nil
}

func sortDepartures(all []departures) {
	slices.SortFunc(all, func(a, b departures) int {
		if c := strings.Compare(a.Window, b.Window); c != 0 {
			return c
		}
		return strings.Compare(a.Origin, b.Origin)
	})
}

// readRows reads the JSON sample.
func readRows(path string) ([]row, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rows []row
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rows, nil
}
