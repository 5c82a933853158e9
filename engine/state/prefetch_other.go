//go:build !amd64 || !tidemark_prefetch

package state

// prefetch reads the byte, which brings its cache line in.
func prefetch(p *byte) byte { return *p }
