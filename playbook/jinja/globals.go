package jinja

import (
	"math/rand/v2"
	"strings"

	"orch/playbook/jinja/value"
)

// builtinGlobals are Jinja2's own global functions.
func builtinGlobals() map[string]value.Value {
	return map[string]value.Value{
		"range":     &Function{Name: "range", Class: "range", Sig: Signature{VarArgs: true}, Do: globalRange},
		"dict":      &Function{Name: "dict", Class: "dict", Sig: Signature{VarArgs: true, KwArgs: true, AcceptUndefined: true, AcceptUnknown: true}, Do: globalDict},
		"namespace": &Function{Name: "namespace", Class: "jinja2.utils.Namespace", Sig: Signature{VarArgs: true, KwArgs: true, AcceptUndefined: true, AcceptUnknown: true}, Do: globalNamespace},
		"cycler":    &Function{Name: "cycler", Class: "jinja2.utils.Cycler", Sig: Signature{VarArgs: true, AcceptUndefined: true, AcceptUnknown: true}, Do: globalCycler},
		"joiner":    &Function{Name: "joiner", Class: "jinja2.utils.Joiner", Sig: Signature{Params: []Param{opt("sep", value.S(", "))}, AcceptUndefined: true}, Do: globalJoiner},
		"lipsum": &Function{Name: "lipsum", Sig: Signature{Params: []Param{
			opt("n", value.Int(5)), opt("html", valTrue), opt("min", value.Int(20)), opt("max", value.Int(100)),
		}}, Do: globalLipsum},
	}
}

func globalRange(c *Call, b Bound) (value.Value, error) {
	n := len(b.Var)
	switch {
	case n == 0:
		return nil, value.Errorf("TypeError", "range expected at least 1 argument, got 0")
	case n > 3:
		return nil, value.Errorf("TypeError", "range expected at most 3 arguments, got %d", n)
	}
	bounds := [3]int64{0, 0, 1}
	for i, v := range b.Var {
		x, err := value.Index(v)
		if err != nil {
			return nil, err
		}
		if n == 1 {
			i = 1
		}
		bounds[i] = int64(x)
	}
	r := &value.Range{Start: bounds[0], Stop: bounds[1], Step: bounds[2]}
	if r.Step == 0 {
		return nil, value.Errorf("ValueError", "range() arg 3 must not be zero")
	}
	if size, limit := r.Len(), c.Limits().Range; size > limit || size < 0 {
		return nil, value.Errorf("OverflowError", "range has %d elements, more than the limit of %d", size, limit)
	}
	return r, nil
}

// makeDict is dict(*args, **kwargs).
func makeDict(b Bound) (*value.Dict, error) {
	if len(b.Var) > 1 {
		return nil, value.Errorf("TypeError", "dict expected at most 1 argument, got %d", len(b.Var))
	}
	d := value.NewDict(len(b.KwVar))
	if len(b.Var) == 1 {
		if u, ok := b.Var[0].(value.Unknown); ok {
			return nil, &value.UnknownError{U: u}
		}
		if err := d.Update(b.Var[0]); err != nil {
			return nil, err
		}
	}
	for _, n := range b.KwVar {
		d.SetStr(n.Name, n.Val)
	}
	return d, nil
}

func globalDict(_ *Call, b Bound) (value.Value, error) {
	d, err := makeDict(b)
	return settleUnknown(d, err)
}

func globalNamespace(_ *Call, b Bound) (value.Value, error) {
	d, err := makeDict(b)
	if err != nil {
		return settleUnknown(nil, err)
	}
	return NewNamespace(d), nil
}

// A cycler hands out its items in turn.
type cycler struct {
	items []value.Value
	pos   int
}

func globalCycler(_ *Call, b Bound) (value.Value, error) {
	if len(b.Var) == 0 {
		return nil, value.Errorf("RuntimeError", "at least one item has to be provided")
	}
	return &cycler{items: b.Var}, nil
}

// Type implements value.Value.
func (*cycler) Type() string { return "Cycler" }

// Attr implements value.Object.
func (y *cycler) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "current":
		return y.items[y.pos], true, nil
	case "items":
		return value.Tuple(y.items), true, nil
	case "pos":
		return value.Int(y.pos), true, nil
	case "next":
		return &method{owner: y, name: name, do: y.next}, true, nil
	case "reset":
		return &method{owner: y, name: name, do: y.reset}, true, nil
	}
	return nil, false, nil
}

func (y *cycler) next(_ *Call, args Args) (value.Value, error) {
	if n := len(args.Pos) + len(args.Named); n > 0 {
		return nil, value.Errorf("TypeError", "Cycler.next() takes 1 positional argument but %d were given", n+1)
	}
	v := y.items[y.pos]
	y.pos = (y.pos + 1) % len(y.items)
	return v, nil
}

func (y *cycler) reset(_ *Call, args Args) (value.Value, error) {
	if n := len(args.Pos) + len(args.Named); n > 0 {
		return nil, value.Errorf("TypeError", "Cycler.reset() takes 1 positional argument but %d were given", n+1)
	}
	y.pos = 0
	return none, nil
}

// A joiner is empty the first time it is called, the separator afterwards.
type joiner struct {
	sep  value.Value
	used bool
}

func globalJoiner(_ *Call, b Bound) (value.Value, error) { return &joiner{sep: b.Args[0]}, nil }

// Type implements value.Value.
func (*joiner) Type() string { return "Joiner" }

// Attr implements value.Object.
func (j *joiner) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "sep":
		return j.sep, true, nil
	case "used":
		return value.Bool(j.used), true, nil
	}
	return nil, false, nil
}

// Call implements Func.
func (j *joiner) Call(_ *Call, args Args) (value.Value, error) {
	if n := len(args.Pos) + len(args.Named); n > 0 {
		return nil, value.Errorf("TypeError", "Joiner.__call__() takes 1 positional argument but %d were given", n+1)
	}
	if !j.used {
		j.used = true
		return noText, nil
	}
	return j.sep, nil
}

func globalLipsum(c *Call, b Bound) (value.Value, error) {
	var sizes [3]int
	for i, arg := range []value.Value{b.Args[0], b.Args[2], b.Args[3]} {
		n, err := value.Index(arg)
		if err != nil {
			return nil, err
		}
		sizes[i] = n
	}
	n, least, most := sizes[0], sizes[1], sizes[2]
	if least >= most && n > 0 {
		return nil, value.Errorf("ValueError", "empty range for randrange() (%d, %d, %d)", least, most, most-least)
	}
	html, err := truth(b.Args[1])
	if err != nil {
		return nil, err
	}
	var paragraphs []string
	for range n {
		words := least + rand.IntN(most-least)
		if err := c.Step(max(words, 1)); err != nil {
			return nil, err
		}
		paragraphs = append(paragraphs, lipsum(words))
	}
	if !html {
		return value.S(strings.Join(paragraphs, "\n\n")), nil
	}
	for i, p := range paragraphs {
		paragraphs[i] = "<p>" + p + "</p>"
	}
	return value.Markup(strings.Join(paragraphs, "\n")), nil
}

// lipsum makes one paragraph: commas every 3 to 8 words, full stops every 10 to 20.
func lipsum(words int) string {
	var out []string
	vocabulary := strings.Fields(lipsumWords)
	capital, lastComma, lastStop, last := true, 0, 0, ""
	for i := range words {
		word := last
		for word == last {
			word = vocabulary[rand.IntN(len(vocabulary))]
		}
		last = word
		if capital {
			word, capital = value.Capitalize(word), false
		}
		if i-3-rand.IntN(5) > lastComma {
			lastComma = i
			lastStop += 2
			word += ","
		}
		if i-10-rand.IntN(10) > lastStop {
			lastComma, lastStop = i, i
			word += "."
			capital = true
		}
		out = append(out, word)
	}
	text := strings.TrimSuffix(strings.Join(out, " "), ",")
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// lipsumWords is the vocabulary of the customary text.
const lipsumWords = `a ac accumsan ad adipiscing aenean aliquam aliquet amet ante aptent arcu at auctor augue
bibendum blandit class commodo condimentum congue consectetuer consequat conubia convallis cras cubilia cum
curabitur curae cursus dapibus diam dictum dictumst dignissim dis dolor donec dui duis egestas eget eleifend
elementum elit enim erat eros est et etiam eu euismod facilisi facilisis fames faucibus felis fermentum feugiat
fringilla fusce gravida habitant habitasse hac hendrerit hymenaeos iaculis id imperdiet in inceptos integer
interdum ipsum justo lacinia lacus laoreet lectus leo libero ligula litora lobortis lorem luctus maecenas magna
magnis malesuada massa mattis mauris metus mi molestie mollis montes morbi mus nam nascetur natoque nec neque
netus nibh nisi nisl non nonummy nostra nulla nullam nunc odio orci ornare parturient pede pellentesque penatibus
per pharetra phasellus placerat platea porta porttitor posuere potenti praesent pretium primis proin pulvinar
purus quam quis quisque rhoncus ridiculus risus rutrum sagittis sapien scelerisque sed sem semper senectus sit
sociis sociosqu sodales sollicitudin suscipit suspendisse taciti tellus tempor tempus tincidunt torquent tortor
tristique turpis ullamcorper ultrices ultricies urna ut varius vehicula vel velit venenatis vestibulum vitae
vivamus viverra volutpat vulputate`
