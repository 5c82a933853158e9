package serde

import (
	"math/big"

	"github.com/tidemark-io/tidemark/flink/wire"
)

// Decimal is Unscaled · 10^-Scale.
type Decimal struct {
	Unscaled *big.Int
	Scale    int32
}

// String is the number in plain digits, or with an exponent if there would be
// many zeros.
func (d *Decimal) String() string {
	digits := new(big.Int).Abs(d.Unscaled).String()
	sign := ""
	if d.Unscaled.Sign() < 0 {
		sign = "-"
	}
	switch {
	case d.Scale == 0:
	case d.Scale < 0 || d.Scale > 1000:
		digits += "E" + itoa(-d.Scale)
	default:
		for len(digits) <= int(d.Scale) {
			digits = "0" + digits
		}
		cut := len(digits) - int(d.Scale)
		digits = digits[:cut] + "." + digits[cut:]
	}
	return sign + digits
}

// bigInteger reads a number of any length: null and three frequent values have a
// code instead of a length, which is stored plus four.
func (w *walker) bigInteger() any {
	at := w.r.Offset()
	n := w.r.I32("length of a big integer")
	switch {
	case n == 0:
		return nil
	case n < 0:
		w.r.FailAt(at, "length of a big integer", wire.Malformed("%d is negative", n))
		return nil
	case n == 1:
		return big.NewInt(0)
	case n == 2:
		return big.NewInt(1)
	case n == 3:
		return big.NewInt(10)
	case n == 4:
		w.r.FailAt(at, "length of a big integer", wire.Malformed("no bytes"))
		return nil
	}
	b := w.r.Take(uint64(n)-4, "big integer")
	if w.skip {
		return big1 // not nil: a decimal has a scale behind it
	}
	return twosComplement(b)
}

var big1 = big.NewInt(1)

// twosComplement decodes big-endian two's complement.
func twosComplement(b []byte) *big.Int {
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big1, uint(len(b))*8))
	}
	return v
}

func (w *walker) bigDecimal() any {
	unscaled, ok := w.bigInteger().(*big.Int)
	if !ok {
		return nil
	}
	return &Decimal{Unscaled: unscaled, Scale: w.r.I32("scale of a decimal")}
}
