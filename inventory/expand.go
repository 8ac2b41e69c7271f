package inventory

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
)

// maxRange bounds what one host range may expand to.
const maxRange = 1_000_000

// implicit makes the host nobody declared. Its interpreter is the Python of this machine,
// where there is one (ansible-core 2.18: that of ansible itself).
func implicit(name string) *Host {
	h := &Host{Name: name, Implicit: true, Vars: value.D("ansible_connection", value.S("local"))}
	if python, err := exec.LookPath("python3"); err == nil {
		h.Vars.SetStr("ansible_python_interpreter", value.S(python))
	}
	return h
}

// SplitPort splits "name:port". IPv6 addresses need brackets to carry a port.
func SplitPort(s string) (name string, port int, err error) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if addr, tail, ok := strings.Cut(rest, "]"); ok && (tail == "" || tail[0] == ':') && strings.Contains(addr, ":") && !isRange(addr) {
			if tail == "" {
				return addr, 0, nil
			}
			port, err = parsePort(tail[1:])
			return addr, port, err
		}
	}
	depth, at, colons := 0, -1, 0
	for i, c := range s {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		case ':':
			if depth == 0 {
				at, colons = i, colons+1
			}
		}
	}
	if colons != 1 {
		return s, 0, nil
	}
	port, err = parsePort(s[at+1:])
	return s[:at], port, err
}

func isRange(s string) bool {
	parts := strings.Split(s, ":")
	return len(parts) <= 3 && strings.Trim(parts[0]+parts[1], "0123456789") == "" && !strings.Contains(s, "::")
}

func parsePort(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("invalid port %q, want 1 to 65535", s)
	}
	return n, nil
}

// Expand lists the names of a host pattern of an inventory: "db[01:10:2].x", "[a:f]".
func Expand(pattern string) ([]string, error) {
	open := strings.IndexByte(pattern, '[')
	if open < 0 {
		return []string{pattern}, nil
	}
	size := strings.IndexByte(pattern[open:], ']')
	if size < 0 {
		return nil, fmt.Errorf("host range %q has no closing bracket", pattern)
	}
	inner := pattern[open+1 : open+size]
	parts := strings.Split(inner, ":")
	if len(parts) < 2 || len(parts) > 3 {
		return nil, rangeErrorf("host range must be begin:end or begin:end:step, not %q", inner)
	}
	step := 1
	if len(parts) == 3 {
		n, err := strconv.Atoi(parts[2])
		if err != nil || n < 1 {
			return nil, fmt.Errorf("host range step %q is no positive number", parts[2])
		}
		step = n
	}
	items, err := sequence(parts[0], parts[1], step)
	if err != nil {
		return nil, err
	}
	tails, err := Expand(pattern[open+size+1:])
	if err != nil {
		return nil, err
	}
	if len(items)*len(tails) > maxRange {
		return nil, fmt.Errorf("host range %q makes more than %d hosts", pattern, maxRange)
	}
	names := make([]string, 0, len(items)*len(tails))
	for _, item := range items {
		for _, tail := range tails {
			names = append(names, pattern[:open]+item+tail)
		}
	}
	return names, nil
}

// A rangeError is a mistake after which advanced_host_list takes the text for a name
// (ansible-core 2.18: AnsibleError; what Python itself refuses fails the source).
type rangeError struct{ msg string }

// Error implements error.
func (e *rangeError) Error() string { return e.msg }

func rangeErrorf(format string, args ...any) error { return &rangeError{fmt.Sprintf(format, args...)} }

// sequence lists first to last: numbers (zero-padded when first is), or letters.
func sequence(first, last string, step int) ([]string, error) {
	if first == "" {
		first = "0"
	}
	if last == "" {
		return nil, rangeErrorf("host range must specify end value")
	}
	var items []string
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(last)
	switch {
	case errA == nil && errB == nil:
		width := 0
		if len(first) > 1 && first[0] == '0' {
			if width = len(first); len(last) != width {
				return nil, rangeErrorf("host range must specify equal-length begin and end formats, not %q and %q", first, last)
			}
		}
		if a > b {
			return nil, fmt.Errorf("host range must have begin <= end, not %s:%s", first, last)
		}
		more := (uint64(b) - uint64(a)) / uint64(step) // b-a may be more than an int holds
		if more >= maxRange {
			return nil, fmt.Errorf("host range %s:%s makes more than %d hosts", first, last, maxRange)
		}
		for i := range int(more) + 1 {
			items = append(items, fmt.Sprintf("%0*d", width, a+i*step))
		}
	case len(first) == 1 && len(last) == 1 && isLetter(first[0]) && isLetter(last[0]):
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		i, j := strings.Index(letters, first), strings.Index(letters, last)
		if i > j {
			return nil, rangeErrorf("host range must have begin <= end, not %s:%s", first, last)
		}
		for n := range (j-i)/step + 1 {
			items = append(items, letters[i+n*step:i+n*step+1])
		}
	default:
		return nil, fmt.Errorf("host range %s:%s is neither numbers nor letters", first, last)
	}
	return items, nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
