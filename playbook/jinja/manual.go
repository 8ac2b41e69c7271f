package jinja

import (
	"slices"
	"strings"

	"orch/playbook/jinja/value"
)

// A Manual is what one of Jinja2's own filters or tests does, with an example that the
// package's test executes.
type Manual struct {
	Name, Signature, Text string
	Expr, Result          string // {{ … }} and what it prints
}

// FilterManuals are the manuals of Jinja2's filters, by name.
func FilterManuals() []Manual {
	return manuals(filterManuals, func(name string) Signature { return filterTable[name].Sig })
}

// TestManuals are the manuals of Jinja2's tests, by name.
func TestManuals() []Manual {
	return manuals(testManuals, func(name string) Signature { return testTable[name].Sig })
}

func manuals(rows [][4]string, sig func(string) Signature) []Manual {
	var out []Manual
	for _, row := range rows {
		for _, name := range strings.Fields(row[0]) {
			out = append(out, Manual{name, sig(name).String(), row[1], "{{ " + row[2] + " }}", row[3]})
		}
	}
	slices.SortFunc(out, func(a, b Manual) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// String is the parameter list as Python writes it.
func (s Signature) String() string {
	var out []string
	for _, p := range s.Params {
		if p.Default == nil {
			out = append(out, p.Name)
			continue
		}
		out = append(out, p.Name+"="+value.Repr(p.Default))
	}
	if s.VarArgs {
		out = append(out, "*args")
	}
	if s.KwArgs {
		out = append(out, "**kwargs")
	}
	return strings.Join(out, ", ")
}

// Names that do the same stand in one row: names, manual, example, what it prints.
var filterManuals = [][4]string{
	{"abs", "The absolute value of a number.", "-5 | abs", "5"},
	{"attr", "An attribute by its name, never an item.", "'a' | attr('upper') is callable", "True"},
	{"batch", "Cuts a sequence into lists of linecount items, the last one filled up with fill_with.", "[1, 2, 3] | batch(2, 0) | list", "[[1, 2], [3, 0]]"},
	{"capitalize", "The first letter in upper case, all others in lower case.", "'aB' | capitalize", "Ab"},
	{"center", "Centers a text in a field.", "'[' ~ ('a' | center(5)) ~ ']'", "[  a  ]"},
	{"count length", "The number of items or characters.", "[1, 2] | length", "2"},
	{"d default", "Another value where one is undefined; with boolean=true also where one counts as false.", "nope | default('none')", "none"},
	{"dictsort", "The pairs of a dict, sorted by key or by value.", "{'b': 1, 'a': 2} | dictsort", "[('a', 2), ('b', 1)]"},
	{"e escape", "Escapes HTML's special characters.", "'a < b' | escape", "a &lt; b"},
	{"filesizeformat", "A number of bytes for people; binary=true counts in 1024s.", "13000 | filesizeformat", "13.0 kB"},
	{"first", "The first item.", "[3, 1] | first", "3"},
	{"float", "A floating point number, or default.", "'1.5' | float", "1.5"},
	{"forceescape", "Escapes HTML's special characters, also of text marked as safe.", "'<' | safe | forceescape", "&lt;"},
	{"format", "Python's % on a text.", "'%s-%d' | format('a', 5)", "a-5"},
	{"groupby", "Groups items by an attribute: pairs of its value and a list.", "[{'k': 1, 'n': 'a'}, {'k': 1, 'n': 'b'}] | groupby('k') | map('first') | list", "[1]"},
	{"indent", "Indents all lines but the first; width is a number or a text.", "'a\\nb' | indent(2)", "a\n  b"},
	{"int", "An integer, or default; base is that of a text.", "'ff' | int(base=16)", "255"},
	{"items", "The pairs of a dict; none of what is undefined.", "{'a': 1} | items | list", "[('a', 1)]"},
	{"join", "Puts texts together with d between them, of an attribute if given.", "[1, 2] | join(', ')", "1, 2"},
	{"last", "The last item.", "[3, 1] | last", "1"},
	{"list", "A list of the items; of a text, its characters.", "'ab' | list", "['a', 'b']"},
	{"lower", "A text in lower case.", "'AB' | lower", "ab"},
	{"map", "Applies a filter to every item, or takes an attribute of each.", "['a', 'b'] | map('upper') | list", "['A', 'B']"},
	{"max", "The greatest item.", "[1, 3, 2] | max", "3"},
	{"min", "The least item.", "[3, 1, 2] | min", "1"},
	{"pprint", "A value in several lines, as Python's pprint has it.", "{'b': [1], 'a': 2} | pprint", "{'a': 2, 'b': [1]}"},
	{"random", "An item by chance.", "[5] | random", "5"},
	{"reject", "The items that a test does not hold for.", "[1, 2, 3] | reject('odd') | list", "[2]"},
	{"rejectattr", "The items whose attribute a test does not hold for.", "[{'on': true}, {'on': false}] | rejectattr('on') | list", "[{'on': False}]"},
	{"replace", "Replaces a part of a text, count times.", "'aab' | replace('a', 'x', 1)", "xab"},
	{"reverse", "The items, or characters, from the last to the first.", "'abc' | reverse", "cba"},
	{"round", "Rounds to precision digits; method is common, ceil or floor.", "2.71 | round(1)", "2.7"},
	{"safe", "Marks a text as HTML that is not to be escaped.", "'<b>' | safe", "<b>"},
	{"select", "The items that a test holds for.", "[1, 2, 3] | select('odd') | list", "[1, 3]"},
	{"selectattr", "The items whose attribute a test holds for.", "[{'n': 1}, {'n': 2}] | selectattr('n', '>', 1) | list", "[{'n': 2}]"},
	{"slice", "Deals the items out to a number of lists.", "[1, 2, 3] | slice(2) | list", "[[1, 2], [3]]"},
	{"sort", "The items sorted, by an attribute if given.", "[3, 1, 2] | sort(reverse=true)", "[3, 2, 1]"},
	{"string", "A value as text.", "5 | string ~ 1", "51"},
	{"striptags", "Removes SGML's tags.", "'<b>a</b>  c' | striptags", "a c"},
	{"sum", "Adds up the items, or an attribute of them.", "[1, 2] | sum(start=10)", "13"},
	{"title", "Every word with a capital.", "'two words' | title", "Two Words"},
	{"tojson", "A value as JSON that is safe inside HTML.", "{'a': '<'} | tojson", `{"a": "\u003c"}`},
	{"trim", "Removes blanks, or chars, at both ends.", "' a ' | trim", "a"},
	{"truncate", "Shortens a text that is longer than length by more than leeway.", "'some long words' | truncate(9, leeway=0)", "some..."},
	{"unique", "Each item once.", "[1, 2, 1] | unique | list", "[1, 2]"},
	{"upper", "A text in upper case.", "'ab' | upper", "AB"},
	{"urlencode", "Quotes a text, or the pairs of a dict, for a URL.", "{'q': 'a b'} | urlencode", "q=a+b"},
	{"urlize", "Makes links of URLs in a text.", "'see http://x.org' | urlize", `see <a href="http://x.org" rel="noopener">http://x.org</a>`},
	{"wordcount", "The number of words.", "'two words' | wordcount", "2"},
	{"wordwrap", "Breaks the lines of a text after width characters.", "'some words' | wordwrap(5)", "some\nwords"},
	{"xmlattr", "The pairs of a dict as attributes of an XML element.", "{'id': 5, 'x': none} | xmlattr", ` id="5"`},
}

var testManuals = [][4]string{
	{"boolean", "A boolean.", "true is boolean", "True"},
	{"callable", "Something that can be called.", "range is callable", "True"},
	{"defined", "Whether a variable or attribute exists.", "nope is defined", "False"},
	{"divisibleby", "Divisible by a number.", "6 is divisibleby(3)", "True"},
	{"escaped", "A text marked as safe.", "'a' | escape is escaped", "True"},
	{"even", "An even number.", "2 is even", "True"},
	{"false", "The boolean false.", "0 is false", "False"},
	{"filter", "The name of a filter.", "'upper' is filter", "True"},
	{"float", "A floating point number.", "1.5 is float", "True"},
	{"integer", "An integer; a boolean is none.", "5 is integer", "True"},
	{"iterable", "Something with items: lists, dicts, texts.", "'ab' is iterable", "True"},
	{"lower", "A text in lower case.", "'ab' is lower", "True"},
	{"mapping", "A dict.", "{} is mapping", "True"},
	{"none", "None, which YAML writes null.", "none is none", "True"},
	{"number", "A number; a boolean is one too.", "1.5 is number", "True"},
	{"odd", "An odd number.", "3 is odd", "True"},
	{"sameas", "The same object.", "true is sameas(true)", "True"},
	{"sequence", "Something with a length and items: lists, texts, dicts.", "[1] is sequence", "True"},
	{"string", "A text.", "'a' is string", "True"},
	{"test", "The name of a test.", "'odd' is test", "True"},
	{"true", "The boolean true.", "1 is true", "False"},
	{"undefined", "Whether a variable or attribute is missing.", "nope is undefined", "True"},
	{"upper", "A text in upper case.", "'AB' is upper", "True"},
	{"eq equalto ==", "Equal.", "1 is eq(1.0)", "True"},
	{"ne !=", "Not equal.", "1 is ne(2)", "True"},
	{"lt lessthan <", "Less.", "1 is lt(2)", "True"},
	{"le <=", "Less or equal.", "2 is le(2)", "True"},
	{"gt greaterthan >", "Greater.", "2 is gt(1)", "True"},
	{"ge >=", "Greater or equal.", "2 is ge(2)", "True"},
	{"in", "An item, key or part of something.", "1 is in([1, 2])", "True"},
}
