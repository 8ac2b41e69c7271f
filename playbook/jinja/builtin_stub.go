package jinja

import "orch/playbook/jinja/value"

func builtinFilters() map[string]*Filter {
	return map[string]*Filter{
		"default": {Sig: Signature{Params: []Param{{Name: "default_value", Default: value.S("")}, {Name: "boolean", Default: value.Bool(false)}}, AcceptUndefined: true},
			Do: func(c *Call, in value.Value, b Bound) (value.Value, error) {
				if _, ok := in.(*value.Undefined); ok || value.Truth(b.Args[1]) && !value.Truth(in) {
					return b.Args[0], nil
				}
				return in, nil
			}},
		"upper": {Do: func(c *Call, in value.Value, b Bound) (value.Value, error) {
			m, _ := value.Method(value.S(value.String(in)), "upper")
			return m.Call(nil, nil)
		}},
	}
}

func builtinTests() map[string]*Test {
	return map[string]*Test{
		"defined": {Sig: Signature{AcceptUndefined: true, AcceptUnknown: true},
			Do: func(c *Call, in value.Value, b Bound) (bool, error) {
				_, ok := in.(*value.Undefined)
				return !ok, nil
			}},
	}
}

func builtinGlobals() map[string]value.Value {
	return map[string]value.Value{
		"namespace": &Function{Name: "namespace", Sig: Signature{KwArgs: true, AcceptUndefined: true, AcceptUnknown: true},
			Do: func(c *Call, b Bound) (value.Value, error) {
				n := NewNamespace(nil)
				for _, k := range b.KwVar {
					n.Set(k.Name, k.Val)
				}
				return n, nil
			}},
	}
}
