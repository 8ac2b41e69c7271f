package value

// The bounds of what a template may hand out. A value can contain itself ([...]), or one
// list many times over, so that walking through it does not end.
const (
	maxNesting = 5000
	maxWalk    = 20_000_000 // values
	maxText    = 64 << 20   // bytes of one value's text

	// After so many values, or bytes of text, a walk asks whether it will end at all.
	suspicious = 1 << 16
)

// tooLong is the error of making text of v.
func tooLong(v Value) error {
	return Errorf("MemoryError", "the text of the %s would be longer than %d bytes", v.Type(), maxText)
}

// tooLarge is the error of walking through a value: it contains itself, or one part of it
// many times over.
func tooLarge(what string) error {
	return Errorf("RecursionError", "%s contains itself, or is too large", what)
}

// Endless says whether v contains itself, or is too deep or too large to be walked through.
func Endless(v Value) bool {
	budget := 10_000
	if shallow(v, 32, &budget) {
		return false
	}
	m := measure{sizes: map[any]int{}}
	return m.size(v, 0) > maxWalk
}

// shallow says whether v is seen to end within a depth and a number of values.
func shallow(v Value, depth int, budget *int) bool {
	if *budget--; depth == 0 || *budget < 0 {
		return false
	}
	for item := range parts(v) {
		if !shallow(item, depth-1, budget) {
			return false
		}
	}
	return true
}

// parts are the values inside of a list, tuple or dict.
func parts(v Value) func(func(Value) bool) {
	return func(yield func(Value) bool) {
		if t, ok := v.(Tupled); ok {
			v = t.Tuple()
		}
		switch v := v.(type) {
		case *List:
			for _, item := range v.Items {
				if !yield(item) {
					return
				}
			}
		case Tuple:
			for _, item := range v {
				if !yield(item) {
					return
				}
			}
		case *Dict:
			for _, item := range v.All() {
				if !yield(item) {
					return
				}
			}
		}
	}
}

// A measure knows how many values a walk through each container meets, -1 while it is inside
// of one. A container is a *List, a *Dict or the address of a tuple's items.
type measure struct{ sizes map[any]int }

func (m *measure) size(v Value, depth int) int {
	const endless = maxWalk + 1
	var key any
	switch v := v.(type) {
	case *List:
		key = v
	case *Dict:
		key = v
	case Tupled:
		return m.size(v.Tuple(), depth)
	case Tuple:
		if len(v) == 0 {
			return 1
		}
		key = &v[0]
	default:
		return 1
	}
	switch n, seen := m.sizes[key]; {
	case seen && n < 0:
		return endless
	case seen:
		return n
	}
	m.sizes[key] = -1
	if depth > maxNesting {
		return endless
	}
	n := 1
	for item := range parts(v) {
		if n = min(n+m.size(item, depth+1), endless); n == endless {
			break
		}
	}
	m.sizes[key] = n
	return n
}
