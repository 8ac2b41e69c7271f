package host

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"orch/modules"
)

// Setup gathers facts about the host.
type Setup struct {
	// Which facts: all, min, hardware, network, virtual, ohai, facter, or a collector's
	// name; with ! it is left out. Min is part of every subset unless left out.
	GatherSubset []string `orch:"default=all"`
	// Seconds each slow collector may take.
	GatherTimeout int `orch:"default=10"`
	// Return only facts whose names match one of these patterns.
	Filter []string
	// Folder with local facts: files NAME.fact, executable ones are run.
	FactPath string `orch:"path,default=/etc/ansible/facts.d"`
}

// SetupOut is the result of setup.
type SetupOut struct {
	Facts facts `json:"ansible_facts"`
}

// facts are facts by name; their shapes are Ansible's, one for each name.
type facts map[string]any

// A collector gathers the facts of one name; groups are the subsets it belongs to.
type collector struct {
	name   string
	groups string
	// gather reports what is missing on the host by leaving it out.
	gather func(s *scan) facts
}

func collectors() []collector {
	return []collector{
		{"apparmor", "min", (*scan).apparmor},
		{"caps", "min", (*scan).caps},
		{"cmdline", "min", (*scan).cmdline},
		{"date_time", "min", (*scan).dateTime},
		{"distribution", "min", (*scan).distribution},
		{"dns", "min", (*scan).dns},
		{"env", "min", (*scan).env},
		{"fips", "min", (*scan).fips},
		{"local", "min", (*scan).local},
		{"lsb", "min", (*scan).lsb},
		{"pkg_mgr", "min", (*scan).pkgMgr},
		{"platform", "min", (*scan).platform},
		{"python", "min", (*scan).python},
		{"selinux", "min", (*scan).selinux},
		{"service_mgr", "min", (*scan).serviceMgr},
		{"ssh_pub_keys", "min", (*scan).sshKeys},
		{"user", "min", (*scan).user},
		{"chroot", "", (*scan).chroot},
		{"loadavg", "", (*scan).loadavg},
		{"systemd", "", (*scan).systemd},
		{"hardware", "devices dmi mounts processor cpu memory uptime lvm", (*scan).hardware},
		{"network", "interfaces default_ipv4 default_ipv6 all_ipv4_addresses all_ipv6_addresses", (*scan).network},
		{"virtual", "virtualization_type virtualization_role virtualization_tech_guest virtualization_tech_host", (*scan).virtual},
		{"iscsi", "network", (*scan).iscsi},
		{"fibre_channel_wwn", "network", (*scan).fibreChannel},
		{"nvme", "network", (*scan).nvme},
		{"facter", "", (*scan).facter},
		{"ohai", "", (*scan).ohai},
	}
}

func (c collector) in(subset string) bool {
	return c.name == subset || subset == "all" || slices.Contains(strings.Fields(c.groups), subset)
}

// A scan is one gathering of facts.
type scan struct {
	ctx  context.Context
	v    modules.View
	set  *Setup
	mu   sync.Mutex
	warn []string
}

// Plan implements modules.Module.
func (s *Setup) Plan(ctx context.Context, v modules.View) (plan, error) {
	s = clone(s)
	if err := expand(ctx, v, &s.FactPath); err != nil {
		return plan{}, err
	}
	chosen, err := s.choose()
	if err != nil {
		return plan{}, err
	}
	sc := &scan{ctx: ctx, v: v, set: s}
	found := make([]facts, len(chosen))
	var wg sync.WaitGroup
	for i, c := range chosen {
		wg.Go(func() { found[i] = sc.timed(c) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return plan{}, err
	}
	all := facts{}
	for _, f := range found {
		for name, val := range f {
			if !strings.HasPrefix(name, "facter_") && !strings.HasPrefix(name, "ohai_") {
				name = "ansible_" + name
			}
			if s.wanted(name) {
				all[name] = val
			}
		}
	}
	all["gather_subset"], all["module_setup"] = s.GatherSubset, true
	slices.Sort(sc.warn)
	return plan{Out: &SetupOut{Facts: all}, Warnings: sc.warn}, nil
}

// timed runs a collector for at most gather_timeout.
func (s *scan) timed(c collector) facts {
	limit := time.Duration(s.set.GatherTimeout) * time.Second
	if limit <= 0 {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(s.ctx, limit)
	defer cancel()
	out := c.gather(&scan{ctx: ctx, v: s.v, set: s.set})
	if ctx.Err() != nil && s.ctx.Err() == nil {
		s.warning("gathering " + c.name + " facts took longer than gather_timeout")
	}
	return out
}

func (s *scan) warning(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warn = append(s.warn, text)
}

// choose applies ansible-core's rules: min is always asked for, so that a list of only
// exclusions means min less them.
func (s *Setup) choose() ([]collector, error) {
	all := collectors()
	add, drop, named := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, subset := range append([]string{"min"}, s.GatherSubset...) {
		subset = strings.TrimSpace(subset)
		word, not := strings.CutPrefix(subset, "!")
		known := word == "all" || word == "min"
		for _, c := range all {
			if !c.in(word) {
				continue
			}
			known = true
			switch {
			case not && word == "all":
				drop[c.name] = drop[c.name] || !c.in("min")
			case not:
				drop[c.name] = true
			case word == "min" || word == "all":
				add[c.name] = true
			default:
				add[c.name], named[c.name] = true, true
			}
		}
		if !known && !not {
			var names []string
			for _, c := range all {
				names = append(names, c.name)
			}
			slices.Sort(names)
			return nil, modules.Failf("Bad subset '%s' given to Ansible. gather_subset options allowed: all, %s", subset, strings.Join(names, ", "))
		}
	}
	var chosen []collector
	for _, c := range all {
		if add[c.name] && (!drop[c.name] || named[c.name]) {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

// wanted says whether filter takes a fact, given with or without ansible_.
func (s *Setup) wanted(name string) bool {
	all := true
	for _, f := range s.Filter {
		if f == "" {
			continue
		}
		all = false
		if fnmatch(f, name) || fnmatch("ansible_"+f, name) {
			return true
		}
	}
	return all
}

// read is a file's content without white space at its ends; "" if it cannot be read.
func (s *scan) read(p string) string {
	data, err := s.v.ReadFile(s.ctx, p)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func (s *scan) exists(p string) bool {
	fi, err := stat(s.ctx, s.v, p)
	return err == nil && fi != nil
}

func (s *scan) lines(p string) []string {
	text := s.read(p)
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// list is the names in a folder.
func (s *scan) list(dir string) []string {
	entries, err := s.v.ReadDir(s.ctx, dir)
	if err != nil {
		return nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return names
}

// link is the last part of what a link points to.
func (s *scan) link(p string) string {
	to, err := s.v.Readlink(s.ctx, p)
	if err != nil {
		return ""
	}
	return path.Base(to)
}

// ask is a command's output; false if it fails or is not there.
func (s *scan) ask(argv ...string) (string, bool) {
	out, err := s.v.Query(s.ctx, argv...)
	return out.Stdout, err == nil && out.RC == 0
}

func (s *scan) has(program string) bool {
	p, err := s.v.LookPath(s.ctx, program)
	return err == nil && p != ""
}

func (s *scan) facter() facts { return s.foreign("facter_", "facter", "--puppet", "--json") }

func (s *scan) ohai() facts { return s.foreign("ohai_", "ohai") }

// foreign gathers the facts of another tool, where there is one.
func (s *scan) foreign(prefix string, argv ...string) facts {
	if !s.has(argv[0]) {
		return nil
	}
	text, ok := s.ask(argv...)
	var got facts
	if !ok || json.Unmarshal([]byte(text), &got) != nil {
		return nil
	}
	out := facts{}
	for k, v := range got {
		out[prefix+strings.NewReplacer("::", "_", "-", "_").Replace(k)] = v
	}
	return out
}

// local reads facts.d. A file that cannot be read is a fact that says so.
func (s *scan) local() facts {
	out := facts{}
	for _, name := range s.list(s.set.FactPath) {
		base, ok := strings.CutSuffix(name, ".fact")
		if !ok {
			continue
		}
		p := path.Join(s.set.FactPath, name)
		fi, err := stat(s.ctx, s.v, p)
		if err == nil && fi == nil {
			err = fmt.Errorf("[Errno 2] No such file or directory: '%s'", p)
		}
		if err != nil {
			out[base] = fmt.Sprintf("Could not stat fact (%s): %s", p, err)
			continue
		}
		if fi.Mode.IsDir() {
			continue
		}
		text := s.read(p)
		if fi.Mode&0o111 != 0 {
			o, err := s.v.Query(s.ctx, p)
			switch {
			case err != nil:
				out[base] = fmt.Sprintf("error loading fact - output of running \"%s\" was not utf-8", p)
				continue
			case o.RC != 0:
				out[base] = fmt.Sprintf("Failure executing fact script (%s), rc: %d, err: %s", p, o.RC, strings.TrimSpace(o.Stderr))
				continue
			}
			text = o.Stdout
		}
		out[base] = factText(text, p)
	}
	return facts{"local": out}
}

// factText reads a fact file's text: JSON, or an ini file.
func factText(text, p string) any {
	var val any
	if json.Unmarshal([]byte(text), &val) == nil {
		return val
	}
	sections := map[string]map[string]string{}
	var cur map[string]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			cur = map[string]string{}
			sections[line[1:len(line)-1]] = cur
		default:
			k, v, ok := strings.Cut(line, "=")
			if !ok {
				k, v, ok = strings.Cut(line, ":")
			}
			if !ok || cur == nil {
				return fmt.Sprintf("error loading facts as JSON or ini - please check content: %s", p)
			}
			v = strings.TrimSpace(v)
			if badInterpolation(v) {
				return fmt.Sprintf("error loading facts as ini - please check content: %s ('%%' must be followed by '%%' or '(', found: '%s')", p, v[strings.IndexByte(v, '%'):])
			}
			cur[strings.ToLower(strings.TrimSpace(k))] = v
		}
	}
	return sections
}

// badInterpolation says whether Python's ConfigParser could not read a value for a lone
// percent sign.
func badInterpolation(v string) bool {
	v = strings.ReplaceAll(v, "%%", "")
	for {
		i := strings.IndexByte(v, '%')
		if i < 0 {
			return false
		}
		if v = v[i+1:]; !strings.HasPrefix(v, "(") {
			return true
		}
	}
}

// merge puts b's facts into a.
func (f facts) merge(b facts) facts {
	maps.Copy(f, b)
	return f
}
