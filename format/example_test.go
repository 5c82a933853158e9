package format_test

import (
	"fmt"

	"github.com/tidemark-io/tidemark/format"
	"github.com/tidemark-io/tidemark/keygroup"
)

// A block of keyed state is built entry by entry, in the order of the hashes,
// and decoded with what its parent keeps of it.
func Example() {
	b := format.NewKeyedBuilder()
	b.Compress(format.CodecZstd, format.ColValue)
	b.Append(0x10000000, []byte("ATL"), nil, []byte("five"))
	b.Append(0x20000000, []byte("JFK"), nil, []byte("seven"))
	data, ref, err := b.AppendBlock(nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	var block format.Block
	if err := block.Decode("chk-7/data-0", data, format.KindKeyed, ref, nil); err != nil {
		fmt.Println(err)
		return
	}
	rows := format.NewKeyedRows(keygroup.All())
	for rows.Start(&block); rows.Next(); {
		fmt.Printf("%08x %s %s\n", uint32(rows.Hash), rows.Key, rows.Value)
	}

	data[20] ^= 1
	err = block.Decode("chk-7/data-0", data, format.KindKeyed, ref, nil)
	at, bit, _ := format.FindBitFlip(data, ref.CRC)
	fmt.Println(err != nil, at, bit)
	// Output:
	// 10000000 ATL five
	// 20000000 JFK seven
	// true 20 0
}

// A value is printed by its schema alone.
func ExampleAppendJSON() {
	schema := &format.Schema{Type: format.TypeStruct, Fields: []format.Field{
		{Name: "origin", Schema: &format.Schema{Type: format.TypeString}},
		{Name: "delayed", Schema: &format.Schema{Type: format.TypeBool}},
	}}
	text, err := format.AppendJSON(nil, schema, []byte("\x03ATL\x01"), nil)
	fmt.Printf("%v\n%s %v\n", schema, text, err)
	// Output:
	// struct{origin string; delayed bool}
	// {"origin":"ATL","delayed":true} <nil>
}
