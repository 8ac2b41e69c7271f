package host

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"path"
	"slices"
	"strings"

	"orch/modules"
)

// KnownHosts manages the keys of hosts in a known_hosts file.
type KnownHosts struct {
	// Name of the host, as ssh is called with it; [NAME]:PORT for another port.
	Name string `orch:"required,alias=host"`
	// The key, as a line of the file: the name, the type and the key.
	Key string
	// The file.
	Path string `orch:"path,default=~/.ssh/known_hosts"`
	// Store the host's name as a hash.
	HashHost bool
	// Whether the key is to be there.
	State string `orch:"enum=present|absent,default=present"`
}

// KnownHostsOut is the result of known_hosts.
type KnownHostsOut struct {
	Name  string `json:"name"`
	Key   string `json:"key,omitempty"`
	Path  string `json:"path"`
	State string `json:"state"`
}

// Plan implements modules.Module.
func (k *KnownHosts) Plan(ctx context.Context, v modules.View) (plan, error) {
	k = clone(k)
	if err := expand(ctx, v, &k.Path); err != nil {
		return plan{}, err
	}
	out := &KnownHostsOut{Name: k.Name, Key: k.Key, Path: k.Path, State: k.State}
	p := plan{Out: out}
	if strings.ContainsAny(k.Name, ", ") {
		return p, modules.Failf("Host parameter may not contain commas or spaces: %q", k.Name)
	}
	kind, err := k.checkKey()
	if err != nil {
		return p, err
	}
	before, err := readFile(ctx, v, k.Path)
	if err != nil {
		return p, err
	}
	lines := strings.SplitAfter(string(before), "\n")
	same := false
	kept := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		f := strings.Fields(line)
		if len(f) < 3 || strings.HasPrefix(f[0], "@") || strings.HasPrefix(f[0], "#") || !hostMatches(f[0], k.Name) {
			return false
		}
		if k.State == "absent" {
			return k.Key == "" || f[1] == kind
		}
		if f[1] != kind {
			return false
		}
		if hashed := strings.HasPrefix(f[0], "|1|"); strings.Join(f[1:3], " ") == k.keyPart() && hashed == k.HashHost {
			same = true
			return false
		}
		return true
	})
	if same && len(kept) == len(lines) || k.State == "absent" && len(kept) == len(lines) {
		return p, nil
	}
	after := strings.Join(kept, "")
	if k.State == "present" && !same {
		if after != "" && !strings.HasSuffix(after, "\n") {
			after += "\n"
		}
		line, err := k.line()
		if err != nil {
			return p, err
		}
		after += line + "\n"
	}
	w := &rewrite{path: k.Path, data: []byte(after)}
	p.Steps = []step{{Title: "change " + k.Path, Diff: fileDiff(k.Path, before, w.data), Do: func(ctx context.Context, t modules.Target) (bool, error) {
		if err := makeDirs(ctx, t, path.Dir(k.Path), &FileArgs{Mode: "0700"}); err != nil {
			return false, err
		}
		return w.do(ctx, t)
	}}}
	return p, nil
}

// checkKey reads the type of the key.
func (k *KnownHosts) checkKey() (string, error) {
	if k.Key == "" {
		if k.State == "present" {
			return "", modules.Failf("No key specified when adding a host")
		}
		return "", nil
	}
	f := strings.Fields(k.Key)
	if len(f) < 3 || !hostMatches(f[0], k.Name) {
		return "", modules.Failf("Host parameter does not match hashed host field in supplied key")
	}
	return f[1], nil
}

func (k *KnownHosts) keyPart() string {
	f := strings.Fields(k.Key)
	if len(f) < 3 {
		return ""
	}
	return f[1] + " " + f[2]
}

func (k *KnownHosts) line() (string, error) {
	if !k.HashHost {
		return strings.TrimSpace(k.Key), nil
	}
	salt := make([]byte, sha1.Size)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	enc := base64.StdEncoding.EncodeToString
	return "|1|" + enc(salt) + "|" + enc(hostHash(salt, k.Name)) + " " + k.keyPart(), nil
}

func hostHash(salt []byte, name string) []byte {
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return mac.Sum(nil)
}

// hostMatches says whether the first field of a line is about a host: a list of names, or
// a hash.
func hostMatches(field, name string) bool {
	rest, ok := strings.CutPrefix(field, "|1|")
	if !ok {
		return slices.Contains(strings.Split(field, ","), name)
	}
	salt64, hash64, _ := strings.Cut(rest, "|")
	salt, err := base64.StdEncoding.DecodeString(salt64)
	hash, err2 := base64.StdEncoding.DecodeString(hash64)
	return err == nil && err2 == nil && hmac.Equal(hash, hostHash(salt, name))
}
