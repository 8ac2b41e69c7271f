package value

// The interfaces below are what an [Object] may implement beyond attributes, as a Python
// class implements dunder methods.

// A Texter has its own str() and repr().
type Texter interface {
	Str() string
	Repr() string
}

// A Tupled object is a tuple with named attributes (Python's namedtuple). It need not
// implement what tuples can do: every operation treats it as its tuple.
type Tupled interface {
	Object
	Tuple() Tuple
}

// An Iterable can be iterated, again and again.
type Iterable interface {
	Iterate() (*Iterator, error)
}

// A Sized value has a length.
type Sized interface {
	Len() int
}

// A Truther decides its own truth; without it, and without a length, an object is true.
type Truther interface {
	Truth() bool
}

// A Subscripted value has items apart from its attributes.
type Subscripted interface {
	Item(key Value) (Value, bool, error)
}

// A Container answers `in` itself.
type Container interface {
	Contains(item Value) (bool, error)
}

// An Operand takes part in arithmetic. op is "+", "-", "*", "/", "//", "%" or "**";
// reflected is set when the object is the right operand. ok is false when the
// combination makes no sense: then the other operand is asked, and the TypeError is
// Python's.
type Operand interface {
	Operate(op string, other Value, reflected bool) (result Value, ok bool, err error)
}

// A Comparer compares itself to other values: negative, zero or positive. ok is false
// when the two cannot be ordered; they are then unequal.
type Comparer interface {
	CompareTo(other Value) (order int, ok bool)
}

// A Formatter takes part in str.format and format() with its own mini-language.
type Formatter interface {
	Format(spec string) (string, error)
}
