package filter

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/pyre"
	"orch/playbook/vault"
)

var matchTests = []def{
	{
		names: "match", sig: "pattern='', ignorecase=False, multiline=False", test: regexTest("match"),
		doc:      "Whether a Python regular expression matches at the start of a text.",
		examples: []string{"{{ 'foobar' is match('foo') }}", "True", "{{ 'foobar' is match('bar') }}", "False"},
	},
	{
		names: "search", sig: "pattern='', ignorecase=False, multiline=False", test: regexTest("search"),
		doc:      "Whether a Python regular expression matches anywhere in a text.",
		examples: []string{"{{ 'foobar' is search('BAR', ignorecase=true) }}", "True"},
	},
	{
		names: "regex", sig: "pattern='', ignorecase=False, multiline=False, match_type='search'", test: regexTest(""),
		doc:      "Whether a Python regular expression matches a text by the method match_type: search, match or fullmatch.",
		examples: []string{"{{ 'foobar' is regex('^f.*r$') }}", "True", "{{ 'foobar' is regex('foo', match_type='fullmatch') }}", "False"},
	},
	{
		names: "version version_compare", sig: "version, operator='eq', strict=None, version_type=None", test: versionTest,
		doc: "Compares versions by an operator: ==, !=, <, <=, >, >= or eq, ne, lt, le, gt, ge. version_type is loose (default), strict, " +
			"semver (semantic) or pep440.",
		examples: []string{
			"{{ '1.10' is version('1.9', '>') }}", "True",
			"{{ '1.0.0-rc.1' is version('1.0.0', 'lt', version_type='semver') }}", "True",
		},
	},
}

var logicTests = []def{
	{
		names: "any", test: anyTest,
		doc:      "Whether any item of a list is true.",
		examples: []string{"{{ [0, 1] is any }}", "True"},
	},
	{
		names: "all", test: allTest,
		doc:      "Whether all items of a list are true.",
		examples: []string{"{{ [0, 1] is all }}", "False"},
	},
	{
		names: "truthy", sig: "convert_bool=False", test: truthy,
		doc:      "Whether a value is true as Python sees it; convert_bool takes yes, no, on, off and the like as what they say.",
		examples: []string{"{{ 'no' is truthy }}", "True", "{{ 'no' is truthy(convert_bool=true) }}", "False"},
	},
	{
		names: "falsy", sig: "convert_bool=False", test: not(truthy),
		doc:      "The opposite of truthy.",
		examples: []string{"{{ '' is falsy }}", "True"},
	},
	{
		names: "vault_encrypted", test: vaultEncrypted,
		doc:      "Whether a value is a single encrypted string (!vault).",
		examples: []string{"{{ 'x' is vault_encrypted }}", "False", "{{ ('x' | vault('pw', wrap_object=true)) is vault_encrypted }}", "True"},
	},
	{
		names: "vaulted_file", test: vaultedFile,
		doc:      "Whether a file on the controller is encrypted by ansible-vault.",
		examples: []string{"{{ '/dev/null' is vaulted_file }}", "False"},
	},
}

var fileTests = []def{
	{
		names: "directory is_dir", test: stat(os.Stat, func(i os.FileInfo) bool { return i.IsDir() }),
		doc:      "Whether a path on the controller is a folder; links are followed.",
		examples: []string{"{{ '/' is directory }}", "True"},
	},
	{
		names: "file is_file", test: stat(os.Stat, func(i os.FileInfo) bool { return i.Mode().IsRegular() }),
		doc:      "Whether a path on the controller is a regular file; links are followed.",
		examples: []string{"{{ '/' is file }}", "False"},
	},
	{
		names: "link is_link", test: stat(os.Lstat, func(i os.FileInfo) bool { return i.Mode()&os.ModeSymlink != 0 }),
		doc:      "Whether a path on the controller is a symbolic link.",
		examples: []string{"{{ '/' is link }}", "False"},
	},
	{
		names: "exists", test: stat(os.Stat, func(os.FileInfo) bool { return true }),
		doc:      "Whether a path exists on the controller; a dangling link does not.",
		examples: []string{"{{ '/no/such/path' is exists }}", "False"},
	},
	{
		names: "link_exists", test: stat(os.Lstat, func(os.FileInfo) bool { return true }),
		doc:      "Whether a path exists on the controller, even as a dangling link.",
		examples: []string{"{{ '/' is link_exists }}", "True"},
	},
	{
		names: "abs is_abs", test: isAbs,
		doc:      "Whether a path is absolute.",
		examples: []string{"{{ 'etc/x' is abs }}", "False"},
	},
	{
		names: "same_file is_same_file", sig: "path", test: sameFile,
		doc:      "Whether two paths lead to the same file on the controller.",
		examples: []string{"{{ '/' is same_file('/..') }}", "True"},
	},
	{
		names: "mount is_mount", test: isMount,
		doc:      "Whether a path on the controller is a mount point.",
		examples: []string{"{{ '/' is mount }}", "True"},
	},
}

var setTests = []def{
	{
		names: "subset issubset", sig: "b", test: setTest(func(a, b *set) bool { return len(a.keep(b, false)) == 0 }),
		doc:      "Whether all items of a list are in the other.",
		examples: []string{"{{ [1] is subset([1, 2]) }}", "True"},
	},
	{
		names: "superset issuperset", sig: "b", test: setTest(func(a, b *set) bool { return len(b.keep(a, false)) == 0 }),
		doc:      "Whether a list holds all items of the other.",
		examples: []string{"{{ [1, 2] is superset([3]) }}", "False"},
	},
	{
		names: "contains", sig: "value", test: func(c *call) (bool, error) { return value.Contains(c.in, c.args[0]) },
		doc:      "Whether a list or text holds a value: `in`, the other way round, for selectattr.",
		examples: []string{"{{ ['a', 'b'] is contains('a') }}", "True"},
	},
	{
		names: "nan isnan", test: isNaN,
		doc:      "Whether a number is not a number.",
		examples: []string{"{{ ('nan' | float) is nan }}", "True"},
	},
}

var uriTests = []def{
	{
		names: "uri", sig: "schemes=None", test: func(c *call) (bool, error) { return isURI(c, schemesOf(c)) },
		doc:      "Whether a text can be taken apart as a URI, of one of the schemes if given.",
		examples: []string{"{{ 'http://x.org' is uri(['https']) }}", "False"},
	},
	{
		names: "url", sig: "schemes=None", test: isURL,
		doc:      "Whether a text is a URL: a URI with a host, or of the scheme file.",
		examples: []string{"{{ 'https://x.org/a' is url }}", "True", "{{ 'x.org' is url }}", "False"},
	},
	{
		names: "urn", test: func(c *call) (bool, error) { return isURI(c, []string{"urn"}) },
		doc:      "Whether a text is a URN.",
		examples: []string{"{{ 'urn:isbn:302' is urn }}", "True"},
	},
}

func regexTest(kind string) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		s, err := c.inputText()
		if err != nil {
			return false, err
		}
		re, err := compileRegex(c.args[0], c.truth(1), c.truth(2))
		if err != nil {
			return false, err
		}
		how := kind
		if how == "" {
			how = value.String(c.args[3])
		}
		find := map[string]func(string) (*pyre.Match, error){"search": re.Search, "match": re.Match, "fullmatch": re.FullMatch}[how]
		if find == nil {
			return false, badChoice("match_type", how, "search", "match", "fullmatch")
		}
		m, err := find(s)
		return m != nil, err
	}
}

// truths walks the truth of the items until one is until.
func truths(c *call, until bool) (bool, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return false, err
	}
	var unknown error
	for _, item := range items {
		if u, ok := item.(*value.Undefined); ok && !u.Lenient {
			return false, &value.UndefinedError{U: u}
		}
		ok, err := known(item)
		if err != nil {
			unknown = err
			continue
		}
		if ok == until {
			return true, nil
		}
	}
	return false, unknown
}

func anyTest(c *call) (bool, error) { return truths(c, true) }

func allTest(c *call) (bool, error) {
	found, err := truths(c, false)
	return !found, err
}

func truthy(c *call) (bool, error) {
	if c.truth(0) {
		if b, ok := lenientBool(c.in); ok {
			return b, nil
		}
	}
	return value.Truth(c.in), nil
}

// lenientBool reads what module arguments may say for true and false.
func lenientBool(v value.Value) (result, ok bool) {
	if s, isStr := asStr(v); isStr {
		switch strings.TrimSpace(value.Lower(s)) {
		case "y", "yes", "on", "1", "true", "t":
			return true, true
		case "n", "no", "off", "0", "false", "f":
			return false, true
		}
		return false, false
	}
	switch {
	case value.Equal(v, value.Int(1)):
		return true, true
	case value.Equal(v, value.Int(0)):
		return false, true
	}
	return false, false
}

func vaultEncrypted(c *call) (bool, error) {
	if s, ok := c.in.(value.Str); ok {
		return s.Vaulted, nil
	}
	_, ok := c.in.(value.Sealed)
	return ok, nil
}

func vaultedFile(c *call) (bool, error) {
	path, err := c.input()
	if err != nil {
		return false, err
	}
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("cannot test if the file %s is a vault: %w", path, err)
	}
	defer func() { _ = f.Close() }() // only read
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err != nil && n == 0 {
		return false, nil
	}
	return vault.Is(bytes.TrimRight(head[:n], "\x00")), nil
}

func stat(do func(string) (os.FileInfo, error), is func(os.FileInfo) bool) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		path, err := c.input()
		if err != nil {
			return false, err
		}
		info, err := do(path)
		return err == nil && is(info), nil
	}
}

func isAbs(c *call) (bool, error) {
	s, err := c.input()
	return strings.HasPrefix(s, "/"), err
}

func sameFile(c *call) (bool, error) {
	a, err := c.input()
	if err != nil {
		return false, err
	}
	b, err := c.str(0)
	if err != nil {
		return false, err
	}
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y), err
}

func setTest(do func(a, b *set) bool) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		var sets [2]*set
		for i, v := range []value.Value{c.in, c.args[0]} {
			items, err := value.Items(v)
			if err != nil {
				return false, err
			}
			for _, item := range items {
				if u, ok := item.(value.Unknown); ok {
					return false, &value.UnknownError{U: u}
				}
				if err := value.Hashable(item); err != nil {
					return false, err
				}
			}
			sets[i] = newSet(items)
		}
		return do(sets[0], sets[1]), nil
	}
}

func isNaN(c *call) (bool, error) {
	f, ok := asFloat(c.in)
	return ok && math.IsNaN(f), nil
}

func schemesOf(c *call) []string {
	if !c.truth(0) {
		return nil
	}
	items, _ := value.Items(c.args[0])
	var out []string
	for _, item := range items {
		out = append(out, value.String(item))
	}
	return out
}

// parseURI takes a test's value apart; false for what Python cannot parse.
func parseURI(c *call) (splitURL, bool) {
	if !value.Truth(c.in) {
		return splitURL{}, true // Python parses nothing as an empty URL
	}
	s, ok := asStr(c.in)
	if !ok {
		return splitURL{}, false
	}
	u, err := urlsplit(s)
	return u, err == nil
}

func isURI(c *call, schemes []string) (bool, error) {
	u, ok := parseURI(c)
	return ok && (len(schemes) == 0 || slices.Contains(schemes, u.scheme)), nil
}

func isURL(c *call) (bool, error) {
	if ok, err := isURI(c, schemesOf(c)); !ok || err != nil {
		return false, err
	}
	u, _ := parseURI(c)
	return u.netloc != "" || u.scheme == "file", nil
}
