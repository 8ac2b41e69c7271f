package template

import (
	"fmt"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/template/filter"
)

// An iniFile is what Python's ConfigParser reads: sections of options, values that go on
// in indented lines, % interpolation.
type iniFile struct {
	cased       bool // names of options keep their case
	bare        bool // an option may have no value
	interpolate bool
	sections    map[string]*iniSection
	defaults    *iniSection
}

type iniSection struct {
	keys []string
	vals map[string]*iniOption
}

type iniOption struct {
	text string
	none bool // no value, not even an empty one
	// lines are those of the value while it is read.
	lines []string
}

// defaultSection holds what every other section falls back to.
const defaultSection = "DEFAULT"

func newINI() *iniFile {
	return &iniFile{sections: map[string]*iniSection{}, defaults: &iniSection{vals: map[string]*iniOption{}}}
}

func (f *iniFile) parse(text string) error {
	var section *iniSection
	var option *iniOption
	indent := 0
	for n, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		content := strings.TrimSpace(line)
		comment := strings.HasPrefix(content, "#") || strings.HasPrefix(content, ";")
		if content == "" || comment {
			if !comment && section != nil && option != nil && !option.none {
				option.lines = append(option.lines, "")
			}
			continue
		}
		at := len(line) - len(strings.TrimLeft(line, " \t"))
		if section != nil && option != nil && !option.none && at > indent {
			option.lines = append(option.lines, content)
			continue
		}
		indent = at
		end := strings.LastIndexByte(content, ']')
		switch {
		case content[0] == '[' && end > 1:
			name := content[1:end]
			option = nil
			if section = f.section(name); section == nil {
				return fmt.Errorf("section '%s' already exists [line %2d]", name, n+1)
			}
		case section == nil:
			return fmt.Errorf("file contains no section headers, line: %d", n+1)
		default:
			var err error
			if option, err = f.option(section, content); err != nil {
				return fmt.Errorf("%w [line %2d]", err, n+1)
			}
		}
	}
	f.join()
	return nil
}

func (f *iniFile) section(name string) *iniSection {
	if name == defaultSection {
		return f.defaults
	}
	if f.sections[name] != nil {
		return nil
	}
	s := &iniSection{vals: map[string]*iniOption{}}
	f.sections[name] = s
	return s
}

func (f *iniFile) option(s *iniSection, line string) (*iniOption, error) {
	name, val := line, ""
	o := &iniOption{}
	if i := strings.IndexAny(line, "=:"); i >= 0 {
		name, val = line[:i], strings.TrimSpace(line[i+1:])
		o.lines = []string{val}
	} else if f.bare {
		o.none = true
	} else {
		return nil, fmt.Errorf("source contains parsing errors: %s", value.Repr(value.S(line)))
	}
	name = f.fold(strings.TrimSpace(name))
	if _, twice := s.vals[name]; twice {
		return nil, fmt.Errorf("option '%s' already exists", name)
	}
	s.keys = append(s.keys, name)
	s.vals[name] = o
	return o, nil
}

func (f *iniFile) fold(name string) string {
	if f.cased {
		return name
	}
	return strings.ToLower(name)
}

func (f *iniFile) join() {
	finish := func(s *iniSection) {
		for _, o := range s.vals {
			o.text = strings.TrimRight(strings.Join(o.lines, "\n"), " \t\n")
		}
	}
	finish(f.defaults)
	for _, s := range f.sections {
		finish(s)
	}
}

// get returns an option of a section or of DEFAULT, with %(name)s replaced.
func (f *iniFile) get(s *iniSection, name string, depth int) (iniOption, bool, error) {
	name = f.fold(name)
	o, ok := s.vals[name]
	if !ok {
		if o, ok = f.defaults.vals[name]; !ok {
			return iniOption{}, false, nil
		}
	}
	if o.none || !f.interpolate || !strings.Contains(o.text, "%") {
		return *o, true, nil
	}
	text, err := f.expand(s, name, o.text, depth)
	return iniOption{text: text}, true, err
}

func (f *iniFile) expand(s *iniSection, name, text string, depth int) (string, error) {
	const maxDepth = 10 // Python's
	if depth > maxDepth {
		return "", fmt.Errorf("recursion limit exceeded in value substitution: option '%s'", name)
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "%")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), nil
		case strings.HasPrefix(rest, "%"):
			b.WriteByte('%')
			text = rest[1:]
		case strings.HasPrefix(rest, "("):
			ref, after, ok := strings.Cut(rest[1:], ")s")
			if !ok {
				return "", fmt.Errorf("bad interpolation variable reference %s", value.Repr(value.S("%"+rest)))
			}
			o, ok, err := f.get(s, ref, depth+1)
			if err != nil {
				return "", err
			}
			if !ok {
				return "", fmt.Errorf("bad value substitution: option '%s' contains an interpolation key '%s' which is not a valid option name", name, ref)
			}
			b.WriteString(o.text)
			text = after
		default:
			return "", fmt.Errorf("'%%' must be followed by '%%' or '(', found: %s", value.Repr(value.S("%"+rest)))
		}
	}
}

// matching returns the values of all options whose name matches a regular expression.
func (f *iniFile) matching(s *iniSection, pattern string) ([]value.Value, error) {
	re, err := filter.Regexp(pattern, 0)
	if err != nil {
		return nil, lookupErrorf("ini: %w", err)
	}
	keys := append([]string(nil), f.defaults.keys...)
	for _, k := range s.keys {
		if _, ok := f.defaults.vals[k]; !ok {
			keys = append(keys, k)
		}
	}
	var out []value.Value
	for _, k := range keys {
		m, err := re.Match(k)
		if err != nil {
			return nil, lookupErrorf("ini: %w", err)
		}
		if m == nil {
			continue
		}
		o, _, err := f.get(s, k, 0)
		if err != nil {
			return nil, lookupErrorf("ini: %w", err)
		}
		if o.none {
			out = append(out, value.None{})
			continue
		}
		out = append(out, value.S(o.text))
	}
	return out, nil
}
