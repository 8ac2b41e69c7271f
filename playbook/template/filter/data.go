package filter

import (
	"fmt"
	"math"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/template/pyyaml"
)

var dataFilters = []def{
	{
		names: "to_json", sig: "**options", filter: toJSON,
		doc: "Writes a value as JSON on one line. Options are those of Python's json.dumps: indent, sort_keys, separators, ensure_ascii, " +
			"skipkeys, allow_nan; and vault_to_text, preprocess_unsafe, which change nothing here.",
		examples: []string{
			"{{ {'b': [1, 2.0, None], 'a': 'é'} | to_json }}", `{"b": [1, 2.0, null], "a": "\u00e9"}`,
			"{{ {'b': 1, 'a': 2} | to_json(sort_keys=true, separators=(',', ':')) }}", `{"a":2,"b":1}`,
		},
	},
	{
		names: "to_nice_json", sig: "indent=4, sort_keys=True, **options", filter: toNiceJSON,
		doc:      "Writes a value as indented JSON with sorted keys. Options are those of to_json.",
		examples: []string{"{{ {'b': 1, 'a': []} | to_nice_json(indent=2) }}", "{\n  \"a\": [],\n  \"b\": 1\n}"},
	},
	{
		names: "from_json", filter: fromJSON,
		doc:      "Reads JSON text.",
		examples: []string{`{{ ('{"a": [1, true]}' | from_json).a }}`, "[1, True]"},
	},
	{
		names: "to_yaml", sig: "**options", filter: toYAML,
		doc: "Writes a value as YAML, collections of plain values in flow style. Options are those of PyYAML's dump: indent, width, " +
			"sort_keys, default_flow_style, default_style, explicit_start, explicit_end, line_break.",
		examples: []string{
			"{{ {'b': [1, 2], 'a': 'yes'} | to_yaml }}", "a: 'yes'\nb: [1, 2]\n",
			"{{ {'a': [1]} | to_yaml(default_flow_style=false) }}", "a:\n- 1\n",
		},
	},
	{
		names: "to_nice_yaml", sig: "indent=4, **options", filter: toNiceYAML,
		doc:      "Writes a value as YAML in block style. Options are those of to_yaml but default_flow_style.",
		examples: []string{"{{ {'a': [1, {'b': 2}]} | to_nice_yaml(indent=2) }}", "a:\n- 1\n- b: 2\n"},
	},
	{
		names: "from_yaml", filter: fromYAML,
		doc:      "Reads a text of one YAML document, YAML 1.1 as in playbooks. What is not a string stays as it is.",
		examples: []string{"{{ 'a: [yes, 0o7, 010]' | from_yaml }}", "{'a': [True, '0o7', 8]}"},
	},
	{
		names: "from_yaml_all", filter: fromYAMLAll,
		doc:      "Reads all documents of a YAML text into a list.",
		examples: []string{"{{ '--- 1\\n--- [2]' | from_yaml_all }}", "[1, [2]]"},
	},
	{
		names: "type_debug", accept: acceptUndefined, filter: typeDebug,
		doc:      "The name of the value's type, for debugging: str, int, list, dict … A string from a playbook or vars file is AnsibleUnicode.",
		examples: []string{"{{ [1] | type_debug }}", "list", "{{ missing | type_debug }}", "AnsibleUndefined"},
	},
}

// jsonOptions collects the keyword arguments of json.dumps.
type jsonOptions struct {
	indent, sortKeys, separators, ascii, skip, nan, unused value.Value
}

func (o *jsonOptions) read(c *call) error {
	return c.options(map[string]*value.Value{
		"indent": &o.indent, "sort_keys": &o.sortKeys, "separators": &o.separators, "ensure_ascii": &o.ascii,
		"skipkeys": &o.skip, "allow_nan": &o.nan,
		// A value is plain text here in any case, and nothing is marked unsafe.
		"vault_to_text": &o.unused, "preprocess_unsafe": &o.unused, "check_circular": &o.unused,
	})
}

func (o *jsonOptions) dump(c *call) (value.Value, error) {
	v := c.in
	on := func(v value.Value) bool { return v != nil && value.Truth(v) }
	out := value.JSONOptions{
		SortKeys: on(o.sortKeys), Unicode: o.ascii != nil && !value.Truth(o.ascii),
		SkipKeys: on(o.skip), Default: plainForm,
	}
	switch n := o.indent.(type) {
	case nil, value.None:
	case value.Str:
		out.Indent, out.Lines = n.S, true
	default:
		width, ok := asInt(n)
		if !ok {
			return nil, typeErr("can't multiply sequence by non-int of type '%s'", n.Type())
		}
		indent, err := c.repeat(" ", width)
		if err != nil {
			return nil, err
		}
		out.Indent, out.Lines = indent, true
	}
	if o.separators != nil {
		pair, err := value.Items(o.separators)
		if err != nil {
			return nil, err
		}
		if len(pair) != 2 {
			return nil, valueErr("separators must be a pair: item separator and key separator")
		}
		for i, sep := range []*string{&out.ItemSep, &out.KeySep} {
			s, ok := asStr(pair[i])
			if !ok {
				return nil, typeErr("a separator must be a string, not '%s'", pair[i].Type())
			}
			*sep = s
		}
		out.Separators = true
	}
	if o.nan != nil && !value.Truth(o.nan) {
		if err := refuseNaN(v, 0); err != nil {
			return nil, err
		}
	}
	s, err := value.JSON(v, out)
	return value.S(s), err
}

// plainForm is what JSON and YAML have for values without a form of their own.
func plainForm(v value.Value) (value.Value, error) {
	switch v := v.(type) {
	case *dateTime:
		return value.S(v.isoformat("T")), nil
	case value.Sealed:
		return value.D("__ansible_vault", value.S(v.Text)), nil
	case value.Mapping:
		d, _, err := asDict(v)
		return d, err
	}
	if v.Type() == "str" { // text of a type of its own, such as omit
		return value.S(value.String(v)), nil
	}
	return nil, typeErr("object of type %s is not JSON serializable", v.Type())
}

func refuseNaN(v value.Value, depth int) error {
	if depth > 500 {
		return nil // the encoder reports it
	}
	switch v := v.(type) {
	case value.Float:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return valueErr("out of range float values are not JSON compliant")
		}
	case *value.List, value.Tuple:
		items, err := value.Items(v)
		if err != nil {
			return err
		}
		for _, item := range items {
			if err := refuseNaN(item, depth+1); err != nil {
				return err
			}
		}
	case *value.Dict:
		for _, item := range v.All() {
			if err := refuseNaN(item, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func toJSON(c *call) (value.Value, error) {
	var o jsonOptions
	if err := o.read(c); err != nil {
		return nil, err
	}
	return o.dump(c)
}

func toNiceJSON(c *call) (value.Value, error) {
	o := jsonOptions{}
	if err := o.read(c); err != nil {
		return nil, err
	}
	o.indent, o.sortKeys = c.args[0], c.args[1]
	o.separators = value.Tuple{value.S(","), value.S(": ")}
	return o.dump(c)
}

func fromJSON(c *call) (value.Value, error) {
	if b, ok := c.in.(value.Bytes); ok {
		return value.FromJSON([]byte(b))
	}
	s, ok := asStr(c.in)
	if !ok {
		return nil, typeErr("the JSON object must be str, bytes or bytearray, not %s", c.in.Type())
	}
	return value.FromJSON([]byte(s))
}

// yamlOptions reads the keyword arguments of yaml.dump.
func yamlOptions(c *call, indent value.Value, flow pyyaml.Flow, nice bool) (pyyaml.Options, error) {
	var flowStyle, style, width, sortKeys, start, end, lineBreak value.Value
	known := map[string]*value.Value{
		"width": &width, "sort_keys": &sortKeys, "default_style": &style,
		"explicit_start": &start, "explicit_end": &end, "line_break": &lineBreak,
	}
	if !nice {
		known["indent"], known["default_flow_style"] = &indent, &flowStyle
	}
	o := pyyaml.Options{SortKeys: true, Flow: flow, Represent: func(v value.Value) (value.Value, bool) {
		switch v := v.(type) {
		case *dateTime:
			return yamlTimestamp(v), true
		case *value.DictView, *value.Range:
			items, err := value.Items(v)
			return newList(items), err == nil
		}
		return nil, false
	}}
	if err := c.options(known); err != nil {
		return o, err
	}
	if sortKeys != nil {
		o.SortKeys = value.Truth(sortKeys)
	}
	if flowStyle != nil {
		switch {
		case flowStyle == value.None{}:
			o.Flow = pyyaml.FlowLeaves
		case value.Truth(flowStyle):
			o.Flow = pyyaml.FlowAlways
		default:
			o.Flow = pyyaml.FlowNever
		}
	}
	o.Start, o.End = start != nil && value.Truth(start), end != nil && value.Truth(end)
	for _, n := range []struct {
		name string
		v    value.Value
		to   *int
	}{{"indent", indent, &o.Indent}, {"width", width, &o.Width}} {
		if n.v == nil || n.v == (value.None{}) {
			continue
		}
		i, ok := asInt(n.v)
		if !ok {
			return o, typeErr("%s - %s must be an integer, not '%s'", c.Name, n.name, n.v.Type())
		}
		*n.to = i
	}
	return o, yamlStyle(c, &o, style, lineBreak)
}

func yamlStyle(c *call, o *pyyaml.Options, style, lineBreak value.Value) error {
	if style != nil && style != (value.None{}) {
		s, _ := asStr(style)
		if len(s) != 1 || !strings.Contains(`'"|>`, s) {
			return badChoice(c.Name+" - default_style", value.String(style), "'", `"`, "|", ">")
		}
		o.Style = s[0]
	}
	if lineBreak != nil && lineBreak != (value.None{}) {
		s, _ := asStr(lineBreak)
		if s != "\n" && s != "\r" && s != "\r\n" {
			return badChoice(c.Name+" - line_break", value.String(lineBreak), `\n`, `\r`, `\r\n`)
		}
		o.Break = s
	}
	return nil
}

// yamlTimestamp is written as PyYAML writes a datetime: plain, because it resolves to a
// timestamp, which a float does not need quotes for either.
func yamlTimestamp(d *dateTime) value.Value { return pyyaml.Plain(d.isoformat(" ")) }

func toYAML(c *call) (value.Value, error) {
	o, err := yamlOptions(c, nil, pyyaml.FlowLeaves, false)
	if err != nil {
		return nil, err
	}
	return marshalYAML(c, o)
}

func toNiceYAML(c *call) (value.Value, error) {
	o, err := yamlOptions(c, c.args[0], pyyaml.FlowNever, true)
	if err != nil {
		return nil, err
	}
	return marshalYAML(c, o)
}

func marshalYAML(c *call, o pyyaml.Options) (value.Value, error) {
	s, err := pyyaml.Marshal(c.in, o)
	if e, ok := err.(*value.Error); ok {
		return nil, fmt.Errorf("%s - %w", c.Name, e)
	}
	return value.S(s), err
}

func parseYAML(s string) ([]value.Value, error) {
	docs, diags := source.Parse("", []byte(s))
	if mistakes := diags.Only(source.Error); len(mistakes) > 0 {
		first := mistakes[0]
		return nil, fmt.Errorf("invalid YAML in line %d, column %d: %s", first.Pos.Line, first.Pos.Col, first.Msg)
	}
	out := make([]value.Value, len(docs))
	for i, d := range docs {
		out[i] = d.Value(source.Data)
		if value.HasSealed(out[i]) {
			return nil, fmt.Errorf("could not determine a constructor for the tag '!vault': only files of a playbook can hold encrypted values")
		}
	}
	return out, nil
}

func fromYAML(c *call) (value.Value, error) {
	s, ok := asStr(c.in)
	if !ok {
		return c.in, nil
	}
	docs, err := parseYAML(s)
	switch {
	case err != nil:
		return nil, err
	case len(docs) == 0:
		return value.None{}, nil
	case len(docs) > 1:
		return nil, fmt.Errorf("expected a single document in the stream but found another document\nhint: use from_yaml_all")
	}
	return docs[0], nil
}

func fromYAMLAll(c *call) (value.Value, error) {
	s, ok := asStr(c.in)
	if !ok {
		return c.in, nil
	}
	docs, err := parseYAML(s)
	return newList(docs), err
}

func typeDebug(c *call) (value.Value, error) {
	switch v := c.in.(type) {
	case *value.Undefined:
		return value.S("AnsibleUndefined"), nil
	case value.Str:
		if v.From != nil {
			return value.S("AnsibleUnicode"), nil
		}
		if v.Text {
			return value.S("NativeJinjaText"), nil
		}
	case value.Sealed:
		return value.S("AnsibleVaultEncryptedUnicode"), nil
	}
	return value.S(c.in.Type()), nil
}
