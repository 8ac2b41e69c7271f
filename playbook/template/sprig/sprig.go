// Package sprig offers all functions of github.com/Masterminds/sprig/v3 to templates, in
// a namespace of their own: as functions with sprig's order of arguments,
// `sprig.trunc(5, name)`, and as filters, `name | sprig.trunc(5)`.
//
// They keep sprig's meaning, which for 27 names differs from the filter of the same bare
// name. Three things are safer than in Helm: a function that has a must variant reports
// its mistakes instead of panicking or returning nothing; a dict that is passed is never
// changed (set, unset and merge return a new one); dicts come back with their keys
// sorted, because Go's have no order.
package sprig

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/Masterminds/sprig/v3"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
)

// A function is one of sprig's.
type function struct {
	name     string
	fn       reflect.Value
	params   []converter
	variadic converter // of the last parameter of a variadic function
	data     int       // where a filter puts the piped value: last, none, or an index
}

// Where the piped value goes, besides an index.
const (
	last = -1 - iota
	none
)

// functions are built once; the parameter types are looked at here and not per call.
var functions = sync.OnceValue(func() map[string]*function {
	m := sprig.GenericFuncMap()
	out := make(map[string]*function, len(m))
	for name := range m {
		impl := m[name]
		if must, ok := m[mustName(name)]; ok {
			impl = must
		}
		f := &function{name: name, fn: reflect.ValueOf(impl), data: position(name)}
		t := f.fn.Type()
		for i := range t.NumIn() {
			if t.IsVariadic() && i == t.NumIn()-1 {
				f.variadic = converterOf(t.In(i).Elem())
				continue
			}
			f.params = append(f.params, converterOf(t.In(i)))
		}
		out[name] = f
	}
	return out
})

// mustName is the variant of a function that reports errors.
func mustName(name string) string {
	if name == "date_modify" {
		return "must_date_modify"
	}
	return "must" + strings.ToUpper(name[:1]) + name[1:]
}

// position says where the function name takes its data: what a filter pipes into it.
func position(name string) int {
	bare := name
	if plain, ok := strings.CutPrefix(name, "must"); ok && plain != "" && plain[0] != '_' {
		bare = strings.ToLower(plain[:1]) + plain[1:]
	}
	for at, names := range map[int]string{
		0: "append prepend push concat without slice initial rest get set unset hasKey pick omit merge mergeOverwrite " +
			"round htmlDateInZone keys values",
		1: "regexReplaceAll regexReplaceAllLiteral regexFindAll regexSplit dateInZone date_in_zone",
		none: "add sub div mul mod addf subf divf mulf add1 add1f max min biggest maxf minf seq until untilStep list tuple dict " +
			"coalesce all any now uuidv4 randAlphaNum randAlpha randAscii randNumeric randBytes randInt env expandenv " +
			"getHostByName genCA genCAWithKey genPrivateKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert " +
			"genSignedCertWithKey derivePassword buildCustomCert fail hello",
	} {
		if slices.Contains(strings.Fields(names), bare) {
			return at
		}
	}
	return last
}

// call converts the arguments, calls the function and converts its result.
func (f *function) call(c *jinja.Call, args []value.Value) (result value.Value, err error) {
	if err := f.check(c, args); err != nil {
		return nil, err
	}
	in := make([]reflect.Value, len(args))
	for i, arg := range args {
		convert := f.variadic
		if i < len(f.params) {
			convert = f.params[i]
		}
		if in[i], err = convert(arg); err != nil {
			return nil, fmt.Errorf("sprig.%s: argument %d: %w", f.name, i+1, err)
		}
	}
	// Some of sprig's functions panic on bad input and have no other way to report it.
	defer func() {
		if r := recover(); r != nil {
			result, err = nil, fmt.Errorf("sprig.%s: %v", f.name, r)
		}
	}()
	out := f.fn.Call(in)
	if n := len(out); n == 2 && !out[1].IsNil() {
		return nil, fmt.Errorf("sprig.%s: %w", f.name, out[1].Interface().(error))
	}
	return fromGo(out[0].Interface()), nil
}

// check refuses what the function would misunderstand, and what would exhaust memory.
func (f *function) check(c *jinja.Call, args []value.Value) error {
	least := len(f.params)
	if len(args) < least || f.variadic == nil && len(args) > least {
		want := fmt.Sprint(least)
		if f.variadic != nil {
			want = "at least " + want
		}
		return fmt.Errorf("sprig.%s takes %s arguments, %d were given", f.name, want, len(args))
	}
	for i, arg := range args {
		if value.Endless(arg) {
			return value.Errorf("RecursionError", "sprig.%s: argument %d contains itself, or is too large", f.name, i+1)
		}
		if u, ok := value.HasUnknown(arg); ok {
			return &value.UnknownError{U: u}
		}
		if u, ok := value.HasUndefined(arg); ok {
			return &value.UndefinedError{U: u}
		}
	}
	return f.bounds(c, args)
}

func (f *function) bounds(c *jinja.Call, args []value.Value) error {
	switch f.name {
	case "until", "untilStep", "seq", "repeat", "indent", "nindent", "randAlphaNum", "randAlpha", "randAscii", "randNumeric", "randBytes":
		for _, arg := range args {
			n, ok := arg.(value.Int)
			if limit := c.Limits().Range; ok && (int(n) > limit || int(n) < -limit) {
				return fmt.Errorf("sprig.%s: %d is beyond the limit of %d", f.name, n, limit)
			}
		}
	case "date", "dateInZone", "date_in_zone", "htmlDate", "htmlDateInZone", "ago":
		// sprig takes anything that is no time for "now".
		at := map[string]int{"date": 1, "dateInZone": 1, "date_in_zone": 1}[f.name]
		switch v := args[at].(type) {
		case value.Int, *object:
		default:
			if _, ok := moment(v); !ok {
				return fmt.Errorf("sprig.%s: argument %d must be a time or seconds since 1970, not '%s'", f.name, at+1, v.Type())
			}
		}
	}
	return nil
}

// arrange puts the piped value where the function takes it.
func (f *function) arrange(in value.Value, args []value.Value) []value.Value {
	at := f.data
	if at == last || at > len(args) {
		at = len(args)
	}
	return slices.Insert(slices.Clone(args), at, in)
}

var variadic = jinja.Signature{VarArgs: true}

var filters = sync.OnceValue(func() map[string]*jinja.Filter {
	out := map[string]*jinja.Filter{}
	for name, f := range functions() {
		if f.data == none {
			continue
		}
		out["sprig."+name] = &jinja.Filter{Sig: variadic, Do: func(c *jinja.Call, in value.Value, b jinja.Bound) (value.Value, error) {
			return f.call(c, f.arrange(in, b.Var))
		}}
	}
	return out
})

// Filters returns the filters by name, "sprig." included: those whose use as a filter
// makes sense.
func Filters() map[string]*jinja.Filter { return maps.Clone(filters()) }

// Globals returns the one global object, sprig, whose attributes are the functions.
func Globals() map[string]value.Value {
	return map[string]value.Value{"sprig": namespace{}}
}

// A namespace is the global object.
type namespace struct{}

// Type implements value.Value.
func (namespace) Type() string { return "sprig" }

// Attr implements value.Object.
func (namespace) Attr(name string) (value.Value, bool, error) {
	f, ok := functions()[name]
	if !ok {
		return nil, false, nil
	}
	return &jinja.Function{Name: "sprig." + name, Sig: variadic, Do: func(c *jinja.Call, b jinja.Bound) (value.Value, error) {
		return f.call(c, b.Var)
	}}, true, nil
}

// Names lists all functions, sorted.
func Names() []string { return slices.Sorted(maps.Keys(functions())) }
