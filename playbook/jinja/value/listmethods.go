package value

import (
	"slices"
)

var listMethods = map[string]method{
	"append": takes("object", func(self Value, a []Value) (Value, error) {
		l := self.(*List)
		l.Items = append(l.Items, a[0])
		return None{}, nil
	}),
	"clear": takes("", func(self Value, _ []Value) (Value, error) {
		self.(*List).Items = nil
		return None{}, nil
	}),
	"copy": takes("", func(self Value, _ []Value) (Value, error) {
		return &List{Items: slices.Clone(self.(*List).Items)}, nil
	}),
	"count":   takes("value", countItems),
	"extend":  takes("iterable", listExtend),
	"index":   takes("value / start stop", indexItem),
	"insert":  takes("index object", listInsert),
	"pop":     takes("/ index", listPop),
	"remove":  takes("value", listRemove),
	"reverse": takes("", listReverse),
	"sort":    {params: []string{"key", "reverse"}, variadic: true, do: listSort},
}

var tupleMethods = map[string]method{
	"count": takes("value", countItems),
	"index": takes("value / start stop", indexItem),
}

func listExtend(self Value, a []Value) (Value, error) {
	l := self.(*List)
	items, err := Items(a[0])
	if err != nil {
		return nil, err
	}
	if len(l.Items)+len(items) > maxList {
		return nil, tooBig()
	}
	l.Items = append(l.Items, items...)
	return None{}, nil
}

func countItems(self Value, a []Value) (Value, error) {
	items, err := Items(self)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, item := range items {
		same, err := EqualOp(item, a[0])
		if err != nil {
			return nil, err
		}
		if same {
			n++
		}
	}
	return Int(n), nil
}

func indexItem(self Value, a []Value) (Value, error) {
	items, err := Items(self)
	if err != nil {
		return nil, err
	}
	for _, bound := range a[1:] {
		if bound != nil && bound.Type() == "NoneType" {
			return nil, typeErr("slice indices must be integers or have an __index__ method")
		}
	}
	lo, hi, err := bounds(len(items), a[1], a[2])
	if err != nil {
		return nil, err
	}
	for i := lo; i < min(hi, len(items)); i++ {
		same, err := EqualOp(items[i], a[0])
		if err != nil {
			return nil, err
		}
		if same {
			return Int(i), nil
		}
	}
	if _, tuple := self.(Tuple); tuple {
		return nil, valueErr("tuple.index(x): x not in tuple")
	}
	return nil, valueErr("%s is not in %s", Repr(a[0]), self.Type())
}

// bounds are optional start and end arguments, from the end when negative.
func bounds(n int, start, end Value) (lo, hi int, err error) {
	hi = n
	for i, v := range []Value{start, end} {
		at := []*int{&lo, &hi}[i]
		if *at, err = sliceIndex(v, *at); err != nil {
			return 0, 0, err
		}
		if *at < 0 {
			*at = max(*at+n, 0)
		}
	}
	return lo, min(hi, n), nil
}

// intArg is an optional int argument.
func intArg(v Value, missing int) (int, error) {
	if v == nil {
		return missing, nil
	}
	return Index(v)
}

// Index is Python's operator.index: v as a Go int if it is an int (or bool), else a
// TypeError.
func Index(v Value) (int, error) {
	n, ok := number(v)
	if !ok || n.real {
		if err := usable(v); err != nil {
			return 0, err
		}
		return 0, typeErr("'%s' object cannot be interpreted as an integer", v.Type())
	}
	if n.big != nil {
		return 0, Errorf("OverflowError", "Python int too large to convert to C ssize_t")
	}
	return int(n.i), nil
}

func listInsert(self Value, a []Value) (Value, error) {
	l := self.(*List)
	i, err := intArg(a[0], 0)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		i += len(l.Items)
	}
	l.Items = slices.Insert(l.Items, min(max(i, 0), len(l.Items)), a[1])
	return None{}, nil
}

func listPop(self Value, a []Value) (Value, error) {
	l := self.(*List)
	i, err := intArg(a[0], -1)
	if err != nil {
		return nil, err
	}
	if len(l.Items) == 0 {
		return nil, Errorf("IndexError", "pop from empty list")
	}
	if i < 0 {
		i += len(l.Items)
	}
	if i < 0 || i >= len(l.Items) {
		return nil, Errorf("IndexError", "pop index out of range")
	}
	v := l.Items[i]
	l.Items = slices.Delete(l.Items, i, i+1)
	return v, nil
}

func listRemove(self Value, a []Value) (Value, error) {
	l := self.(*List)
	for i, item := range l.Items {
		same, err := EqualOp(item, a[0])
		if err != nil {
			return nil, err
		}
		if same {
			l.Items = slices.Delete(l.Items, i, i+1)
			return None{}, nil
		}
	}
	return nil, valueErr("list.remove(x): x not in list")
}

func listReverse(self Value, _ []Value) (Value, error) {
	slices.Reverse(self.(*List).Items)
	return None{}, nil
}

func listSort(self Value, pos []Value, named []Named) (Value, error) {
	if len(pos) > 0 {
		return nil, typeErr("sort() takes no positional arguments")
	}
	reverse := false
	for _, n := range named {
		switch n.Name {
		case "reverse":
			n, err := Index(n.Val)
			if err != nil {
				return nil, err
			}
			reverse = n != 0
		case "key":
			if _, none := n.Val.(None); !none {
				return nil, typeErr("sort() with a key function is not supported\nhint: use the filter sort(attribute=…)")
			}
		default:
			return nil, typeErr("sort() got an unexpected keyword argument '%s'", n.Name)
		}
	}
	l := self.(*List)
	sorted, err := Sorted(l.Items, reverse)
	if err != nil {
		return nil, err
	}
	l.Items = sorted
	return None{}, nil
}

// Sorted is Python's sorted(items): stable, also in reverse. Values without an order are
// a TypeError.
func Sorted(items []Value, reverse bool) ([]Value, error) {
	return SortedBy(items, items, reverse)
}

// SortedBy sorts items by keys, which has one key for each item.
func SortedBy(items, keys []Value, reverse bool) ([]Value, error) {
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	if reverse { // as Python does it: stable, and with the same errors
		slices.Reverse(order)
	}
	var failed error
	slices.SortStableFunc(order, func(i, j int) int {
		if failed != nil {
			return 0
		}
		c, err := Compare(keys[i], keys[j])
		if err != nil {
			failed = err
		}
		return c
	})
	if failed != nil {
		return nil, failed
	}
	if reverse {
		slices.Reverse(order)
	}
	sorted := make([]Value, len(items))
	for i, from := range order {
		sorted[i] = items[from]
	}
	return sorted, nil
}
