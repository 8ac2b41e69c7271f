package local

import (
	"os"

	"golang.org/x/sys/unix"
)

// quiet turns off what a terminal does to bytes on their way out, and the echo.
func quiet(tty *os.File) error {
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	state.Lflag &^= unix.ECHO | unix.ECHONL
	state.Oflag &^= unix.OPOST
	return unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, state)
}
