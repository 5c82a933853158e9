package engine

import "github.com/tidemark-io/tidemark/engine/codec"

// Codec turns values of type T into bytes and back; see [codec.Codec].
type Codec[T any] = codec.Codec[T]
