package sprig

import (
	"slices"
	"strings"

	"orch/playbook/template/filter"
)

// A manual is what Docs says of functions; those after the first name are the same.
type manual struct {
	names   string
	text    string
	expr    string // an example, without the braces
	printed string
}

// nonHermetic are the functions whose result depends on more than their arguments: a
// task that uses one may never be without changes.
const nonHermetic = " date date_in_zone date_modify now htmlDate htmlDateInZone dateInZone dateModify ago randAlphaNum randAlpha " +
	"randAscii randNumeric randBytes randInt uuidv4 env expandenv getHostByName shuffle bcrypt htpasswd genPrivateKey genCA " +
	"genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey encryptAES "

// Docs returns the manuals of all functions, sorted by name. The signature shows the
// filter form with "|", where there is one.
func Docs() []filter.Doc {
	var docs []filter.Doc
	for _, m := range manuals {
		for _, name := range strings.Fields(m.names) {
			docs = append(docs, m.doc(name))
		}
	}
	slices.SortFunc(docs, func(a, b filter.Doc) int { return strings.Compare(a.Name, b.Name) })
	return docs
}

func (m manual) doc(name string) filter.Doc {
	f := functions()[name]
	d := filter.Doc{Name: name, Collection: "sprig", Text: m.text}
	if f != nil {
		d.Signature = f.signature()
	}
	if strings.HasPrefix(name, "must") {
		d.Text += " The same as the function without must: here every function reports its mistakes."
	}
	if strings.Contains(nonHermetic, " "+name+" ") {
		d.Text += " Not hermetic: the result depends on time, chance or the controller, so that a task using it may change at every run."
	}
	d.Examples = []filter.Example{{Expr: "{{ " + m.expr + " }}", Result: m.printed}}
	return d
}

// signature is how the function and the filter are written, by the types of Go.
func (f *function) signature() string {
	t := f.fn.Type()
	var params []string
	for i := range t.NumIn() {
		name := strings.NewReplacer("interface {}", "any", "map[string]any", "dict", "[]any", "list", "sprig.", "").Replace(t.In(i).String())
		if t.IsVariadic() && i == t.NumIn()-1 {
			name = strings.TrimPrefix(strings.TrimPrefix(name, "[]"), "list")
			if name == "" {
				name = "any"
			}
			name += "…"
		}
		params = append(params, name)
	}
	s := "(" + strings.Join(params, ", ") + ")"
	if f.data == none || len(params) == 0 {
		return s
	}
	at := f.data
	if at == last {
		at = len(params) - 1
	}
	rest := slices.Delete(slices.Clone(params), at, at+1)
	return s + ", or as a filter: " + params[at] + " | sprig." + f.name + "(" + strings.Join(rest, ", ") + ")"
}
