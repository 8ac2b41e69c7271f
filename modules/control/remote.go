package control

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"orch/modules"
	"orch/modules/host"
	"orch/playbook/jinja/value"
	"orch/transport"
)

// Raw runs a command line over the bare connection: nothing but a shell is needed on the
// host, not even room for the helper.
type Raw struct {
	// The command line.
	Cmd string `orch:"required,alias=_raw_params"`
	// Shell to use.
	Executable string
}

// RawOut is the result of raw.
type RawOut struct {
	RC     *int   `json:"rc" orch:"after"`
	Stdout string `json:"stdout" orch:"after"`
	Stderr string `json:"stderr" orch:"after"`
}

// Plan implements modules.Module.
func (r *Raw) Plan(context.Context, View) (plan, error) {
	out := &RawOut{}
	shell := r.Executable
	if shell == "" {
		shell = "/bin/sh"
	}
	return plan{Out: out, Steps: []step{{Title: "run " + firstLine(r.Cmd), Effect: modules.Act, Do: func(ctx context.Context, t Target) (bool, error) {
		rc, stdout, stderr, err := execute(ctx, t, shell, "-c", r.Cmd)
		if err != nil {
			return true, err
		}
		out.RC, out.Stdout, out.Stderr = &rc, stdout, stderr
		if rc != 0 {
			return true, &modules.Failure{Msg: "non-zero return code", RC: &rc, Stdout: stdout, Stderr: stderr}
		}
		return true, nil
	}}}}, nil
}

func firstLine(s string) string {
	line, more, _ := strings.Cut(s, "\n")
	if more != "" {
		line += " …"
	}
	return line
}

// execute runs a command over the bare connection.
func execute(ctx context.Context, t Target, argv ...string) (rc int, stdout, stderr string, err error) {
	conn, err := t.Conn(ctx)
	if err != nil {
		return 0, "", "", err
	}
	var out, errOut bytes.Buffer
	lines := modules.Lines(t.Emit)
	defer lines.Close()
	proc, err := conn.Start(ctx, transport.Cmd{Argv: argv, Stdout: io.MultiWriter(&out, lines), Stderr: &errOut})
	if err != nil {
		return 0, "", "", err
	}
	rc, err = proc.Wait()
	return rc, out.String(), errOut.String(), err
}

// Script runs a script of the controller on the host.
type Script struct {
	// The script (a path, or a name in the files folders) and its arguments, as for a shell.
	Cmd string `orch:"alias=_raw_params"`
	// Do not run if this file exists.
	Creates string `orch:"path"`
	// Do not run unless this file exists.
	Removes string `orch:"path"`
	// Folder to run in; absolute.
	Chdir string `orch:"path"`
	// Program to run the script with; the default is what its first line says.
	Executable string
	// Decrypt a vault file.
	Decrypt bool `orch:"default=true"`
}

// Validate implements modules.Validator.
func (s *Script) Validate() error {
	if strings.TrimSpace(s.Cmd) == "" {
		return errors.New("one of the following is required: _raw_params, cmd")
	}
	if s.Chdir != "" && !filepath.IsAbs(s.Chdir) {
		return fmt.Errorf("chdir %s must be an absolute path for a Unix-aware remote node", s.Chdir)
	}
	return nil
}

// Plan implements modules.Module.
func (s *Script) Plan(_ context.Context, v View) (plan, error) {
	name, args, err := host.FirstWord(strings.TrimSpace(s.Cmd))
	if err != nil {
		return plan{}, modules.Failf("%s", err)
	}
	src, err := v.Find("files", name)
	if err != nil {
		return plan{}, err
	}
	sum, err := addFile(v, src, s.Decrypt)
	if err != nil {
		return plan{}, err
	}
	return hand(v, "ansible.builtin.script", &host.Script{
		Sum: sum, Name: filepath.Base(src), Args: args, Creates: s.Creates, Removes: s.Removes, Chdir: s.Chdir, Executable: s.Executable,
	}), nil
}

// Fetch copies a file of the host to the controller.
type Fetch struct {
	// File on the host.
	Src value.Value
	// Folder on the controller: the file goes to dest/HOST/src, or with flat to dest itself.
	Dest value.Value
	// Do not make a path of host and src; a dest ending in a slash is a folder.
	Flat bool
	// Fail when there is no such file.
	FailOnMissing bool `orch:"default=true"`
	// Compare the checksum of what arrived.
	ValidateChecksum bool `orch:"default=true"`
}

// Validate implements modules.Validator.
func (f *Fetch) Validate() error {
	for name, v := range map[string]value.Value{"source": f.Src, "dest": f.Dest} {
		if _, ok := v.(value.Str); v != nil && !ok {
			return fmt.Errorf("Invalid type supplied for %s option, it must be a string", name) //nolint:staticcheck // Ansible's words
		}
	}
	if f.Src == nil || f.Dest == nil {
		return errors.New("src and dest are required")
	}
	return nil
}

func (f *Fetch) src() string  { return value.String(f.Src) }
func (f *Fetch) dest() string { return value.String(f.Dest) }

// FetchOut is the result of fetch.
type FetchOut struct {
	File           string  `json:"file,omitempty"`
	Dest           string  `json:"dest,omitempty"`
	Checksum       string  `json:"checksum,omitempty"`
	RemoteChecksum string  `json:"remote_checksum,omitempty"`
	MD5Sum         string  `json:"md5sum,omitempty" orch:"after"`
	RemoteMD5Sum   *string `json:"remote_md5sum"`
	Msg            string  `json:"msg,omitempty"`
}

// Plan implements modules.Module.
func (f *Fetch) Plan(ctx context.Context, v View) (plan, error) {
	out := &FetchOut{}
	p := plan{Out: out}
	if v.Check() {
		p.Skip = "check mode not (yet) supported for this module"
		return p, nil
	}
	st, err := f.stat(ctx, v)
	var fail *modules.Failure
	if errors.As(err, &fail) && !f.FailOnMissing {
		out.File, out.Msg = f.src(), fail.Msg+", ignored"
		p.Msg = out.Msg
		return p, nil
	}
	if err != nil {
		return p, err
	}
	missing := ""
	switch {
	case !st.Exists:
		missing = "the remote file does not exist"
	case st.IsDir:
		missing = "remote file is a directory, fetch cannot work on directories"
	}
	if missing != "" {
		out.File, out.Msg = f.src(), missing
		if f.FailOnMissing {
			return p, modules.Failf("%s", missing)
		}
		out.Msg += ", not transferring, ignored"
		p.Msg = out.Msg
		return p, nil
	}
	dest, err := f.place(v, st.Path)
	if err != nil {
		return p, err
	}
	local, err := v.ReadFile(dest, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	out.Dest, out.File, out.RemoteChecksum = dest, st.Path, st.Checksum
	if err == nil && sha1Hex(local) == st.Checksum {
		out.Checksum, out.MD5Sum = st.Checksum, md5Hex(local)
		return p, nil
	}
	p.Steps = []step{{Title: "fetch " + st.Path + " to " + dest, Do: func(ctx context.Context, t Target) (bool, error) {
		return true, f.transfer(ctx, t, st, dest, out)
	}}}
	return p, nil
}

type fetchStat struct {
	Exists   bool   `json:"exists"`
	IsDir    bool   `json:"isdir"`
	Path     string `json:"path"`
	Checksum string `json:"checksum"`
	Readable bool   `json:"readable"`
}

func (f *Fetch) stat(ctx context.Context, v View) (fetchStat, error) {
	res, err := v.Plan(ctx, "ansible.builtin.stat", &host.Stat{Path: f.src(), Follow: true, GetChecksum: true, ChecksumAlgorithm: "sha1"})
	if err != nil {
		return fetchStat{}, err
	}
	if res.Failure != nil {
		return fetchStat{}, res.Failure
	}
	var out struct {
		Stat fetchStat `json:"stat"`
	}
	if err := json.Unmarshal(res.Out, &out); err != nil {
		return fetchStat{}, fmt.Errorf("stat of %s: %w", f.src(), err)
	}
	if out.Stat.Exists && !out.Stat.IsDir && !out.Stat.Readable {
		return out.Stat, modules.Failf("file is not readable: %s", f.src())
	}
	return out.Stat, nil
}

// place is the file on the controller. What the host says of the path cannot lead out of
// dest.
func (f *Fetch) place(v View, src string) (string, error) {
	dest := f.dest()
	if !filepath.IsAbs(dest) {
		base, ok, err := v.Var("playbook_dir")
		if err != nil {
			return "", err
		}
		if ok {
			dest = filepath.Join(value.String(base), dest)
		}
	}
	if f.Flat {
		return f.flat(dest, src)
	}
	root := filepath.Join(dest, v.Host())
	full := filepath.Join(root, src)
	if !strings.HasPrefix(full, root+"/") {
		return "", modules.Failf("Detected directory traversal, expected to be contained in '%s' but got '%s'", root, full)
	}
	return full, nil
}

// flat is the file itself; a dest that ends in a slash is a folder.
func (f *Fetch) flat(dest, src string) (string, error) {
	isDir := func(p string) bool {
		fi, err := os.Stat(p)
		return err == nil && fi.IsDir()
	}
	if !strings.HasSuffix(f.dest(), "/") {
		if isDir(dest) {
			return "", modules.Failf("dest is an existing directory, use a trailing slash if you want to fetch src into that directory")
		}
		return filepath.Clean(dest), nil
	}
	full := filepath.Join(dest, filepath.Base(src))
	if isDir(full) {
		return "", modules.Failf("calculated dest '%s' is an existing directory, use another path that does not point to an existing directory", full)
	}
	return full, nil
}

func (f *Fetch) transfer(ctx context.Context, t Target, st fetchStat, dest string, out *FetchOut) error {
	rc, data, stderr, err := execute(ctx, t, "cat", "--", st.Path)
	if err != nil {
		return err
	}
	if rc != 0 {
		return &modules.Failure{Msg: "Failed to fetch the file: " + strings.TrimSpace(stderr), RC: &rc, Stderr: stderr}
	}
	out.Checksum, out.MD5Sum = sha1Hex([]byte(data)), md5Hex([]byte(data))
	if f.ValidateChecksum && out.Checksum != st.Checksum {
		return modules.Failf("checksum mismatch")
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return modules.Failf("%s", err)
	}
	return t.Save(dest, strings.NewReader(data), 0o644)
}

func md5Hex(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}
