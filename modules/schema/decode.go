package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// Decode makes the module's struct from a task's templated arguments, with
// ansible-core 2.18's coercions and defaults, and checks it. at gives an argument's
// place; it may be nil. All mistakes are reported; the module is nil if there is an Error.
func (s *Spec) Decode(args *value.Dict, at func(name string) source.Pos) (any, source.Diagnostics) {
	module := s.New()
	d := decoder{spec: s, at: at}
	d.args(s.Args, args, reflect.ValueOf(module).Elem(), nil)
	if m, ok := module.(modules.TextMatcher); ok && !d.failed() {
		d.characterNames(m)
	}
	if v, ok := module.(modules.Validator); ok && !d.failed() {
		if err := v.Validate(); err != nil {
			d.report("", source.Error, err.Error(), "")
		}
	}
	if d.failed() {
		return nil, d.diags
	}
	return module, d.diags
}

func (d *decoder) characterNames(m modules.TextMatcher) {
	for _, pattern := range m.Regexps() {
		expanded, err := value.ExpandNames(*pattern)
		if err != nil {
			d.report("", source.Error, fmt.Sprintf("invalid regular expression %q: %s", *pattern, err), "")
			continue
		}
		*pattern = expanded
	}
}

// CheckLiteral checks what can be known before a run: unknown and missing arguments,
// and the types and choices of those that are no templates.
func (s *Spec) CheckLiteral(args *value.Dict, at func(name string) source.Pos, isTemplate func(value.Value) bool) source.Diagnostics {
	module := s.New()
	d := decoder{spec: s, at: at, isTemplate: isTemplate}
	d.args(s.Args, args, reflect.ValueOf(module).Elem(), nil)
	if v, ok := module.(modules.Validator); ok && !d.failed() && !d.skipped {
		if err := v.Validate(); err != nil {
			d.report("", source.Error, err.Error(), "")
		}
	}
	return d.diags
}

type decoder struct {
	spec       *Spec
	at         func(name string) source.Pos
	isTemplate func(value.Value) bool // nil: nothing is
	skipped    bool                   // a template was passed over
	diags      source.Diagnostics
	top        string // the module's argument being decoded
}

func (d *decoder) failed() bool {
	return slices.ContainsFunc(d.diags, func(g source.Diagnostic) bool { return g.Severity == source.Error })
}

func (d *decoder) report(arg string, sev source.Severity, msg, hint string) {
	g := source.Diagnostic{Severity: sev, Msg: msg, Hint: hint}
	if d.at != nil {
		g.Pos = d.at(arg)
	}
	d.diags = append(d.diags, g)
}

func (d *decoder) errorf(path []string, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if len(path) > 0 {
		msg += " found in " + strings.Join(path, " -> ")
	}
	d.report(d.top, source.Error, msg, "")
}

// args decodes one level: the module's arguments, or those of a nested dict at path.
func (d *decoder) args(specs []Arg, given *value.Dict, dst reflect.Value, path []string) {
	vals := make([]value.Value, len(specs))
	var rest *value.Dict
	for k, v := range given.All() {
		name, ok := k.(value.Str)
		if !ok {
			name = value.S(value.String(k))
		}
		i := slices.IndexFunc(specs, func(a Arg) bool { return !a.rest && (a.Name == name.S || contains(a.Aliases, name.S)) })
		switch {
		case i < 0 && restOf(specs) != nil:
			if rest == nil {
				rest = value.NewDict(given.Len())
			}
			_ = rest.Set(name, v) // a Str is always hashable
		case i < 0:
			d.unsupported(specs, name.S, path)
		case vals[i] != nil:
			other := name.S
			if other == specs[i].Name {
				for _, alias := range specs[i].Aliases {
					if _, ok := given.GetStr(alias); ok {
						other = alias
					}
				}
			}
			d.report(name.S, source.Warning, fmt.Sprintf("Both option %s and its alias %s are set.", dotted(path, specs[i].Name), other), "")
			if name.S != specs[i].Name { // as in Ansible, the alias wins
				vals[i] = v
			}
		default:
			vals[i] = v
		}
	}
	var missing []string
	for i := range specs {
		a := &specs[i]
		if len(path) == 0 {
			d.top = a.Name
		}
		field := dst.FieldByIndex(a.index)
		switch {
		case a.rest && rest != nil:
			field.Set(reflect.ValueOf(rest))
		case a.rest:
		case vals[i] == nil && a.Required:
			missing = append(missing, a.Name)
		case vals[i] == nil:
			d.setDefault(field, a)
		default:
			d.arg(field, a, vals[i], path)
		}
	}
	if missing != nil {
		slices.Sort(missing)
		d.top = ""
		d.errorf(path, "missing required arguments: %s", strings.Join(missing, ", "))
	}
}

func dotted(path []string, name string) string {
	return strings.Join(append(slices.Clone(path), name), ".")
}

func (d *decoder) unsupported(specs []Arg, name string, path []string) {
	var known, listed, aliases []string
	for _, a := range specs {
		known = append(append(known, a.Name), a.Aliases...)
		if !strings.HasPrefix(a.Name, "_") {
			listed = append(listed, a.Name)
			aliases = append(aliases, a.Aliases...)
		}
	}
	slices.Sort(listed)
	slices.Sort(aliases)
	list := strings.Join(listed, ", ")
	if aliases != nil {
		list += " (" + strings.Join(aliases, ", ") + ")"
	}
	hint := ""
	if near := source.Suggest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	msg := fmt.Sprintf("Unsupported parameters for (%s) module: %s. Supported parameters include: %s.",
		d.spec.Short(), dotted(path, name), list)
	if name == "expand_argument_vars" && d.spec.Short() == "shell" { // its action looks for it
		msg = "Unsupported parameters for (shell) module: expand_argument_vars"
	}
	if actionArgs[d.spec.Short()] {
		msg = fmt.Sprintf("Invalid options for %s: %s", d.spec.Short(), dotted(path, name))
	}
	at := name
	if len(path) > 0 {
		at = d.top
	}
	d.report(at, source.Error, msg, hint)
}

// actionArgs are the actions that check their options themselves (ansible-core 2.18:
// _VALID_ARGS).
var actionArgs = map[string]bool{"assert": true, "fail": true, "group_by": true, "reboot": true, "set_stats": true, "wait_for_connection": true}

func (d *decoder) setDefault(field reflect.Value, a *Arg) {
	if a.Default == "" {
		return
	}
	v := value.Value(value.S(a.Default))
	if field.Kind() == reflect.Slice {
		list := value.NewList()
		for item := range strings.SplitSeq(a.Default, "|") {
			list.Items = append(list.Items, value.S(item))
		}
		v = list
	}
	_ = d.set(field, a, v, nil) // a test sets every default
}

func (d *decoder) arg(field reflect.Value, a *Arg, v value.Value, path []string) {
	if _, none := v.(value.None); none {
		// As in Ansible: null is "not given" for what is optional and has no default, and a
		// mistake otherwise, unless the type takes it.
		switch {
		case a.null:
		case !a.Required && a.Default == "":
			return
		case a.Type == "raw":
		default:
			d.errorf(nil, "argument '%s' is of type %s%s and we were unable to convert to %s: %s",
				a.Name, pyType(v), foundIn(path), a.Type, nullError(a.Type))
			return
		}
	}
	if u, ok := v.(value.Unknown); ok {
		d.errorf(path, "argument %s is known only after a run: %s", a.Name, u.Of)
		return
	}
	if d.isTemplate != nil && templated(v, d.isTemplate) {
		d.skipped = true
		return
	}
	if err := d.set(field, a, v, path); err != nil {
		d.errorf(nil, "argument '%s' is of type %s%s and we were unable to convert to %s: %s",
			a.Name, pyType(v), foundIn(path), a.Type, err)
		return
	}
	d.choices(field, a, path)
}

func foundIn(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return " found in '" + strings.Join(path, " -> ") + "'."
}

func templated(v value.Value, is func(value.Value) bool) bool {
	switch v := v.(type) {
	case *value.List:
		return slices.ContainsFunc(v.Items, func(x value.Value) bool { return templated(x, is) })
	case *value.Dict:
		for k, x := range v.All() {
			if templated(k, is) || templated(x, is) {
				return true
			}
		}
		return false
	}
	return is(v)
}

// choices checks a decoded field. ansible-core 2.18: a bool that YAML made of a bare yes
// or no becomes the word again when the choices have exactly one word for it.
func (d *decoder) choices(field reflect.Value, a *Arg, path []string) {
	if a.Choices == nil {
		return
	}
	for field.Kind() == reflect.Pointer {
		field = field.Elem()
	}
	switch field.Kind() {
	case reflect.Slice:
		var bad []string
		for i := range field.Len() {
			if item := fmt.Sprint(field.Index(i).Interface()); !contains(a.Choices, item) {
				bad = append(bad, item)
			}
		}
		if bad != nil {
			d.errorf(path, "value of %s must be one or more of: %s. Got no match for: %s",
				a.Name, strings.Join(a.Choices, ", "), strings.Join(bad, ", "))
		}
	default:
		got := fmt.Sprint(field.Interface())
		if contains(a.Choices, got) {
			return
		}
		for _, words := range [][2]string{{"False", "n no off 0 false f"}, {"True", "y yes on 1 true t"}} {
			if got == words[0] && field.Kind() == reflect.String {
				if word, ok := onlyOne(a.Choices, strings.Fields(words[1])); ok {
					field.SetString(word)
					return
				}
			}
		}
		d.errorf(path, "value of %s must be one of: %s, got: %s", a.Name, strings.Join(a.Choices, ", "), got)
	}
}

func onlyOne(choices, words []string) (string, bool) {
	found, n := "", 0
	for _, c := range choices {
		if contains(words, c) {
			found, n = c, n+1
		}
	}
	return found, n == 1
}

// set coerces v into a field.
func (d *decoder) set(dst reflect.Value, a *Arg, v value.Value, path []string) error {
	switch dst.Type() {
	case modeType:
		m, err := toMode(v)
		dst.SetString(string(m))
		return err
	case wholeType:
		n, err := toWhole(v)
		dst.SetInt(n)
		return err
	case rawType:
		raw, err := JSON(v)
		dst.SetBytes(raw)
		return err
	case valueType:
		dst.Set(reflect.ValueOf(v))
		return nil
	case dictType:
		dict, err := toDict(v)
		dst.Set(reflect.ValueOf(dict))
		return err
	case listType:
		list, err := toList(v)
		dst.Set(reflect.ValueOf(list))
		return err
	}
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		return d.set(dst.Elem(), a, v, path)
	case reflect.String:
		dst.SetString(value.String(v))
	case reflect.Bool:
		b, err := toBool(v)
		dst.SetBool(b)
		return err
	case reflect.Int, reflect.Int64:
		n, err := toInt(v)
		dst.SetInt(n)
		return err
	case reflect.Float64:
		f, err := toFloat(v)
		dst.SetFloat(f)
		return err
	case reflect.Slice:
		return d.setSlice(dst, a, v, path)
	case reflect.Map:
		return d.setMap(dst, a, v, path)
	case reflect.Struct:
		dict, err := toDict(v)
		if err == nil {
			d.args(a.Options, dict, dst, append(slices.Clone(path), a.Name))
		}
		return err
	}
	return nil
}

func (d *decoder) setSlice(dst reflect.Value, a *Arg, v value.Value, path []string) error {
	list, err := toList(v)
	if err != nil {
		return err
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(list.Items), len(list.Items)))
	elem := *a
	elem.Type, elem.Elements = a.Elements, ""
	for i, item := range list.Items {
		_, none := item.(value.None)
		err := nullError(elem.Type)
		if !none || elem.Type == "raw" {
			err = d.set(dst.Index(i), &elem, item, path)
		}
		if err != nil {
			d.errorf(nil, "Elements value for option '%s'%s is of type %s and we were unable to convert to %s: %s",
				a.Name, strings.TrimSuffix(foundIn(path), "."), pyType(item), a.Elements, err)
		}
	}
	return nil
}

func (d *decoder) setMap(dst reflect.Value, a *Arg, v value.Value, path []string) error {
	dict, err := toDict(v)
	if err != nil {
		return err
	}
	dst.Set(reflect.MakeMapWithSize(dst.Type(), dict.Len()))
	for k, item := range dict.All() {
		elem := reflect.New(dst.Type().Elem()).Elem()
		if err := d.set(elem, &Arg{Name: a.Name}, item, path); err != nil {
			return fmt.Errorf("key %q: %w", value.String(k), err)
		}
		dst.SetMapIndex(reflect.ValueOf(value.String(k)), elem)
	}
	return nil
}
