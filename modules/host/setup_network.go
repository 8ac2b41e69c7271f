package host

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
)

func (s *scan) network() facts {
	if !s.has("ip") {
		return nil
	}
	ifaces := map[string]facts{}
	for _, name := range s.list("/sys/class/net") {
		if fi, err := stat(s.ctx, s.v, "/sys/class/net/"+name); err == nil && fi != nil && fi.Mode.IsDir() {
			ifaces[name] = s.iface(name)
		}
	}
	text := s.ip()
	def4, def6 := defaultRoute(text, anywhere4), defaultRoute(text, anywhere6)
	all4, all6, local4 := []string{}, []string{}, []string{}
	dev := ""
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		switch {
		case len(w) > 1 && w[0] == "local":
			if !slices.Contains(local4, w[1]) {
				local4 = append(local4, w[1])
			}
		case len(w) > 1 && line[0] >= '0' && line[0] <= '9' && strings.HasSuffix(w[0], ":"):
			dev, _, _ = strings.Cut(strings.TrimSuffix(w[1], ":"), "@")
		case len(w) > 3 && w[0] == "inet":
			addr := s.inet(ifaces, dev, w, def4)
			if !strings.HasPrefix(addr, "127.") {
				all4 = append(all4, addr)
			}
		case len(w) > 3 && w[0] == "inet6":
			addr := inet6(ifaces, dev, w, def6)
			if addr != "::1" {
				all6 = append(all6, addr)
			}
		}
	}
	out := facts{"default_ipv4": def4, "default_ipv6": def6, "all_ipv4_addresses": all4, "all_ipv6_addresses": all6}
	names := []string{}
	for name, f := range ifaces {
		name = strings.ReplaceAll(name, ":", "_")
		names = append(names, name)
		out[strings.ReplaceAll(name, "-", "_")] = f
	}
	slices.Sort(names)
	out["interfaces"] = names
	out["locally_reachable_ips"] = map[string][]string{"ipv4": local4, "ipv6": s.reachable6()}
	return out
}

// Addresses far away, whose routes are the default ones: ansible-core 2.18 takes these.
const anywhere4, anywhere6 = "8.8.8.8", "2404:6800:400a:800::1012"

// ip is what ip(8) says of the default routes, the addresses and the local IPv4 routes,
// one after the other: each line tells by its first word what it is about. Iproute2
// answers all in one process; that of busybox is started for each.
func (s *scan) ip() string {
	asked := []struct{ family, words string }{
		{"-4", "route get " + anywhere4}, {"-6", "route get " + anywhere6}, {"-4", "route show table local"}, {"", "addr show"},
	}
	batch := "ip -force -batch - <<'.'\n" // takes no -4 and -6, and needs none
	for _, q := range asked {
		batch += q.words + "\n"
	}
	// The exit code is that of the worst answer, and having no route is one.
	if text, _ := s.ask("sh", "-c", batch+"."); text != "" {
		return text
	}
	text := ""
	for _, q := range asked {
		one, _ := s.ask(append([]string{"ip"}, strings.Fields(q.family+" "+q.words)...)...)
		text += one
	}
	return text
}

// reachable6 are the host's own IPv6 networks, from the kernel's table: ip(8) wants a
// process of its own for them.
func (s *scan) reachable6() []string {
	list := []string{}
	for _, line := range s.lines("/proc/net/ipv6_route") {
		const local = 0x80000000 // RTF_LOCAL
		w := strings.Fields(line)
		if len(w) < 10 {
			continue
		}
		addr, err := hex.DecodeString(w[0])
		bits, err2 := strconv.ParseUint(w[1], 16, 8)
		flags, err3 := strconv.ParseUint(w[8], 16, 32)
		if errors.Join(err, err2, err3) != nil || len(addr) != 16 || flags&local == 0 {
			continue
		}
		text := netip.AddrFrom16([16]byte(addr)).String()
		if bits < 128 {
			text += "/" + strconv.FormatUint(bits, 10)
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// defaultRoute reads the answer to "route get" for an address.
func defaultRoute(text, to string) facts {
	out := facts{}
	var w []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, to+" ") {
			w = strings.Fields(line)
			break
		}
	}
	for i := 0; i+1 < len(w); i++ {
		switch {
		case w[i] == "dev":
			out["interface"] = w[i+1]
		case w[i] == "src":
			out["address"] = w[i+1]
		case w[i] == "via" && w[i+1] != to:
			out["gateway"] = w[i+1]
		}
	}
	return out
}

// ifaceTypes are the words for ARPHRD numbers.
var ifaceTypes = map[string]string{"1": "ether", "32": "infiniband", "512": "ppp", "772": "loopback", "65534": "tunnel"}

func (s *scan) iface(name string) facts {
	dir := "/sys/class/net/" + name
	f := facts{"device": name}
	if mac := s.read(dir + "/address"); mac != "" && mac != "00:00:00:00:00:00" {
		f["macaddress"] = mac
	}
	if mtu, err := strconv.Atoi(s.read(dir + "/mtu")); err == nil {
		f["mtu"] = mtu
	}
	if state := s.read(dir + "/operstate"); state != "" {
		f["active"] = state != "down"
	}
	if s.exists(dir + "/device/driver/module") {
		f["module"] = s.link(dir + "/device/driver/module")
	}
	f["type"] = "unknown"
	if word := ifaceTypes[s.read(dir+"/type")]; word != "" {
		f["type"] = word
	}
	if s.exists(dir + "/bridge") {
		f["type"], f["interfaces"] = "bridge", append([]string{}, s.list(dir+"/brif")...)
		f["id"], f["stp"] = s.read(dir+"/bridge/bridge_id"), s.read(dir+"/bridge/stp_state") == "1"
	}
	if s.exists(dir + "/bonding") {
		s.bonding(dir+"/bonding", f)
	}
	if s.exists(dir + "/bonding_slave") {
		f["perm_macaddress"] = s.read(dir + "/bonding_slave/perm_hwaddr")
	}
	if s.exists(dir + "/device") {
		f["pciid"] = s.link(dir + "/device")
	}
	if speed, err := strconv.Atoi(s.read(dir + "/speed")); err == nil {
		f["speed"] = speed
	}
	if flags, err := strconv.ParseUint(strings.TrimPrefix(s.read(dir+"/flags"), "0x"), 16, 32); err == nil {
		f["promisc"] = flags&0x100 != 0
	}
	if s.has("ethtool") {
		s.ethtool(name, f)
	}
	return f
}

func (s *scan) bonding(dir string, f facts) {
	first := func(name string) string {
		w := strings.Fields(s.read(dir + "/" + name))
		if len(w) == 0 {
			return ""
		}
		return w[0]
	}
	f["type"], f["slaves"] = "bonding", strings.Fields(s.read(dir+"/slaves"))
	f["mode"], f["miimon"], f["lacp_rate"] = first("mode"), first("miimon"), first("lacp_rate")
	if primary := first("primary"); primary != "" {
		f["primary"] = primary
		f["all_slaves_active"] = first("all_slaves_active") == "1"
	}
}

var stampWords = lazy(`SOF_TIMESTAMPING_(\w+)|HWTSTAMP_FILTER_(\w+)|PTP Hardware Clock: (\d+)`)

func (s *scan) ethtool(name string, f facts) {
	if text, ok := s.ask("ethtool", "-k", name); ok {
		features := map[string]string{}
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && v != "" {
				features[strings.ReplaceAll(k, "-", "_")] = strings.TrimSpace(v)
			}
		}
		f["features"] = features
	}
	if text, ok := s.ask("ethtool", "-T", name); ok {
		stamps, filters := []string{}, []string{}
		for _, m := range stampWords().FindAllStringSubmatch(text, -1) {
			switch {
			case m[1] != "":
				stamps = append(stamps, strings.ToLower(m[1]))
			case m[2] != "":
				filters = append(filters, strings.ToLower(m[2]))
			default:
				f["phc_index"], _ = strconv.Atoi(m[3])
			}
		}
		f["timestamping"], f["hw_timestamp_filters"] = stamps, filters
	}
}

// inet adds an IPv4 address of ip(8)'s output to its interface.
func (s *scan) inet(ifaces map[string]facts, dev string, w []string, def facts) string {
	addr, bits, ok := strings.Cut(w[1], "/")
	broadcast := ""
	if !ok {
		bits = "32" // point to point
	} else if w[2] == "brd" {
		broadcast = w[3]
	}
	ip := map[string]string{"address": addr, "broadcast": broadcast, "netmask": "", "network": "", "prefix": bits}
	if p, err := netip.ParsePrefix(addr + "/" + bits); err == nil {
		ip["network"] = p.Masked().Addr().String()
		n := uint32(0)
		if p.Bits() > 0 {
			n = ^uint32(0) << (32 - p.Bits())
		}
		ip["netmask"] = netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
	}
	label := w[len(w)-1]
	if ifaces[label] == nil {
		label = dev
	}
	f := ifaces[label]
	if f == nil {
		f = facts{"device": label}
		ifaces[label] = f
	}
	if slices.Contains(w, "secondary") || f["ipv4"] != nil {
		list, _ := f["ipv4_secondaries"].([]map[string]string)
		f["ipv4_secondaries"] = append(list, ip)
	} else {
		f["ipv4"] = ip
	}
	if def["address"] == addr {
		for k, v := range ip {
			def[k] = v
		}
		def["macaddress"], def["mtu"], def["type"], def["alias"] = f["macaddress"], f["mtu"], f["type"], w[len(w)-1]
	}
	return addr
}

func inet6(ifaces map[string]facts, dev string, w []string, def facts) string {
	addr, bits, _ := strings.Cut(w[1], "/")
	scope := w[3]
	if w[2] == "peer" && len(w) > 5 {
		_, bits, _ = strings.Cut(w[3], "/")
		scope = w[5]
	}
	f := ifaces[dev]
	if f == nil {
		return addr
	}
	list, _ := f["ipv6"].([]map[string]string)
	f["ipv6"] = append(list, map[string]string{"address": addr, "prefix": bits, "scope": scope})
	if def["address"] == addr {
		def["prefix"], def["scope"], def["macaddress"], def["mtu"], def["type"] = bits, scope, f["macaddress"], f["mtu"], f["type"]
	}
	return addr
}

// A virt collects what tells that the host is virtual or has virtual ones.
type virt struct {
	kind, role  string
	guest, host []string
}

func (v *virt) add(role, kind string) {
	list := &v.guest
	if role == "host" {
		list = &v.host
	}
	if !slices.Contains(*list, kind) {
		*list = append(*list, kind)
	}
	if v.kind == "" {
		v.kind, v.role = kind, role
	}
}

func (s *scan) virtual() facts {
	v := &virt{guest: []string{}, host: []string{}}
	s.containers(v)
	s.machines(v)
	if v.kind == "" {
		v.kind, v.role = "NA", "NA"
	}
	return facts{"virtualization_type": v.kind, "virtualization_role": v.role, "virtualization_tech_guest": v.guest, "virtualization_tech_host": v.host}
}

var dockerGroup = lazy(`/docker(/|-[0-9a-f]+\.scope)`)

func (s *scan) containers(v *virt) {
	for _, line := range s.lines("/proc/1/cgroup") {
		switch {
		case dockerGroup().MatchString(line):
			v.add("guest", "docker")
		case strings.Contains(line, "/lxc/") || strings.Contains(line, "/machine.slice/machine-lxc"):
			v.add("guest", "lxc")
		case strings.Contains(line, "/system.slice/containerd.service"):
			v.add("guest", "containerd")
		}
	}
	for name := range strings.SplitSeq(s.read("/proc/1/environ"), "\x00") {
		if kind, ok := strings.CutPrefix(name, "container="); ok && kind != "" {
			if kind == "lxc" || kind == "podman" {
				v.add("guest", kind)
			}
			v.add("guest", "container")
		}
	}
	if s.exists("/proc/vz") && !s.exists("/proc/lve") {
		role := "guest"
		if s.exists("/proc/bc") {
			role = "host"
		}
		v.add(role, "openvz")
	}
	if kind := s.read("/run/systemd/container"); kind != "" {
		v.add("guest", kind)
		v.add("guest", "container")
	}
	if s.exists("/.dockerenv") || s.exists("/.dockerinit") {
		v.add("guest", "docker")
	}
	for _, kind := range []string{"docker", "lxc", "podman", "openvz", "containerd"} {
		if slices.Contains(v.guest, kind) {
			v.add("guest", "container")
		}
	}
}

func (s *scan) machines(v *virt) {
	if s.exists("/proc/xen") {
		role := "guest"
		if strings.Contains(s.read("/proc/xen/capabilities"), "control_d") {
			role = "host"
		}
		v.add(role, "xen")
	}
	dmi := func(name string) string { return s.read(path.Join("/sys/devices/virtual/dmi/id", name)) }
	product, vendor, family, bios := dmi("product_name"), dmi("sys_vendor"), dmi("product_family"), dmi("bios_vendor")
	for _, m := range []struct {
		is   bool
		kind string
	}{
		{slices.Contains([]string{"KVM", "KVM Server", "Bochs", "AHV"}, product), "kvm"},
		{vendor == "oVirt", "oVirt"},
		{vendor == "Red Hat" && family == "RHV", "RHV"},
		{vendor == "Red Hat" && product == "RHEV Hypervisor", "RHEV"},
		{strings.HasPrefix(product, "VMware"), "VMware"},
		{product == "OpenStack Compute" || product == "OpenStack Nova" || vendor == "OpenStack Foundation", "openstack"},
		{bios == "Xen", "xen"},
		{bios == "innotek GmbH", "virtualbox"},
		{slices.Contains([]string{"Google", "Amazon EC2", "DigitalOcean", "Hetzner"}, bios), "kvm"},
		{vendor == "QEMU" || strings.HasPrefix(product, "Standard PC") || slices.Contains([]string{"Google", "Amazon EC2", "DigitalOcean", "Hetzner", "Linode", "Nutanix"}, vendor), "kvm"},
		{vendor == "KubeVirt", "KubeVirt"},
		{vendor == "Microsoft Corporation" && product == "Virtual Machine", "VirtualPC"},
		{vendor == "Parallels Software International Inc.", "parallels"},
	} {
		if m.is {
			v.add("guest", m.kind)
		}
	}
	cpu := s.read("/proc/cpuinfo")
	switch {
	case strings.Contains(cpu, "QEMU Virtual CPU"):
		v.add("guest", "kvm")
	case strings.Contains(cpu, "User Mode Linux"):
		v.add("guest", "uml")
	}
	var loaded []string
	for _, line := range s.lines("/proc/modules") {
		name, _, _ := strings.Cut(line, " ")
		loaded = append(loaded, name)
	}
	switch {
	case slices.Contains(loaded, "kvm"):
		v.add("host", "kvm")
	case slices.Contains(loaded, "vboxdrv"):
		v.add("host", "virtualbox")
	case slices.Contains(loaded, "virtio"):
		v.add("guest", "kvm")
	}
	if s.exists("/dev/kvm") {
		v.add("host", "kvm")
	}
}
