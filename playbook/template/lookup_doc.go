package template

// lookupExamples are templates that use the lookups, and what they yield by the files of
// testdata/recorded: the manual shows them, a test runs them.
var lookupExamples = map[string]struct{ expr, result string }{
	"items":                           {"{{ q('items', [1, 2], 3) }}", "[1, 2, 3]"},
	"list":                            {"{{ q('list', [1, 2], 3) }}", "[[1, 2], 3]"},
	"community.general.flattened":     {"{{ q('community.general.flattened', [1, [2, [3]]]) }}", "[1, 2, 3]"},
	"indexed_items":                   {"{{ q('indexed_items', ['a', 'b']) }}", "[(0, 'a'), (1, 'b')]"},
	"dict":                            {"{{ q('dict', {'a': 1}) }}", "[{'key': 'a', 'value': 1}]"},
	"nested":                          {"{{ q('nested', ['a', 'b'], [1, 2]) }}", "[['a', 1], ['a', 2], ['b', 1], ['b', 2]]"},
	"together":                        {"{{ q('together', ['a', 'b'], [1]) }}", "[['a', 1], ['b', None]]"},
	"subelements":                     {"{{ q('subelements', [{'name': 'x', 'keys': ['k1', 'k2']}], 'keys') }}", "[({'name': 'x'}, 'k1'), ({'name': 'x'}, 'k2')]"},
	"random_choice":                   {"{{ lookup('random_choice', 'heads', 'tails') | length }}", "5"},
	"sequence":                        {"{{ q('sequence', 'start=1 end=5 stride=2 format=host%02d') }}", "['host01', 'host03', 'host05']"},
	"lines":                           {"{{ q('lines', 'echo a; echo b') }}", "['a', 'b']"},
	"pipe":                            {"{{ lookup('pipe', 'echo hello') }}", "hello"},
	"file":                            {"{{ lookup('file', 'one.txt') }}", "content of one"},
	"unvault":                         {"{{ lookup('unvault', 'one.txt') | trim }}", "content of one"},
	"fileglob":                        {"{{ q('fileglob', '*.csv') | map('basename') }}", "['elements.csv']"},
	"first_found":                     {"{{ lookup('first_found', ['gone.txt', 'two.txt']) | basename }}", "two.txt"},
	"csvfile":                         {"{{ lookup('csvfile', 'Li', file='elements.csv', delimiter=',', col=2) }}", "6.94"},
	"ini":                             {"{{ lookup('ini', 'user', section='production', file='users.ini') }}", "robert"},
	"template":                        {"{{ lookup('template', 'with_vars.j2', template_vars={'extra': 'x', 'n': 1}) }}", "x and 1"},
	"community.general.filetree":      {"{{ q('community.general.filetree', 'files/') | map(attribute='path') | sort | first }}", "elements.csv"},
	"env":                             {"{{ lookup('env', 'NOT_SET', default='none') }}", "none"},
	"vars":                            {"{{ lookup('vars', 'inventory_' ~ 'hostname') }}", "host1"},
	"varnames":                        {"{{ q('varnames', '^no_such_.*') }}", "[]"},
	"inventory_hostnames":             {"{{ q('inventory_hostnames', 'all:!web') }}", "['host1']"},
	"config":                          {"{{ lookup('config', 'DEFAULT_ROLES_PATH') }}", "['roles']"},
	"url":                             {"{{ lookup('url', 'http://127.0.0.1:1/', timeout=1, errors='ignore') }}", ""},
	"password":                        {"{{ lookup('password', '/dev/null', seed='x', length=12, chars=['ascii_lowercase', 'digits']) }}", "u4ey32yky466"},
	"community.general.random_string": {"{{ lookup('community.general.random_string', length=6, special=false) | length }}", "6"},
}

// LookupDoc returns a lookup's manual and its options; false when there is none.
func (e *Engine) LookupDoc(name string) (Lookup, bool) {
	l, err := e.findLookup(name)
	if err != nil {
		return Lookup{}, false
	}
	for known, ex := range lookupExamples {
		if found, err := e.findLookup(known); err == nil && found.Doc == l.Doc && l.Example == "" {
			l.Example, l.Result = ex.expr, ex.result
		}
	}
	return *l, true
}
