package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// errNoTerminal says that there is nobody to ask.
var errNoTerminal = errors.New("there is no terminal to ask on")

// A terminal asks a person. The zero value has nobody to ask.
type terminal struct {
	in  *os.File
	out io.Writer
}

// openTerminal returns the controlling terminal, nil if there is none: a job of a
// pipeline is never asked anything.
func openTerminal() *terminal {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return &terminal{in: os.Stdin, out: os.Stderr}
}

// secret asks for a line without showing it.
func (t *terminal) secret(prompt string) (string, error) {
	if t == nil {
		return "", errNoTerminal
	}
	fmt.Fprint(t.out, prompt)
	text, err := term.ReadPassword(int(t.in.Fd()))
	fmt.Fprintln(t.out)
	if err != nil {
		return "", fmt.Errorf("read from terminal: %w", err)
	}
	return string(text), nil
}

// asker is secret, or nil where there is nobody to ask.
func (t *terminal) asker() func(prompt string) (string, error) {
	if t == nil {
		return nil
	}
	return t.secret
}

// pipedSecret is what Python's getpass does without a terminal: it reads a line of
// standard input and says that it may be seen.
func pipedSecret(prompt string) (string, error) {
	fmt.Fprint(os.Stderr, "Warning: Password input may be echoed.\n", prompt)
	var line []byte
	for one := make([]byte, 1); ; { // what follows the line is left for others
		n, err := os.Stdin.Read(one)
		switch {
		case n == 1 && one[0] == '\n', err == io.EOF && len(line) > 0:
			return strings.TrimSuffix(string(line), "\r"), nil
		case n == 1:
			line = append(line, one[0])
		case err == io.EOF:
			return "", errNoTerminal
		case err != nil:
			return "", fmt.Errorf("read standard input: %w", err)
		}
	}
}

// passwords asks for passwords; nil where there is nobody to ask. Ansible's programs ask
// standard input then.
func passwords(t *terminal, as *persona) func(prompt string) (string, error) {
	if t == nil && as != nil {
		return pipedSecret
	}
	return t.asker()
}

// Ask implements control.Prompter. A cancelled context leaves the reader behind until
// the next line is typed.
func (t *terminal) Ask(ctx context.Context, prompt string, echo bool) (string, error) {
	if t == nil {
		return "", errNoTerminal
	}
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		if !echo {
			text, err := t.secret(prompt)
			got <- answer{text, err}
			return
		}
		fmt.Fprint(t.out, prompt)
		text, err := bufio.NewReader(t.in).ReadString('\n')
		got <- answer{strings.TrimRight(text, "\r\n"), err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// readPasswordFile reads --become-password-file and its like: a file, or a script when
// it is executable, is handled by the caller; "-" is standard input.
func readPasswordFile(path string) (string, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(os.Stdin)
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("read password file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", fmt.Errorf("password file %q is empty", path)
	}
	return line, nil
}
