package filter

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

var versionOperators = map[string]string{
	"==": "eq", "=": "eq", "eq": "eq", "<": "lt", "lt": "lt", "<=": "le", "le": "le",
	">": "gt", "gt": "gt", ">=": "ge", "ge": "ge", "!=": "ne", "<>": "ne", "ne": "ne",
}

// A versionOrder compares two versions; those of different form may have no order.
type versionOrder func(a, b string) (int, error)

var versionTypes = map[string]versionOrder{
	"loose": compareLoose, "strict": compareStrict, "semver": compareSemver, "semantic": compareSemver, "pep440": comparePEP440,
}

func versionTest(c *call) (bool, error) {
	if c.args[2] != (value.None{}) && c.args[3] != (value.None{}) {
		return false, fmt.Errorf("cannot specify both 'strict' and 'version_type'")
	}
	if !value.Truth(c.in) {
		return false, fmt.Errorf("input version value cannot be empty")
	}
	if !c.truth(0) {
		return false, fmt.Errorf("version parameter to compare against cannot be empty")
	}
	order := versionOrder(compareLoose)
	switch {
	case c.truth(2):
		order = compareStrict
	case c.truth(3):
		if order = versionTypes[value.String(c.args[3])]; order == nil {
			return false, badChoice("version type", value.String(c.args[3]), "loose", "strict", "semver", "semantic", "pep440")
		}
	}
	op := versionOperators[value.String(c.args[1])]
	if op == "" {
		return false, badChoice("version operator", value.String(c.args[1]),
			"==", "=", "eq", "<", "lt", "<=", "le", ">", "gt", ">=", "ge", "!=", "<>", "ne")
	}
	a, err := c.inputText()
	if err != nil {
		return false, err
	}
	b, err := text(c.args[0])
	if err != nil {
		return false, err
	}
	n, err := order(a, b)
	if err != nil {
		return false, fmt.Errorf("version comparison failed: %w", err)
	}
	switch op {
	case "eq":
		return n == 0, nil
	case "ne":
		return n != 0, nil
	case "lt":
		return n < 0, nil
	case "le":
		return n <= 0, nil
	case "gt":
		return n > 0, nil
	}
	return n >= 0, nil
}

// compareLoose is distutils' LooseVersion: runs of digits and of lower case letters, and
// what is between them; dots only separate. A number and a text have no order.
func compareLoose(a, b string) (int, error) {
	return value.Compare(looseParts(a), looseParts(b))
}

var loosePart = source.Lazy(`\d+|[a-z]+|\.|[^\da-z.]+`)

func looseParts(s string) *value.List {
	l := value.NewList()
	for _, part := range loosePart().FindAllString(s, -1) {
		if part == "." {
			continue
		}
		if part[0] >= '0' && part[0] <= '9' {
			n, _ := new(big.Int).SetString(part, 10)
			l.Items = append(l.Items, value.NewBig(n))
			continue
		}
		l.Items = append(l.Items, value.S(part))
	}
	return l
}

var strictForm = source.Lazy(`^(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?$`)

// compareStrict is distutils' StrictVersion: 1.2, 1.2.3, 1.2a1.
func compareStrict(a, b string) (int, error) {
	var keys [2]value.Value
	for i, s := range []string{a, b} {
		m := strictForm().FindStringSubmatch(s)
		if m == nil {
			return 0, fmt.Errorf("invalid version number '%s'", s)
		}
		pre := value.Tuple{value.S("z"), value.Int(0)} // a final version is after its pre-releases
		if m[4] != "" {
			pre = value.Tuple{value.S(m[4]), bigNumber(m[5])}
		}
		keys[i] = value.Tuple{bigNumber(m[1]), bigNumber(m[2]), bigNumber("0" + m[3]), pre}
	}
	return value.Compare(keys[0], keys[1])
}

func bigNumber(digits string) value.Value {
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return value.Int(0)
	}
	return value.NewBig(n)
}

// semverForm is the grammar of semver.org.
var semverForm = source.Lazy(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$`)

func compareSemver(a, b string) (int, error) {
	var m [2][]string
	for i, s := range []string{a, b} {
		if m[i] = semverForm().FindStringSubmatch(s); m[i] == nil {
			return 0, fmt.Errorf("invalid semantic version '%s'", s)
		}
	}
	for i := 1; i <= 3; i++ {
		if n, err := value.Compare(bigNumber(m[0][i]), bigNumber(m[1][i])); n != 0 || err != nil {
			return n, err
		}
	}
	x, y := m[0][4], m[1][4]
	switch {
	case x == y:
		return 0, nil
	case x == "":
		return 1, nil
	case y == "":
		return -1, nil
	}
	return comparePrerelease(strings.Split(x, "."), strings.Split(y, ".")), nil
}

// comparePrerelease: numbers before words, fewer parts before more.
func comparePrerelease(x, y []string) int {
	return slices.CompareFunc(x, y, func(a, b string) int {
		an, bn := strings.Trim(a, "0123456789") == "", strings.Trim(b, "0123456789") == ""
		switch {
		case an && bn:
			n, _ := value.Compare(bigNumber(a), bigNumber(b))
			return n
		case an:
			return -1
		case bn:
			return 1
		}
		return strings.Compare(a, b)
	})
}

// pep440Form is the grammar of Python package versions.
var pep440Form = source.Lazy(`(?i)^\s*v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)[-_.]?(?P<pren>[0-9]+)?)?` +
	`(?:-(?P<post1>[0-9]+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post2>[0-9]+)?)?` +
	`(?:[-_.]?(?P<dev>dev)[-_.]?(?P<devn>[0-9]+)?)?(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$`)

func comparePEP440(a, b string) (int, error) {
	x, err := pep440Key(a)
	if err != nil {
		return 0, err
	}
	y, err := pep440Key(b)
	if err != nil {
		return 0, err
	}
	return value.Compare(x, y)
}

// pep440Key makes a tuple that orders as PEP 440 says. Parts that are missing become
// pairs whose first item puts them before or after those that are there.
func pep440Key(s string) (value.Value, error) {
	m := pep440Form().FindStringSubmatch(s)
	if m == nil {
		return nil, fmt.Errorf("invalid version: '%s'", s)
	}
	part := func(name string) string { return strings.ToLower(m[pep440Form().SubexpIndex(name)]) }
	var release value.Tuple
	for _, n := range strings.Split(part("release"), ".") {
		release = append(release, bigNumber(n))
	}
	for len(release) > 1 && value.Equal(release[len(release)-1], value.Int(0)) {
		release = release[:len(release)-1]
	}
	hasPost := part("post1") != "" || part("post") != ""
	hasDev := part("dev") != ""
	const before, here, after = value.Int(-1), value.Int(0), value.Int(1)
	pre := value.Tuple{after}
	switch {
	case part("pre") != "":
		kind := map[string]string{"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}[part("pre")]
		if kind == "" {
			kind = part("pre")
		}
		pre = value.Tuple{here, value.S(kind), bigNumber(part("pren"))}
	case !hasPost && hasDev:
		pre = value.Tuple{before}
	}
	post := value.Tuple{before}
	if hasPost {
		post = value.Tuple{here, bigNumber(part("post1") + part("post2"))}
	}
	dev := value.Tuple{after}
	if hasDev {
		dev = value.Tuple{here, bigNumber(part("devn"))}
	}
	return value.Tuple{bigNumber(part("epoch")), release, pre, post, dev, pep440Local(part("local"))}, nil
}

func pep440Local(s string) value.Value {
	local := value.Tuple{}
	if s == "" {
		return local
	}
	for _, p := range strings.FieldsFunc(s, func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		if strings.Trim(p, "0123456789") == "" {
			local = append(local, value.Tuple{value.Int(1), bigNumber(p)})
		} else {
			local = append(local, value.Tuple{value.Int(0), value.S(p)})
		}
	}
	return local
}
