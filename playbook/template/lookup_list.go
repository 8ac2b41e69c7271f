package template

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/keyval"
	"orch/playbook/source"
)

// The lookups that rearrange what they are given.
var listLookups = map[string]Lookup{
	"items":         {Run: runItems, Doc: "Returns its terms, lists among them flattened once."},
	"list":          {Run: runList, Doc: "Returns its terms as they are."},
	"flattened":     {Run: runFlattened, Doc: "Returns its terms, lists among them flattened at every depth."},
	"indexed_items": {Run: runIndexed, Doc: "Returns pairs of an index and an item of its terms, flattened once."},
	"dict":          {Run: runDict, Doc: "Returns a dictionary of key and value for every entry of the dictionaries given."},
	"nested":        {Run: runNested, Doc: "Returns all combinations of one item of each list given."},
	"together":      {Run: runTogether, Doc: "Returns the lists given, zipped; shorter ones are filled with None."},
	"subelements":   {Run: runSubelements, Doc: "Returns pairs of a dictionary of a list and an item of the list below one of its keys."},
	"random_choice": {Run: runRandomChoice, Doc: "Returns one of its terms, at random."},
	"sequence": {Run: runSequence, Options: []Option{
		{Name: "start", Kind: "number", Default: value.Int(1), Doc: "the first number"},
		{Name: "end", Kind: "number", Doc: "the last number"},
		{Name: "count", Kind: "number", Doc: "how many numbers, instead of end"},
		{Name: "stride", Kind: "number", Default: value.Int(1), Doc: "from one number to the next"},
		{Name: "format", Kind: "str", Default: value.S("%d"), Doc: "how a number is printed"},
	}, Doc: "Returns the numbers of a sequence as strings: start=1 end=10 stride=2 format=host%02d, or 1-10/2:host%02d."},
	"lines": {Run: runLines, Doc: "Runs commands on the controller and returns the lines of their output."},
	"pipe":  {Run: runPipe, Doc: "Runs commands on the controller and returns their output."},
}

// flattenOnce is Ansible's _flatten: lists and tuples among terms give way to their items.
func flattenOnce(terms []value.Value) []value.Value {
	var out []value.Value
	for _, term := range terms {
		switch t := term.(type) {
		case *value.List:
			out = append(out, t.Items...)
		case value.Tuple:
			out = append(out, t...)
		default:
			out = append(out, term)
		}
	}
	return out
}

func runItems(c *LookupCall) ([]value.Value, error) { return flattenOnce(c.Terms), nil }

func runList(c *LookupCall) ([]value.Value, error) { return c.Terms, nil }

// runFlattened is community.general.flattened: what is None or an empty list vanishes.
func runFlattened(c *LookupCall) ([]value.Value, error) { return flattenAll(c.Terms), nil }

func flattenAll(terms []value.Value) []value.Value {
	var out []value.Value
	for _, term := range terms {
		switch t := term.(type) {
		case value.None:
		case *value.List:
			out = append(out, flattenAll(t.Items)...)
		case value.Tuple:
			out = append(out, flattenAll(t)...)
		case value.Str:
			if t.S != "None" && t.S != "null" {
				out = append(out, t)
			}
		default:
			out = append(out, term)
		}
	}
	return out
}

func runIndexed(c *LookupCall) ([]value.Value, error) {
	items := flattenOnce(c.Terms)
	out := make([]value.Value, len(items))
	for i, item := range items {
		out[i] = value.Tuple{value.Int(i), item}
	}
	return out, nil
}

func runDict(c *LookupCall) ([]value.Value, error) {
	var out []value.Value
	for _, term := range c.Terms {
		p, err := plain(term)
		if err != nil {
			return nil, err
		}
		d, ok := p.(*value.Dict)
		if !ok {
			return nil, lookupErrorf("with_dict expects a dict")
		}
		for k, v := range d.All() {
			out = append(out, value.D("key", k, "value", v))
		}
	}
	return out, nil
}

// listify makes a term the list its author meant: itself, or the only item.
func listify(v value.Value) []value.Value {
	switch v := v.(type) {
	case *value.List:
		return v.Items
	case value.Tuple:
		return v
	case *value.Dict:
		return v.Keys()
	}
	return []value.Value{v}
}

func runNested(c *LookupCall) ([]value.Value, error) {
	if len(c.Terms) == 0 {
		return nil, lookupErrorf("with_nested requires at least one element in the nested list")
	}
	rows := [][]value.Value{}
	for _, x := range listify(c.Terms[0]) {
		rows = append(rows, []value.Value{x})
	}
	for _, term := range c.Terms[1:] {
		var next [][]value.Value
		for _, row := range rows {
			for _, y := range listify(term) {
				next = append(next, append(append([]value.Value(nil), row...), flattenOnce([]value.Value{y})...))
			}
		}
		rows = next
	}
	out := make([]value.Value, len(rows))
	for i, row := range rows {
		out[i] = value.NewList(flattenOnce(row)...)
	}
	return out, nil
}

func runTogether(c *LookupCall) ([]value.Value, error) {
	if len(c.Terms) == 0 {
		return nil, lookupErrorf("with_together requires at least one element in each list")
	}
	longest := 0
	lists := make([][]value.Value, len(c.Terms))
	for i, term := range c.Terms {
		lists[i] = listify(term)
		longest = max(longest, len(lists[i]))
	}
	out := make([]value.Value, longest)
	for i := range longest {
		row := make([]value.Value, len(lists))
		for j, list := range lists {
			row[j] = value.None{}
			if i < len(list) {
				row[j] = list[i]
			}
		}
		out[i] = value.NewList(flattenOnce(row)...)
	}
	return out, nil
}

func runSubelements(c *LookupCall) ([]value.Value, error) {
	const usage = "subelements lookup expects a list of two or three items, "
	if len(c.Terms) < 2 || len(c.Terms) > 3 {
		return nil, lookupErrorf("%s", usage)
	}
	path, ok := c.Terms[1].(value.Str)
	elements, isList := c.Terms[0].(*value.List)
	if d, isDict := c.Terms[0].(*value.Dict); isDict {
		if skipped, has := d.GetStr("skipped"); has && skipped != value.Bool(false) {
			return nil, nil
		}
		elements, isList = value.NewList(), true
		for _, v := range d.All() {
			elements.Items = append(elements.Items, v)
		}
	}
	if !ok || !isList {
		return nil, lookupErrorf("%sfirst a dict or a list, second a string pointing to the subkey", usage)
	}
	skip := false
	if len(c.Terms) == 3 {
		flags, ok := c.Terms[2].(*value.Dict)
		if !ok {
			return nil, lookupErrorf("%sthe optional third item must be a dict with flags ('skip_missing',)", usage)
		}
		for k := range flags.All() {
			if value.String(k) != "skip_missing" {
				return nil, lookupErrorf("%sthe optional third item must be a dict with flags ('skip_missing',)", usage)
			}
		}
		if v, ok := flags.GetStr("skip_missing"); ok {
			b, err := coerceBool(v)
			skip = err == nil && b == value.Bool(true)
		}
	}
	return subelements(elements.Items, strings.Split(path.S, "."), skip)
}

func subelements(elements []value.Value, path []string, skip bool) ([]value.Value, error) {
	var out []value.Value
	for _, element := range elements {
		d, ok := element.(*value.Dict)
		if !ok {
			return nil, lookupErrorf("subelements lookup expects a dictionary, got '%s'", value.String(element))
		}
		if skipped, has := d.GetStr("skipped"); has && skipped != value.Bool(false) {
			continue
		}
		rest, items, err := takeSubelement(d, path, skip)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			out = append(out, value.Tuple{rest, item})
		}
	}
	return out, nil
}

// takeSubelement returns the list below path, and d without it.
func takeSubelement(d *value.Dict, path []string, skip bool) (*value.Dict, []value.Value, error) {
	v, ok := d.GetStr(path[0])
	if !ok {
		if skip {
			return d, nil, nil
		}
		return nil, nil, lookupErrorf("could not find '%s' key in iterated item '%s'", path[0], value.Repr(d))
	}
	rest := d.Copy()
	if len(path) == 1 {
		list, ok := v.(*value.List)
		if !ok {
			return nil, nil, lookupErrorf("the key %s should point to a list, got '%s'", path[0], value.String(v))
		}
		_, err := rest.Delete(value.S(path[0]))
		return rest, list.Items, err
	}
	below, ok := v.(*value.Dict)
	if !ok {
		if skip {
			return d, nil, nil
		}
		return nil, nil, lookupErrorf("the key %s should point to a dictionary, got '%s'", path[0], value.String(v))
	}
	inner, items, err := takeSubelement(below, path[1:], skip)
	if err != nil {
		return nil, nil, err
	}
	rest.SetStr(path[0], inner)
	return rest, items, nil
}

func runRandomChoice(c *LookupCall) ([]value.Value, error) {
	if len(c.Terms) == 0 {
		return nil, nil
	}
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(c.Terms))))
	if err != nil {
		return nil, lookupErrorf("unable to choose random term: %w", err)
	}
	return c.Terms[n.Int64() : n.Int64()+1], nil
}

// shortcut is the short form of sequence: [start-]end[/stride][:format].
var shortcut = source.Lazy(`(?i)^(?:(0?x?[0-9a-f]+)-)?(0?x?[0-9a-f]+)(?:/(0?x?[0-9a-f]+))?(?::(.+))?$`)

func runSequence(c *LookupCall) ([]value.Value, error) {
	terms, err := c.TextTerms()
	if err != nil {
		return nil, err
	}
	if len(terms) == 0 && c.engine.opt.Mode == Strict { // new in ansible-core 2.19
		return c.sequence()
	}
	defaults := c.options
	var out []value.Value
	for _, term := range terms {
		c.options = map[string]value.Value{}
		for k, v := range defaults {
			c.options[k] = v
		}
		if err := c.sequenceTerm(term); err != nil {
			return nil, err
		}
		items, err := c.sequence()
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
	}
	return out, nil
}

func (c *LookupCall) sequenceTerm(term string) error {
	if m := shortcut().FindStringSubmatch(term); m != nil {
		for i, name := range []string{"start", "end", "stride", "format"} {
			if m[i+1] == "" {
				continue
			}
			if err := c.set(c.option(name), value.S(m[i+1])); err != nil {
				return err
			}
		}
		return nil
	}
	pairs, free, _, err := keyval.Parse(term, nil)
	if err != nil {
		return lookupErrorf("%w", err)
	}
	if free != "" {
		return lookupErrorf("unrecognized arguments to with_sequence: ['_raw_params']")
	}
	for _, kv := range pairs {
		o := c.option(kv.Key)
		if o == nil {
			return lookupErrorf("unrecognized arguments to with_sequence: [%s]", value.Repr(value.S(kv.Key)))
		}
		if err := c.set(o, value.S(kv.Val)); err != nil {
			return err
		}
	}
	return nil
}

func (c *LookupCall) sequence() ([]value.Value, error) {
	number := func(name string) (int, bool) {
		n, ok := c.options[name].(value.Int)
		return int(n), ok
	}
	start, _ := number("start")
	stride, _ := number("stride")
	end, hasEnd := number("end")
	count, hasCount := number("count")
	switch {
	case hasCount && hasEnd:
		return nil, lookupErrorf("can't specify both count and end in with_sequence")
	case !hasCount && !hasEnd:
		return nil, lookupErrorf("must specify count or end in with_sequence")
	case hasCount && count == 0:
		return nil, nil
	case hasCount:
		end = start + count*stride - 1
	}
	format := c.Text("format")
	switch {
	case stride > 0 && end < start:
		return nil, lookupErrorf("to count backwards make stride negative")
	case stride < 0 && end > start:
		return nil, lookupErrorf("to count forward don't make stride negative")
	case strings.Count(format, "%") != 1:
		return nil, lookupErrorf("bad formatting string: %s", format)
	case stride == 0:
		return nil, nil
	}
	const limit = 10_000_000
	if (end-start)/stride > limit {
		return nil, lookupErrorf("with_sequence would make more than %d items", limit)
	}
	var out []value.Value
	for i := start; stride > 0 && i <= end || stride < 0 && i >= end; i += stride {
		v, err := value.Mod(value.S(format), value.Int(i))
		if err != nil {
			return nil, lookupErrorf("problem formatting %d with %s", i, value.Repr(value.S(format)))
		}
		out = append(out, v)
	}
	return out, nil
}

// runCommand runs a shell command in the playbook's folder, as Python's Popen with
// shell=True does; its error output goes where orch's goes.
func runCommand(ctx context.Context, c *LookupCall, term string) (string, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", term)
	cmd.Dir = c.Site().Basedir
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		msg := fmt.Sprintf("lookup_plugin.%s(%s) returned %d", c.Name, term, exit.ExitCode())
		if text := strings.TrimSpace(string(exit.Stderr)); text != "" {
			msg += "\n" + text
		}
		return "", &LookupError{Msg: msg, Err: err}
	case err != nil:
		return "", lookupErrorf("lookup_plugin.%s(%s): %w", c.Name, term, err)
	}
	return string(out), nil
}

func runLines(c *LookupCall) ([]value.Value, error) {
	var out []value.Value
	for _, term := range c.Terms {
		text, err := runCommand(c.Ctx, c, value.String(term))
		if err != nil {
			return nil, err
		}
		for _, line := range splitLines(text) {
			out = append(out, value.S(line))
		}
	}
	return out, nil
}

func runPipe(c *LookupCall) ([]value.Value, error) {
	var out []value.Value
	for _, term := range c.Terms {
		text, err := runCommand(c.Ctx, c, value.String(term))
		if err != nil {
			return nil, err
		}
		out = append(out, value.S(rstrip(text)))
	}
	return out, nil
}

// splitLines is Python's bytes.splitlines.
func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}
