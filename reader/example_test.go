package reader_test

import (
	"context"
	"fmt"
	"log"

	"github.com/tidemark-io/tidemark/checkpoint"
	"github.com/tidemark-io/tidemark/keygroup"
	"github.com/tidemark-io/tidemark/reader"
	"github.com/tidemark-io/tidemark/recovery"
	"github.com/tidemark-io/tidemark/store/mem"
	"github.com/tidemark-io/tidemark/writer/writertest"
)

// Reading a checkpoint needs neither the engine nor the job: the graph, the
// states and their types are in it.
func Example() {
	ctx := context.Background()
	st := mem.New() // usually local.Open(dir)
	if _, err := (writertest.Job{ID: 7, Keys: 3}).Write(ctx, st); err != nil {
		log.Fatal(err)
	}

	c, err := reader.Open(ctx, st, "chk-7")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	operators, err := c.Operators()
	if err != nil {
		log.Fatal(err)
	}
	for _, op := range operators {
		fmt.Println(op.UID, "ran with parallelism", op.Parallelism)
	}
	// Entries come in the order of their keys' hashes, from whichever
	// subtasks wrote them.
	for e, err := range c.Keyed(ctx, "count", "windows", keygroup.All()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%08x %s %x = %d\n", uint32(e.Hash), e.Key[1:], e.Namespace, e.Value[0])
	}
	// Output:
	// flights ran with parallelism 2
	// count ran with parallelism 2
	// 101948f5 key-1 0001 = 1
	// 101948f5 key-1 0101 = 2
	// 5b9bd9ee key-0 0000 = 0
	// 5b9bd9ee key-0 0100 = 1
	// d4e67a66 key-2 0002 = 2
	// d4e67a66 key-2 0102 = 3
}

// The tools see a checkpoint of any format through package checkpoint: typed
// values, selectors, verification.
func ExampleFormat() {
	ctx := context.Background()
	st := mem.New()
	if _, err := (writertest.Job{ID: 7, Keys: 3}).Write(ctx, st); err != nil {
		log.Fatal(err)
	}
	formats := []checkpoint.Format{reader.NewFormat(st)}
	for _, f := range formats {
		c, err := f.Open(ctx, "chk-7")
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		sel, err := checkpoint.ParseSelector("state=windows,keygroup=0-63")
		if err != nil {
			log.Fatal(err)
		}
		for e, err := range c.(checkpoint.Enumerator).Entries(ctx, sel) {
			if err != nil {
				log.Fatal(err)
			}
			key, err := c.(checkpoint.Printer).AppendValue(nil, e.State, checkpoint.FieldKey, e.Key)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%s %s %s\n", e.State.Operator, e.State.Name, key)
		}
		found := 0
		for finding, err := range recovery.Verify(ctx, c, recovery.Options{}) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(finding)
			found++
		}
		fmt.Println(found, "findings")
	}
	// Output:
	// count windows "key-1"
	// count windows "key-1"
	// count windows "key-0"
	// count windows "key-0"
	// 0 findings
}
