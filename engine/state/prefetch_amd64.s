//go:build tidemark_prefetch

#include "textflag.h"

// func prefetch(p *byte) byte
TEXT ·prefetch(SB), NOSPLIT, $0-9
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	MOVB $0, ret+8(FP)
	RET
