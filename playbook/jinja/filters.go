package jinja

import (
	"maps"

	"orch/playbook/jinja/value"
)

// builtinFilters are Jinja2's own filters, in a map that the caller may change.
func builtinFilters() map[string]*Filter { return maps.Clone(filterTable) }

// A filterFunc is what a Filter does.
type filterFunc = func(c *Call, in value.Value, b Bound) (value.Value, error)

var (
	none    value.Value = value.None{}
	noText  value.Value = value.S("")
	valZero value.Value = value.Int(0)
)

var filterTable = map[string]*Filter{
	"abs":            filter(filterAbs),
	"attr":           filter(filterAttr, arg("name")).lax(),
	"batch":          filter(filterBatch, arg("linecount"), opt("fill_with", none)).lax(),
	"capitalize":     textMethod("capitalize"),
	"center":         filter(filterCenter, opt("width", value.Int(80))),
	"count":          filter(filterLength),
	"d":              defaultFilter,
	"default":        defaultFilter,
	"dictsort":       filter(filterDictSort, opt("case_sensitive", valFalse), opt("by", value.S("key")), opt("reverse", valFalse)),
	"e":              filter(filterEscape),
	"escape":         filter(filterEscape),
	"filesizeformat": filter(filterFileSize, opt("binary", valFalse)),
	"first":          filter(filterFirst),
	"float":          filter(filterFloat, opt("default", value.Float(0))).lax(),
	"forceescape":    filter(filterForceEscape),
	"format":         filter(filterFormat).variadic(),
	"groupby":        filter(filterGroupBy, arg("attribute"), opt("default", none), opt("case_sensitive", valFalse)),
	"indent":         filter(filterIndent, opt("width", value.Int(4)), opt("first", valFalse), opt("blank", valFalse)),
	"int":            filter(filterInt, opt("default", valZero), opt("base", value.Int(10))).lax(),
	"items":          filter(filterItems).lax(),
	"join":           filter(filterJoin, opt("d", noText), opt("attribute", none)),
	"last":           filter(filterLast),
	"length":         filter(filterLength),
	"list":           filter(filterList),
	"lower":          textMethod("lower"),
	"map":            filter(filterMap).variadic().lax(),
	"max":            filter(extreme(">"), opt("case_sensitive", valFalse), opt("attribute", none)),
	"min":            filter(extreme("<"), opt("case_sensitive", valFalse), opt("attribute", none)),
	"pprint":         filter(filterPprint).lax(),
	"random":         filter(filterRandom),
	"reject":         filter(selection(false, false)).variadic().lax(),
	"rejectattr":     filter(selection(false, true)).variadic().lax(),
	"replace":        filter(filterReplace, arg("old"), arg("new"), opt("count", none)),
	"reverse":        filter(filterReverse),
	"round":          filter(filterRound, opt("precision", valZero), opt("method", value.S("common"))),
	"safe":           filter(filterSafe),
	"select":         filter(selection(true, false)).variadic().lax(),
	"selectattr":     filter(selection(true, true)).variadic().lax(),
	"slice":          filter(filterSlice, arg("slices"), opt("fill_with", none)).lax(),
	"sort":           filter(filterSort, opt("reverse", valFalse), opt("case_sensitive", valFalse), opt("attribute", none)),
	"string":         filter(filterString),
	"striptags":      filter(filterStripTags),
	"sum":            filter(filterSum, opt("attribute", none), opt("start", valZero)),
	"title":          filter(filterTitle),
	"tojson":         filter(filterToJSON, opt("indent", none)),
	"trim":           filter(filterTrim, opt("chars", none)),
	"truncate": filter(filterTruncate, opt("length", value.Int(255)), opt("killwords", valFalse),
		opt("end", value.S("...")), opt("leeway", none)).lax(),
	"unique":    filter(filterUnique, opt("case_sensitive", valFalse), opt("attribute", none)).lax(),
	"upper":     textMethod("upper"),
	"urlencode": filter(filterURLEncode),
	"urlize": filter(filterUrlize, opt("trim_url_limit", none), opt("nofollow", valFalse), opt("target", none),
		opt("rel", none), opt("extra_schemes", none)),
	"wordcount": filter(filterWordCount),
	"wordwrap": filter(filterWordWrap, opt("width", value.Int(79)), opt("break_long_words", valTrue),
		opt("wrapstring", none), opt("break_on_hyphens", valTrue)),
	"xmlattr": filter(filterXMLAttr, opt("autospace", valTrue)),
}

// arg declares a required parameter, opt one with a default.
func arg(name string) Param { return Param{Name: name} }

func opt(name string, def value.Value) Param { return Param{Name: name, Default: def} }

func filter(do filterFunc, params ...Param) *Filter {
	return &Filter{Sig: Signature{Params: params}, Do: do}
}

// variadic accepts any arguments.
func (f *Filter) variadic() *Filter {
	f.Sig.VarArgs, f.Sig.KwArgs = true, true
	return f
}

// lax accepts undefined values.
func (f *Filter) lax() *Filter {
	f.Sig.AcceptUndefined = true
	return f
}

// defaultFilter decides itself about unknown values: `known | default(unknown)` is known.
var defaultFilter = &Filter{
	Sig: Signature{
		Params:          []Param{opt("default_value", noText), opt("boolean", valFalse)},
		AcceptUndefined: true, AcceptUnknown: true,
	},
	Do: func(_ *Call, in value.Value, b Bound) (value.Value, error) {
		switch in.(type) {
		case *value.Undefined:
			return b.Args[0], nil
		case value.Unknown:
			return in, nil
		}
		if replace, err := truth(b.Args[1]); err != nil || !replace || value.Truth(in) {
			return in, err
		}
		return b.Args[0], nil
	},
}

// truth is Python's bool(v), with the errors of what has none.
func truth(v value.Value) (bool, error) {
	switch v := v.(type) {
	case *value.Undefined:
		if !v.Lenient {
			return false, &value.UndefinedError{U: v}
		}
	case value.Unknown:
		return false, &value.UnknownError{U: v}
	}
	return value.Truth(v), nil
}

func isNone(v value.Value) bool {
	_, ok := v.(value.None)
	return ok
}

// soft is markupsafe.soft_str: text, which stays Markup if it is.
func soft(v value.Value) (value.Value, error) {
	switch v.(type) {
	case value.Str, value.Markup:
		return v, nil
	}
	s, err := value.Text(v)
	return value.S(s), err
}

// callMethod calls a method that the built-in type of v is known to have.
func callMethod(v value.Value, name string, args ...value.Value) (value.Value, error) {
	m, ok := value.Method(v, name)
	if u, undefined := v.(*value.Undefined); undefined {
		return nil, &value.UndefinedError{U: u}
	}
	if !ok {
		return nil, value.Errorf("AttributeError", "'%s' object has no attribute '%s'", v.Type(), name)
	}
	return m.Call(args, nil)
}

// textMethod is a filter that is a method of str.
func textMethod(name string) *Filter {
	return filter(func(_ *Call, in value.Value, _ Bound) (value.Value, error) {
		s, err := soft(in)
		if err != nil {
			return nil, err
		}
		return callMethod(s, name)
	})
}

// filterError is jinja2.exceptions.FilterArgumentError.
func filterError(format string, args ...any) error {
	return value.Errorf("FilterArgumentError", format, args...)
}
