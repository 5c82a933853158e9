package serde

import (
	"strconv"

	"github.com/tidemark-io/tidemark/flink/javaser"
)

// maxObjectDepth and maxObjectParts bound what is shown of a Java object, which is
// not a tree: shared parts are shown again, and it may contain itself.
const (
	maxObjectDepth = 16
	maxObjectParts = 10_000
)

// objectPrinter prints a Java object. When the budget is used up, or an object
// lies too deep, its class alone is shown.
type objectPrinter struct{ budget int }

// value appends a value of a Java object as JSON.
func (p *objectPrinter) value(dst []byte, v javaser.Value, depth int) []byte {
	p.budget--
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v)
	case int8:
		return strconv.AppendInt(dst, int64(v), 10)
	case int16:
		return strconv.AppendInt(dst, int64(v), 10)
	case int32:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return quoted(strconv.AppendInt(append(dst, '"'), v, 10))
	case javaser.Char:
		return strconv.AppendInt(dst, int64(v), 10)
	case float32:
		return appendFloat(dst, float64(v), 32)
	case float64:
		return appendFloat(dst, v, 64)
	case *javaser.String:
		p.budget -= len(v.Text) / 64
		return AppendString(dst, v.Text)
	case *javaser.Enum:
		return AppendString(dst, v.Constant)
	case javaser.Block:
		p.budget -= len(v) / 64
		return appendBytes(dst, v)
	case *javaser.Class:
		return AppendString(dst, v.Name)
	case *javaser.Array:
		return p.array(dst, v, depth)
	case *javaser.Object:
		return p.object(dst, v, depth)
	}
	return append(dst, "null"...)
}

func (p *objectPrinter) array(dst []byte, a *javaser.Array, depth int) []byte {
	if a.Values == nil {
		p.budget -= len(a.Raw) / 64
		return appendBytes(dst, a.Raw)
	}
	dst = append(dst, '[')
	for i, v := range a.Values {
		if depth >= maxObjectDepth || p.budget <= 0 {
			break
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.value(dst, v, depth+1)
	}
	return append(dst, ']')
}

func (p *objectPrinter) object(dst []byte, o *javaser.Object, depth int) []byte {
	dst = AppendString(append(dst, `{"@class":`...), o.Class.Name)
	for _, part := range o.Parts {
		for i, v := range part.Fields {
			if depth >= maxObjectDepth || p.budget <= 0 {
				break
			}
			dst = append(AppendString(append(dst, ','), part.Class.Fields[i].Name), ':')
			dst = p.value(dst, v, depth+1)
		}
	}
	return append(dst, '}')
}
