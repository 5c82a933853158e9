package filesink_test

import (
	"fmt"

	"github.com/tidemark-io/tidemark/engine/connector/filesink"
)

// The name of a file says which checkpoint and which subtask it belongs to.
func ExampleParseName() {
	p, ok := filesink.ParseName("4f2a9c-out-c00000007-r2-s03-0000.jsonl")
	fmt.Println(ok, p.Lineage, p.UID, p.ID, p.Run, p.Subtask, p.Counter)
	_, ok = filesink.ParseName("notes.jsonl")
	fmt.Println(ok)
	// Output:
	// true 4f2a9c out 7 2 3 0
	// false
}
