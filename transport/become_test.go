package transport_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orch/transport"
	"orch/transport/local"
	"orch/transport/transporttest"
)

// fakeSudo behaves like sudo does in one respect or another, without its rights.
// $BEHAVIOUR says which.
const fakeSudo = `#!/bin/sh
prompt= ask=1
while [ $# -gt 0 ]; do
	case $1 in
	-n) ask=;;
	-p) prompt=$2; shift;;
	-u) user=$2; shift;;
	--) shift; break;;
	esac
	shift
done
case $BEHAVIOUR in
cached) exec "$@";;
notty) [ -t 1 ] || { echo "sudo: sorry, you must have a tty to run sudo" >&2; exit 1; };;
sudoers) echo "me is not in the sudoers file." >&2; exit 1;;
nouser) echo "sudo: unknown user $user" >&2; exit 1;;
silent) exec sleep 60;;
odd) echo "sudo: the moon is full" >&2; exit 9;;
lecture) echo "We trust you have received the usual lecture" >&2; echo "some noise";;
esac
[ -n "$ask" ] || { echo "sudo: a password is required" >&2; exit 1; }
for try in 1 2 3; do
	printf %s "$prompt" >&2
	IFS= read -r word || exit 1
	[ "$word" = "pass word" ] && exec "$@"
	echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2
exit 1
`

func fake(t *testing.T, behaviour, password string) transport.Conn {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "sudo")
	if err := os.WriteFile(exe, []byte(fakeSudo), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BEHAVIOUR", behaviour)
	conn, err := transport.As(local.New(), transport.Become{Method: "sudo", User: "somebody", Password: password, Exe: exe})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestBecomeWithPassword(t *testing.T) {
	for _, behaviour := range []string{"plain", "lecture"} {
		t.Run(behaviour, func(t *testing.T) {
			transporttest.Run(t, transporttest.Options{Starts: 10}, func(*testing.T) transport.Conn { return fake(t, behaviour, "pass word") })
		})
	}
	// No question, no answer: the password must not become the command's input.
	conn := fake(t, "cached", "pass word")
	out, _, _, err := transporttest.Output(t.Context(), conn, transport.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader("in")})
	if err != nil || out != "in" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestBecomeThroughATerminal(t *testing.T) {
	transporttest.Run(t, transporttest.Options{Merged: true, Big: 64 << 10, Starts: 5}, func(t *testing.T) transport.Conn {
		return fake(t, "notty", "pass word")
	})
}

func TestBecomeRefused(t *testing.T) {
	for _, c := range []struct{ behaviour, password, want string }{
		{"plain", "wrong", "local: become somebody: incorrect sudo password"},
		{"plain", "", "sudo wants a password and none is given: sudo: a password is required\nhint: set ansible_become_password"},
		{"sudoers", "pass word", "the login may not use sudo for that: me is not in the sudoers file."},
		{"nouser", "", "there is no such user for sudo"},
		{"odd", "", "sudo ended before the command started: sudo: the moon is full"},
	} {
		begin := time.Now()
		_, err := fake(t, c.behaviour, c.password).Start(t.Context(), transport.Cmd{Argv: []string{"true"}})
		var refused *transport.BecomeError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %q: %v, want %q", c.behaviour, c.password, err, c.want)
		}
		if c.password != "" && strings.Contains(err.Error(), c.password) {
			t.Errorf("the password is in %q", err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s took %v", c.behaviour, took)
		}
	}
}

func TestBecomeMissing(t *testing.T) {
	for _, method := range []string{"sudo", "su", "doas"} {
		conn, err := transport.As(local.New(), transport.Become{Method: method, Exe: "/no/such/" + method})
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Start(t.Context(), transport.Cmd{Argv: []string{"true"}})
		var refused *transport.BecomeError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), method+" is not installed") {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestBecomeSettings(t *testing.T) {
	for want, b := range map[string]transport.Become{
		`become method "pbrun" is not supported: one of sudo, su, doas`: {Method: "pbrun"},
		`become flags "-H '": a single quote is not closed`:             {Method: "sudo", Flags: "-H '"},
	} {
		if _, err := transport.As(local.New(), b); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	conn := local.New()
	if same, err := transport.As(conn, transport.Become{User: "root"}); err != nil || same != conn {
		t.Error("no method is no become")
	}
	as, err := transport.As(conn, transport.Become{Method: "sudo"})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := as.(transport.Filer); ok {
		t.Error("become offers the login's file channel")
	}
}
