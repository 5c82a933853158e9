package runtime

import (
	"fmt"
	"testing"

	"github.com/tidemark-io/tidemark/format"
)

// TestSchemasOfLongTypes: schemas share a row of the manifest only if they are
// equal, however much of their text is the same.
func TestSchemasOfLongTypes(t *testing.T) {
	long := func(last format.Type) *format.Schema {
		s := &format.Schema{Type: format.TypeStruct}
		for i := range 500 {
			s.Fields = append(s.Fields, format.Field{Name: fmt.Sprintf("field%d", i), Schema: &format.Schema{Type: format.TypeInt64}})
		}
		s.Fields = append(s.Fields, format.Field{Name: "last", Schema: &format.Schema{Type: last}})
		return s
	}
	table := schemaTable{m: &format.Manifest{}}
	var rows []int
	for _, s := range []*format.Schema{long(format.TypeInt32), long(format.TypeString), long(format.TypeInt32), nil} {
		rows = append(rows, table.row(s))
	}
	if got, want := fmt.Sprint(rows), fmt.Sprint([]int{0, 1, 0, format.None}); got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
}
