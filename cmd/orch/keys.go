package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"orch/modules/control"
)

// Type implements control.Prompter. Without the terminal's own editing, the keys that
// erase are obeyed here.
func (t *terminal) Type(ctx context.Context, typing control.Typing) (string, error) {
	if t == nil {
		return "", control.ErrNobody
	}
	fd := int(t.in.Fd())
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return "", control.ErrNobody // in the background, reading would stop the process
	}
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", fmt.Errorf("ask at the terminal: %w", err)
	}
	keys := *before
	keys.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG
	keys.Iflag &^= unix.ICRNL
	keys.Cc[unix.VMIN], keys.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &keys); err != nil {
		return "", fmt.Errorf("ask at the terminal: %w", err)
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETSW, before) //nolint:errcheck // nothing is left to do
	fmt.Fprintln(t.out, typing.Prompt)
	line := keyLine{t: t, Typing: typing, erase: before.Cc[unix.VERASE], interrupt: before.Cc[unix.VINTR]}
	return line.read(ctx, fd)
}

// A keyLine is a line being typed.
type keyLine struct {
	control.Typing
	t                *terminal
	erase, interrupt byte
	typed            []rune
	part             []byte // of a character of several bytes
}

// read takes keys until one of them, the time or ctx ends it.
func (l *keyLine) read(ctx context.Context, fd int) (string, error) {
	var end time.Time
	if l.For > 0 {
		end = time.Now().Add(l.For)
	}
	for {
		wait := 100 * time.Millisecond // how long ctx may go unnoticed
		if l.For > 0 {
			if wait = min(wait, time.Until(end)); wait <= 0 {
				return string(l.typed), nil
			}
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(1, int(wait.Milliseconds())))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return "", fmt.Errorf("read from terminal: %w", err)
		}
		if n <= 0 {
			continue
		}
		key := make([]byte, 1)
		if n, err := l.t.in.Read(key); n == 0 {
			return string(l.typed), err
		}
		if done, err := l.key(key[0]); done || err != nil {
			return string(l.typed), err
		}
	}
}

// key takes a key in; done says that it was the last.
func (l *keyLine) key(key byte) (done bool, err error) {
	lower := strings.ToLower(string(key))
	switch {
	case l.Interrupt == "" && key == l.interrupt, l.Interrupt != "" && strings.Contains(l.Interrupt, lower):
		fmt.Fprintln(l.t.out)
		return false, control.ErrInterrupted
	case l.End != "" && strings.Contains(l.End, lower):
		fmt.Fprintln(l.t.out)
		return true, nil
	case key == l.erase, key == 0x7f, key == '\b':
		if n := len(l.typed); n > 0 {
			l.typed = l.typed[:n-1]
			if l.Echo {
				fmt.Fprint(l.t.out, "\b \b")
			}
		}
		return false, nil
	}
	if l.part = append(l.part, key); !utf8.FullRune(l.part) {
		return false, nil
	}
	l.typed = append(l.typed, []rune(string(l.part))...)
	if l.Echo {
		fmt.Fprint(l.t.out, string(l.part))
	}
	l.part = nil
	return false, nil
}
