package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/kevinburke/ssh_config"
)

// readFiles adds what the configuration files say about a host: the one of -F, or the
// user's and the system's.
func (o *options) readFiles(shared *Shared, host string) error {
	read := fileReader{opts: o, shared: shared, host: host}
	switch o.file {
	case "none":
		return nil
	case "":
		if err := read.file(filepath.Join(home(), ".ssh", "config"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := read.file("/etc/ssh/ssh_config", 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	default:
		path, err := expand(o.file, nil)
		if err != nil {
			return err
		}
		return read.file(path, 0)
	}
}

type fileReader struct {
	opts   *options
	shared *Shared
	host   string
}

// maxInclude is OpenSSH's.
const maxInclude = 16

// The library reads lines, quotes and host patterns, but of Match only "host" and "all",
// and of an Include it offers values, not lines. Both reach it under other names and are
// done here, where the user is known and a file's Includes can have Matches.
const (
	matchName   = "orch-match-"
	includeName = "orch-include"
)

var directive = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?im)^([ \t]*)(match|include)(?:[ \t]*=[ \t]*|[ \t]+)([^\r\n]*)`)
})

// A configFile is a parsed file.
type configFile struct {
	config  *ssh_config.Config
	matches []string // the criteria of each Match
}

func parseFile(path string) (*configFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &configFile{}
	text = directive().ReplaceAllFunc(text, func(line []byte) []byte {
		parts := directive().FindSubmatch(line)
		if bytes.EqualFold(parts[2], []byte("include")) {
			return fmt.Appendf(nil, "%s%s %s", parts[1], includeName, parts[3])
		}
		f.matches = append(f.matches, string(parts[3]))
		return fmt.Appendf(nil, "%sHost %s%d", parts[1], matchName, len(f.matches)-1)
	})
	if f.config, err = ssh_config.DecodeBytes(text); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (r fileReader) file(path string, depth int) error {
	if depth > maxInclude {
		return fmt.Errorf("%s: Include goes deeper than %d files", path, maxInclude)
	}
	f, err := r.shared.configFile(path)
	if err != nil {
		return err
	}
	for _, section := range f.config.Hosts {
		applies, err := r.applies(path, f, section)
		if err != nil {
			return err
		}
		if !applies {
			continue
		}
		for _, node := range section.Nodes {
			kv, ok := node.(*ssh_config.KV)
			if !ok {
				continue
			}
			where := path + ":" + strconv.Itoa(kv.Pos().Line)
			if kv.Key == includeName {
				err = r.include(path, kv.Value, depth)
			} else {
				err = r.opts.option(kv.Key, kv.Value, where, false)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (r fileReader) include(path, value string, depth int) error {
	names, err := words(value)
	if err != nil {
		return fmt.Errorf("%s: Include %s: %w", path, value, err)
	}
	for _, name := range names {
		base := filepath.Join(home(), ".ssh")
		if strings.HasPrefix(path, "/etc/ssh/") {
			base = "/etc/ssh"
		}
		if name, err = expand(name, nil); err != nil {
			return fmt.Errorf("%s: Include: %w", path, err)
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(base, name)
		}
		files, err := filepath.Glob(name)
		if err != nil {
			return fmt.Errorf("%s: Include %q: %w", path, name, err)
		}
		for _, file := range files {
			if err := r.file(file, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// applies says whether a Host or Match section is about this host.
func (r fileReader) applies(path string, f *configFile, section *ssh_config.Host) (bool, error) {
	if len(section.Patterns) == 1 {
		if n, ok := strings.CutPrefix(section.Patterns[0].String(), matchName); ok {
			i, err := strconv.Atoi(n)
			if err != nil || i >= len(f.matches) {
				return false, fmt.Errorf("%s: Host %s%s is a reserved name", path, matchName, n)
			}
			ok, err := r.match(f.matches[i])
			if err != nil {
				return false, fmt.Errorf("%s: Match %s: %w", path, f.matches[i], err)
			}
			return ok, nil
		}
	}
	return section.Matches(r.host), nil
}

// match evaluates the criteria of a Match line, left to right.
func (r fileReader) match(line string) (bool, error) {
	if at := strings.Index(line, " #"); at >= 0 {
		line = line[:at]
	}
	fields, err := words(line)
	if err != nil {
		return false, err
	}
	if len(fields) == 0 {
		return false, errors.New("no criterion given")
	}
	all := true
	for i := 0; i < len(fields); i++ {
		name, not := strings.CutPrefix(strings.ToLower(fields[i]), "!")
		if name == "all" {
			all = all && !not
			continue
		}
		if !strings.Contains(" host originalhost user localuser exec ", " "+name+" ") {
			return false, fmt.Errorf("criterion %q is not supported: one of all, host, originalhost, user, localuser, exec", name)
		}
		if i++; i == len(fields) {
			return false, fmt.Errorf("criterion %q needs a value", name)
		}
		if !all && name == "exec" {
			continue // as in OpenSSH: a command is not run once the answer is no
		}
		ok, err := r.criterion(name, fields[i])
		if err != nil {
			return false, err
		}
		all = all && ok != not
	}
	return all, nil
}

func (r fileReader) criterion(name, value string) (bool, error) {
	local := ""
	if me, err := user.Current(); err == nil {
		local = me.Username
	}
	login := r.opts.get("user")
	if login == "" {
		login = local
	}
	host := r.host
	if name := r.opts.get("hostname"); name != "" {
		var err error
		if host, err = expand(name, map[byte]string{'h': r.host}); err != nil {
			return false, err
		}
	}
	switch name {
	case "host":
		return matchList(value, host), nil
	case "originalhost":
		return matchList(value, r.host), nil
	case "user":
		return matchList(value, login), nil
	case "localuser":
		return matchList(value, local), nil
	}
	port := r.opts.get("port")
	if port == "" {
		port = "22"
	}
	command, err := expand(value, map[byte]string{'h': host, 'n': r.host, 'p': port, 'r': login, 'u': local, 'd': home()})
	if err != nil {
		return false, err
	}
	return exec.Command("/bin/sh", "-c", command).Run() == nil, nil
}
