package schema

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"orch/modules"
	"orch/playbook/jinja/value"
)

// The coercions and their messages are those of ansible-core 2.18's
// module_utils.common.validation.

var errBool = "The value '%s' is not a valid boolean.  Valid booleans include: 0, 'on', 'f', 'false', 1, 'no', 'n', '1', '0', 't', 'y', 'off', 'yes', 'true'"

func nullError(kind string) error {
	switch kind {
	case "str", "path":
		return errors.New("'None' is not a string and conversion is not allowed")
	case "int":
		return errors.New(`"None" cannot be converted to an int`)
	case "float":
		return errors.New("<class 'NoneType'> cannot be converted to a float")
	case "":
		return nil
	}
	return fmt.Errorf("<class 'NoneType'> cannot be converted to a %s", kind)
}

// pyType is Python's name of a value's class. What stands in an author's file is of the
// YAML loader's own classes there.
func pyType(v value.Value) string {
	const yaml = "ansible.parsing.yaml.objects."
	name := v.Type()
	switch v := v.(type) {
	case value.Str:
		if v.From != nil {
			name = yaml + "AnsibleUnicode"
		}
	case *value.Dict:
		for k := range v.All() {
			if s, ok := k.(value.Str); ok && s.From != nil {
				name = yaml + "AnsibleMapping"
			}
			break
		}
	case *value.List:
		for _, item := range v.Items {
			if s, ok := item.(value.Str); ok && s.From != nil {
				name = yaml + "AnsibleSequence"
			}
		}
	}
	return "<class '" + name + "'>"
}

// JSON encodes a value on one line, without spaces.
func JSON(v value.Value) ([]byte, error) {
	return value.AppendJSON(nil, v, value.JSONOptions{ItemSep: ",", KeySep: ":", Unicode: true})
}

// literalDict reads a dict written as JSON or as a Python literal.
func literalDict(s string) (*value.Dict, bool) {
	v, err := value.FromJSON([]byte(s))
	if err != nil {
		if v, err = value.LiteralEval(s); err != nil {
			return nil, false
		}
	}
	d, ok := v.(*value.Dict)
	return d, ok
}

func toBool(v value.Value) (bool, error) {
	switch v := v.(type) {
	case value.Bool:
		return bool(v), nil
	case value.Str:
		switch strings.ToLower(strings.TrimSpace(v.S)) {
		case "y", "yes", "on", "1", "true", "t":
			return true, nil
		case "n", "no", "off", "0", "false", "f":
			return false, nil
		}
		return false, fmt.Errorf(errBool, v.S)
	case value.Int:
		if v == 0 || v == 1 {
			return v == 1, nil
		}
		return false, fmt.Errorf(errBool, value.String(v))
	case value.Float:
		if v == 0 || v == 1 {
			return v == 1, nil
		}
		return false, fmt.Errorf(errBool, value.String(v))
	}
	return false, fmt.Errorf("%s cannot be converted to a bool", pyType(v))
}

func toInt(v value.Value) (int64, error) {
	switch v := v.(type) {
	case value.Int:
		return int64(v), nil
	case value.Bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case value.Float, value.Str:
		// Python's Decimal takes 1_000, 1e3 and 10.0, but no 0x10 and no 1/2.
		s := strings.ReplaceAll(strings.TrimSpace(value.String(v)), "_", "")
		if r, ok := new(big.Rat).SetString(s); ok && !strings.ContainsAny(s, "/xXpPoObB") && len(s) < 400 && r.IsInt() && r.Num().IsInt64() {
			return r.Num().Int64(), nil
		}
	}
	return 0, fmt.Errorf("\"%s\" cannot be converted to an int", value.Repr(v))
}

// toWhole is Python's int().
func toWhole(v value.Value) (int64, error) {
	switch v := v.(type) {
	case value.Float:
		if f := math.Trunc(float64(v)); math.Abs(f) < 1<<53 {
			return int64(f), nil
		}
	case value.Str:
		s := strings.TrimSpace(v.S)
		n, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("invalid literal for int() with base 10: %s", value.Repr(v))
		}
		return n, nil
	}
	return toInt(v)
}

func toFloat(v value.Value) (float64, error) {
	switch v := v.(type) {
	case value.Float:
		return float64(v), nil
	case value.Int:
		return float64(v), nil
	case value.Bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case *value.BigInt:
		f, _ := new(big.Float).SetInt(v.V).Float64()
		return f, nil
	case value.Str:
		s := strings.TrimSpace(v.S)
		if f, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "xXpP") {
			return f, nil
		}
	}
	return 0, fmt.Errorf("%s cannot be converted to a float", pyType(v))
}

func toList(v value.Value) (*value.List, error) {
	switch v := v.(type) {
	case *value.List:
		return v, nil
	case value.Tuple:
		return value.NewList(v...), nil
	case value.Str:
		list := value.NewList()
		for part := range strings.SplitSeq(v.S, ",") {
			list.Items = append(list.Items, value.S(part))
		}
		return list, nil
	case value.Int, value.Float, value.Bool, *value.BigInt:
		return value.NewList(value.S(value.String(v))), nil
	}
	return nil, fmt.Errorf("%s cannot be converted to a list", pyType(v))
}

func toDict(v value.Value) (*value.Dict, error) {
	switch v := v.(type) {
	case *value.Dict:
		return v, nil
	case value.Mapping:
		d := value.NewDict(v.Len())
		for _, k := range v.Keys() {
			item, _, err := v.Get(k)
			if err != nil {
				return nil, err
			}
			if err := d.Set(k, item); err != nil {
				return nil, err
			}
		}
		return d, nil
	case value.Str:
		if strings.HasPrefix(v.S, "{") {
			if d, ok := literalDict(v.S); ok {
				return d, nil
			}
			return nil, errors.New("unable to evaluate string as dictionary")
		}
		if strings.Contains(v.S, "=") {
			return keyValues(v.S)
		}
		return nil, errors.New("dictionary requested, could not parse JSON or key=value")
	}
	return nil, fmt.Errorf("%s cannot be converted to a dict", pyType(v))
}

// keyValues reads "k1=v1, k2=v2" or "k1=v1 k2=v2", with quotes and backslashes.
func keyValues(s string) (*value.Dict, error) {
	var fields []string
	var field strings.Builder
	var quote rune
	escaped := false
	flush := func() {
		if field.Len() > 0 {
			fields = append(fields, field.String())
		}
		field.Reset()
	}
	for _, c := range strings.TrimSpace(s) {
		switch {
		case escaped:
			field.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped = true
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case quote != 0 && quote == c:
			quote = 0
		case quote == 0 && (c == ',' || c == ' '):
			flush()
		default:
			field.WriteRune(c)
		}
	}
	flush()
	d := value.NewDict(len(fields))
	for _, f := range fields {
		k, v, ok := strings.Cut(f, "=")
		if !ok {
			return nil, errors.New(`unable to evaluate string in the "key=value" format as dictionary`)
		}
		d.SetStr(k, value.S(v))
	}
	return d, nil
}

// toMode reads a mode: digits in a string are octal, a number is the number it is, so
// that YAML's 0644 (420) and "0644" agree and an unquoted 644 is Ansible's classic trap.
func toMode(v value.Value) (modules.Mode, error) {
	switch v := v.(type) {
	case value.Int:
		if v < 0 || v > 0o7777 {
			return "", fmt.Errorf("mode %d is beyond 07777", int64(v))
		}
		return modules.ModeOf(int64(v)), nil
	case value.Str:
		return modules.ParseMode(v.S)
	}
	return "", fmt.Errorf("%s is no mode", pyType(v))
}

// sizes are the units of human_to_bytes, in powers of 1024.
const sizes = "BKMGTPEZY"

// toBytes reads "10", "1M", "2.5 GB"; unit 'B' for bytes, 'b' for bits.
func toBytes(v value.Value, unit byte) (value.Value, error) {
	fail := fmt.Errorf("%s cannot be converted to a %s value", pyType(v), map[byte]string{'B': "Byte", 'b': "Bit"}[unit])
	s := strings.TrimSpace(value.String(v))
	end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(s)
	}
	n, err := strconv.ParseFloat(s[:end], 64)
	if err != nil {
		return nil, fail
	}
	word := strings.TrimSpace(s[end:])
	if word == "" {
		return value.Int(int64(n + 0.5)), nil
	}
	power := strings.IndexByte(sizes, strings.ToUpper(word[:1])[0])
	long := map[byte]string{'B': "byte", 'b': "bit"}[unit]
	ok := len(word) == 1 || word[1:] == string(unit) || power > 0 && strings.EqualFold(word[1:], long) || power == 0 && strings.EqualFold(word, long)
	if power < 0 || !ok {
		return nil, fail
	}
	f, _ := new(big.Float).Mul(big.NewFloat(n), new(big.Float).SetMantExp(big.NewFloat(1), 10*power)).Int(nil)
	if f.IsInt64() {
		return value.Int(f.Int64()), nil
	}
	return &value.BigInt{V: f}, nil
}
