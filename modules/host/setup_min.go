package host

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (s *scan) apparmor() facts {
	status := "disabled"
	if s.exists("/sys/kernel/security/apparmor") {
		status = "enabled"
	}
	return facts{"apparmor": map[string]string{"status": status}}
}

func (s *scan) caps() facts {
	out := facts{"system_capabilities_enforced": "N/A", "system_capabilities": []string{}}
	if !s.has("capsh") {
		return out
	}
	text, ok := s.ask("capsh", "--print")
	if !ok {
		return out
	}
	for line := range strings.Lines(text) {
		if _, cur, ok := strings.Cut(line, "Current:"); ok && strings.HasPrefix(line, "Current:") {
			_, list, _ := strings.Cut(cur, "=")
			list = strings.TrimSpace(list)
			if list == "ep" {
				return facts{"system_capabilities_enforced": "False", "system_capabilities": []string{}}
			}
			var names []string
			for name := range strings.SplitSeq(list, ",") {
				names = append(names, strings.TrimSpace(name))
			}
			return facts{"system_capabilities_enforced": "True", "system_capabilities": names}
		}
	}
	return out
}

func (s *scan) cmdline() facts {
	text := s.read("/proc/cmdline")
	words, err := splitArgs(text)
	if text == "" || err != nil {
		return nil
	}
	last, all := facts{}, facts{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		var val any = v
		if !ok {
			val = true
		}
		last[k] = val
		switch old := all[k].(type) {
		case nil:
			all[k] = val
		case []any:
			all[k] = append(old, val)
		default:
			if ok {
				all[k] = []any{old, val}
			}
		}
	}
	return facts{"cmdline": last, "proc_cmdline": all}
}

func (s *scan) dateTime() facts {
	text, ok := s.ask("date", "+%s %z %Z")
	f := strings.Fields(text)
	if !ok || len(f) < 3 {
		return nil
	}
	now := time.Now()
	if epoch, err := strconv.ParseInt(f[0], 10, 64); err == nil && (epoch < now.Unix()-1 || epoch > now.Unix()+1) {
		now = time.Unix(epoch, 0) // the module runs on the controller, whose clock differs
	}
	now = now.In(time.FixedZone(f[2], offset(f[1])))
	dst := s.summerTime(now.Year(), f[2])
	utc := now.UTC()
	// %W of strftime: weeks begin on Monday, days before the first Monday are week 0.
	week := (now.YearDay() + 6 - (int(now.Weekday())+6)%7) / 7
	return facts{"date_time": map[string]any{
		"year": now.Format("2006"), "month": now.Format("01"), "weekday": now.Weekday().String(), "weekday_number": strconv.Itoa(int(now.Weekday())),
		"weeknumber": fmt.Sprintf("%02d", week), "day": now.Format("02"), "hour": now.Format("15"), "minute": now.Format("04"), "second": now.Format("05"),
		"epoch": strconv.FormatInt(now.Unix(), 10), "epoch_int": strconv.FormatInt(now.Unix(), 10), "date": now.Format("2006-01-02"), "time": now.Format("15:04:05"),
		"iso8601_micro": utc.Format("2006-01-02T15:04:05.000000Z"), "iso8601": utc.Format("2006-01-02T15:04:05Z"),
		"iso8601_basic": strings.Replace(now.Format("20060102T150405.000000"), ".", "", 1), "iso8601_basic_short": now.Format("20060102T150405"),
		"tz": f[2], "tz_dst": dst, "tz_offset": f[1],
	}}
}

// summerTime is the name the host's zone has in summer, or all year: that of the half of
// the year with the greater offset.
func (s *scan) summerTime(year int, name string) string {
	env, err := s.v.Env(s.ctx)
	if err != nil || env["TZ"] != "" {
		return name // a zone of the session's own
	}
	data, err := s.v.ReadFile(s.ctx, "/etc/localtime")
	if err != nil {
		return name
	}
	zone, err := time.LoadLocationFromTZData("", data)
	if err != nil {
		return name
	}
	winter, ahead := time.Date(year, time.January, 1, 0, 0, 0, 0, zone).Zone()
	summer, further := time.Date(year, time.July, 1, 0, 0, 0, 0, zone).Zone()
	if further > ahead {
		return summer
	}
	return winter
}

// offset reads +0130 as seconds.
func offset(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n/100*3600 + n%100*60
}

// distros are Ansible's names and families by ID of os-release.
var distros = map[string][2]string{
	"debian": {"Debian", "Debian"}, "ubuntu": {"Ubuntu", "Debian"}, "raspbian": {"Raspbian", "Debian"}, "linuxmint": {"Linux Mint", "Debian"},
	"kali": {"Kali", "Debian"}, "devuan": {"Devuan", "Debian"}, "pop": {"Pop!_OS", "Debian"}, "fedora": {"Fedora", "RedHat"},
	"centos": {"CentOS", "RedHat"}, "rhel": {"RedHat", "RedHat"}, "rocky": {"Rocky", "RedHat"}, "almalinux": {"AlmaLinux", "RedHat"},
	"ol": {"OracleLinux", "RedHat"}, "amzn": {"Amazon", "RedHat"}, "opensuse-leap": {"openSUSE Leap", "Suse"},
	"opensuse-tumbleweed": {"openSUSE Tumbleweed", "Suse"}, "sles": {"SLES", "Suse"}, "alpine": {"Alpine", "Alpine"},
	"arch": {"Archlinux", "Archlinux"}, "manjaro": {"Manjaro", "Archlinux"}, "gentoo": {"Gentoo", "Gentoo"}, "void": {"Void", "Void"},
	"nixos": {"NixOS", "NixOS"}, "flatcar": {"Flatcar", "Flatcar"},
}

// osRelease is /etc/os-release as a map.
func (s *scan) osRelease() (map[string]string, string) {
	for _, p := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		vals := map[string]string{}
		for _, line := range s.lines(p) {
			if k, v, ok := strings.Cut(line, "="); ok {
				vals[k] = strings.Trim(strings.TrimSpace(v), `"'`)
			}
		}
		if len(vals) > 0 {
			return vals, p
		}
	}
	return nil, ""
}

func (s *scan) distribution() facts {
	rel, p := s.osRelease()
	if rel == nil {
		return facts{"distribution": "Linux", "distribution_version": "NA", "distribution_release": "NA", "distribution_major_version": "NA", "os_family": "Linux"}
	}
	name, ok := distros[rel["ID"]]
	if !ok {
		name = [2]string{rel["NAME"], rel["NAME"]}
		for _, like := range strings.Fields(rel["ID_LIKE"]) {
			if parent, ok := distros[like]; ok {
				name[1] = parent[1]
				break
			}
		}
	}
	version, codename := rel["VERSION_ID"], rel["VERSION_CODENAME"]
	if codename == "" {
		if _, tail, ok := strings.Cut(rel["VERSION"], "("); ok {
			codename, _, _ = strings.Cut(tail, ")")
		}
	}
	out := facts{
		"distribution": name[0], "os_family": name[1], "distribution_file_path": p, "distribution_file_variety": name[1], "distribution_file_parsed": true,
	}
	if name[0] == "Debian" {
		if exact := s.read("/etc/debian_version"); strings.HasPrefix(exact, version+".") {
			version = exact
		}
		if _, minor, ok := strings.Cut(version, "."); ok {
			out["distribution_minor_version"] = minor
		}
	}
	out["distribution_version"], out["distribution_release"] = orNA(version), orNA(codename)
	major, _, _ := strings.Cut(version, ".")
	out["distribution_major_version"] = orNA(major)
	return out
}

func orNA(s string) string {
	if s == "" {
		return "NA"
	}
	return s
}

func (s *scan) lsb() facts {
	rel, _ := s.osRelease()
	if rel == nil || !s.has("lsb_release") && !s.exists("/etc/lsb-release") {
		return facts{"lsb": map[string]string{}}
	}
	id := distros[rel["ID"]][0]
	if id == "" {
		id = rel["NAME"]
	}
	major, _, _ := strings.Cut(rel["VERSION_ID"], ".")
	return facts{"lsb": map[string]string{
		"id": id, "release": rel["VERSION_ID"], "description": rel["PRETTY_NAME"], "codename": rel["VERSION_CODENAME"], "major_release": major,
	}}
}

func (s *scan) dns() facts {
	out := map[string]any{}
	for _, line := range s.lines("/etc/resolv.conf") {
		f := strings.Fields(line)
		if len(f) < 2 || line[0] == '#' || line[0] == ';' {
			continue
		}
		switch f[0] {
		case "nameserver":
			list, _ := out["nameservers"].([]string)
			out["nameservers"] = append(list, f[1:]...)
		case "domain":
			out["domain"] = f[1]
		case "search":
			out["search"] = f[1:]
		case "sortlist":
			out["sortlist"] = f[1:]
		case "options":
			opts := map[string]any{}
			for _, o := range f[1:] {
				k, v, ok := strings.Cut(o, ":")
				opts[k] = any(v)
				if !ok {
					opts[k] = true
				}
			}
			out["options"] = opts
		}
	}
	return facts{"dns": out}
}

func (s *scan) env() facts {
	env, err := s.v.Env(s.ctx)
	if err != nil {
		return nil
	}
	return facts{"env": maps.Clone(env)}
}

func (s *scan) fips() facts { return facts{"fips": s.read("/proc/sys/crypto/fips_enabled") == "1"} }

func (s *scan) pkgMgr() facts {
	for _, m := range [][2]string{
		{"/usr/bin/apt-get", "apt"},
		{"/usr/bin/dnf5", "dnf5"},
		{"/usr/bin/dnf-3", "dnf"},
		{"/usr/bin/dnf", "dnf"},
		{"/usr/bin/microdnf", "dnf"},
		{"/usr/bin/yum", "yum"},
		{"/usr/bin/zypper", "zypper"},
		{"/sbin/apk", "apk"},
		{"/usr/bin/apk", "apk"},
		{"/usr/bin/pacman", "pacman"},
		{"/usr/bin/emerge", "portage"},
		{"/usr/bin/xbps-install", "xbps"},
		{"/bin/opkg", "opkg"},
		{"/run/current-system/sw/bin/nix-env", "nix"},
		{"/usr/bin/rpm-ostree", "atomic_container"},
	} {
		if s.exists(m[0]) {
			return facts{"pkg_mgr": m[1]}
		}
	}
	return facts{"pkg_mgr": "unknown"}
}

func (s *scan) platform() facts {
	machine := s.read("/proc/sys/kernel/arch") // from Linux 6.1 on
	if machine == "" {
		text, _ := s.ask("uname", "-m")
		machine = strings.TrimSpace(text)
	}
	node := s.read("/proc/sys/kernel/hostname")
	fqdn := s.fqdn(node)
	_, domain, _ := strings.Cut(fqdn, ".")
	host, _, _ := strings.Cut(node, ".")
	out := facts{
		"system": s.read("/proc/sys/kernel/ostype"), "kernel": s.read("/proc/sys/kernel/osrelease"), "kernel_version": s.read("/proc/sys/kernel/version"),
		"machine": machine, "nodename": node, "hostname": host, "fqdn": fqdn, "domain": domain,
		"architecture": machine, "userspace_architecture": machine, "userspace_bits": "64",
	}
	if slices.Contains([]string{"i386", "i486", "i586", "i686"}, machine) {
		out["architecture"], out["userspace_architecture"] = "i386", "i386"
	}
	if !strings.Contains(machine, "64") && machine != "s390x" {
		out["userspace_bits"] = "32"
	}
	for _, p := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if id := s.read(p); id != "" {
			out["machine_id"] = id
			break
		}
	}
	return out
}

// fqdn is Python's socket.getfqdn: the first name with a dot of the address's names.
func (s *scan) fqdn(node string) string {
	f := s.hostsEntry(node)
	if f == nil {
		text, ok := s.ask("getent", "hosts", node)
		if f = strings.Fields(text); !ok || len(f) < 2 {
			return node
		}
		if names, ok := s.ask("getent", "hosts", f[0]); ok && len(strings.Fields(names)) > 1 {
			f = strings.Fields(names)
		}
	}
	for _, name := range f[1:] {
		if strings.Contains(name, ".") {
			return name
		}
	}
	return f[1]
}

// hostsEntry is an address with its names, where /etc/hosts answers before anything else
// and has one address for the node; nil where the resolver has to be asked.
func (s *scan) hostsEntry(node string) []string {
	first := ""
	for _, line := range s.lines("/etc/nsswitch.conf") {
		if services, ok := strings.CutPrefix(line, "hosts:"); ok {
			first, _, _ = strings.Cut(strings.TrimSpace(services), " ")
		}
	}
	if first != "files" {
		return nil
	}
	var entries [][]string
	for _, line := range s.lines("/etc/hosts") {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 1 {
			entries = append(entries, f)
		}
	}
	address := ""
	for _, f := range entries {
		if !slices.Contains(f[1:], node) {
			continue
		}
		if address != "" && address != f[0] {
			return nil
		}
		address = f[0]
	}
	for _, f := range entries { // the names are those of the address's first line
		if f[0] == address {
			return f
		}
	}
	return nil
}

// python tells of the interpreter playbooks ask about; orch itself needs none.
func (s *scan) python() facts {
	p := "/usr/bin/python3" // what interpreter discovery takes first
	if !s.exists(p) {
		var err error
		if p, err = s.v.LookPath(s.ctx, "python3"); err != nil || p == "" {
			return nil
		}
	}
	text, ok := s.ask(p, "--version")
	text = strings.TrimPrefix(strings.TrimSpace(text), "Python ")
	var n [3]int
	parts := strings.SplitN(text, ".", 3)
	for i, part := range parts {
		n[i], _ = strconv.Atoi(part)
	}
	if !ok || len(parts) < 3 {
		return nil
	}
	return facts{"python_version": text, "python": map[string]any{
		"executable": p, "type": "cpython", "has_sslcontext": true, "version_info": []any{n[0], n[1], n[2], "final", 0},
		"version": map[string]any{"major": n[0], "minor": n[1], "micro": n[2], "releaselevel": "final", "serial": 0},
	}}
}

func (s *scan) selinux() facts {
	out := map[string]string{"status": "disabled"}
	if enforce := s.read("/sys/fs/selinux/enforce"); enforce != "" {
		out["status"], out["mode"] = "enabled", map[string]string{"1": "enforcing"}[enforce]
		if out["mode"] == "" {
			out["mode"] = "permissive"
		}
		out["policyvers"] = s.read("/sys/fs/selinux/policyvers")
		for _, line := range s.lines("/etc/selinux/config") {
			if v, ok := strings.CutPrefix(line, "SELINUX="); ok {
				out["config_mode"] = v
			}
			if v, ok := strings.CutPrefix(line, "SELINUXTYPE="); ok {
				out["type"] = v
			}
		}
	}
	return facts{"selinux": out, "selinux_python_present": true}
}

func (s *scan) serviceMgr() facts {
	comm := s.read("/proc/1/comm")
	if comm != "" && comm != "init" && !strings.HasSuffix(comm, "sh") {
		known := map[string]string{"procd": "openwrt_init", "runit-init": "runit", "svscan": "svc", "openrc-init": "openrc"}
		if mgr := known[comm]; mgr != "" {
			comm = mgr
		}
		return facts{"service_mgr": comm}
	}
	mgr := "service"
	switch {
	case s.has("systemctl") && (s.exists("/run/systemd/system") || s.exists("/dev/.run/systemd") || s.exists("/dev/.systemd")):
		mgr = "systemd"
	case s.has("initctl") && s.exists("/etc/init/"):
		mgr = "upstart"
	case s.exists("/sbin/openrc"):
		mgr = "openrc"
	case s.has("systemctl") && s.link("/sbin/init") == "systemd":
		mgr = "systemd"
	case s.exists("/etc/init.d/"):
		mgr = "sysvinit"
	}
	return facts{"service_mgr": mgr}
}

func (s *scan) sshKeys() facts {
	out := facts{}
	for _, dir := range []string{"/etc/ssh", "/etc/openssh", "/etc"} {
		for _, algo := range []string{"dsa", "rsa", "ecdsa", "ed25519"} {
			f := strings.Fields(s.read(path.Join(dir, "ssh_host_"+algo+"_key.pub")))
			if len(f) > 1 {
				out["ssh_host_key_"+algo+"_public"], out["ssh_host_key_"+algo+"_public_keytype"] = f[1], f[0]
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return out
}

func (s *scan) user() facts {
	me, err := s.v.Whoami(s.ctx)
	if err != nil {
		return nil
	}
	return facts{
		"user_id": me.Name, "user_uid": me.UID, "user_gid": me.GID, "user_gecos": me.Gecos, "user_dir": me.Home, "user_shell": me.Shell,
		"real_user_id": me.UID, "effective_user_id": me.UID, "real_group_id": me.GID, "effective_group_id": me.GID,
	}
}

func (s *scan) chroot() facts {
	env, err := s.v.Env(s.ctx)
	if err == nil && env["debian_chroot"] != "" {
		return facts{"is_chroot": true}
	}
	mine, err := s.v.Stat(s.ctx, "/")
	if err != nil {
		return nil
	}
	init, err := s.v.Stat(s.ctx, "/proc/1/root/.")
	if err == nil {
		return facts{"is_chroot": mine.Inode != init.Inode || mine.Dev != init.Dev}
	}
	// Without the right to look there: 2 is the root of ext file systems, 128 of xfs, 256 of btrfs.
	return facts{"is_chroot": mine.Inode != 2 && mine.Inode != 128 && mine.Inode != 256}
}

func (s *scan) loadavg() facts {
	f := strings.Fields(s.read("/proc/loadavg"))
	if len(f) < 3 {
		return nil
	}
	out := map[string]float64{}
	for i, name := range []string{"1m", "5m", "15m"} {
		out[name], _ = strconv.ParseFloat(f[i], 64)
	}
	return facts{"loadavg": out}
}

func (s *scan) systemd() facts {
	if !s.has("systemctl") || !s.exists("/run/systemd/system") {
		return nil
	}
	text, ok := s.ask("systemctl", "--version")
	first, features, _ := strings.Cut(text, "\n")
	f := strings.Fields(first)
	if !ok || len(f) < 2 {
		return nil
	}
	n, _ := strconv.Atoi(f[1])
	return facts{"systemd": map[string]any{"version": n, "features": strings.TrimSpace(features)}}
}

func (s *scan) iscsi() facts {
	iqn := ""
	for _, line := range s.lines("/etc/iscsi/initiatorname.iscsi") {
		if v, ok := strings.CutPrefix(line, "InitiatorName="); ok {
			iqn = v
		}
	}
	return facts{"iscsi_iqn": iqn}
}

func (s *scan) fibreChannel() facts {
	wwns := []string{}
	for _, host := range s.list("/sys/class/fc_host") {
		if name := s.read("/sys/class/fc_host/" + host + "/port_name"); name != "" {
			wwns = append(wwns, strings.TrimPrefix(name, "0x"))
		}
	}
	return facts{"fibre_channel_wwn": wwns}
}

func (s *scan) nvme() facts {
	nqn := ""
	for _, line := range s.lines("/etc/nvme/hostnqn") {
		if strings.HasPrefix(line, "nqn.") {
			nqn = line
		}
	}
	return facts{"hostnqn": nqn}
}
