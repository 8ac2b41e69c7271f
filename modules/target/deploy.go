package target

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"orch/modules/target/wire"
	"orch/transport"
)

// startScript finds the helper on the host, checks it and becomes it: one round trip
// where it is there. Otherwise it says what is in the way, in one line.
//
// Arguments: what to do ("start", or "shared" to only print the path of a copy that other
// users may run), remote_tmp, and the helper's sha256 for each architecture.
const startScript = `do=$1 tmp=$2 amd64=$3 arm64=$4 a= u=
# On the way to a helper that is there, every process counts: the shell does what it can.
[ -r /proc/sys/kernel/arch ] && read -r a </proc/sys/kernel/arch
case ${a:=$(uname -m)} in
x86_64|amd64) a=amd64 s=$amd64;;
aarch64|arm64) a=arm64 s=$arm64;;
*) echo "arch $a"; exit 0;;
esac
[ -n "$s" ] || { echo "none $a"; exit 0; }
if command -v sha256sum >/dev/null 2>&1; then sum() { sha256sum <"$1"; }
elif command -v openssl >/dev/null 2>&1; then sum() { openssl dgst -sha256 -r <"$1"; }
else echo nosum; exit 0; fi
[ -t 2 ] && exec 2>/dev/null
safe() {
	[ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || return 1
	case $(ls -ld "$1") in ?????w*|????????w*) return 1;; esac
}
look() {
	for d do
		f=$d/helper-$s
		[ -n "$d" ] && [ -f "$f" ] && [ -x "$f" ] && [ ! -L "$f" ] && [ -O "$f" ] && safe "$d" || continue
		case $(sum "$f") in "$s"*) ;; *) continue;; esac
		[ "$do" = shared ] && { chmod 0711 "$d" && chmod 0755 "$f" && echo "have $u $f"; exit 0; }
		exec "$f" serve
	done
}
case $tmp in "~"/*) tmp=$HOME/${tmp#"~"/};; esac
[ "$do" = shared ] || look "$tmp" "$HOME/.cache/orch"
u=$(id -u)
case $do in
shared) set -- "/var/tmp/orch-$u" "/dev/shm/orch-$u"; look "$@";;
*) look "/var/tmp/orch-$u.private" "/dev/shm/orch-$u.private"
	set -- "$tmp" "$HOME/.cache/orch" "/var/tmp/orch-$u.private" "/dev/shm/orch-$u.private";;
esac
for d do
	[ -n "$d" ] || continue
	( umask 077; mkdir -p "$d" ) 2>/dev/null
	safe "$d" || continue
	x=$d/.probe$$
	( printf '#!/bin/sh\nexit 0\n' >"$x" && chmod 700 "$x" && "$x" ) 2>/dev/null && ok=1 || ok=
	rm -f "$x" 2>/dev/null
	[ -n "$ok" ] && { echo "need $a $d"; exit 0; }
done
echo noexec`

// becomeScript starts a copy as another user, after checking that it is the helper and
// that nobody but its owner, the login, can change it between the check and the start.
const becomeScript = `f=$1 s=$2 u=$3
[ -t 2 ] && exec 2>/dev/null
mine() {
	set -- "$2" $(ls -ldn "$1")
	case $2 in "$1"|"$1.") ;; *) return 1;; esac
	[ "$4" = "$u" ]
}
mine "${f%/*}" drwx--x--x && mine "$f" -rwxr-xr-x || { echo exposed; exit 0; }
if command -v sha256sum >/dev/null 2>&1; then g=$(sha256sum <"$f"); else g=$(openssl dgst -sha256 -r <"$f"); fi
case $g in "$s"*) ;; *) echo changed; exit 0;; esac
exec "$f" serve`

// placeScript puts stdin at a path with a mode, replacing it by rename, and removes all
// but the two newest helpers beside it.
const placeScript = `f=$1 mode=$2 dirmode=$3
d=${f%/*}
if [ "$4" = stdin ]; then umask 077; cat >"$f.part$$" && mv -f "$f.part$$" "$f" || { rm -f "$f.part$$"; exit 1; }; fi
chmod "$mode" "$f" && chmod "$dirmode" "$d" || exit 1
ls -t "$d"/helper-* 2>/dev/null | tail -n +3 | while read -r old; do [ "$old" = "$f" ] || rm -f "$old"; done`

// errNoHelper says why the helper cannot run on a host: modules then run over a shell.
type errNoHelper struct{ why string }

func (e *errNoHelper) Error() string { return e.why }

// helperFunc is PoolConfig.Helper.
type helperFunc func(arch string) (string, func() (io.ReadCloser, error), error)

func (h helperFunc) sums() (amd64, arm64 string) {
	amd64, _, _ = h("amd64") // a missing one is the empty string, which the script reports
	arm64, _, _ = h("arm64")
	return amd64, arm64
}

// startHelper starts the helper over conn, uploading it first where it is missing.
func startHelper(ctx context.Context, conn transport.Conn, h helperFunc, tmp string, content func(string) (io.ReadCloser, error)) (*helperProcess, error) {
	amd64, arm64 := h.sums()
	argv := []string{"/bin/sh", "-c", startScript, "sh", "start", tmp, amd64, arm64}
	for try := range 2 {
		p, answer, err := launch(ctx, conn, argv, content)
		if err != nil || p != nil {
			return p, err
		}
		arch, dir, err := needs(conn, answer)
		if err != nil {
			return nil, err
		}
		if try == 1 {
			return nil, fmt.Errorf("the helper put into %s is not what was sent", dir)
		}
		if err := upload(ctx, conn, h, arch, dir, "0700", "0700"); err != nil {
			return nil, noRoom(ctx, err)
		}
	}
	return nil, errors.New("the helper that was put on the host is not there")
}

// startHelperAs starts the helper as another user: from a copy of the login user's that
// the other may run.
func startHelperAs(ctx context.Context, login, as transport.Conn, h helperFunc, content func(string) (io.ReadCloser, error)) (*helperProcess, error) {
	amd64, arm64 := h.sums()
	argv := []string{"/bin/sh", "-c", startScript, "sh", "shared", "", amd64, arm64}
	for range 2 {
		answer, err := ask(ctx, login, argv)
		if err != nil {
			return nil, err
		}
		if have, ok := strings.CutPrefix(answer, "have "); ok {
			uid, path, _ := strings.Cut(have, " ")
			p, answer, err := launch(ctx, as, []string{"/bin/sh", "-c", becomeScript, "sh", path, path[strings.LastIndexByte(path, '-')+1:], uid}, content)
			if err != nil || p != nil {
				return p, err
			}
			return nil, fmt.Errorf("the helper at %s changed while it was looked at: %s", path, answer)
		}
		arch, dir, err := needs(login, answer)
		if err != nil {
			return nil, err
		}
		if err := upload(ctx, login, h, arch, dir, "0755", "0711"); err != nil {
			return nil, noRoom(ctx, err)
		}
	}
	return nil, errors.New("the helper that was put on the host is not there")
}

// noRoom makes a failed upload (a full disk) a reason to do without the helper: tasks that
// free the disk must still run. A lost connection stays one.
func noRoom(ctx context.Context, err error) error {
	var lost *transport.Lost
	if ctx.Err() != nil || errors.As(err, &lost) {
		return err
	}
	return &errNoHelper{"the helper cannot be put on the host: " + err.Error()}
}

// needs reads what the script says when it did not become the helper.
func needs(conn transport.Conn, answer string) (arch, dir string, err error) {
	word, rest, _ := strings.Cut(answer, " ")
	switch word {
	case "need":
		arch, dir, _ = strings.Cut(rest, " ")
		return arch, dir, nil
	case "none":
		return "", "", &errNoHelper{"orch was built without a helper for " + rest + "\nhint: make build"}
	case "arch":
		return "", "", &errNoHelper{"there is no helper for architecture " + rest}
	case "nosum":
		return "", "", &errNoHelper{"the host has neither sha256sum nor openssl to check the helper with"}
	case "noexec":
		return "", "", &errNoHelper{"the host has no folder that programs may be started from"}
	}
	return "", "", fmt.Errorf("%s: start the helper: unexpected answer %q", conn, answer)
}

// upload puts the helper into a folder of the host.
func upload(ctx context.Context, conn transport.Conn, h helperFunc, arch, dir, mode, dirMode string) error {
	sum, open, err := h(arch)
	if err != nil {
		return err
	}
	r, err := open()
	if err != nil {
		return fmt.Errorf("unpack helper: %w", err)
	}
	defer r.Close()
	path, how := dir+"/helper-"+sum, "stdin"
	if f, ok := conn.(transport.Filer); ok {
		if err := f.Put(ctx, path, 0o700, r); err == nil {
			how = "placed"
		} else if r, err = open(); err != nil { // no SFTP there: again, over stdin
			return fmt.Errorf("unpack helper: %w", err)
		}
	}
	cmd := transport.Cmd{Argv: []string{"/bin/sh", "-c", placeScript, "sh", path, mode, dirMode, how}}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if how == "stdin" {
		cmd.Stdin = r
	}
	p, err := conn.Start(ctx, cmd)
	if err != nil {
		return err
	}
	exit, err := p.Wait()
	if err != nil {
		return err
	}
	if exit != 0 {
		return fmt.Errorf("%s: put helper into %s: %s", conn, dir, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// ask runs a short script and returns its first line.
func ask(ctx context.Context, conn transport.Conn, argv []string) (string, error) {
	var stdout, stderr bytes.Buffer
	p, err := conn.Start(ctx, transport.Cmd{Argv: argv, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		return "", err
	}
	exit, err := p.Wait()
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(stdout.String(), "\n")
	if exit != 0 {
		return "", fmt.Errorf("%s: look for the helper: exit %d: %s", conn, exit, strings.TrimSpace(stderr.String()))
	}
	return line, nil
}

// A helperProcess is a running helper and the conversation with it.
type helperProcess struct {
	client *wire.Client
	cancel context.CancelFunc

	mu     sync.Mutex
	stderr tailBuffer
	exited chan struct{}
	err    error // why it ended
}

// A tailBuffer keeps the last bytes written to it.
type tailBuffer struct{ data []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	const keep = 4096
	t.data = append(t.data, p...)
	if len(t.data) > keep {
		t.data = t.data[len(t.data)-keep:]
	}
	return len(p), nil
}

// A duplex is the helper's stdout and stdin as one connection.
type duplex struct {
	io.Reader
	in  *io.PipeWriter
	out *io.PipeReader
}

func (d *duplex) Write(p []byte) (int, error) { return d.in.Write(p) }

func (d *duplex) Close() error {
	return errors.Join(d.in.Close(), d.out.Close())
}

// launch starts argv and reads its first line: the helper's greeting, or the answer of a
// script that did not become the helper (the process is then nil).
func launch(ctx context.Context, conn transport.Conn, argv []string, content func(string) (io.ReadCloser, error)) (*helperProcess, string, error) {
	// The helper outlives the task that starts it.
	runCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	h := &helperProcess{cancel: cancel, exited: make(chan struct{})}
	p, err := conn.Start(runCtx, transport.Cmd{Argv: argv, Stdin: inR, Stdout: outW, Stderr: lockedWriter{&h.mu, &h.stderr}})
	if err != nil {
		cancel()
		return nil, "", err
	}
	go func() {
		exit, err := p.Wait()
		if err == nil && exit != 0 {
			h.mu.Lock()
			err = fmt.Errorf("the helper ended with %d: %s", exit, strings.TrimSpace(string(h.stderr.data)))
			h.mu.Unlock()
		}
		h.err = err
		outW.CloseWithError(orEOF(err))
		inR.CloseWithError(orEOF(err))
		close(h.exited)
	}()
	stop := context.AfterFunc(ctx, cancel)
	r := bufio.NewReader(outR)
	line, err := readLine(r)
	if !stop() {
		<-h.exited
		return nil, "", ctx.Err()
	}
	if line != strings.TrimSpace(wire.Ready) {
		inW.Close()
		if err != nil || line == "" {
			<-h.exited
			cancel()
			if h.err == nil {
				h.err = fmt.Errorf("%s: nothing answered", conn)
			}
			return nil, "", h.err
		}
		_, _ = io.Copy(io.Discard, r)
		<-h.exited
		cancel()
		return nil, line, nil
	}
	h.client, err = wire.NewClient(&duplex{r, inW, outR}, content)
	if err != nil {
		cancel()
		return nil, "", err
	}
	return h, "", nil
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	return strings.TrimSpace(line), err
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// gone reports whether the conversation has ended.
func (h *helperProcess) gone() bool {
	select {
	case <-h.client.Closed():
		return true
	case <-h.exited:
		return true
	default:
		return false
	}
}

// why is what ended the helper, as far as known.
func (h *helperProcess) why(err error) error {
	select {
	case <-h.exited: // its end and that of its output are noticed one after the other
		if h.err != nil {
			return h.err
		}
	case <-time.After(time.Second):
	}
	return err
}

// close ends the conversation and waits for the helper, which kills what it started: it
// must not be killed before it has.
func (h *helperProcess) close() error {
	err := h.client.Close()
	select {
	case <-h.exited:
	case <-time.After(5 * time.Second):
	}
	h.cancel()
	return err
}
