package control

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	utf16pkg "unicode/utf16"

	"orch/modules"
	"orch/modules/host"
	"orch/playbook/jinja/value"
)

func utf16(s string) []uint16 { return utf16pkg.Encode([]rune(s)) }

// Copy copies files to the host: one file, a folder, or text given in the task.
//
// A folder is copied into dest; with a final slash in src only its content is.
type Copy struct {
	// File or folder on the controller (a path, or a name in the files folders), or on the
	// host with remote_src.
	Src string `orch:"path"`
	// Text to write, instead of src; a dict or list is written as JSON.
	Content value.Value
	// File on the host, or a folder to put it in.
	Dest string `orch:"path"`
	// Keep a copy of what is replaced.
	Backup bool
	// Replace a file whose content differs; otherwise only make what is missing.
	Force bool `orch:"default=true,alias=thirsty"`
	// Command that must accept the new file, %s, before it is put in place.
	ValidateCmd string `orch:"name=validate"`
	// Permissions of new folders.
	DirectoryMode modules.Mode
	// src is on the host.
	RemoteSrc bool
	// Copy what links in src point to. The default is yes on the controller, no on the host.
	LocalFollow *bool
	// Hex sha1 the content must have.
	Checksum string
	// Decrypt vault files.
	Decrypt bool `orch:"default=true"`
	// Follow a link at dest.
	Follow bool
	host.FileArgs
}

// Validate implements modules.Validator.
func (c *Copy) Validate() error {
	switch {
	case c.Src == "" && c.Content == nil:
		return errors.New("src (or content) is required")
	case c.Dest == "":
		return errors.New("dest is required")
	case c.Src != "" && c.Content != nil:
		return errors.New("src and content are mutually exclusive")
	case c.Content != nil && strings.HasSuffix(c.Dest, "/"):
		return errors.New("can not use content with a dir as dest")
	case c.ValidateCmd != "" && !strings.Contains(c.ValidateCmd, "%s"):
		return fmt.Errorf("validate must contain %%s: %s", c.ValidateCmd)
	}
	return c.FileArgs.Validate()
}

func (c *Copy) host() *host.Copy {
	return &host.Copy{
		Src: c.Src, Dest: c.Dest, Backup: c.Backup, Force: c.Force, ValidateCmd: c.ValidateCmd, DirectoryMode: c.DirectoryMode,
		RemoteSrc: c.RemoteSrc, LocalFollow: c.LocalFollow, Checksum: c.Checksum, Follow: c.Follow, FileArgs: c.FileArgs,
	}
}

// Plan implements modules.Module.
func (c *Copy) Plan(_ context.Context, v View) (plan, error) {
	h := c.host()
	if c.RemoteSrc {
		return hand(v, "ansible.builtin.copy", h), nil
	}
	h.Src = ""
	if c.Content != nil {
		data, err := contentBytes(c.Content)
		if err != nil {
			return plan{}, err
		}
		h.Bytes = int64(len(data))
		if h.Sum, err = v.AddSource(Content{Data: data}); err != nil {
			return plan{}, err
		}
		return hand(v, "ansible.builtin.copy", h), nil
	}
	src, err := v.Find("files", strings.TrimSuffix(c.Src, "/"))
	if err != nil {
		return plan{}, err
	}
	fi, err := os.Stat(src)
	if err != nil {
		return plan{}, modules.Failf("%s", err)
	}
	if fi.IsDir() {
		w := walker{view: v, decrypt: c.Decrypt, follow: c.LocalFollow == nil || *c.LocalFollow}
		base := ""
		if !strings.HasSuffix(c.Src, "/") {
			base = filepath.Base(src)
		}
		if err := w.walk(src, base, nil); err != nil {
			return plan{}, err
		}
		h.Tree, h.OriginalBasename = w.items, src
		h.Dest = strings.TrimRight(c.Dest, "/") + "/"
		h.Follow = false
		return hand(v, "ansible.builtin.copy", h), nil
	}
	h.OriginalBasename, h.SourceMode, h.Bytes = filepath.Base(src), int(modules.UnixMode(fi.Mode())), fi.Size()
	if h.Sum, err = addFile(v, src, c.Decrypt); err != nil {
		return plan{}, err
	}
	return hand(v, "ansible.builtin.copy", h), nil
}

// contentBytes is the text of content: JSON of a dict or list, str() of anything else.
func contentBytes(v value.Value) ([]byte, error) {
	switch v := v.(type) {
	case *value.Dict, *value.List:
		text, err := value.JSON(v, value.JSONOptions{})
		return []byte(text), err
	case value.Bytes:
		return []byte(v), nil
	}
	return []byte(value.String(v)), nil
}

// bigFile is the size from which a file is offered by its path instead of being held.
const bigFile = 1 << 20

// vaultHead is how a file encrypted by ansible-vault begins.
const vaultHead = "$ANSIBLE_VAULT;"

// addFile offers a file of the controller to the host, decrypted if it is vault text.
func addFile(v View, p string, decrypt bool) (string, error) {
	f, err := os.Open(p)
	if err != nil {
		return "", modules.Failf("%s", err)
	}
	defer func() { _ = f.Close() }() // only read
	head := make([]byte, len(vaultHead))
	n, _ := f.Read(head) // a short file is no vault file
	fi, err := f.Stat()
	if err != nil {
		return "", modules.Failf("%s", err)
	}
	sealed := decrypt && string(head[:n]) == vaultHead
	if fi.Size() > bigFile && !sealed {
		return v.AddSource(Content{Path: p})
	}
	data, err := v.ReadFile(p, decrypt)
	if err != nil {
		return "", err
	}
	return v.AddSource(Content{Data: data})
}

// A walker lists what is in a folder of the controller.
type walker struct {
	view            View
	decrypt, follow bool
	items           []host.CopyItem
}

// walk adds dir's content under rel. parents are the real folders dir is in, so that a
// link to one of them stays a link.
func (w *walker) walk(dir, rel string, parents []string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return modules.Failf("%s", err)
	}
	parents = append(slices.Clone(parents), real)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return modules.Failf("%s", err)
	}
	if rel != "" {
		w.items = append(w.items, host.CopyItem{Rel: rel, Dir: true})
	}
	for _, e := range entries {
		at, name := filepath.Join(dir, e.Name()), filepath.Join(rel, e.Name())
		if e.Type()&fs.ModeSymlink != 0 {
			inside, err := filepath.EvalSymlinks(at)
			if !w.follow || err != nil || slices.Contains(parents, inside) {
				target, err := os.Readlink(at)
				if err != nil {
					return modules.Failf("%s", err)
				}
				w.items = append(w.items, host.CopyItem{Rel: name, Link: target})
				continue
			}
		}
		fi, err := os.Stat(at)
		switch {
		case err != nil:
			return modules.Failf("%s", err)
		case fi.IsDir():
			if err := w.walk(at, name, parents); err != nil {
				return err
			}
		default:
			sum, err := addFile(w.view, at, w.decrypt)
			if err != nil {
				return err
			}
			w.items = append(w.items, host.CopyItem{Rel: name, Sum: sum, Bytes: fi.Size(), SourceMode: int(modules.UnixMode(fi.Mode()))})
		}
	}
	return nil
}

func sha1Hex(data []byte) string {
	sum := sha1.Sum(data)
	return hex.EncodeToString(sum[:])
}
