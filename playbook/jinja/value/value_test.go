package value

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"
)

var (
	unknown = Unknown{Of: "result.stdout"}
	strict  = &Undefined{Name: "x"}
	lenient = &Undefined{Name: "x", Lenient: true}
)

func TestOperatorsAbsorbUnknown(t *testing.T) {
	t.Parallel()
	ops := map[string]func(a, b Value) (Value, error){"+": Add, "-": Sub, "*": Mul, "/": Div, "//": FloorDiv, "%": Mod, "**": Pow}
	for name, op := range ops {
		for _, other := range []Value{Int(1), S("a"), None{}, NewList(), strict} {
			for _, pair := range [][2]Value{{unknown, other}, {other, unknown}} {
				if v, err := op(pair[0], pair[1]); err != nil || v != Value(unknown) {
					t.Errorf("%s %s %s: %v, %v", Repr(pair[0]), name, Repr(pair[1]), v, err)
				}
			}
		}
	}
	for name, op := range map[string]func() (Value, error){
		"neg":             func() (Value, error) { return Neg(unknown) },
		"pos":             func() (Value, error) { return Pos(unknown) },
		"slice":           func() (Value, error) { return Slice(unknown, Int(1), nil, nil) },
		"slice bound":     func() (Value, error) { return Slice(S("abc"), unknown, nil, nil) },
		"%s in a tuple":   func() (Value, error) { return Mod(S("%s"), Tuple{NewList(unknown)}) },
		"%(a)d":           func() (Value, error) { return Mod(S("%(a)d"), D("a", unknown)) },
		"method argument": func() (Value, error) { return call(S("abc"), "split", unknown) },
		"in an argument":  func() (Value, error) { return call(S(","), "join", NewList(S("a"), unknown)) },
		"format":          func() (Value, error) { return call(S("{}"), "format", unknown) },
		"format nested":   func() (Value, error) { return call(S("{0[0]}"), "format", NewList(unknown)) },
		"dict.get":        func() (Value, error) { return call(D("a", Int(1)), "get", unknown) },
	} {
		if v, err := op(); err != nil || v != Value(unknown) {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	for _, get := range []func() (Value, bool, error){
		func() (Value, bool, error) { return Attr(unknown, "x") },
		func() (Value, bool, error) { return Item(unknown, Int(0)) },
		func() (Value, bool, error) { return Item(NewList(Int(1)), unknown) },
		func() (Value, bool, error) { return Item(D("a", Int(1)), unknown) },
	} {
		if v, ok, err := get(); v != Value(unknown) || !ok || err != nil {
			t.Errorf("access: %v, %v, %v", v, ok, err)
		}
	}
}

func call(v Value, name string, args ...Value) (Value, error) {
	m, ok := Method(v, name)
	if !ok {
		return nil, fmt.Errorf("no method %s", name)
	}
	return m.Call(args, nil)
}

func TestAnswersThatDependOnUnknownSaySo(t *testing.T) {
	t.Parallel()
	var target *UnknownError
	for name, err := range map[string]error{
		"==":              second(EqualOp(unknown, Int(1))),
		"== inside":       second(EqualOp(NewList(unknown), NewList(Int(1)))),
		"<":               second(CompareOp("<", unknown, Int(1))),
		"in":              second(Contains(NewList(Int(1), unknown), Int(2))),
		"in a dict":       second(Contains(D("a", Int(1)), unknown)),
		"in text":         second(Contains(S("abc"), unknown)),
		"in unknown":      second(Contains(unknown, Int(1))),
		"len":             second(Len(unknown)),
		"iterate":         second(Iter(unknown)),
		"text":            second(Text(NewList(unknown))),
		"JSON":            second(JSON(D("a", unknown), JSONOptions{})),
		"sorted":          second(Sorted([]Value{Int(1), unknown}, false)),
		"a key of a dict": Hashable(Tuple{unknown}),
	} {
		if !errors.As(err, &target) || target.U != unknown {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ok, err := Contains(NewList(unknown, Int(2)), Int(2)); !ok || err != nil {
		t.Errorf("an item behind an unknown one is found: %v, %v", ok, err)
	}
	if eq, err := EqualOp(NewList(Int(1), unknown), NewList(Int(2))); eq || err != nil {
		t.Errorf("lists of different lengths differ, whatever is unknown: %v, %v", eq, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestUseOfUndefinedIsAnError(t *testing.T) {
	t.Parallel()
	var target *UndefinedError
	for name, err := range map[string]error{
		"+":        second(Add(strict, Int(1))),
		"neg":      second(Neg(strict)),
		"==":       second(EqualOp(Int(1), strict)),
		"<":        second(CompareOp("<", strict, Int(1))),
		"in":       second(Contains(NewList(Int(1)), strict)),
		"of":       second(Contains(strict, Int(1))),
		"len":      second(Len(strict)),
		"iterate":  second(Iter(strict)),
		"text":     second(Text(strict)),
		"%s":       second(Mod(S("%s"), strict)),
		"JSON":     second(JSON(strict, JSONOptions{})),
		"int":      second(ToInt(strict)),
		"float":    second(ToFloat(lenient)),
		"format":   second(call(S("{}"), "format", strict)),
		"lenient+": second(Add(lenient, Int(1))),
		"key":      Hashable(strict),
	} {
		if !errors.As(err, &target) || err.Error() != "'x' is undefined" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, get := range []func(Value) (Value, bool, error){
		func(v Value) (Value, bool, error) { return Attr(v, "y") },
		func(v Value) (Value, bool, error) { return Item(v, Int(0)) },
	} {
		if _, _, err := get(strict); !errors.As(err, &target) {
			t.Errorf("access: %v", err)
		}
	}
}

func TestLenientUndefinedIsNothing(t *testing.T) {
	t.Parallel()
	if s, err := Text(lenient); s != "" || err != nil {
		t.Errorf("text: %q, %v", s, err)
	}
	if n, err := Len(lenient); n != 0 || err != nil {
		t.Errorf("length: %d, %v", n, err)
	}
	if items, err := Items(lenient); len(items) != 0 || err != nil {
		t.Errorf("items: %v, %v", items, err)
	}
	if eq, err := EqualOp(lenient, &Undefined{Name: "other", Lenient: true}); !eq || err != nil {
		t.Errorf("two of them are equal: %v, %v", eq, err)
	}
	if v, err := Mod(S("<%s>"), lenient); err != nil || String(v) != "<>" {
		t.Errorf("formatted: %v, %v", v, err)
	}
}

func TestMessagesOfUndefined(t *testing.T) {
	t.Parallel()
	for want, u := range map[string]*Undefined{
		"'foo' is undefined":                              {Name: "foo"},
		"'dict object' has no attribute 'x'":              Missing(NewDict(0), S("x")),
		"'str object' has no attribute 'y'":               Missing(S(""), S("y")),
		"list object has no element 3":                    Missing(NewList(), Int(3)),
		"'None' has no attribute 'z'":                     Missing(None{}, S("z")),
		"'markupsafe.Markup object' has no attribute 'z'": Missing(Markup(""), S("z")),
		"give me a name":                                  {Name: "n", Hint: "give me a name"},
	} {
		if got := u.Message(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestOperationsDropTheAuthoredMark(t *testing.T) {
	t.Parallel()
	s := Str{S: "{{ x }}", From: &Origin{File: "site.yml", Line: 3}, Text: true}
	results := []Value{}
	for _, v := range []func() (Value, error){
		func() (Value, error) { return Add(s, S("")) },
		func() (Value, error) { return Add(S(""), s) },
		func() (Value, error) { return Mul(s, Int(1)) },
		func() (Value, error) { return Slice(s, nil, nil, nil) },
		func() (Value, error) { return Mod(s, Tuple{}) },
		func() (Value, error) { return Mod(S("%s"), s) },
		func() (Value, error) { return call(s, "strip") },
		func() (Value, error) { return call(s, "replace", S("q"), S("")) },
		func() (Value, error) { return call(s, "ljust", Int(0)) },
		func() (Value, error) { return call(S(""), "join", NewList(s)) },
		func() (Value, error) { return call(S("{}"), "format", s) },
	} {
		r, err := v()
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	parts, err := call(s, "split", S("q"))
	if err != nil {
		t.Fatal(err)
	}
	results = append(results, parts.(*List).Items[0])
	tuple, err := call(s, "partition", S("q"))
	if err != nil {
		t.Fatal(err)
	}
	results = append(results, tuple.(Tuple)[0])
	for i, r := range results {
		if got := r.(Str); got.From != nil || got.Text || got.S != s.S {
			t.Errorf("result %d: %#v", i, got)
		}
	}
	clone := Clone(D("a", NewList(s))).(*Dict)
	a, _ := clone.GetStr("a")
	if a.(*List).Items[0].(Str).From != s.From {
		t.Error("Clone drops the mark")
	}
}

func TestCloneIsDeepAndKeepsCycles(t *testing.T) {
	t.Parallel()
	inner := NewList(Int(1))
	d := D("a", inner, "b", Tuple{inner})
	inner.Items = append(inner.Items, d)
	c := Clone(d).(*Dict)
	a, _ := c.GetStr("a")
	a.(*List).Items[0] = Int(99)
	if inner.Items[0] != Value(Int(1)) {
		t.Error("the clone shares its list")
	}
	b, _ := c.GetStr("b")
	if b.(Tuple)[0] != a {
		t.Error("a list that occurs twice is copied twice")
	}
	if a.(*List).Items[1] != Value(c) {
		t.Error("the cycle leads back to the original")
	}
}

func TestCyclesEnd(t *testing.T) {
	t.Parallel()
	l := NewList(Int(1))
	l.Items = append(l.Items, l)
	if got := Repr(l); got != "[1, [...]]" {
		t.Error(got)
	}
	d := NewDict(0)
	d.SetStr("d", d)
	if got := Repr(d); got != "{'d': {...}}" {
		t.Error(got)
	}
	if _, err := JSON(l, JSONOptions{}); err == nil || err.Error() != "Circular reference detected" {
		t.Error(err)
	}
	m := NewList(Int(1))
	m.Items = append(m.Items, m)
	if Equal(l, m) {
		t.Error("endless lists count as different")
	}
	if _, err := Compare(l, m); err == nil {
		t.Error("endless lists have no order")
	}
	ToGo(l)
	if _, ok := HasUnknown(l); ok {
		t.Error("nothing is unknown")
	}
}

func TestMarkupEscapesWhatItMeets(t *testing.T) {
	t.Parallel()
	m := Markup("<b>")
	results := map[string]func() (Value, error){
		"<b>&lt;":     func() (Value, error) { return Add(m, S("<")) },
		"&lt;<b>":     func() (Value, error) { return Add(S("<"), m) },
		"<b><b>":      func() (Value, error) { return Mul(m, Int(2)) },
		"<i>&lt;</i>": func() (Value, error) { return Mod(Markup("<i>%s</i>"), S("<")) },
		"<p>&lt;":     func() (Value, error) { return call(Markup("<p>{}"), "format", S("<")) },
		"&lt;<br>x":   func() (Value, error) { return call(Markup("<br>"), "join", NewList(S("<"), S("x"))) },
		"<B>":         func() (Value, error) { return call(m, "upper") },
		"<&gt;":       func() (Value, error) { return call(Markup("<q"), "replace", S("q"), Escape(S(">"))) },
		"<":           func() (Value, error) { v, _, err := Item(m, Int(0)); return v, err },
	}
	for want, do := range results {
		got, err := do()
		if got != Value(Markup(want)) || err != nil {
			t.Errorf("got %v (%v), want %q", got, err, want)
		}
	}
	if got := Repr(m); got != "Markup('<b>')" {
		t.Error(got)
	}
	if !Equal(m, S("<b>")) || Escape(S(`<a b="c">'&`)) != "&lt;a b=&#34;c&#34;&gt;&#39;&amp;" || Escape(m) != m {
		t.Error("escape")
	}
	d := D("<b>", Int(1))
	if v, ok, _ := d.Get(m); !ok || v != Value(Int(1)) {
		t.Error("Markup is not the key that its text is")
	}
}

func TestRunawayResultsAreRefused(t *testing.T) {
	t.Parallel()
	huge := Int(1 << 40)
	for name, do := range map[string]func() (Value, error){
		"repeat":     func() (Value, error) { return Mul(S("a"), huge) },
		"list":       func() (Value, error) { return Mul(NewList(Int(1)), huge) },
		"power":      func() (Value, error) { return Pow(Int(10), Int(1e9)) },
		"ljust":      func() (Value, error) { return call(S("a"), "ljust", huge) },
		"zfill":      func() (Value, error) { return call(S("a"), "zfill", huge) },
		"expandtabs": func() (Value, error) { return call(S("\t"), "expandtabs", huge) },
		"percent":    func() (Value, error) { return Mod(S("%999999999999d"), Int(1)) },
		"star":       func() (Value, error) { return Mod(S("%*d"), Tuple{huge, Int(1)}) },
		"format":     func() (Value, error) { return call(S("{:999999999999}"), "format", Int(1)) },
		"replace": func() (Value, error) {
			return call(S(strings.Repeat("a", 1<<15)), "replace", S("a"), S(strings.Repeat("b", 1<<15)))
		},
	} {
		var e *Error
		if _, err := do(); !errors.As(err, &e) || e.Class != "MemoryError" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIteratorsAreOneShotAndLive(t *testing.T) {
	t.Parallel()
	l := NewList(Int(1), Int(2))
	it, err := Iter(l)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for v, err := range it.All() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			l.Items = append(l.Items, Int(3))
		}
		_ = v
	}
	if n != 3 {
		t.Errorf("saw %d items", n)
	}
	if again, _ := Items(it); len(again) != 0 {
		t.Errorf("a used iterator yields %v", again)
	}
	d := D("a", Int(1))
	keys, _ := Iter(d)
	if _, _, err := keys.Next(); err != nil {
		t.Fatal(err)
	}
	d.SetStr("b", Int(2))
	if _, _, err := keys.Next(); err == nil || err.Error() != "dictionary changed size during iteration" {
		t.Error(err)
	}
	boom := errors.New("boom")
	calls := 0
	failing := NewIterator(func() (Value, bool, error) { calls++; return nil, false, boom })
	if _, err := Items(failing); !errors.Is(err, boom) {
		t.Error(err)
	}
	if _, ok, err := failing.Next(); ok || err != nil || calls != 1 {
		t.Errorf("after its error: %v, %v, %d calls", ok, err, calls)
	}
}

// hosts is a Mapping made on demand, of which one entry fails.
type hosts struct{}

func (hosts) Type() string { return "hostvars" }
func (hosts) Len() int     { return 2 }
func (hosts) Keys() []Value {
	return []Value{S("web"), S("bad")}
}

func (h hosts) Attr(name string) (Value, bool, error) { return h.Get(S(name)) }

func (hosts) Get(k Value) (Value, bool, error) {
	switch String(k) {
	case "web":
		return Int(1), true, nil
	case "bad":
		return nil, false, errors.New("cannot template bad")
	}
	return nil, false, nil
}

func TestMappingIsADict(t *testing.T) {
	t.Parallel()
	h := hosts{}
	if got, err := call(h, "get", S("db"), S("none")); err != nil || got != Value(S("none")) {
		t.Error(got, err)
	}
	if ok, err := Contains(h, S("web")); !ok || err != nil {
		t.Error(ok, err)
	}
	if v, ok, err := Attr(h, "web"); v != Value(Int(1)) || !ok || err != nil {
		t.Error(v, ok, err)
	}
	if _, ok := Method(h, "update"); ok {
		t.Error("a mapping cannot be changed")
	}
	keys, err := call(h, "keys")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a view must not change what Keys returned
		if items, err := Items(keys); err != nil || Repr(NewList(items...)) != "['web', 'bad']" {
			t.Error(items, err)
		}
	}
	vals, _ := call(h, "values")
	if _, err := Items(vals); err == nil || err.Error() != "cannot template bad" {
		t.Error(err)
	}
	if _, err := JSON(h, JSONOptions{}); err == nil || err.Error() != "cannot template bad" {
		t.Error(err)
	}
}

// stamp is an object with arithmetic, order and text of its own, as a date is.
type stamp int

func (stamp) Type() string                            { return "stamp" }
func (s stamp) Attr(name string) (Value, bool, error) { return Int(s), name == "n", nil }
func (s stamp) Str() string                           { return fmt.Sprintf("#%d", int(s)) }
func (s stamp) Repr() string                          { return fmt.Sprintf("stamp(%d)", int(s)) }
func (s stamp) Format(spec string) (string, error)    { return spec + s.Str(), nil }
func (s stamp) CompareTo(other Value) (order int, ok bool) {
	o, ok := other.(stamp)
	return int(s - o), ok
}

func (s stamp) Operate(op string, other Value, reflected bool) (Value, bool, error) {
	o, ok := other.(stamp)
	if op != "-" || !ok {
		return nil, false, nil
	}
	return Int(s - o), true, nil
}

func TestObjectsTakePartInOperations(t *testing.T) {
	t.Parallel()
	a, b := stamp(5), stamp(3)
	if v, err := Sub(a, b); err != nil || v != Value(Int(2)) {
		t.Error(v, err)
	}
	if _, err := Add(a, b); err == nil || err.Error() != "unsupported operand type(s) for +: 'stamp' and 'stamp'" {
		t.Error(err)
	}
	if less, err := CompareOp("<", b, a); !less || err != nil {
		t.Error(less, err)
	}
	if _, err := CompareOp("<", b, Int(1)); err == nil {
		t.Error("a stamp and an int have no order")
	}
	if !Equal(a, stamp(5)) || Equal(a, Int(5)) {
		t.Error("equality")
	}
	if got := String(NewList(a)) + String(a); got != "[stamp(5)]#5" {
		t.Error(got)
	}
	if v, err := call(S("{0.n} {0:%Y}"), "format", a); err != nil || String(v) != "5 %Y#5" {
		t.Error(v, err)
	}
}

func TestGoData(t *testing.T) {
	t.Parallel()
	type inner struct {
		Kept    string `json:"kept"`
		Left    string `json:"left,omitempty"`
		Skipped int    `json:"-"`
		hidden  int
	}
	type outer struct {
		inner
		Items []int
		Ptr   *int           `json:"ptr"`
		Any   map[string]any `json:"any"`
	}
	for _, c := range []struct {
		in   any
		want string
	}{
		{nil, "None"},
		{true, "True"},
		{int8(3), "3"},
		{uint64(math.MaxUint64), "18446744073709551615"},
		{float32(0.5), "0.5"},
		{"x", "'x'"},
		{[]byte("x"), "b'x'"},
		{[]string{"a"}, "['a']"},
		{[]any{1, "a", nil}, "[1, 'a', None]"},
		{map[string]int{"b": 1, "a": 2}, "{'a': 2, 'b': 1}"},
		{map[int]bool{2: true, 10: false}, "{2: True, 10: False}"},
		{errors.New("e"), "'e'"},
		{time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), "'2024-01-02T03:04:05Z'"},
		{big.NewInt(7), "7"},
		{outer{inner: inner{Kept: "k", hidden: 1}, Items: []int{1}, Any: map[string]any{"x": []int{}}}, "{'kept': 'k', 'Items': [1], 'ptr': None, 'any': {'x': []}}"},
		{D("v", Int(1)), "{'v': 1}"},
		{(*big.Int)(nil), "None"},
	} {
		if got := Repr(FromGo(c.in)); got != c.want {
			t.Errorf("%#v: %s, want %s", c.in, got, c.want)
		}
	}
	v := D("a", NewList(Int(1), Float(2.5), None{}, Bool(true)), "b", D("c", Tuple{S("x"), Markup("m"), Bytes("y")}))
	want := "map[a:[1 2.5 <nil> true] b:map[c:[x m [121]]]]"
	if got := fmt.Sprint(ToGo(v)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDictKeysAreEqualAsInPython(t *testing.T) {
	t.Parallel()
	d := NewDict(0)
	for _, k := range []Value{Int(1), Float(1), Bool(true), S("1"), None{}, Tuple{Int(1), S("a")}, Tuple{Float(1), S("a")}, Float(1e30), Bytes("1")} {
		if err := d.Set(k, k); err != nil {
			t.Fatal(err)
		}
	}
	if got := Repr(d); got != "{1: True, '1': '1', None: None, (1, 'a'): (1.0, 'a'), 1e+30: 1e+30, b'1': b'1'}" {
		t.Error(got)
	}
	for _, k := range []Value{NewList(), NewDict(0), Tuple{NewList()}} {
		var e *Error
		if err := d.Set(k, None{}); !errors.As(err, &e) || e.Class != "TypeError" {
			t.Errorf("%s: %v", Repr(k), err)
		}
	}
}

func TestDictsKeepOrderAndFindAllKeys(t *testing.T) {
	t.Parallel()
	d := NewDict(0)
	for i := range 40 {
		d.SetStr(fmt.Sprint(i), Int(i))
	}
	for i := 0; i < 40; i += 3 {
		if ok, err := d.Delete(S(fmt.Sprint(i))); !ok || err != nil {
			t.Fatal(i, ok, err)
		}
	}
	d.SetStr("0", S("again"))
	last := -1
	for k, v := range d.All() {
		if n, ok := v.(Int); ok {
			if int(n) <= last || fmt.Sprint(int(n)) != String(k) {
				t.Fatalf("%v after %d", n, last)
			}
			last = int(n)
		}
	}
	if keys := d.Keys(); len(keys) != d.Len() || keys[len(keys)-1] != Value(S("0")) {
		t.Errorf("a deleted key comes back at the end: %v", keys)
	}
	if _, ok := d.GetStr("3"); ok {
		t.Error("3 was deleted")
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, encoding, mode, want string }{
		{"aé☃", "utf-8", "strict", "a\xc3\xa9\xe2\x98\x83"},
		{"é", "Latin_1", "strict", "\xe9"},
		{"é", "ascii", "ignore", ""},
		{"é", "ascii", "replace", "?"},
		{"é", "ascii", "backslashreplace", `\xe9`},
		{"☃", "latin-1", "xmlcharrefreplace", "&#9731;"},
		{"a", "utf-16", "strict", "\xff\xfea\x00"},
		{"😀", "utf-16-be", "strict", "\xd8\x3d\xde\x00"},
		{"a", "utf-32-le", "strict", "a\x00\x00\x00"},
		{"a\x80", "utf-8", "surrogateescape", "a\x80"},
		{"é", "ascii", "strict", "!'ascii' codec can't encode character '\\xe9' in position 0: ordinal not in range(128)"},
		{"a\x80", "utf8", "strict", "!'utf-8' codec can't encode character '\\udc80' in position 1: surrogates not allowed"},
		{"é", "ascii", "nosuch", "!unknown error handler name 'nosuch'"},
		{"a", "rot13", "strict", "!unknown encoding: rot13"},
	} {
		got, err := Encode(c.text, c.encoding, c.mode)
		if err != nil {
			got = "!" + err.Error()
		}
		if got != c.want {
			t.Errorf("%q as %s: %q, want %q", c.text, c.encoding, got, c.want)
		}
	}
	for _, c := range []struct{ bytes, encoding, mode, want string }{
		{"a\xc3\xa9", "utf-8", "strict", "aé"},
		{"\xe9", "latin-1", "strict", "é"},
		{"\xe9a", "utf-8", "replace", "\ufffda"},
		{"\xe9a", "utf-8", "ignore", "a"},
		{"\xe9", "ascii", "backslashreplace", `\xe9`},
		{"\xff\xfea\x00", "utf-16", "strict", "a"},
		{"a\x00\x00\x00", "utf-32", "strict", "a"},
		{"\xe9", "utf-8", "surrogateescape", "\xe9"},
		{"é", "ascii", "replace", "\ufffd\ufffd"},
		{"\xe9", "utf-8", "strict", "!'utf-8' codec can't decode byte 0xe9 in position 0: invalid start byte"},
		{"a", "utf-16", "strict", "!'utf-16' codec can't decode byte 0x61 in position 0: truncated data"},
	} {
		got, err := Decode(c.bytes, c.encoding, c.mode)
		if err != nil {
			got = "!" + err.Error()
		}
		if got != c.want {
			t.Errorf("%q as %s: %q, want %q", c.bytes, c.encoding, got, c.want)
		}
	}
}

func TestJSONOptions(t *testing.T) {
	t.Parallel()
	v := D("b", NewList(Int(1), NewList(), NewDict(0)), "a", S("é</"))
	for _, c := range []struct {
		o    JSONOptions
		want string
	}{
		{JSONOptions{}, `{"b": [1, [], {}], "a": "\u00e9</"}`},
		{JSONOptions{SortKeys: true, Unicode: true, ItemSep: ",", KeySep: ":"}, `{"a":"é</","b":[1,[],{}]}`},
		{JSONOptions{Indent: "    "}, "{\n    \"b\": [\n        1,\n        [],\n        {}\n    ],\n    \"a\": \"\\u00e9</\"\n}"},
		{JSONOptions{Lines: true, SortKeys: true}, "{\n\"a\": \"\\u00e9</\",\n\"b\": [\n1,\n[],\n{}\n]\n}"},
	} {
		if got, err := JSON(v, c.o); got != c.want || err != nil {
			t.Errorf("%+v: %s (%v), want %s", c.o, got, err, c.want)
		}
	}
	r := &Range{Stop: 2, Step: 1}
	if _, err := JSON(r, JSONOptions{}); err == nil || err.Error() != "Object of type range is not JSON serializable" {
		t.Error(err)
	}
	o := JSONOptions{Default: func(v Value) (Value, error) { items, err := Items(v); return NewList(items...), err }}
	if got, err := JSON(NewList(r, r), o); got != "[[0, 1], [0, 1]]" || err != nil {
		t.Error(got, err)
	}
	bad := NewDict(0)
	_ = bad.Set(Tuple{Int(1)}, Int(1))
	if _, err := JSON(bad, JSONOptions{}); err == nil || err.Error() != "keys must be str, int, float, bool or None, not tuple" {
		t.Error(err)
	}
	if got, err := JSON(bad, JSONOptions{SkipKeys: true}); got != "{}" || err != nil {
		t.Error(got, err)
	}
}

func BenchmarkOperations(b *testing.B) {
	d := NewDict(0)
	for i := range 20 {
		d.SetStr(fmt.Sprintf("key%d", i), Int(i))
	}
	text := S("the quick brown fox")
	list := NewList(Int(1), S("two"), Float(3.5), D("a", None{}))
	for name, do := range map[string]func(){
		"ItemOfDict": func() { _, _, _ = Item(d, S("key15")) },
		"ItemOfList": func() { _, _, _ = Item(list, Int(-1)) },
		"AttrMethod": func() { _, _, _ = Attr(text, "upper") },
		"AddInts":    func() { _, _ = Add(Int(1000), Int(2000)) },
		"AddText":    func() { _, _ = Add(text, text) },
		"String":     func() { _ = String(list) },
		"Equal":      func() { _ = Equal(list, list) },
		"Percent":    func() { _, _ = Mod(S("%s: %05.2f"), Tuple{text, Float(3.14159)}) },
		"Format":     func() { _, _ = call(S("{:>10} {}"), "format", text, Int(3)) },
		"JSON":       func() { _, _ = JSON(d, JSONOptions{}) },
		"Literal":    func() { _, _ = LiteralEval("{'a': [1, 2.5, 'x', None], 'b': (True,)}") },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
}
