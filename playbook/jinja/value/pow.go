package value

import (
	"math"
	"math/big"
)

// powPrecision leaves enough bits that the result rounds correctly.
const powPrecision = 256

// PowFloat is a ** b rounded correctly, as the C library's pow is; math.Pow is off by a
// unit in the last place too often, and the last place is printed.
func PowFloat(a, b float64) float64 {
	rough := math.Pow(a, b)
	if rough == 0 || math.IsInf(rough, 0) || math.IsNaN(rough) || rough == 1 || math.Abs(b) < 1e-15 {
		return rough
	}
	base := new(big.Float).SetPrec(powPrecision).SetFloat64(math.Abs(a))
	whole, frac := math.Modf(math.Abs(b))
	result := new(big.Float).SetPrec(powPrecision).SetInt64(1)
	if whole >= 1<<62 {
		return rough
	}
	square := new(big.Float).Copy(base)
	for n := uint64(whole); n > 0; n >>= 1 {
		if n&1 == 1 {
			result.Mul(result, square)
		}
		square.Mul(square, square)
	}
	root := base // a to the power of each binary digit of the fraction
	for frac > 0 {
		root = new(big.Float).SetPrec(powPrecision).Sqrt(root)
		if frac *= 2; frac >= 1 {
			result.Mul(result, root)
			frac--
		}
	}
	if b < 0 {
		result.Quo(new(big.Float).SetPrec(powPrecision).SetInt64(1), result)
	}
	f, _ := result.Float64()
	return math.Copysign(f, rough)
}
