// Command tidemark lists, inspects and verifies checkpoints and runs the jobs of
// its catalogue; "tidemark help" tells how.
package main

import (
	"os"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
