package value

import (
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the recursion into nested containers, which a template can make
// endless (`l.append(l)`).
const maxDepth = 500

// text returns the characters of a str (or Markup).
func text(v Value) (string, bool) {
	switch v := v.(type) {
	case Str:
		return v.S, true
	case Markup:
		return string(v), true
	}
	return "", false
}

// Truth is Python's bool(v). An undefined value is false; whether its use is an error,
// and what becomes of Unknown (here: false), is for the caller to decide before.
func Truth(v Value) bool {
	switch v := v.(type) {
	case Bool:
		return bool(v)
	case Str:
		return v.S != ""
	case *List:
		return len(v.Items) > 0
	case *Dict:
		return v.Len() > 0
	case Int:
		return v != 0
	case None, *Undefined, Unknown:
		return false
	case Float:
		return v != 0
	case *BigInt:
		return v.V.Sign() != 0
	case Markup:
		return v != ""
	case Bytes:
		return v != ""
	case Tuple:
		return len(v) > 0
	case Truther:
		return v.Truth()
	case Sized:
		return v.Len() > 0
	}
	return true
}

// Equal is Python's a == b for values that are known and defined. Unknown and strict
// undefined values inside are unequal to everything, and so is what is too large to be
// compared; [EqualOp] reports them.
func Equal(a, b Value) bool {
	c := comparison{}
	return c.equal(a, b, 0)
}

// EqualOp is the operator ==. The error is an *UndefinedError, or an *UnknownError when
// the answer depends on a value that is not known.
func EqualOp(a, b Value) (bool, error) {
	for _, v := range []Value{a, b} {
		if u, ok := v.(*Undefined); ok && !u.Lenient {
			return false, &UndefinedError{u}
		}
	}
	c := comparison{}
	return c.answer(a, b)
}

// answer is whether a and b are equal, or why that cannot be said.
func (c *comparison) answer(a, b Value) (bool, error) {
	eq := c.equal(a, b, 0)
	if c.steps > maxWalk {
		return false, tooLarge("a value that is compared")
	}
	if c.undefined != nil {
		return false, &UndefinedError{c.undefined}
	}
	if c.unknown != nil && (!eq || IsUnknown(a) || IsUnknown(b)) {
		return false, &UnknownError{*c.unknown}
	}
	return eq, nil
}

// A comparison remembers the Unknown values it met, the strict undefined value that ended
// it, and how many pairs of values it looked at: past maxWalk nothing is equal any more.
type comparison struct {
	unknown   *Unknown
	undefined *Undefined
	steps     int

	a, b    Value // what is compared
	checked bool  // that they are not Endless
}

// count counts a step. A comparison that takes long is ended when it would never end.
func (c *comparison) count(a, b Value, depth int) {
	if depth == 0 {
		c.a, c.b = a, b
	}
	c.steps++
	if !c.checked && c.steps > suspicious {
		c.checked = true
		if Endless(c.a) || Endless(c.b) {
			c.steps = maxWalk
		}
	}
	if depth > maxDepth {
		c.steps = maxWalk
	}
	if c.steps >= maxWalk {
		c.steps = maxWalk + 1
	}
}

func (c *comparison) equal(a, b Value, depth int) bool {
	switch x := a.(type) {
	case Str:
		y, ok := text(b)
		return ok && x.S == y || !ok && c.unlike(a, b)
	case Int:
		if y, ok := b.(Int); ok {
			return x == y
		}
	case None:
		if _, ok := b.(None); ok {
			return true
		}
		return c.unlike(a, b)
	case *Undefined:
		y, ok := b.(*Undefined)
		return ok && x == y || c.unlike(a, b) || ok && x.Lenient && y.Lenient
	}
	switch b.(type) {
	case Unknown, *Undefined:
		return c.unlike(a, b)
	}
	if IsUnknown(a) {
		return c.unlike(a, b)
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		if !ok {
			return c.unlike(a, b)
		}
		order, ordered := x.compare(y)
		return ordered && order == 0
	}
	if c.count(a, b, depth); c.steps > maxWalk {
		return false
	}
	return c.equalContainers(a, b, depth)
}

// unlike is the answer, always false, for two values that are of types never equal, or
// not known, or undefined.
func (c *comparison) unlike(a, b Value) bool {
	for _, v := range []Value{a, b} {
		switch u := v.(type) {
		case Unknown:
			c.unknown = &u
		case *Undefined:
			if !u.Lenient && c.undefined == nil {
				c.undefined = u
			}
		}
	}
	return false
}

func (c *comparison) equalContainers(a, b Value, depth int) bool {
	switch x := a.(type) {
	case Markup:
		y, ok := text(b)
		return ok && string(x) == y
	case Bytes:
		y, ok := b.(Bytes)
		return ok && x == y
	case *List:
		y, ok := b.(*List)
		return ok && (x == y || c.equalItems(x.Items, y.Items, depth))
	case Tuple:
		if y, ok := b.(Tupled); ok {
			b = y.Tuple()
		}
		y, ok := b.(Tuple)
		return ok && c.equalItems(x, y, depth)
	case *Dict:
		return Value(x) == b || c.equalMaps(x, b, depth)
	case *DictView:
		y, ok := b.(*DictView)
		return ok && (x == y || c.equalViews(x, y))
	case *Range:
		y, ok := b.(*Range)
		return ok && x.equal(y)
	case Tupled:
		return c.equal(x.Tuple(), b, depth+1)
	case Sealed:
		y, ok := b.(Sealed)
		return ok && x.Text == y.Text
	case Comparer:
		order, ok := x.CompareTo(b)
		return ok && order == 0
	case Mapping:
		return c.equalMaps(x, b, depth)
	}
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

func (c *comparison) equalItems(a, b []Value, depth int) bool {
	if len(a) != len(b) {
		return false
	}
	c.steps += len(a)
	for i := range a {
		if !c.equal(a[i], b[i], depth+1) {
			return false
		}
	}
	return true
}

// A dictLike is what *Dict and Mapping have in common.
type dictLike interface {
	Value
	Len() int
	Keys() []Value
	Get(key Value) (Value, bool, error)
}

func (c *comparison) equalMaps(x dictLike, b Value, depth int) bool {
	y, ok := b.(dictLike)
	if !ok || x.Len() != y.Len() {
		return false
	}
	c.steps += x.Len()
	for _, k := range x.Keys() {
		v, ok, err := x.Get(k)
		w, okB, errB := y.Get(k)
		if err != nil || errB != nil || !ok || !okB || !c.equal(v, w, depth+1) {
			return false
		}
	}
	return true
}

func (c *comparison) equalViews(x, y *DictView) bool {
	if x.Kind == ViewValues || y.Kind == ViewValues || x.Len() != y.Len() {
		return false
	}
	for _, item := range x.items() {
		if in, err := y.Contains(item); err != nil || !in {
			return false
		}
	}
	return true
}

// Compare orders two values as Python's < does: negative, zero or positive. Values that
// have no order are a TypeError. NaN counts as equal to everything; [CompareOp] knows
// better.
func Compare(a, b Value) (int, error) {
	order, _, err := (&ordering{op: "<"}).compare(a, b, 0)
	return order, err
}

// CompareOp is the operator op: "<", "<=", ">" or ">=".
func CompareOp(op string, a, b Value) (bool, error) {
	order, ordered, err := (&ordering{op: op}).compare(a, b, 0)
	if err != nil || !ordered {
		return false, err
	}
	switch op {
	case "<":
		return order < 0, nil
	case "<=":
		return order <= 0, nil
	case ">":
		return order > 0, nil
	}
	return order >= 0, nil
}

// An ordering compares for an operator, and counts as a comparison does.
type ordering struct {
	op string
	comparison
}

func (o *ordering) compare(a, b Value, depth int) (order int, ordered bool, err error) {
	if t, ok := a.(Tupled); ok {
		a = t.Tuple()
	}
	if t, ok := b.(Tupled); ok {
		b = t.Tuple()
	}
	for _, v := range []Value{a, b} {
		if err := usable(v); err != nil {
			return 0, false, err
		}
	}
	if depth == 0 {
		o.a, o.b = a, b
	}
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			order, ordered = x.compare(y)
			return order, ordered, nil
		}
	}
	switch x := a.(type) {
	case Str, Markup:
		s, _ := text(x)
		if t, ok := text(b); ok {
			return compareText(s, t), true, nil
		}
	case Bytes:
		if y, ok := b.(Bytes); ok {
			return strings.Compare(string(x), string(y)), true, nil
		}
	case *List:
		if y, ok := b.(*List); ok {
			if x == y { // as in Python, what is the same object is equal
				return 0, true, nil
			}
			return o.items(x.Items, y.Items, depth)
		}
	case Tuple:
		if y, ok := b.(Tuple); ok {
			return o.items(x, y, depth)
		}
	case Comparer:
		if order, ok := x.CompareTo(b); ok {
			return order, true, nil
		}
	}
	return 0, false, typeErr("'%s' not supported between instances of '%s' and '%s'", o.op, a.Type(), b.Type())
}

func (o *ordering) items(a, b []Value, depth int) (int, bool, error) {
	for i := range min(len(a), len(b)) {
		if o.count(a[i], b[i], depth+1); o.steps > maxWalk {
			return 0, false, tooLarge("a value that is compared")
		}
		order, ordered, err := o.compare(a[i], b[i], depth+1)
		switch {
		case err != nil: // equal items need no order
			if same, eqErr := o.answer(a[i], b[i]); eqErr != nil || !same {
				return 0, false, err
			}
		case order != 0 || !ordered:
			return order, ordered, nil
		}
	}
	return len(a) - len(b), true, nil
}

// compareText orders by code points. For valid UTF-8 that is the order of the bytes;
// an undecodable byte counts as U+DC80 and up.
func compareText(a, b string) int {
	if utf8.ValidString(a) && utf8.ValidString(b) {
		return strings.Compare(a, b)
	}
	return slices.Compare(codePoints(a), codePoints(b))
}

func codePoints(s string) []rune {
	var out []rune
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			r = 0xdc00 + rune(s[i])
		}
		out = append(out, r)
	}
	return out
}

// A numeric is a number of any of Python's real types: an int64, a big int or a float.
type numeric struct {
	i    int64
	big  *big.Int // set for ints beyond 64 bits
	f    float64
	real bool // f counts
}

func number(v Value) (numeric, bool) {
	switch v := v.(type) {
	case Int:
		return numeric{i: int64(v)}, true
	case Bool:
		if v {
			return numeric{i: 1}, true
		}
		return numeric{}, true
	case Float:
		return numeric{f: float64(v), real: true}, true
	case *BigInt:
		return numeric{big: v.V}, true
	}
	return numeric{}, false
}

func (n numeric) bigInt() *big.Int {
	if n.big != nil {
		return n.big
	}
	return big.NewInt(n.i)
}

// compare orders exactly, also an int beyond 2^53 against a float.
func (n numeric) compare(m numeric) (order int, ordered bool) {
	switch {
	case n.real && m.real:
		if math.IsNaN(n.f) || math.IsNaN(m.f) {
			return 0, false
		}
		return cmpFloat(n.f, m.f), true
	case n.real:
		order, ordered = m.compare(n)
		return -order, ordered
	case m.real:
		if math.IsNaN(m.f) {
			return 0, false
		}
		if math.IsInf(m.f, 0) {
			return -int(math.Copysign(1, m.f)), true
		}
		if n.big == nil && n.i < 1<<53 && n.i > -1<<53 {
			return cmpFloat(float64(n.i), m.f), true
		}
		return new(big.Float).SetInt(n.bigInt()).Cmp(big.NewFloat(m.f)), true
	case n.big == nil && m.big == nil:
		if n.i < m.i {
			return -1, true
		}
		if n.i > m.i {
			return 1, true
		}
		return 0, true
	}
	return n.bigInt().Cmp(m.bigInt()), true
}

func cmpFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
