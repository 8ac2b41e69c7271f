package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/pkg/sftp"

	"orch/transport"
)

// Put implements transport.Filer: SFTP, or cat where the host offers none.
func (c *Conn) Put(ctx context.Context, path string, mode uint32, r io.Reader) error {
	tmp := path + ".orch-" + rand.Text()[:10]
	err := c.withSFTP(ctx, func(client *sftp.Client) error {
		f, err := client.Create(tmp)
		if err != nil {
			return err
		}
		_, err = f.ReadFrom(r)
		err = errors.Join(err, client.Chmod(tmp, fs.FileMode(mode)), f.Close())
		if err == nil {
			err = client.PosixRename(tmp, path)
		}
		if err != nil {
			return errors.Join(err, client.Remove(tmp))
		}
		return nil
	})
	if !errors.Is(err, errNoSFTP) {
		return wrapFile(c, "put", path, err)
	}
	script := `umask 077; cat >"$1" && chmod "$2" "$1" && mv -f "$1" "$3" || { rm -f "$1"; exit 1; }`
	return c.shellFile(ctx, "put", path, transport.Cmd{
		Argv: []string{"/bin/sh", "-c", script, "sh", tmp, fmt.Sprintf("%04o", mode), path}, Stdin: r,
	})
}

// Get implements transport.Filer.
func (c *Conn) Get(ctx context.Context, path string, w io.Writer) error {
	err := c.withSFTP(ctx, func(client *sftp.Client) error {
		f, err := client.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteTo(w)
		return err
	})
	if !errors.Is(err, errNoSFTP) {
		return wrapFile(c, "get", path, err)
	}
	script := `[ -e "$1" ] || exit 44; exec cat "$1"`
	return c.shellFile(ctx, "get", path, transport.Cmd{Argv: []string{"/bin/sh", "-c", script, "sh", path}, Stdout: w})
}

func wrapFile(c *Conn, verb, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s %s: %w", c, verb, path, err)
}

func (c *Conn) shellFile(ctx context.Context, verb, path string, cmd transport.Cmd) error {
	var said bytes.Buffer
	cmd.Stderr = &said
	p, err := c.Start(ctx, cmd)
	if err != nil {
		return err
	}
	switch exit, err := p.Wait(); {
	case err != nil:
		return err
	case exit == 44:
		return wrapFile(c, verb, path, fs.ErrNotExist)
	case exit != 0:
		return wrapFile(c, verb, path, fmt.Errorf("%s", bytes.TrimSpace(said.Bytes())))
	}
	return nil
}

var errNoSFTP = errors.New("no sftp")

// withSFTP runs f with a client on a session of its own.
func (c *Conn) withSFTP(ctx context.Context, f func(*sftp.Client) error) error {
	c.mu.Lock()
	none := c.noSFTP
	c.mu.Unlock()
	if none {
		return errNoSFTP
	}
	session, l, err := c.session(ctx)
	if err != nil {
		return err
	}
	defer c.release(l)
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	out, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	if err := session.RequestSubsystem("sftp"); err != nil {
		if c.Err() != nil {
			return c.lost(err, true)
		}
		c.mu.Lock()
		c.noSFTP = true
		c.mu.Unlock()
		return errNoSFTP
	}
	client, err := sftp.NewClientPipe(out, in)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		// The subsystem was granted, and what answers is no SFTP server.
		c.mu.Lock()
		c.noSFTP = true
		c.mu.Unlock()
		return errNoSFTP
	}
	defer client.Close()
	err = f(client)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
