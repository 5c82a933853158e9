//go:build !parquet

package jobs

import "fmt"

// loadParquet says how to get a program that can. The library more than doubles
// the size of the program and adds to the start-up of every command, so it is
// linked on request only.
func loadParquet(path string) ([]Flight, error) {
	return nil, fmt.Errorf("%s: this program was built without Parquet; build it with: go build -tags parquet ./cmd/tidemark", path)
}
