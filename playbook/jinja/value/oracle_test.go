package value

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"orch/playbook/oracle"
)

// A python is a long-lived interpreter that says what Python itself does. Questions are
// collected and asked many at a time.
type python struct {
	*oracle.Process
	pending []question
}

type question struct {
	Op   string   `json:"op"`
	Args []string `json:"args"`
	vals []Value
}

func (q question) String() string { return q.Op + "(" + strings.Join(q.Args, ", ") + ")" }

type answer struct {
	OK  *string
	Err string
	Msg string
}

func startPython(t testing.TB) *python {
	t.Helper()
	return &python{Process: oracle.Start(t, "import ast", "testdata/oracle.py")}
}

func (p *python) ask(questions []question) ([]answer, error) {
	var answers []answer
	err := p.Ask(questions, &answers, time.Minute)
	return answers, err
}

// ours does what oracle.py does.
func ours(op string, args ...Value) (Value, error) {
	switch op {
	case "repr":
		return args[0], nil
	case "str":
		return S(String(args[0])), nil
	case "ascii":
		return S(ASCII(args[0])), nil
	case "len":
		n, err := Len(args[0])
		return Int(n), err
	case "list":
		items, err := Items(args[0])
		return &List{Items: items}, err
	case "sorted":
		items, err := Items(args[0])
		if err != nil {
			return nil, err
		}
		items, err = Sorted(items, false)
		return &List{Items: items}, err
	case "bool":
		return Bool(Truth(args[0])), nil
	case "int1":
		return ToInt(args[0])
	case "float":
		return asValue(ToFloat(args[0]))
	case "neg":
		return Neg(args[0])
	case "json":
		s, err := JSON(args[0], JSONOptions{})
		return S(s), err
	case "jsonfmt":
		s, err := JSON(args[0], JSONOptions{Indent: "  ", SortKeys: true, Unicode: true})
		return S(s), err
	case "loads":
		return FromJSON([]byte(String(args[0])))
	case "literal":
		return LiteralEval(String(args[0]))
	}
	if v, err, ok := ourBinary(op, args); ok {
		return v, err
	}
	m, ok := Method(args[0], strings.TrimSuffix(op, "_"))
	if !ok {
		return nil, Errorf("AttributeError", "'%s' object has no attribute '%s'", args[0].Type(), op)
	}
	return m.Call(args[1:], nil)
}

func asValue[V Value](v V, err error) (Value, error) { return v, err }

func ourBinary(op string, args []Value) (Value, error, bool) {
	var v Value
	var err error
	switch op {
	case "+":
		v, err = Add(args[0], args[1])
	case "-":
		v, err = Sub(args[0], args[1])
	case "*":
		v, err = Mul(args[0], args[1])
	case "/":
		v, err = Div(args[0], args[1])
	case "//":
		v, err = FloorDiv(args[0], args[1])
	case "%":
		v, err = Mod(args[0], args[1])
	case "**":
		v, err = Pow(args[0], args[1])
	case "<", "<=", ">", ">=":
		v, err = asValue(boolOf(CompareOp(op, args[0], args[1])))
	case "==":
		v, err = asValue(boolOf(EqualOp(args[0], args[1])))
	case "contains":
		v, err = asValue(boolOf(Contains(args[0], args[1])))
	case "format":
		s, ferr := FormatValue(args[0], String(args[1]))
		v, err = S(s), ferr
	case "int":
		n, ok := index(args[1])
		if !ok {
			return nil, typeErr("base"), true
		}
		v, err = ParseInt(String(args[0]), n)
	case "slice":
		v, err = Slice(args[0], args[1], args[2], args[3])
	case "item":
		var ok bool
		if v, ok, err = Item(args[0], args[1]); err == nil && !ok {
			err = MissingItem(args[0], args[1])
		}
	default:
		return nil, nil, false
	}
	return v, err, true
}

func mustBig(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

func boolOf(b bool, err error) (Bool, error) { return Bool(b), err }

// compare notes a question; flush asks it.
func (p *python) compare(t testing.TB, op string, args ...Value) {
	t.Helper()
	q := question{Op: op, vals: args}
	for _, a := range args {
		q.Args = append(q.Args, Repr(a))
		if f, ok := a.(Float); ok && (math.IsInf(float64(f), 0) || math.IsNaN(float64(f))) {
			return // has no literal
		}
	}
	if p.pending = append(p.pending, q); len(p.pending) >= 500 {
		p.flush(t)
	}
}

// flush reports where the two sides differ.
func (p *python) flush(t testing.TB) {
	t.Helper()
	answers, err := p.ask(p.pending)
	if err != nil {
		t.Fatalf("the interpreter failed on one of %s: %v", p.pending, err)
	}
	for i, q := range p.pending {
		q.check(t, answers[i])
	}
	p.pending = p.pending[:0]
}

// check compares results by their repr, errors by their class, and in some operations by
// their message.
func (q question) check(t testing.TB, want answer) {
	t.Helper()
	got, err := ours(q.Op, q.vals...)
	switch {
	case err != nil && limitation(err):
	case want.OK != nil && err != nil:
		t.Errorf("%s: error %v\nPython: %s", q, err, *want.OK)
	case want.OK != nil:
		if r := Repr(got); r != *want.OK {
			t.Errorf("%s: %s\nPython: %s", q, r, *want.OK)
		}
	case err == nil:
		t.Errorf("%s: %s\nPython: %s: %s", q, Repr(got), want.Err, want.Msg)
	case want.Err == "RecursionError" || want.Err == "MemoryError" || q.Op == "literal":
		// Limits differ, and nobody tells a SyntaxError from a ValueError.
	default:
		var e *Error
		if !errors.As(err, &e) || e.Class != want.Err || !sameMessage(q.Op, e.Msg, want.Msg) {
			t.Errorf("%s: error %s\nPython: %s: %s", q, err, want.Err, want.Msg)
		}
	}
}

// limitation says whether err is one of the documented things that Python can and this
// package will not.
func limitation(err error) bool {
	return strings.Contains(err.Error(), "not supported\n") || strings.Contains(err.Error(), "is not supported") ||
		strings.HasPrefix(err.Error(), "the result would be too large")
}

func sameMessage(op, got, want string) bool {
	switch op {
	case "loads", "+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "contains", "item", "format", "slice", "len", "list", "int1", "float", "int":
		return got == want
	}
	return true
}

// interesting are values at the edges of Python's rules. What may be changed must be cloned.
var interesting = sync.OnceValue(func() []Value {
	parse := func(s string) Value {
		v, err := LiteralEval(s)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", s, err)) // a mistake in this table
		}
		return v
	}
	var vs []Value
	for _, s := range strings.Split(`None|True|False|0|1|-1|2|3|7|-7|10|255|256|65|1000000|9223372036854775807|-9223372036854775808|`+
		`9223372036854775808|-9223372036854775809|123456789012345678901234567890|`+
		`0.0|-0.0|1.0|-1.0|0.1|2.5|3.14159|-2.75|1e16|1e15|123456789.123|1e-5|0.0001|1e300|1e22|1.5e-300|0.5|1.5|100.0|9007199254740993.0|`+
		`''|'a'|'A'|'abc'|'Hello World'|' x '|'  '|'a,b,,c'|'ß'|'ﬁn ǆ'|'ΑΣΑ ΟΔΟΣ'|'İstanbul'|'日本語'|'e\u0301x'|'a\nb\r\nc\x0bd\u2028e'|`+
		`'a\tb'|"it's"|'say "x"'|'it\'s "x"'|'\x00\x1f\x7f\x80\xa0\xad'|'\u200b\ufeff'|'😀'|'12'|'-12'|'+5'|' 42 '|'1_000'|'0x1F'|'0b11'|'1e5'|'3.7'|`+
		`'inf'|'nan'|'٣'|'²'|'½'|'Ⅷ'|'一'|'_x1'|'1x'|'ABC'|'aBc Def'|'a  b   c'|'x=1;y=2'|'%s'|'%d %s'|'{}'|'{0}'|'\udc80x'|`+
		`[]|[1]|[1, 2, 3]|['a', 'b']|[3, 1, 2]|['b', 1]|[[1, 2], [3]]|[None, True, 1.5]|[1, 1.0, True]|`+
		`()|(1,)|(1, 2)|('a', 'b')|((1, 2), 3)|`+
		`{}|{'a': 1}|{'a': 1, 'b': [1, {'c': None}]}|{1: 'x', 'k': (1, 2)}|{True: 1, None: 2, 1.5: 3}|{(1, 2): 'x'}|`+
		`b''|b'abc'|b'\x00\xff"\''|b'1 2'`, "|") {
		vs = append(vs, parse(s))
	}
	return vs
})

func TestReprAndConversionsAgreeWithPython(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	for _, v := range interesting() {
		for _, op := range []string{"repr", "str", "ascii", "len", "list", "bool", "int1", "float", "neg", "json", "jsonfmt", "sorted"} {
			p.compare(t, op, v)
		}
	}
}

func TestOperatorsAgreeWithPython(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	vs := interesting()
	ops := []string{"+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "contains", "item"}
	r := rand.New(rand.NewPCG(1, 2))
	for i, a := range vs {
		for range 40 {
			op, b := ops[r.IntN(len(ops))], vs[r.IntN(len(vs))]
			if tooSlow(op, a, b) {
				continue
			}
			p.compare(t, op, a, b)
		}
		p.compare(t, ops[i%len(ops)], a, a)
	}
}

// tooSlow is for what Python computes and we would rather not wait for.
func tooSlow(op string, a, b Value) bool {
	if op != "**" && op != "*" {
		return false
	}
	for _, v := range []Value{a, b} {
		if n, ok := number(v); ok && !n.real && (n.big != nil || n.i > 1000 || n.i < -1000) {
			return true
		}
	}
	return false
}

func TestMethodsAgreeWithPython(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range 4000 {
		p.compareMethod(t, r)
	}
}

// compareMethod calls a random method with random arguments of plausible types.
func (p *python) compareMethod(t testing.TB, r *rand.Rand) {
	t.Helper()
	vs := interesting()
	self := Clone(vs[r.IntN(len(vs))])
	var names []string
	switch self.(type) {
	case Str:
		names = keysOf(strMethods)
	case *List:
		names = keysOf(listMethods)
	case *Dict:
		names = keysOf(dictMethods)
	case Tuple:
		names = keysOf(tupleMethods)
	case Int, Bool, *BigInt:
		names = keysOf(intMethods)
	case Float:
		names = keysOf(floatMethods)
	case Bytes:
		names = keysOf(bytesMethods)
	default:
		return
	}
	name := names[r.IntN(len(names))]
	args := []Value{self}
	for range r.IntN(4) {
		arg := Clone(vs[r.IntN(len(vs))])
		switch r.IntN(4) {
		case 0:
			arg = Int(r.IntN(12) - 4)
		case 1:
			if s, ok := self.(Str); ok {
				runes := []rune(s.S)
				if len(runes) > 0 {
					i := r.IntN(len(runes))
					arg = S(string(runes[i:min(len(runes), i+1+r.IntN(2))]))
				}
			}
		case 2:
			if l, ok := self.(*List); ok && len(l.Items) > 0 {
				arg = l.Items[r.IntN(len(l.Items))]
			}
		}
		args = append(args, arg)
	}
	for _, a := range args[1:] {
		if n, ok := number(a); ok && !n.real && (n.big != nil || n.i > 1000 || n.i < -1000) {
			return // paddings of gigabytes, and C's own limits
		}
		if _, bytes := self.(Bytes); bytes && a != Value(Bytes("abc")) && (name == "hex" || name == "count" || name == "find") {
			return // these check their arguments in another order
		}
	}
	if s, ok := args[len(args)-1].(Str); ok && strings.HasSuffix(name, "strip") && !utf8.ValidString(s.S+String(self)) {
		return // undecodable bytes are all one character to the strip methods
	}
	if (name == "encode" || name == "decode") && len(args) > 1 {
		return // names of encodings have tests of their own
	}
	p.compare(t, name, args...)
}

func keysOf(m map[string]method) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	for i := range names { // maps have no order, the test must have one
		for j := i + 1; j < len(names); j++ {
			if names[j] < names[i] {
				names[i], names[j] = names[j], names[i]
			}
		}
	}
	return names
}

func TestSlicesAgreeWithPython(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	r := rand.New(rand.NewPCG(5, 6))
	bound := func() Value {
		if r.IntN(3) == 0 {
			return None{}
		}
		return Int(r.IntN(14) - 7)
	}
	for _, v := range []Value{S("hello"), S("日本語x"), S(""), NewList(Int(1), Int(2), Int(3), Int(4)), Tuple{Int(1), Int(2)}, Bytes("abc"), Int(5), D("a", Int(1))} {
		for range 120 {
			p.compare(t, "slice", v, bound(), bound(), bound())
		}
		p.compare(t, "slice", v, S("a"), None{}, None{})
	}
}

func TestFormatSpecsAgreeWithPython(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	r := rand.New(rand.NewPCG(7, 8))
	for range 2500 {
		p.compareSpec(t, r)
	}
}

func (p *python) compareSpec(t testing.TB, r *rand.Rand) {
	t.Helper()
	pick := func(choices ...string) string { return choices[r.IntN(len(choices))] }
	values := []Value{
		Int(0), Int(5), Int(-5), Int(1234567), Int(-98765432), Bool(true), Float(0), Float(math.Copysign(0, -1)),
		Float(3.14159), Float(-2.5), Float(1234567.891), Float(1e16), Float(1e22), Float(1.5e-7), Float(0.5), Float(99.995),
		&BigInt{mustBig("123456789012345678901234567890")}, S("abc"), S("日本"), S(""),
		None{},
		NewList(Int(1)), Float(12345.6789e10),
	}
	spec := pick("", "", "<", ">", "^", "=", "*<", "é^", "0=", "x>") + pick("", "", "+", "-", " ") + pick("", "", "", "", "z") +
		pick("", "", "#") + pick("", "", "0") + pick("", "5", "12", "20") + pick("", "", "", ",", "_") +
		pick("", "", ".0", ".1", ".3", ".10", ".") + pick("", "d", "f", "e", "g", "s", "x", "X", "o", "b", "c", "n", "%", "E", "G", "F", "q")
	p.compare(t, "format", values[r.IntN(len(values))], S(spec))
}

func TestPercentFormatsAgreeWithPython(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	r := rand.New(rand.NewPCG(9, 10))
	for range 2500 {
		p.comparePercent(t, r)
	}
}

func (p *python) comparePercent(t testing.TB, r *rand.Rand) {
	t.Helper()
	pick := func(choices ...string) string { return choices[r.IntN(len(choices))] }
	vs := interesting()
	var format strings.Builder
	var args Tuple
	for range 1 + r.IntN(2) {
		width, precision := pick("", "", "5", "10", "*"), pick("", "", ".0", ".2", ".*", ".")
		for range strings.Count(width+precision, "*") {
			args = append(args, Int(r.IntN(10)-3))
		}
		format.WriteString(pick("", "x", "é ") + "%" + pick("", "", "", "-", "+", " ", "#", "0", "0+", "-0", "# ") + width + precision +
			pick("", "", "", "l") + pick("s", "s", "d", "r", "a", "c", "x", "X", "o", "e", "f", "g", "G", "E", "i", "u", "%", "z", "(a)s", ""))
		args = append(args, vs[r.IntN(len(vs))])
	}
	var arg Value = args
	switch r.IntN(6) {
	case 0:
		arg = args[0]
	case 1:
		arg = D("a", args[0])
	}
	p.compare(t, "%", S(format.String()), arg)
}

func TestStrFormatAgreesWithPython(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	for _, f := range []string{
		"{}", "{} {}", "{0} {1} {0}", "{} {0}", "{0} {}", "{", "}", "{{}}", "{{{}}}", "{0", "{0!r}", "{0!s:>5}|", "{0!a}", "{0!x}", "{0!}", "{0!rr}",
		"{:>{}}", "{:{}.{}}", "{:{:{}}}", "{0[a]}", "{0[0]}", "{0[5]}", "{0[x][0]}", "{0.real}", "{0.foo}", "{0.}", "{0[]}", "{0[a}", "{0[a]b}",
		"{a}", "{0:é^9}", "{:{{}", "a{b", "{0[-1]}", "{ 0}", "{5}", "{:d}", "{99999999999999999999}", "{!r", "{!", "{:", "{0!r:", "x{}y{}z{}",
	} {
		for _, args := range [][]Value{nil, {Int(5)}, {S("x"), Int(7)}, {D("a", Int(1))}, {NewList(Int(1), S("b"))}, {D("x", NewList(Int(4)))}, {Float(3.14159), Int(10), Int(3)}} {
			p.compare(t, "format_", append([]Value{S(f)}, args...)...)
		}
	}
}

func TestNumbersAreReadAsPythonDoes(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	for _, s := range []string{
		"0", "00", "-0", "1", "+1", "--1", "+-1", "1_0", "_1", "1_", "1__0", "0x10", "0X_f", "0x", "x1", "0b101", "0b2", "0o17", "017", "1 2", "",
		" ", "\t7\n", "\x1c8\x1f", "z", "Z", "zz", "9", "٣٤", "１", "²", "1.0", "1e3", "99999999999999999999", "-99999999999999999999", "0_7", "0x_", "- 1", "+", "0b_1", "0_b1",
	} {
		for _, base := range []Value{Int(0), Int(2), Int(8), Int(10), Int(16), Int(36), Int(1), Int(37)} {
			p.compare(t, "int", S(s), base)
		}
		p.compare(t, "float", S(s))
	}
	for _, s := range []string{
		"1.5", ".5", "5.", ".", "1e5", "1E+5", "1e", "e5", "1_0.5", "1_.5", "1._5", "inf", "-Inf", "+infinity", "infin", "nan", "-nan", "NaN1", "0x1p3", "1e400", "1e-400",
		" 2.5 ", "1.5.2", "++1", "1,5", "١.٥", "1d5", "1e5_0", "1e_5", "iNf", "i", "1p5", "nan(1)",
	} {
		p.compare(t, "float", S(s))
	}
}

func TestLiteralsAreReadAsPythonDoes(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	for _, s := range literalCases {
		p.compare(t, "literal", S(s))
	}
}

// literalCases is also the seed of FuzzLiteralEval.
var literalCases = []string{
	"1", " 1", "\t1", "\n1", "\n 1", "1\n", "1 # c", "'a' 'b'", "b'a' b'b'", "'a' b'b'", "u'x'", `r'\n'`, "f'x'", `rb'\x'`, `'\x41\u00e9\101\q'`,
	"'''a\nb'''", "'a\nb'", "'a\\\nb'", "(1)", "(1,)", "()", "(1,2,)", "[1,2,]", "{}", "{1:2,}", "{1,2}", "set()", "{1:2, **{}}", "[*[1]]", "-1", "+1",
	"- 1", "--1", "-'a'", "~1", "1+2", "0x1F", "0o17", "0b11", "017", "00", "0_0", "1_000", "1__0", "1_", "1e5", "1.", "0.5", ".5", "1_0.5_0e1_0", "1e400",
	"True", "None", "true", "null", "foo", "foo.bar", "a()", "{'a': [1,{'b':(2,)}]}", "{[1]:2}", "1 2", "", "   ", "(", "[1", "'a", "1,2", "'a','b'", "1,", ",", "1;", "x=1",
	"not True", "1 if 1 else 2", `"a"`, "{'a':1", "[1,\n2]", "  [1]", "(1\n)", "1\\\n", `'\x4'`, `b'\x4'`, "b'é'", "'a'.b", "[1][0]", "99999999999999999999999",
	"-99999999999999999999", "+True", "-True", "1.5e", "0x", "1_a", "1a", "{'a' 'b': 1}", "{'a':1,'a':2}", "lambda: 1", "'a' % 1", "<b>", "{{ x }}", "{{1:2}:3}",
	"2024-01-01", "1.2.3", "[a, b]", "{a: b}", "-[1]", "(1)(2)", "'é'", "\x00", "1\x0c", "#x\n1", "1\n\n2", "[1 2]", "[,]", "(,)", "{,}", "{1:}", "br'x'", "Rb'x'", "bu'x'", "ur'x'",
	`'\400'`, `b'\400'`, `'\`, "1_000.0", "0777", "-0", "{**{}}", "0e0", "00.5", "09.5", "09", "1.e5", "1l", "'a'\n'b'", "('a'\n'b')", "1 == 1", "[True,False,None]", "１",
	"{'x': 1, }", "  # only", "[1]\n", "[1]\n#x", "((1,2),)", "(1,2", "'''", "''''''", "'' ''", `"\"" '\''`, "[[[[]]]]", "{1:2}[1]", "-0.0", "- 0x10", "1_0x", "1.__class__",
	"0\n ", "0\n \n", "0\n # c", "0 #c\n\t", "0\\\n ", "\n#c\n 1", "\n \f1", "0\n \f", "0\n \\\n\n", "'\\udc80'", "(\n\n1\n,\n)", "1,\n", "[\\\n1]", "{'a': 'b' # c\n}",
}

func TestJSONIsReadAsPythonDoes(t *testing.T) {
	t.Parallel()
	p := startPython(t)
	defer p.flush(t)
	for _, s := range []string{
		`{"b": 1, "a": [1, 2.0, 1e3, -0, 0.1, 123456789012345678901234567890, true, null, "x\u00e9\n"]}`, `[]`, `{}`, `"a"`, ` 1 `, `NaN`, `-Infinity`, `{"a":1,"a":2}`,
		``, `{`, `[1,]`, `{"a"}`, `1 2`, `tru`, `'a'`, `{"a":1}}`, `"\ud83d\ude00"`, `01`, `1.`, `.5`, `+1`, "\"\t\"", `[1e400]`, `-0.0`, `"`, `"\x"`, `"\u12"`, `"a\`, "{\n \"é\": ]", `[1 2]`, `{"a":1 "b"}`, `{"a":1,}`, `[-]`, `1e`, `-`, `1.e5`, `{1:2}`, `[Infinity,-1E+2]`,
	} {
		p.compare(t, "loads", S(s))
	}
}

func FuzzLiteralEval(f *testing.F) {
	p := startPython(f)
	for _, s := range literalCases {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// Not compared: how a continued line before or after the expression is indented.
		if strings.Contains(s, "\x00") || len(s) > 200 || !utf8.ValidString(s) || strings.Contains(s, "\\\n") || strings.Contains(s, "\\\r") {
			return
		}
		p.compare(t, "literal", S(s))
		p.flush(t)
	})
}

// FuzzOperations compares random operations, methods and formats; the input is the seed.
func FuzzOperations(f *testing.F) {
	p := startPython(f)
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		for range 20 {
			p.compareMethod(t, r)
			p.compareSpec(t, r)
			p.comparePercent(t, r)
		}
		p.flush(t)
	})
}
