package value

import (
	"strings"
	"unicode/utf8"
)

// concat is + for what is no number.
func concat(a, b Value) (Value, error) {
	switch x := a.(type) {
	case Str:
		switch y := b.(type) {
		case Str:
			return S(x.S + y.S), nil
		case Markup:
			return Escape(x) + y, nil
		}
		return nil, typeErr(`can only concatenate str (not "%s") to str`, b.Type())
	case Markup:
		if _, ok := text(b); ok {
			return x + Escape(b), nil
		}
	case *List:
		if y, ok := b.(*List); ok {
			items, err := joined(x.Items, y.Items)
			return &List{Items: items}, err
		}
		return nil, typeErr(`can only concatenate list (not "%s") to list`, b.Type())
	case Tuple:
		if y, ok := b.(Tuple); ok {
			items, err := joined(x, y)
			return Tuple(items), err
		}
		return nil, typeErr(`can only concatenate tuple (not "%s") to tuple`, b.Type())
	case Bytes:
		if y, ok := b.(Bytes); ok {
			return x + y, nil
		}
		return nil, typeErr("can't concat %s to bytes", b.Type())
	}
	return nil, unsupported("+", a, b)
}

func joined(a, b []Value) ([]Value, error) {
	if len(a)+len(b) > maxList {
		return nil, tooBig()
	}
	return append(append(make([]Value, 0, len(a)+len(b)), a...), b...), nil
}

// repeat is * with a sequence on either side.
func repeat(a, b Value) (Value, error) {
	seq, count := a, b
	if !repeatable(a) {
		seq, count = b, a
	}
	if !repeatable(seq) {
		return nil, unsupported("*", a, b)
	}
	n, ok := number(count)
	if !ok || n.real {
		return nil, typeErr("can't multiply sequence by non-int of type '%s'", count.Type())
	}
	if n.big != nil && n.big.Sign() > 0 {
		return nil, Errorf("OverflowError", "cannot fit 'int' into an index-sized integer")
	}
	times := max(n.i, 0)
	if n.big != nil {
		times = 0
	}
	most := int64(maxItems)
	switch seq.(type) {
	case *List, Tuple:
		most = maxList
	}
	if times > most || times*int64(sizeOf(seq)) > most {
		return nil, tooBig()
	}
	switch v := seq.(type) {
	case Str:
		return S(strings.Repeat(v.S, int(times))), nil
	case Markup:
		return Markup(strings.Repeat(string(v), int(times))), nil
	case Bytes:
		return Bytes(strings.Repeat(string(v), int(times))), nil
	case Tuple:
		return Tuple(repeatItems(v, int(times))), nil
	}
	return &List{Items: repeatItems(seq.(*List).Items, int(times))}, nil
}

func repeatable(v Value) bool {
	switch v.(type) {
	case Str, Markup, *List, Tuple, Bytes:
		return true
	}
	return false
}

func sizeOf(seq Value) int {
	switch v := seq.(type) {
	case Str:
		return len(v.S)
	case Markup:
		return len(v)
	}
	n, _ := Len(seq)
	return n
}

func repeatItems(items []Value, times int) []Value {
	out := make([]Value, 0, len(items)*times)
	for range times {
		out = append(out, items...)
	}
	return out
}

// viewMinus is keys() - iterable (and items() - iterable). Python yields a set; there
// being none here, the result is a list of the distinct members, in order.
func viewMinus(view *DictView, b Value) (Value, error) {
	items, err := Items(b)
	if err != nil {
		return nil, err
	}
	out := &List{}
	for _, k := range view.items() {
		in, err := containsItem(items, k)
		if err != nil {
			return nil, err
		}
		if !in {
			out.Items = append(out.Items, k)
		}
	}
	return out, nil
}

func containsText(c, item Value) (bool, error) {
	if u, ok := item.(Unknown); ok {
		return false, &UnknownError{u}
	}
	sub, ok := text(item)
	if !ok {
		return false, typeErr("'in <string>' requires string as left operand, not %s", item.Type())
	}
	s, _ := text(c)
	return strings.Contains(s, sub), nil
}

func containsBytes(c Bytes, item Value) (bool, error) {
	switch v := item.(type) {
	case Unknown:
		return false, &UnknownError{v}
	case Bytes:
		return strings.Contains(string(c), string(v)), nil
	case Int:
		if v < 0 || v > 255 {
			return false, valueErr("byte must be in range(0, 256)")
		}
		return strings.IndexByte(string(c), byte(v)) >= 0, nil
	}
	return false, typeErr("a bytes-like object is required, not '%s'", item.Type())
}

// Slice is v[lo:hi:step]; nil and None stand for a missing bound. A value that has no
// slices is a TypeError (Jinja's subscript makes that undefined).
func Slice(v, lo, hi, step Value) (Value, error) {
	for _, x := range []Value{v, lo, hi, step} {
		if IsUnknown(x) {
			return x, nil
		}
	}
	for _, x := range []Value{v, lo, hi, step} {
		if err := usable(x); err != nil {
			return nil, err
		}
	}
	if t, ok := v.(Tupled); ok {
		v = t.Tuple()
	}
	n, err := sliceLen(v)
	if err != nil {
		return nil, err
	}
	s, err := newSpan(n, lo, hi, step)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case Str:
		return S(s.text(v.S)), nil
	case Markup:
		return Markup(s.text(string(v))), nil
	case Bytes:
		out := make([]byte, 0, s.n)
		for i := range s.n {
			out = append(out, v[s.at(i)])
		}
		return Bytes(out), nil
	case Tuple:
		return Tuple(s.items(v)), nil
	case *Range:
		step := int64(s.step) * v.Step
		start := v.Start + int64(s.lo)*v.Step
		return &Range{Start: start, Stop: start + int64(s.n)*step, Step: step}, nil
	}
	return &List{Items: s.items(v.(*List).Items)}, nil
}

func sliceLen(v Value) (int, error) {
	switch v.(type) {
	case *List, Tuple, Str, Markup, Bytes, *Range:
		return Len(v)
	case *Dict:
		return 0, typeErr("unhashable type: 'slice'")
	}
	return 0, typeErr("'%s' object is not subscriptable", v.Type())
}

// A span is the resolved indices of a slice: lo, lo+step … n of them.
type span struct{ lo, step, n int }

func (s span) at(i int) int { return s.lo + i*s.step }

func newSpan(n int, lo, hi, step Value) (span, error) {
	by, err := sliceIndex(step, 1)
	if err != nil {
		return span{}, err
	}
	if by == 0 {
		return span{}, valueErr("slice step cannot be zero")
	}
	first, last := 0, n
	if by < 0 {
		first, last = n-1, -1
	}
	clamp := func(v Value, missing int) (int, error) {
		i, err := sliceIndex(v, missing)
		if err != nil || v == nil || v.Type() == "NoneType" {
			return i, err
		}
		if i < 0 {
			i += n
		}
		low, high := 0, n
		if by < 0 {
			low, high = -1, n-1
		}
		return min(max(i, low), high), nil
	}
	if first, err = clamp(lo, first); err != nil {
		return span{}, err
	}
	if last, err = clamp(hi, last); err != nil {
		return span{}, err
	}
	s := span{lo: first, step: by}
	if by > 0 && first < last {
		s.n = (last-first-1)/by + 1
	} else if by < 0 && first > last {
		s.n = (first-last-1)/-by + 1
	}
	return s, nil
}

// sliceIndex clips to what can matter, so that later sums do not overflow.
func sliceIndex(v Value, missing int) (int, error) {
	switch v := v.(type) {
	case nil, None:
		return missing, nil
	case Int:
		return int(min(max(v, -1<<40), 1<<40)), nil
	case Bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case *BigInt:
		return v.V.Sign() << 40, nil
	}
	return 0, typeErr("slice indices must be integers or None or have an __index__ method")
}

func (s span) items(items []Value) []Value {
	out := make([]Value, s.n)
	for i := range out {
		out[i] = items[s.at(i)]
	}
	return out
}

func (s span) text(t string) string {
	if isASCII(t) {
		if s.step == 1 {
			if s.n == 0 {
				return ""
			}
			return t[s.lo : s.lo+s.n]
		}
		out := make([]byte, s.n)
		for i := range out {
			out[i] = t[s.at(i)]
		}
		return string(out)
	}
	starts := charStarts(t)
	var b strings.Builder
	for i := range s.n {
		b.WriteString(t[starts[s.at(i)]:starts[s.at(i)+1]])
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// charStarts are the offsets of the characters of t, and its length.
func charStarts(t string) []int {
	starts := make([]int, 0, len(t)+1)
	for i := range t { // an undecodable byte counts as one character
		starts = append(starts, i)
	}
	return append(starts, len(t))
}
