package jobs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/tidemark-io/tidemark/engine"
	"github.com/tidemark-io/tidemark/engine/connector/filesink"
	"github.com/tidemark-io/tidemark/engine/connector/ratelimit"
	"github.com/tidemark-io/tidemark/engine/connector/slice"
)

// Flight is a row of the flights data set: a departure within the United States
// in 2001, with its delay.
type Flight struct {
	Departure   int64 // scheduled, event time in ms
	Delay       int32 // minutes, negative if early
	Distance    int32 // miles
	Origin      string
	Destination string
}

// arrival is when the row becomes known, in ms: the real departure. Sorted by
// it, the rows come in a real disorder of event times.
func (f Flight) arrival() int64 {
	return f.Departure + int64(f.Delay)*time.Minute.Milliseconds()
}

// Departures is a result of the job: what left one airport within one hour.
type Departures struct {
	Window   string `json:"window"` // start, RFC 3339 UTC
	Origin   string `json:"origin"`
	Flights  int64  `json:"flights"`
	Delay    int64  `json:"delayMinutes"` // sum
	MaxDelay int32  `json:"maxDelayMinutes"`
	Distance int64  `json:"distanceMiles"` // sum
}

// departing is the accumulator of an airport and hour.
type departing struct {
	Flights  int64
	Delay    int64
	MaxDelay int32
	Distance int64
}

// flightSplits is the number of splits, so the largest useful parallelism of
// the source. It is part of the checkpoints: a restore does not change it.
const flightSplits = 8

func flights() Job {
	return Job{
		Name:    "flights",
		Summary: "hourly departures, delays and distances by airport",
		Input:   "flight records with date, delay, distance, origin and destination: a JSON array (.json); Parquet (.parquet) if built with -tags parquet",
		Output:  "JSON Lines: window, origin, flights, delayMinutes, maxDelayMinutes, distanceMiles",
		Build:   buildFlights,
	}
}

func buildFlights(p Params) (*engine.Graph, error) {
	if p.Input == "" {
		return nil, errors.New("the job flights needs --input, such as testdata/flights-20k.json")
	}
	if p.SinkDir == "" {
		return nil, errors.New("the job flights needs --sink-dir, the directory of its output")
	}
	rows, err := loadFlights(p.Input)
	if err != nil {
		return nil, err
	}
	rows = slice.SortedBy(rows, Flight.arrival)
	var src engine.Source[Flight] = slice.New(rows, flightSplits)
	if p.Rate > 0 {
		if src, err = ratelimit.New(src, p.Rate, engine.SystemClock{}); err != nil {
			return nil, err
		}
	}
	g := engine.NewGraph("flights")
	flights := engine.From(g, "flights", src, engine.BoundedDisorder(
		func(f Flight) int64 { return f.Departure }, disorder(rows)))
	byOrigin := engine.KeyBy(flights, func(f Flight) string { return f.Origin })
	engine.Tumbling(byOrigin, "departures", time.Hour, engine.Aggregate[string, Flight, departing, Departures]{
		Add: func(d departing, f Flight) departing {
			if d.Flights == 0 || f.Delay > d.MaxDelay {
				d.MaxDelay = f.Delay
			}
			d.Flights++
			d.Delay += int64(f.Delay)
			d.Distance += int64(f.Distance)
			return d
		},
		Result: func(origin string, w engine.Window, d departing) Departures {
			return Departures{Window: time.UnixMilli(w.Start).UTC().Format(time.RFC3339), Origin: origin,
				Flights: d.Flights, Delay: d.Delay, MaxDelay: d.MaxDelay, Distance: d.Distance}
		},
	}).To("output", filesink.NewJSONL(p.SinkDir, filesink.Options[Departures]{}))
	return g, g.Err()
}

// disorder is how much later than a younger record one may come: a flight's
// place in the input is its departure plus its delay, so that is at most the
// span of the delays.
func disorder(rows []Flight) time.Duration {
	var least, largest int32
	for i, f := range rows {
		if i == 0 {
			least, largest = f.Delay, f.Delay
		}
		least, largest = min(least, f.Delay), max(largest, f.Delay)
	}
	return time.Duration(largest-least) * time.Minute
}

func loadFlights(path string) ([]Flight, error) {
	switch {
	case strings.HasSuffix(path, ".parquet"):
		return loadParquet(path)
	case strings.HasSuffix(path, ".json"):
		return loadJSON(path)
	default:
		return nil, fmt.Errorf("%s: the input must be a .json or .parquet file", path)
	}
}

// dateLayout is how the JSON sample writes times; they are taken as UTC.
const dateLayout = "2006/01/02 15:04"

func loadJSON(path string) ([]Flight, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the input: %w", err)
	}
	var rows []struct {
		Date        string `json:"date"`
		Delay       int32  `json:"delay"`
		Distance    int32  `json:"distance"`
		Origin      string `json:"origin"`
		Destination string `json:"destination"`
	}
	if err := json.Unmarshal(data, &rows); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	flights := make([]Flight, len(rows))
	for i, r := range rows {
		t, err := time.Parse(dateLayout, r.Date)
		if err != nil {
			return nil, fmt.Errorf("reading %s: record %d: date %q is not of the form %s", path, i+1, r.Date, dateLayout)
		}
		flights[i] = Flight{Departure: t.UnixMilli(), Delay: r.Delay, Distance: r.Distance, Origin: r.Origin, Destination: r.Destination}
	}
	return flights, nil
}
