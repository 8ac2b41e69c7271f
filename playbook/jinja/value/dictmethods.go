package value

var dictMethods = map[string]method{
	"clear":      takes("", dictClear),
	"copy":       takes("", dictCopy),
	"fromkeys":   takes("iterable / value", dictFromKeys),
	"get":        takes("key / default", dictGet),
	"items":      takes("", dictView(ViewItems)),
	"keys":       takes("", dictView(ViewKeys)),
	"pop":        takes("key / default", dictPop),
	"popitem":    takes("", dictPopItem),
	"setdefault": takes("key / default", dictSetDefault),
	"update":     {variadic: true, do: dictUpdate},
	"values":     takes("", dictView(ViewValues)),
}

// readOnlyDictMethods are those that a Mapping has too.
var readOnlyDictMethods = []string{"get", "items", "keys", "values"}

func orNone(v Value) Value {
	if v == nil {
		return None{}
	}
	return v
}

func dictClear(self Value, _ []Value) (Value, error) {
	*self.(*Dict) = *NewDict(0)
	return None{}, nil
}

func dictCopy(self Value, _ []Value) (Value, error) { return self.(*Dict).Copy(), nil }

// Copy is a shallow copy.
func (d *Dict) Copy() *Dict {
	c := NewDict(d.Len())
	for k, v := range d.All() {
		c.insert(k, v)
	}
	return c
}

func dictFromKeys(_ Value, a []Value) (Value, error) {
	it, err := Iter(a[0])
	if err != nil {
		return nil, err
	}
	d := NewDict(0)
	for k, err := range it.All() {
		if err == nil {
			err = d.Set(k, orNone(a[1]))
		}
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

func dictGet(self Value, a []Value) (Value, error) {
	if IsUnknown(a[0]) {
		return a[0], nil
	}
	v, ok, err := self.(dictLike).Get(a[0])
	if err != nil || ok {
		return v, err
	}
	return orNone(a[1]), nil
}

func dictView(kind ViewKind) func(Value, []Value) (Value, error) {
	return func(self Value, _ []Value) (Value, error) {
		return &DictView{Kind: kind, Of: self.(dictLike)}, nil
	}
}

func dictPop(self Value, a []Value) (Value, error) {
	d := self.(*Dict)
	v, ok, err := d.Get(a[0])
	if err != nil && d.Len() > 0 { // an empty dict does not look at the key
		return nil, err
	}
	if ok {
		_, err := d.Delete(a[0])
		return v, err
	}
	if a[1] != nil {
		return a[1], nil
	}
	return nil, Errorf("KeyError", "%s", Repr(a[0]))
}

func dictPopItem(self Value, _ []Value) (Value, error) {
	d := self.(*Dict)
	keys := d.Keys()
	if len(keys) == 0 {
		return nil, Errorf("KeyError", "'popitem(): dictionary is empty'")
	}
	k := keys[len(keys)-1]
	v, _, _ := d.Get(k)
	_, err := d.Delete(k)
	return Tuple{k, v}, err
}

func dictSetDefault(self Value, a []Value) (Value, error) {
	d := self.(*Dict)
	v, ok, err := d.Get(a[0])
	if err != nil || ok {
		return v, err
	}
	v = orNone(a[1])
	return v, d.Set(a[0], v)
}

func dictUpdate(self Value, pos []Value, named []Named) (Value, error) {
	if len(pos) > 1 {
		return nil, typeErr("update expected at most 1 argument, got %d", len(pos))
	}
	d := self.(*Dict)
	if len(pos) == 1 {
		if err := d.Update(pos[0]); err != nil {
			return nil, err
		}
	}
	for _, n := range named {
		d.SetStr(n.Name, n.Val)
	}
	return None{}, nil
}

// Update adds the entries of a dict, or of an iterable of pairs, as dict(v) and
// d.update(v) do.
func (d *Dict) Update(v Value) error {
	if m, ok := v.(dictLike); ok {
		for _, k := range m.Keys() {
			val, _, err := m.Get(k)
			if err == nil {
				err = d.Set(k, val)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if u, ok := v.(*Undefined); ok { // a lenient one too: Python asks it for its keys
		return &UndefinedError{u}
	}
	it, err := Iter(v)
	if err != nil {
		return err
	}
	i := 0
	for pair, err := range it.All() {
		if err != nil {
			return err
		}
		items, err := Items(pair)
		if err != nil {
			return typeErr("cannot convert dictionary update sequence element #%d to a sequence", i)
		}
		if len(items) != 2 {
			return valueErr("dictionary update sequence element #%d has length %d; 2 is required", i, len(items))
		}
		if err := d.Set(items[0], items[1]); err != nil {
			return err
		}
		i++
	}
	return nil
}
