package target

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"orch/modules"
)

// A summer counts and hashes what passes.
type summer struct {
	r io.Reader
	h interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func (s *summer) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	_, _ = s.h.Write(p[:n]) // a hash does not fail
	s.n += int64(n)
	return n, err
}

// writeScript receives content into a temporary file beside the place.
const writeScript = `umask 077
d=${1%/*}; [ -n "$d" ] || d=/
f=$d/.ansible_tmp$2
cat >"$f" || { rm -f "$f"; exit 1; }
printf %s "$f"`

// placeFile gives the temporary file owner and mode and moves it to its place. Arguments:
// temporary file, place, mode or "", owner:group or "", backup name or "", unsafe or "".
const placeFile = `f=$1 p=$2 mode=$3 owner=$4 backup=$5 unsafe=$6
if [ -f "$p" ] && [ -z "$mode" ]; then mode=$(stat -c %a -- "$p"); fi
if [ -f "$p" ] && [ -z "$owner" ]; then chown "$(stat -c %u:%g -- "$p")" "$f" 2>/dev/null; fi
[ -n "$mode" ] || mode=$(printf '%04o' $((0666 & ~0$(umask))))
[ -z "$owner" ] || chown "$owner" "$f" || exit 1
chmod "$mode" "$f" || exit 1
if [ -n "$backup" ] && [ -f "$p" ]; then cp -p -- "$p" "$backup" || exit 1; fi
mv -f -- "$f" "$p" 2>/dev/null && exit 0
if [ -n "$unsafe" ]; then cat "$f" >"$p" && rm -f "$f"; else mv -f -- "$f" "$p"; fi`

func (t *shellTarget) Write(ctx context.Context, place string, r io.Reader, w modules.WriteOptions) (modules.Written, error) {
	if !w.NoFollow {
		out, err := t.sh(ctx, nil, `readlink -f -- "$1"`, place)
		if err != nil {
			return modules.Written{}, err
		}
		if real := strings.TrimSuffix(out.Stdout, "\n"); out.RC == 0 && real != "" {
			place = real
		}
	}
	in := &summer{r: r, h: sha1.New()}
	name := strconv.FormatInt(time.Now().UnixNano(), 36) + path.Base(place)
	if len(name) > 200 {
		name = name[:24] // a name is 255 bytes at most
	}
	out, err := t.sh(ctx, in, writeScript, place, name)
	if err != nil {
		return modules.Written{}, err
	}
	if out.RC != 0 {
		return modules.Written{}, pathError("write", place, out)
	}
	tmp := out.Stdout
	done := modules.Written{Size: in.n, Sum: hex.EncodeToString(in.h.Sum(nil))}
	err = t.finish(ctx, tmp, place, w, &done)
	if err != nil {
		_, rmErr := t.sh(context.WithoutCancel(ctx), nil, `rm -f -- "$1"`, tmp)
		return done, errors.Join(err, rmErr)
	}
	return done, nil
}

func (t *shellTarget) finish(ctx context.Context, tmp, place string, w modules.WriteOptions, done *modules.Written) error {
	if w.Sum != "" && w.Sum != done.Sum {
		return fmt.Errorf("write %s: content has checksum %s, not %s", place, done.Sum, w.Sum)
	}
	if len(w.Validate) > 0 {
		argv := append([]string(nil), w.Validate...)
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "%s", tmp)
		}
		out, err := t.Run(ctx, modules.Command{Argv: argv})
		if err != nil {
			return err
		}
		if out.RC != 0 {
			return &modules.Failure{
				Msg: fmt.Sprintf("failed to validate: rc:%d error:%s", out.RC, out.Stderr), Cmd: argv, RC: &out.RC,
				Stdout: out.Stdout, Stderr: out.Stderr,
			}
		}
	}
	var mode, owner, keep, unsafe string
	if w.Mode != nil {
		mode = octal(*w.Mode)
	}
	if w.UID != nil {
		owner = strconv.Itoa(*w.UID)
	}
	if w.GID != nil {
		owner += ":" + strconv.Itoa(*w.GID)
	}
	if w.Unsafe {
		unsafe = "1"
	}
	if w.Backup {
		if _, err := t.Lstat(ctx, place); err == nil {
			keep = fmt.Sprintf("%s.%d.%s~", place, time.Now().Unix()%100000, time.Now().Format("2006-01-02@15:04:05"))
		}
	}
	out, err := t.sh(ctx, nil, placeFile, tmp, place, mode, owner, keep, unsafe)
	if err != nil {
		return err
	}
	if out.RC != 0 {
		return pathError("write", place, out)
	}
	done.BackupFile = keep
	return nil
}

func (t *shellTarget) Chmod(ctx context.Context, file string, mode fs.FileMode, follow bool) error {
	script := `exec chmod "$2" -- "$1"`
	if !follow {
		script = `[ -L "$1" ] || exec chmod "$2" -- "$1"`
	}
	_, err := t.do(ctx, "chmod", file, script, octal(mode))
	return err
}

func (t *shellTarget) Chown(ctx context.Context, file string, uid, gid int, follow bool) error {
	owner := ""
	if uid >= 0 {
		owner = strconv.Itoa(uid)
	}
	if gid >= 0 {
		owner += ":" + strconv.Itoa(gid)
	}
	if owner == "" {
		return nil
	}
	flag := "-h"
	if follow {
		flag = "--"
	}
	_, err := t.do(ctx, "chown", file, `exec chown `+flag+` "$2" "$1"`, owner)
	return err
}

func (t *shellTarget) Chtimes(ctx context.Context, file string, atime, mtime time.Time, follow bool) error {
	flag := "-h"
	if follow {
		flag = ""
	}
	stamp := func(x time.Time) string { return fmt.Sprintf("@%d.%09d", x.Unix(), x.Nanosecond()) }
	_, err := t.do(ctx, "utimes", file, `touch `+flag+` -a -d "$2" -- "$1" && touch `+flag+` -m -d "$3" -- "$1"`, stamp(atime), stamp(mtime))
	return err
}

func (t *shellTarget) Symlink(ctx context.Context, target, file string) error {
	_, err := t.do(ctx, "symlink", file, `[ ! -e "$1" ] && [ ! -L "$1" ] || { echo "File exists" >&2; exit 1; }; exec ln -s -- "$2" "$1"`, target)
	return err
}

func (t *shellTarget) Link(ctx context.Context, target, file string) error {
	_, err := t.do(ctx, "link", file, `[ ! -e "$1" ] && [ ! -L "$1" ] || { echo "File exists" >&2; exit 1; }; exec ln -- "$2" "$1"`, target)
	return err
}

func (t *shellTarget) Mkdir(ctx context.Context, dir string, mode fs.FileMode) error {
	// mkdir -m is not subject to the umask; os.Mkdir is.
	_, err := t.do(ctx, "mkdir", dir, `exec mkdir -m $(printf '%04o' $((0$2 & ~0$(umask)))) -- "$1"`, octal(mode))
	return err
}

func (t *shellTarget) Rename(ctx context.Context, from, to string) error {
	_, err := t.do(ctx, "rename", from, `exec mv -f -T -- "$1" "$2"`, to)
	return err
}

func (t *shellTarget) Remove(ctx context.Context, file string) error {
	_, err := t.do(ctx, "remove", file, `if [ -d "$1" ] && [ ! -L "$1" ]; then exec rmdir -- "$1"; else [ -e "$1" ] || [ -L "$1" ] || { echo "No such file" >&2; exit 1; }; exec rm -f -- "$1"; fi`)
	return err
}

func (t *shellTarget) RemoveAll(ctx context.Context, file string) error {
	_, err := t.do(ctx, "remove", file, `exec rm -rf -- "$1"`)
	return err
}
