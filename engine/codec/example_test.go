package codec_test

import (
	"fmt"
	"time"

	"github.com/tidemark-io/tidemark/engine/codec"
)

// A codec is derived once per type; struct tags name or skip fields.
func ExampleOf() {
	type Flight struct {
		Date   time.Time `tidemark:"date"`
		Delay  int16     `tidemark:"delay"`
		Origin string    `tidemark:"origin"`
		cached bool      `tidemark:"-"`
	}
	c, err := codec.Of[Flight]()
	if err != nil {
		fmt.Println(err)
		return
	}
	b := c.Append(nil, Flight{Date: time.Unix(1, 0), Delay: -5, Origin: "LAS"})
	fmt.Printf("% x\n", b)
	f, n, err := c.Decode(b)
	fmt.Println(f.Origin, f.Delay, f.cached, n, err)
	for _, field := range c.Schema().Fields {
		fmt.Print(field.Name, " ")
	}
	fmt.Println()
	// Output:
	// 00 ca 9a 3b 00 00 00 00 fb ff 03 4c 41 53
	// LAS -5 false 14 <nil>
	// date delay origin
}

// A type without encoding is refused when the codec is made, naming the part.
func ExampleForKey() {
	type Key struct {
		Airport string
		Labels  map[string]string
	}
	_, err := codec.ForKey[Key]()
	fmt.Println(err)
	// Output: codec: Key.Labels: map[string]string in a key is not supported: type has no encoding
}
