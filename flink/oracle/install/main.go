// Command install fetches every Flink that the oracle runs and compiles the oracle, and starts each once: what the first
// test would otherwise wait for. It prints what it took.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/tidemark-io/tidemark/flink/oracle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, v := range oracle.Versions {
		start := time.Now()
		s, err := oracle.New(ctx, v)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		s.Close()
		fmt.Printf("RESULT oracle-install flink=%s seconds=%.1f\n", s.Flink, time.Since(start).Seconds())
	}
}
