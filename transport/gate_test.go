package transport

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// The output arrives in pieces of any size: every cut must give the same.
func TestGateAtEveryCut(t *testing.T) {
	for at := range 60 {
		var out, errOut bytes.Buffer
		l := newLaunch(Cmd{Argv: []string{"x"}, Stdout: &out, Stderr: &errOut})
		text := "motd\nmore\n" + l.mark + " 4711\nthe output\n" + l.mark + " 1\n"
		at = min(at, len(text))
		for _, part := range []string{text[:at], text[at:]} {
			if n, err := l.Stdout.Write([]byte(part)); err != nil || n != len(part) {
				t.Fatal(n, err)
			}
		}
		if want := "the output\n" + l.mark + " 1\n"; out.String() != want {
			t.Errorf("cut at %d: %q", at, out.String())
		}
		if exit, err := l.Result(3); exit != 3 || err != nil || l.Group(t.Context()) != "4711" {
			t.Errorf("exit %d, %v, group %q", exit, err, l.group)
		}
	}
}

func TestLaunchResults(t *testing.T) {
	l := newLaunch(Cmd{Argv: []string{"prog"}, Dir: "/dir"})
	_, _ = l.Stdout.Write([]byte("\n" + l.mark + " dir\n"))
	if _, err := l.Result(126); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "/dir") {
		t.Error(err)
	}
	l = newLaunch(Cmd{Argv: []string{"prog"}})
	_, _ = l.Stdout.Write([]byte("\n" + l.mark + " prog\n"))
	if _, err := l.Result(127); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "prog") {
		t.Error(err)
	}
	l = newLaunch(Cmd{Argv: []string{"prog"}})
	_, _ = l.Stderr.Write([]byte("This account is currently not available.\n"))
	if _, err := l.Result(1); err == nil || !strings.Contains(err.Error(), "not available") {
		t.Error(err)
	}
	// Endless noise is not kept.
	for range 100 {
		_, _ = l.Stdout.Write(make([]byte, 10_000))
	}
	if n := len(l.out.buf); n > maxNoise {
		t.Errorf("%d bytes of noise are kept", n)
	}
}

// The command's environment must not be in what others can read.
func TestEnvironmentIsNotInTheLine(t *testing.T) {
	l := NewLaunch(Cmd{Argv: []string{"x"}, Env: []string{"TOKEN=s3cret"}})
	if strings.Contains(l.Line, "s3cret") || strings.Contains(l.Line, encode("s3cret")) {
		t.Errorf("line %q", l.Line)
	}
	long := NewLaunch(Cmd{Argv: []string{"x", strings.Repeat("y", 5000)}})
	if len(long.Line) > maxLine || long.Stdin == nil {
		t.Errorf("a line of %d bytes", len(long.Line))
	}
}
