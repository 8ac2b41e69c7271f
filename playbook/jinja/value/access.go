package value

import "unicode/utf8"

// Attr is Python's getattr(v, name): a method or attribute, never an entry of a dict;
// false when there is none. Of Unknown it is Unknown; of an undefined value it is an
// *UndefinedError (chaining is the caller's business).
func Attr(v Value, name string) (Value, bool, error) {
	switch v := v.(type) {
	case *Dict, Str, *List:
		if m, ok := Method(v, name); ok {
			return m, true, nil
		}
		return nil, false, nil
	case Unknown:
		return v, true, nil
	case *Undefined:
		return nil, false, &UndefinedError{v}
	}
	if m, ok := Method(v, name); ok {
		return m, true, nil
	}
	switch v := v.(type) {
	case Object:
		return v.Attr(name)
	case Int, Bool, *BigInt, Float:
		a, ok := numberAttr(v, name)
		return a, ok, nil
	case *Range:
		switch name {
		case "start":
			return Int(v.Start), true, nil
		case "stop":
			return Int(v.Stop), true, nil
		case "step":
			return Int(v.Step), true, nil
		}
	}
	return nil, false, nil
}

func numberAttr(v Value, name string) (Value, bool) {
	n, _ := number(v)
	switch name {
	case "real":
		return n.value(), true
	case "imag":
		if n.real {
			return Float(0), true
		}
		return Int(0), true
	case "numerator":
		return n.value(), !n.real
	case "denominator":
		return Int(1), !n.real
	}
	return nil, false
}

// Item is the subscript v[key]: an entry of a dict, an element by index. false covers
// all that Jinja's subscript makes undefined: a missing key, an index out of range, a key
// of the wrong type, a value without items. Of Unknown, and by Unknown, it is Unknown.
func Item(v, key Value) (Value, bool, error) {
	switch v := v.(type) {
	case *Dict:
		if s, ok := key.(Str); ok {
			val, ok := v.GetStr(s.S)
			return val, ok, nil
		}
		if err := usable(key); err != nil {
			return unknownItem(key, err)
		}
		val, ok, err := v.Get(key)
		if err != nil { // an unhashable key
			return nil, false, nil //nolint:nilerr // Jinja's subscript: TypeError is undefined
		}
		return val, ok, nil
	case Unknown:
		return v, true, nil
	case *Undefined:
		return nil, false, &UndefinedError{v}
	}
	if err := usable(key); err != nil {
		return unknownItem(key, err)
	}
	switch v := v.(type) {
	case Subscripted:
		return v.Item(key)
	case Mapping:
		return v.Get(key)
	case Tupled:
		return Item(v.Tuple(), key)
	case Object:
		if s, ok := text(key); ok {
			return v.Attr(s)
		}
		return nil, false, nil
	}
	i, ok := index(key)
	if !ok {
		return nil, false, nil
	}
	val, ok := element(v, i)
	return val, ok, nil
}

func unknownItem(key Value, err error) (Value, bool, error) {
	if IsUnknown(key) {
		return key, true, nil
	}
	return nil, false, err
}

// index returns an int (or bool) as a Go int.
func index(v Value) (int, bool) {
	n, ok := number(v)
	return int(n.i), ok && !n.real && n.big == nil
}

// element is v[i] of a sequence, from the end for negative i.
func element(v Value, i int) (Value, bool) {
	switch v := v.(type) {
	case *List:
		return pick(v.Items, i)
	case Tuple:
		return pick(v, i)
	case Str:
		c, ok := char(v.S, i)
		return S(c), ok
	case Markup:
		c, ok := char(string(v), i)
		return Markup(c), ok
	case Bytes:
		if i < 0 {
			i += len(v)
		}
		if i < 0 || i >= len(v) {
			return nil, false
		}
		return Int(v[i]), true
	case *Range:
		n := v.Len()
		if i < 0 {
			i += n
		}
		if i < 0 || i >= n {
			return nil, false
		}
		return v.At(i), true
	}
	return nil, false
}

func pick(items []Value, i int) (Value, bool) {
	if i < 0 {
		i += len(items)
	}
	if i < 0 || i >= len(items) {
		return nil, false
	}
	return items[i], true
}

func char(s string, i int) (string, bool) {
	if i < 0 {
		i += utf8.RuneCountInString(s)
	}
	if i < 0 || i >= len(s) {
		return "", false
	}
	for at := range s {
		if i == 0 {
			_, w := utf8.DecodeRuneInString(s[at:])
			return s[at : at+w], true
		}
		i--
	}
	return "", false
}
