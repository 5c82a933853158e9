//go:build tidemark_prefetch

package state

// prefetch asks for the cache line of p without waiting for it, and returns 0.
//
//go:noescape
func prefetch(p *byte) byte
