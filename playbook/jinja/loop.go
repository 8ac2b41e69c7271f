package jinja

import (
	"fmt"

	"orch/playbook/jinja/value"
)

// A Loop is the variable loop of a for statement.
type Loop struct {
	seq     *sequence
	in      *instance
	at      value.Place
	index0  int
	depth0  int
	recurse func(v value.Value, depth int) (value.Value, error)

	// after is the next item when somebody looked ahead, nil at the end.
	after             value.Value
	looked            bool
	before, current   value.Value
	changed           value.Tuple
	length            int
	counted, hasAsked bool
}

// Type implements value.Value.
func (*Loop) Type() string { return "LoopContext" }

func (l *Loop) advance() (value.Value, bool, error) {
	v, ok := l.after, l.after != nil
	if l.looked {
		l.looked, l.after = false, nil
	} else {
		var err error
		if v, ok, err = l.seq.next(); err != nil {
			return nil, false, err
		}
	}
	if !ok {
		return nil, false, nil
	}
	l.index0++
	l.before, l.current = l.current, v
	return v, true, nil
}

func (l *Loop) peek() (value.Value, error) {
	if !l.looked {
		v, ok, err := l.seq.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			v = nil
		}
		l.looked, l.after = true, v
	}
	return l.after, nil
}

// len is the number of items. Of a sequence that does not know it, the rest is read.
func (l *Loop) len() (int, error) {
	if l.counted {
		return l.length, nil
	}
	l.length = l.seq.size
	if l.length < 0 {
		var rest []value.Value
		for {
			v, ok, err := l.seq.next()
			if err != nil {
				return 0, err
			}
			if !ok {
				break
			}
			rest = append(rest, v)
		}
		l.length = len(rest) + l.index0 + 1
		if l.looked && l.after != nil {
			l.length++
		}
		l.seq = &sequence{list: &value.List{Items: rest}, size: -1}
	}
	l.counted = true
	return l.length, nil
}

// Attr implements value.Object.
func (l *Loop) Attr(name string) (value.Value, bool, error) {
	switch name {
	case "index":
		return value.Int(l.index0 + 1), true, nil
	case "index0":
		return value.Int(l.index0), true, nil
	case "first":
		return boolean(l.index0 == 0), true, nil
	case "last":
		next, err := l.peek()
		return boolean(next == nil), err == nil, err
	case "depth":
		return value.Int(l.depth0 + 1), true, nil
	case "depth0":
		return value.Int(l.depth0), true, nil
	case "length", "revindex", "revindex0":
		n, err := l.len()
		switch name {
		case "revindex":
			n -= l.index0
		case "revindex0":
			n -= l.index0 + 1
		}
		return value.Int(n), err == nil, err
	case "previtem":
		if l.index0 == 0 {
			return l.undefined("there is no previous item"), true, nil
		}
		return l.before, true, nil
	case "nextitem":
		next, err := l.peek()
		if err == nil && next == nil {
			next = l.undefined("there is no next item")
		}
		return next, err == nil, err
	case "cycle":
		return &method{owner: l, name: name, do: l.cycle}, true, nil
	case "changed":
		return &method{owner: l, name: name, do: l.isChanged}, true, nil
	}
	return nil, false, nil
}

func (l *Loop) undefined(hint string) *value.Undefined {
	return &value.Undefined{Hint: hint, Lenient: l.in.env.opts.Lenient, At: l.at}
}

func (l *Loop) cycle(_ *Call, args Args) (value.Value, error) {
	if err := noNames("LoopContext.cycle", args); err != nil {
		return nil, err
	}
	if len(args.Pos) == 0 {
		return nil, value.Errorf("TypeError", "no items for cycling given")
	}
	return args.Pos[l.index0%len(args.Pos)], nil
}

// noNames refuses keyword arguments.
func noNames(fn string, args Args) error {
	if len(args.Named) == 0 {
		return nil
	}
	return value.Errorf("TypeError", "%s() got an unexpected keyword argument '%s'", fn, args.Named[0].Name)
}

func (l *Loop) isChanged(_ *Call, args Args) (value.Value, error) {
	if err := noNames("LoopContext.changed", args); err != nil {
		return nil, err
	}
	vals := value.Tuple(args.Pos)
	if l.hasAsked {
		eq, err := value.EqualOp(l.changed, vals)
		if err != nil || eq {
			return valFalse, err
		}
	}
	l.changed, l.hasAsked = vals, true
	return valTrue, nil
}

// Call implements Func: a recursive loop runs its body over other items.
func (l *Loop) Call(_ *Call, args Args) (value.Value, error) {
	if l.recurse == nil {
		return nil, value.Errorf("TypeError", "The loop must have the 'recursive' marker to be called recursively.")
	}
	items := args.Pos
	for _, n := range args.Named {
		if n.Name == "iterable" {
			items = append(items, n.Val)
		}
	}
	if len(items) != 1 {
		return nil, value.Errorf("TypeError", "LoopContext.__call__() takes 2 positional arguments but %d were given", len(items)+1)
	}
	return l.recurse(items[0], l.depth0+1)
}

// Len implements value.Sized.
func (l *Loop) Len() int {
	n, err := l.len()
	if err != nil {
		return 0
	}
	return n
}

// Str implements value.Texter.
func (l *Loop) Str() string { return l.Repr() }

// Repr implements value.Texter.
func (l *Loop) Repr() string { return fmt.Sprintf("<LoopContext %d/%d>", l.index0+1, l.Len()) }

// A method is a function that belongs to one of the engine's objects.
type method struct {
	owner value.Value
	name  string
	do    func(c *Call, args Args) (value.Value, error)
}

// Type implements value.Value.
func (*method) Type() string { return "method" }

// Call implements Func.
func (m *method) Call(c *Call, args Args) (value.Value, error) { return m.do(c, args) }

// Repr implements value.Texter.
func (m *method) Repr() string {
	return "<bound method " + m.owner.Type() + "." + m.name + " of " + value.Repr(m.owner) + ">"
}

// Str implements value.Texter.
func (m *method) Str() string { return m.Repr() }
