package filter

import (
	"crypto/rand"
	"crypto/sha512"
	"fmt"
	"math"
	"math/big"

	"orch/playbook/jinja/value"
)

var randomFilters = []def{
	{
		names: "random", sig: "start=None, step=None, seed=None", filter: random,
		doc: "A random item of a sequence, or a random integer below a number (from start, in steps of step). " +
			"With a seed the choice is that of Python's random.Random(seed), always the same.",
		examples: []string{"{{ 100 | random(seed='host1') }}", "62", "{{ ['a', 'b', 'c'] | random(seed=42) }}", "c"},
	},
	{
		names: "shuffle", sig: "seed=None", filter: shuffle,
		doc:      "The items of a sequence in random order; with a seed that of Python's random.Random(seed).",
		examples: []string{"{{ [1, 2, 3, 4] | shuffle(seed=7) }}", "[4, 2, 1, 3]"},
	},
}

// A drawer draws random integers below n.
type drawer interface{ below(n *big.Int) *big.Int }

type systemRandom struct{}

func (systemRandom) below(n *big.Int) *big.Int {
	i, err := rand.Int(rand.Reader, n)
	if err != nil { // crypto/rand never fails on the systems we run on
		return new(big.Int)
	}
	return i
}

// newSource is Python's Random(seed), or the system's randomness without a seed.
func newSource(seed value.Value) (drawer, error) {
	switch s := seed.(type) {
	case nil, value.None:
		return systemRandom{}, nil
	case value.Str, value.Markup, value.Bytes:
		b := value.String(s)
		if raw, ok := s.(value.Bytes); ok {
			b = string(raw)
		}
		sum := sha512.Sum512([]byte(b))
		return newTwister(new(big.Int).SetBytes(append([]byte(b), sum[:]...))), nil
	case value.Float:
		return newTwister(new(big.Int).SetUint64(uint64(hashFloat(float64(s))))), nil
	case *value.BigInt:
		return newTwister(new(big.Int).Abs(s.V)), nil
	}
	if i, ok := asInt(seed); ok {
		return newTwister(new(big.Int).Abs(big.NewInt(int64(i)))), nil
	}
	return nil, typeErr("the only supported seed types are: None, int, float, str, bytes, and bytearray")
}

// hashFloat is CPython's hash of a float: its value modulo the prime 2^61-1.
func hashFloat(f float64) int64 {
	const width, prime = 61, 1<<61 - 1
	switch {
	case math.IsInf(f, 1):
		return 314159
	case math.IsInf(f, -1):
		return -314159
	case math.IsNaN(f):
		return 0
	}
	mantissa, exp := math.Frexp(math.Abs(f))
	var x uint64
	for mantissa != 0 {
		x = x<<28&prime | x>>(width-28)
		mantissa *= 1 << 28
		exp -= 28
		y := uint64(mantissa)
		mantissa -= float64(y)
		if x += y; x >= prime {
			x -= prime
		}
	}
	e := exp % width
	if e < 0 {
		e += width
	}
	x = x<<e&prime | x>>(width-e)
	h := int64(x)
	if f < 0 {
		h = -h
	}
	if h == -1 {
		h = -2
	}
	return h
}

// A twister is the Mersenne twister MT19937, as CPython seeds and uses it.
type twister struct {
	state [twisterSize]uint32
	index int
}

const twisterSize, twisterMiddle = 624, 397

func newTwister(seed *big.Int) *twister {
	var key []uint32
	for n := new(big.Int).Set(seed); n.Sign() > 0; n.Rsh(n, 32) {
		key = append(key, uint32(new(big.Int).And(n, big.NewInt(math.MaxUint32)).Uint64()))
	}
	if key == nil {
		key = []uint32{0}
	}
	t := &twister{index: twisterSize}
	s := &t.state
	s[0] = 19650218
	for i := 1; i < twisterSize; i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + uint32(i)
	}
	i, j := 1, 0
	next := func() {
		if i++; i >= twisterSize {
			s[0], i = s[twisterSize-1], 1
		}
	}
	for range max(twisterSize, len(key)) {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1664525) + key[j] + uint32(j)
		next()
		j = (j + 1) % len(key)
	}
	for range twisterSize - 1 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1566083941) - uint32(i)
		next()
	}
	s[0] = 1 << 31
	return t
}

func (t *twister) uint32() uint32 {
	if t.index == twisterSize {
		s := &t.state
		for k := range twisterSize {
			y := s[k]&(1<<31) | s[(k+1)%twisterSize]&(1<<31-1)
			s[k] = s[(k+twisterMiddle)%twisterSize] ^ y>>1 ^ -(y&1)&0x9908b0df
		}
		t.index = 0
	}
	y := t.state[t.index]
	t.index++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// bits returns k random bits; the words come lowest first.
func (t *twister) bits(k int) *big.Int {
	out := new(big.Int)
	for shift := 0; k > 0; shift, k = shift+32, k-32 {
		r := t.uint32()
		if k < 32 {
			r >>= 32 - k
		}
		out.Or(out, new(big.Int).Lsh(new(big.Int).SetUint64(uint64(r)), uint(shift)))
	}
	return out
}

func (t *twister) below(n *big.Int) *big.Int {
	k := n.BitLen()
	for {
		if r := t.bits(k); r.Cmp(n) < 0 {
			return r
		}
	}
}

func belowInt(s drawer, n int) int { return int(s.below(big.NewInt(int64(n))).Int64()) }

func random(c *call) (value.Value, error) {
	src, err := newSource(c.args[2])
	if err != nil {
		return nil, err
	}
	switch c.in.(type) {
	case value.Int, value.Bool, *value.BigInt:
		return randrange(c, src)
	}
	if c.truth(0) || c.truth(1) {
		return nil, fmt.Errorf("start and step can only be used with integer values")
	}
	if _, ok, err := asDict(c.in); ok || err != nil {
		return nil, typeErr("random can only be used on sequences and integers, not '%s'", c.in.Type())
	}
	items, err := value.Items(c.in)
	if err != nil {
		return nil, fmt.Errorf("random can only be used on sequences and integers")
	}
	if len(items) == 0 {
		return nil, value.Errorf("IndexError", "cannot choose from an empty sequence")
	}
	return items[belowInt(src, len(items))], nil
}

func bigOf(v value.Value) (*big.Int, bool) {
	if b, ok := v.(*value.BigInt); ok {
		return b.V, true
	}
	i, ok := asInt(v)
	return big.NewInt(int64(i)), ok
}

// randrange is Random.randrange(start, end, step).
func randrange(c *call, src drawer) (value.Value, error) {
	end, _ := bigOf(c.in)
	start, step := new(big.Int), big.NewInt(1)
	for i, p := range []*big.Int{start, step} {
		if !c.truth(i) {
			continue
		}
		n, ok := bigOf(c.args[i])
		if !ok {
			return nil, typeErr("'%s' object cannot be interpreted as an integer", c.args[i].Type())
		}
		p.Set(n)
	}
	width := new(big.Int).Sub(end, start)
	n := new(big.Int).Add(width, step)
	n.Sub(n, big.NewInt(int64(step.Sign())))
	n.Quo(n, step)
	if n.Sign() <= 0 || width.Sign() != step.Sign() {
		return nil, valueErr("empty range for randrange() (%s, %s, %s)", start, end, width)
	}
	r := src.below(n)
	return value.NewBig(r.Mul(r, step).Add(r, start)), nil
}

func shuffle(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return c.in, nil // Ansible hands on what is no sequence
	}
	var seed value.Value
	if c.truth(0) {
		seed = c.args[0]
	}
	src, err := newSource(seed)
	if err != nil {
		return nil, err
	}
	out := append([]value.Value{}, items...)
	for i := len(out) - 1; i > 0; i-- {
		j := belowInt(src, i+1)
		out[i], out[j] = out[j], out[i]
	}
	return newList(out), nil
}
