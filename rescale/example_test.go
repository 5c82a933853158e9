package rescale_test

import (
	"fmt"

	"github.com/tidemark-io/tidemark/rescale"
)

// A keyed state moves from two subtasks to three: each new one takes one
// interval of hashes, from one or two old ones.
func ExampleKeyed() {
	old, next := rescale.Layout{Groups: 128, Parallelism: 2}, rescale.Layout{Groups: 128, Parallelism: 3}
	for i, parts := range rescale.Keyed(old, next) {
		for _, p := range parts {
			fmt.Printf("new %d takes %v from old %d\n", i, p.Interval, p.Old)
		}
	}
	// Output:
	// new 0 takes [00000000,56000000) from old 0
	// new 1 takes [56000000,80000000) from old 0
	// new 1 takes [80000000,ac000000) from old 1
	// new 2 takes [ac000000,100000000) from old 1
}

// A split list of 3 and 4 items is dealt out to three subtasks.
func ExampleSplit() {
	plan, next := rescale.Split([]uint64{3, 4}, 3, 0)
	for i, runs := range plan {
		fmt.Println("new", i, "takes", runs)
	}
	fmt.Println("the next state begins at subtask", next)
	// Output:
	// new 0 takes [{0 0 3}]
	// new 1 takes [{1 0 2}]
	// new 2 takes [{1 2 2}]
	// the next state begins at subtask 1
}
