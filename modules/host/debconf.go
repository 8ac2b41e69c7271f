package host

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"orch/modules"
)

// Debconf answers the questions of Debian packages before they are asked.
type Debconf struct {
	// Name of the package.
	Name string `orch:"required,alias=pkg"`
	// The question, as debconf-show prints it.
	Question string `orch:"alias=selection|setting"`
	// Type of the answer.
	Vtype string `orch:"enum=boolean|error|multiselect|note|password|seen|select|string|text|title"`
	// The answer. A list, of multiselect, may be in any order.
	Value modules.Raw `orch:"alias=answer"`
	// Leave the question unseen, so that it is asked again.
	Unseen bool
}

// Validate implements modules.Validator.
func (d *Debconf) Validate() error {
	if d.Question != "" && (d.Value == nil || d.Vtype == "") {
		return errors.New("when supplying a question you must supply a valid vtype")
	}
	return nil
}

// DebconfOut is the result of debconf.
type DebconfOut struct {
	Current  map[string]string `json:"current"`
	Previous map[string]string `json:"previous,omitempty"`
	Msg      string            `json:"msg"`
}

// Plan implements modules.Module.
func (d *Debconf) Plan(ctx context.Context, v modules.View) (plan, error) {
	out := &DebconfOut{}
	p := plan{Out: out}
	prev, err := d.show(ctx, v)
	if err != nil || d.Question == "" {
		out.Current = prev
		return p, err
	}
	value, list, err := d.answer()
	if err != nil {
		return p, err
	}
	have, known := prev[d.Question]
	want := value
	if list != nil {
		now := strings.Split(have, ",")
		for i := range now {
			now[i] = strings.TrimSpace(now[i])
		}
		slices.Sort(now)
		if slices.Equal(now, list) {
			want = have
		}
	}
	if d.Vtype == "password" {
		if have, err = d.password(ctx, v); err != nil {
			return p, err
		}
		known = have != ""
	}
	out.Current, out.Previous = map[string]string{d.Question: want}, map[string]string{d.Question: have}
	if known && have == want {
		return p, nil
	}
	c := newChange(d.Name)
	shown := [2]string{have, want}
	if d.Vtype == "password" {
		shown = [2]string{"********", "********"}
		out.Current, out.Previous = map[string]string{}, nil
	}
	c.add(d.Question, shown[0], shown[1])
	p.Steps = []step{{Title: "answer " + d.Question + " of " + d.Name, Diff: c.diff(), Do: func(ctx context.Context, t modules.Target) (bool, error) {
		argv := []string{"debconf-set-selections"}
		if d.Unseen {
			argv = append(argv, "-u")
		}
		line := strings.Join([]string{d.Name, d.Question, d.Vtype, value}, " ")
		_, err := must(ctx, t, modules.Command{Argv: argv, Stdin: strings.NewReader(line + "\n")})
		return true, err
	}}}
	return p, nil
}

// answer is the answer's text, and the sorted list if it is one.
func (d *Debconf) answer() (text string, list []string, err error) {
	if d.Vtype == "multiselect" && len(d.Value) > 0 && d.Value[0] == '[' {
		if err := json.Unmarshal(d.Value, &list); err != nil {
			return "", nil, modules.Failf("Invalid value provided for 'multiselect': want a list of strings")
		}
		slices.Sort(list)
		return strings.Join(list, ", "), list, nil
	}
	text = scalar(json.RawMessage(d.Value))
	if d.Vtype == "boolean" {
		text = strings.ToLower(text)
	}
	return text, nil, nil
}

func (d *Debconf) show(ctx context.Context, v modules.View) (map[string]string, error) {
	o, err := v.Query(ctx, "debconf-show", d.Name)
	if err != nil {
		return nil, startFailure([]string{"debconf-show"}, err)
	}
	if o.RC != 0 {
		return nil, cmdFailure([]string{"debconf-show", d.Name}, o, "")
	}
	all := map[string]string{}
	for line := range strings.Lines(o.Stdout) {
		if k, val, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			all[strings.TrimSpace(strings.TrimLeft(k, "* "))] = strings.TrimSpace(val)
		}
	}
	return all, nil
}

// password asks for a stored password, which debconf-show hides.
func (d *Debconf) password(ctx context.Context, v modules.View) (string, error) {
	data, err := readFile(ctx, v, "/var/cache/debconf/passwords.dat")
	if err != nil {
		return "", nil // only root may read it
	}
	name := ""
	for line := range strings.Lines(string(data)) {
		k, val, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case k == "Name":
			name = val
		case k == "Value" && name == d.Question:
			return val, nil
		}
	}
	return "", nil
}
