package modules

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Raw is a JSON value of any shape, for arguments whose type is "raw".
type Raw []byte

// MarshalJSON implements json.Marshaler.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Raw) UnmarshalJSON(text []byte) error {
	*r = nil
	if string(text) != "null" {
		*r = append(Raw(nil), text...)
	}
	return nil
}

// A Mode is a file mode as authors write it: octal ("0644"), symbolic ("u=rwX,g-w"), the
// word "preserve", or "" for none given.
type Mode string

// Preserve is the mode that means: as the source has it.
const Preserve Mode = "preserve"

// ModeOf is the Mode of a number: YAML's 0644 arrives as 420.
func ModeOf(n int64) Mode { return Mode(fmt.Sprintf("%#04o", n)) }

// ParseMode checks a mode given as text. As in Ansible, digits are octal, so that "0644"
// and "644" are one mode; only a number written without quotes can go wrong.
func ParseMode(text string) (Mode, error) {
	if text == "" || text == string(Preserve) {
		return Mode(text), nil
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32); err == nil {
		if n > 0o7777 {
			return "", fmt.Errorf("mode %q has more than four octal digits", text)
		}
		return ModeOf(int64(n)), nil
	}
	if _, err := Mode(text).apply(0, false, 0); err != nil {
		return "", err
	}
	return Mode(text), nil
}

// Apply gives the permissions (with setuid, setgid and sticky) of a file that has those
// of old now. umask counts where a symbolic mode names nobody ("+x").
func (m Mode) Apply(old fs.FileMode, umask int) (fs.FileMode, error) {
	bits, err := m.apply(UnixMode(old), old.IsDir(), uint32(umask))
	return FromUnixMode(bits), err
}

func (m Mode) apply(cur uint32, dir bool, umask uint32) (uint32, error) {
	if n, err := strconv.ParseUint(string(m), 8, 32); err == nil {
		return uint32(n) & 0o7777, nil
	}
	for clause := range strings.SplitSeq(string(m), ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return 0, fmt.Errorf("mode must be in octal or symbolic form, got %q", string(m))
		}
		who, mask := clause[:at], uint32(0o7777)
		if who == "" {
			mask = 0o7777 &^ umask
		}
		if who == "" || who == "a" {
			who = "ugo"
		}
		for rest := clause[at:]; rest != ""; {
			op, perms := rest[0], rest[1:]
			if end := strings.IndexAny(perms, "+-="); end >= 0 {
				perms, rest = perms[:end], perms[end:]
			} else {
				rest = ""
			}
			if bad := strings.Trim(who, "ugo"); bad != "" {
				return 0, fmt.Errorf("bad symbolic permission for mode: %s", clause)
			}
			// Every letter of who sees the mode the letters before it made, as in Ansible.
			for _, u := range []byte(who) {
				bits, err := permBits(u, perms, cur, mask, dir)
				if err != nil {
					return 0, fmt.Errorf("bad symbolic permission for mode: %s", clause)
				}
				cur = operate(u, op, bits, cur)
			}
		}
	}
	return cur, nil
}

var shift = map[byte]uint32{'u': 6, 'g': 3, 'o': 0}

// permBits turns letters into bits of one of user, group and others. As in Ansible the
// umask takes from r, w and x only.
func permBits(who byte, perms string, cur, mask uint32, dir bool) (bits uint32, err error) {
	for _, p := range []byte(perms) {
		switch p {
		case 'r':
			bits |= 4 << shift[who] & mask
		case 'w':
			bits |= 2 << shift[who] & mask
		case 'x':
			bits |= 1 << shift[who] & mask
		case 'X':
			if dir || cur&0o111 != 0 {
				bits |= 1 << shift[who]
			}
		case 's':
			bits |= map[byte]uint32{'u': 0o4000, 'g': 0o2000}[who]
		case 't':
			bits |= map[byte]uint32{'o': 0o1000}[who]
		case 'u', 'g', 'o':
			bits |= cur >> shift[p] & 7 << shift[who]
		default:
			return 0, fmt.Errorf("permission %q", p)
		}
	}
	return bits, nil
}

func operate(who, op byte, bits, cur uint32) uint32 {
	switch op {
	case '+':
		return cur | bits
	case '-':
		return cur &^ bits
	}
	own := map[byte]uint32{'u': 0o4700, 'g': 0o2070, 'o': 0o1007}[who]
	return cur&^own | bits
}

// UnixMode gives the twelve permission bits of m as chmod counts them.
func UnixMode(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// FromUnixMode is the reverse of UnixMode.
func FromUnixMode(bits uint32) fs.FileMode {
	m := fs.FileMode(bits & 0o777)
	if bits&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if bits&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if bits&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// A Whole is a number without its fraction, read as Python's int() reads one: 0.5 is 0, a
// text is digits.
type Whole int64
