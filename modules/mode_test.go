package modules

import (
	"io/fs"
	"testing"
)

// The expectations were recorded from ansible-core, with umask 022.
func TestSymbolicModes(t *testing.T) {
	for _, c := range []struct {
		mode string
		old  uint32
		dir  bool
		want uint32
	}{
		{"u=rwx,g=rx,o=", 0o644, false, 0o750},
		{"u=rwx,g=rx,o=", 0o755, false, 0o750},
		{"u=rwx,g=rx,o=", 0o750, true, 0o750},
		{"u=rwx,g=rx,o=", 0o6711, false, 0o750},
		{"+x", 0o644, false, 0o755},
		{"+x", 0o755, false, 0o755},
		{"+x", 0o750, true, 0o751},
		{"+x", 0o6711, false, 0o6711},
		{"a+X", 0o644, false, 0o644},
		{"a+X", 0o755, false, 0o755},
		{"a+X", 0o750, true, 0o751},
		{"a+X", 0o6711, false, 0o6711},
		{"u+s,g+s,o+t", 0o644, false, 0o7644},
		{"u+s,g+s,o+t", 0o755, false, 0o7755},
		{"u+s,g+s,o+t", 0o750, true, 0o7750},
		{"u+s,g+s,o+t", 0o6711, false, 0o7711},
		{"-w", 0o644, false, 0o444},
		{"-w", 0o755, false, 0o555},
		{"-w", 0o750, true, 0o550},
		{"-w", 0o6711, false, 0o6511},
		{"u=rw-x+X,g=r-x+X,o=r-x+X", 0o644, false, 0o644},
		{"u=rw-x+X,g=r-x+X,o=r-x+X", 0o755, false, 0o755},
		{"u=rw-x+X,g=r-x+X,o=r-x+X", 0o750, true, 0o755},
		{"u=rw-x+X,g=r-x+X,o=r-x+X", 0o6711, false, 0o755},
		{"g=u", 0o644, false, 0o664},
		{"g=u", 0o755, false, 0o775},
		{"g=u", 0o750, true, 0o770},
		{"g=u", 0o6711, false, 0o4771},
		{"o=g-w", 0o644, false, 0o644},
		{"o=g-w", 0o755, false, 0o755},
		{"o=g-w", 0o750, true, 0o755},
		{"o=g-w", 0o6711, false, 0o6711},
		{"a=", 0o644, false, 0o0},
		{"a=", 0o755, false, 0o0},
		{"a=", 0o750, true, 0o0},
		{"a=", 0o6711, false, 0o0},
		{"u-s", 0o644, false, 0o644},
		{"u-s", 0o755, false, 0o755},
		{"u-s", 0o750, true, 0o750},
		{"u-s", 0o6711, false, 0o2711},
		{"=rx", 0o644, false, 0o555},
		{"=rx", 0o755, false, 0o555},
		{"=rx", 0o750, true, 0o555},
		{"=rx", 0o6711, false, 0o555},
		{"ugo+w", 0o644, false, 0o666},
		{"ugo+w", 0o755, false, 0o777},
		{"ugo+w", 0o750, true, 0o772},
		{"ugo+w", 0o6711, false, 0o6733},
		{"g+u,o=g", 0o644, false, 0o666},
		{"g+u,o=g", 0o755, false, 0o777},
		{"g+u,o=g", 0o750, true, 0o777},
		{"g+u,o=g", 0o6711, false, 0o6777},
	} {
		m, err := ParseMode(c.mode)
		if err != nil {
			t.Errorf("%s: %v", c.mode, err)
			continue
		}
		old := FromUnixMode(c.old)
		if c.dir {
			old |= fs.ModeDir
		}
		got, err := m.Apply(old, 0o022)
		if err != nil || UnixMode(got) != c.want {
			t.Errorf("%s on %o (dir %v): got %o, %v, want %o", c.mode, c.old, c.dir, UnixMode(got), err, c.want)
		}
	}
}

func TestParseMode(t *testing.T) {
	for text, want := range map[string]Mode{"644": "0644", "0644": "0644", "0o755": "0755", "2750": "02750", "preserve": Preserve, "": "", "u+x": "u+x"} {
		if got, err := ParseMode(text); got != want || err != nil {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"rw", "888", "17777", "u+q", "z=r"} {
		if m, err := ParseMode(text); err == nil {
			t.Errorf("%q is mode %q", text, m)
		}
	}
	if got := ModeOf(0o644); got != "0644" {
		t.Errorf("ModeOf: %s", got)
	}
}
