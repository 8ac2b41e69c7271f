package host

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

func (s *scan) hardware() facts {
	out := s.cpu()
	return out.merge(s.memory()).merge(s.dmi()).merge(s.uptime()).merge(s.mounts()).merge(s.devices()).merge(s.lvm())
}

func (s *scan) cpu() facts {
	var procs []string
	sockets, cores := []string{}, map[string]int{}
	perSocket := map[string]int{}
	var coreOrder []string
	vendors, models, processors, other := 0, 0, 0, 0
	phys, core := "0", "0"
	var flags []string
	for _, line := range s.lines("/proc/cpuinfo") {
		k, val, _ := strings.Cut(line, ":")
		k, val = strings.TrimSpace(k), strings.TrimSpace(val)
		switch k {
		case "flags":
			flags = strings.Fields(val)
		case "model name", "Processor", "vendor_id", "cpu", "Vendor", "processor":
			procs = append(procs, val)
			other++
			switch k {
			case "vendor_id":
				vendors++
			case "model name":
				models++
			case "processor":
				processors++
			}
		case "physical id":
			if phys = val; !slices.Contains(sockets, phys) {
				sockets, perSocket[phys] = append(sockets, phys), 1
			}
		case "core id":
			if core = val; cores[core] == 0 {
				coreOrder, cores[core] = append(coreOrder, core), 1
			}
		case "cpu cores":
			perSocket[phys], _ = strconv.Atoi(val)
		case "siblings":
			cores[core], _ = strconv.Atoi(val)
			if !slices.Contains(coreOrder, core) {
				coreOrder = append(coreOrder, core)
			}
		}
	}
	if procs == nil {
		return facts{}
	}
	n := other
	if vendors > 0 && vendors == models {
		n = vendors
	}
	if vendors == 0 {
		n = processors
	}
	count, perSock, threads := n, 1, 1
	if len(sockets) > 0 {
		count = len(sockets)
		if perSocket[sockets[0]] > 0 {
			perSock = perSocket[sockets[0]]
		}
	}
	if len(coreOrder) > 0 {
		threads = (2*cores[coreOrder[0]] + perSock) / (2 * perSock)
	}
	out := facts{
		"processor": procs, "processor_count": count, "processor_cores": perSock, "processor_threads_per_core": threads,
		"processor_vcpus": count * perSock * threads, "processor_nproc": s.nproc(processors),
	}
	if flags != nil {
		out["flags"] = flags
	}
	return out
}

// nproc counts the processors the module may run on.
func (s *scan) nproc(def int) int {
	for _, line := range s.lines("/proc/self/status") {
		list, ok := strings.CutPrefix(line, "Cpus_allowed_list:")
		if !ok {
			continue
		}
		n := 0
		for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
			a, b, dash := strings.Cut(part, "-")
			from, err1 := strconv.Atoi(a)
			to := from
			var err2 error
			if dash {
				to, err2 = strconv.Atoi(b)
			}
			if err1 != nil || err2 != nil {
				return def
			}
			n += to - from + 1
		}
		return n
	}
	return def
}

func (s *scan) memory() facts {
	mb := map[string]int{}
	for _, line := range s.lines("/proc/meminfo") {
		k, v, _ := strings.Cut(line, ":")
		f := strings.Fields(v)
		if len(f) > 0 {
			kb, _ := strconv.Atoi(f[0])
			mb[k] = kb / 1024
		}
	}
	if len(mb) == 0 {
		return nil
	}
	cached := mb["Cached"] + mb["Buffers"]
	return facts{
		"memtotal_mb": mb["MemTotal"], "memfree_mb": mb["MemFree"], "swaptotal_mb": mb["SwapTotal"], "swapfree_mb": mb["SwapFree"],
		"memory_mb": map[string]map[string]int{
			"real":    {"total": mb["MemTotal"], "used": mb["MemTotal"] - mb["MemFree"], "free": mb["MemFree"]},
			"nocache": {"free": mb["MemFree"] + cached, "used": mb["MemTotal"] - mb["MemFree"] - cached},
			"swap":    {"total": mb["SwapTotal"], "free": mb["SwapFree"], "used": mb["SwapTotal"] - mb["SwapFree"], "cached": mb["SwapCached"]},
		},
	}
}

// formFactors are the words for the numbers of chassis_type, as Ansible has them.
var formFactors = []string{
	"Unknown", "Other", "Unknown", "Desktop", "Low Profile Desktop", "Pizza Box", "Mini Tower", "Tower", "Portable", "Laptop", "Notebook", "Hand Held",
	"Docking Station", "All In One", "Sub Notebook", "Space-saving", "Lunch Box", "Main Server Chassis", "Expansion Chassis", "Sub Chassis",
	"Bus Expansion Chassis", "Peripheral Chassis", "RAID Chassis", "Rack Mount Chassis", "Sealed-case PC", "Multi-system", "CompactPCI", "AdvancedTCA",
	"Blade", "Blade Enclosure", "Tablet", "Convertible", "Detachable", "IoT Gateway", "Embedded PC", "Mini PC", "Stick PC",
}

func (s *scan) dmi() facts {
	out := facts{}
	for name, file := range map[string]string{
		"bios_date": "bios_date", "bios_vendor": "bios_vendor", "bios_version": "bios_version",
		"board_asset_tag": "board_asset_tag", "board_name": "board_name", "board_serial": "board_serial", "board_vendor": "board_vendor", "board_version": "board_version",
		"chassis_asset_tag": "chassis_asset_tag", "chassis_serial": "chassis_serial", "chassis_vendor": "chassis_vendor", "chassis_version": "chassis_version",
		"form_factor": "chassis_type", "product_name": "product_name", "product_serial": "product_serial", "product_uuid": "product_uuid",
		"product_version": "product_version", "system_vendor": "sys_vendor",
	} {
		val := s.read("/sys/devices/virtual/dmi/id/" + file)
		if name == "form_factor" && val != "" {
			n, err := strconv.Atoi(val)
			if err == nil && n < len(formFactors) {
				val = formFactors[n]
			} else {
				val = "unknown (" + val + ")"
			}
		}
		out[name] = orNA(val)
	}
	return out
}

func (s *scan) uptime() facts {
	f := strings.Fields(s.read("/proc/uptime"))
	if len(f) == 0 {
		return nil
	}
	secs, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		return nil
	}
	return facts{"uptime_seconds": int(secs)}
}

// A mount is a mounted file system, as the fact mounts tells it.
type mount struct {
	Mount          string `json:"mount"`
	Device         string `json:"device"`
	Fstype         string `json:"fstype"`
	Options        string `json:"options"`
	Dump           int    `json:"dump"`
	Passno         int    `json:"passno"`
	SizeTotal      uint64 `json:"size_total"`
	SizeAvailable  uint64 `json:"size_available"`
	BlockSize      uint64 `json:"block_size"`
	BlockTotal     uint64 `json:"block_total"`
	BlockAvailable uint64 `json:"block_available"`
	BlockUsed      uint64 `json:"block_used"`
	InodeTotal     uint64 `json:"inode_total"`
	InodeAvailable uint64 `json:"inode_available"`
	InodeUsed      uint64 `json:"inode_used"`
	UUID           string `json:"uuid"`
}

func (s *scan) mounts() facts {
	uuids := map[string]string{}
	for _, id := range s.list("/dev/disk/by-uuid") {
		uuids["/dev/"+s.link("/dev/disk/by-uuid/"+id)] = id
	}
	bind := map[string]bool{}
	for _, line := range s.lines("/proc/self/mountinfo") {
		if f := strings.Fields(line); len(f) > 4 && f[3] != "/" {
			bind[unoctal(f[4])] = true
		}
	}
	list := []mount{}
	for _, line := range s.lines("/proc/self/mounts") {
		f := strings.Fields(line)
		if len(f) < 6 || !strings.HasPrefix(f[0], "/") && !strings.Contains(f[0], ":/") || f[2] == "none" {
			continue
		}
		m := mount{Device: unoctal(f[0]), Mount: unoctal(f[1]), Fstype: f[2], Options: f[3], UUID: "N/A"}
		if bind[m.Mount] {
			m.Options += ",bind"
		}
		if id := uuids[m.Device]; id != "" {
			m.UUID = id
		}
		if st, err := s.v.Statfs(s.ctx, m.Mount); err == nil && st.BlockSize > 0 {
			m.BlockSize, m.SizeTotal, m.SizeAvailable = st.BlockSize, st.Size, st.Avail
			m.BlockTotal, m.BlockAvailable = st.Size/st.BlockSize, st.Avail/st.BlockSize
			m.BlockUsed = m.BlockTotal - m.BlockAvailable
			m.InodeTotal, m.InodeAvailable, m.InodeUsed = st.Files, st.FilesFree, st.Files-st.FilesFree
		}
		list = append(list, m)
	}
	return facts{"mounts": list}
}

var octalEscape = lazy(`\\[0-7]{3}`)

// unoctal reads the escapes of /proc/mounts.
func unoctal(s string) string {
	return octalEscape().ReplaceAllStringFunc(s, func(e string) string {
		n, _ := strconv.ParseUint(e[1:], 8, 16)
		return string([]byte{byte(n)})
	})
}

// human is Ansible's bytes_to_human.
func human(n float64) string {
	unit := "Bytes"
	for _, u := range []string{"KB", "MB", "GB", "TB", "PB", "EB"} {
		if n < 1024 {
			break
		}
		n, unit = n/1024, u
	}
	return fmt.Sprintf("%.2f %s", n, unit)
}

// deviceLinks maps a device's name to its names in folders of /dev/disk.
func (s *scan) deviceLinks() map[string]map[string][]string {
	all := map[string]map[string][]string{"ids": {}, "labels": {}, "uuids": {}, "masters": {}}
	for kind, dir := range map[string]string{"ids": "by-id", "labels": "by-label", "uuids": "by-uuid"} {
		for _, name := range s.list("/dev/disk/" + dir) {
			if dev := s.link("/dev/disk/" + dir + "/" + name); dev != "" {
				all[kind][dev] = append(all[kind][dev], name)
			}
		}
	}
	for _, dev := range s.list("/sys/block") {
		for _, slave := range s.list("/sys/block/" + dev + "/slaves") {
			all["masters"][slave] = append(all["masters"][slave], dev)
		}
	}
	return all
}

func linksOf(links map[string]map[string][]string, dev string) map[string][]string {
	out := map[string][]string{}
	for kind, byDev := range links {
		out[kind] = append([]string{}, byDev[dev]...)
	}
	return out
}

func (s *scan) devices() facts {
	links := s.deviceLinks()
	devs := map[string]any{}
	for _, name := range s.list("/sys/block") {
		devs[name] = s.device(name, links)
	}
	return facts{"devices": devs, "device_links": links}
}

func (s *scan) device(name string, links map[string]map[string][]string) map[string]any {
	dir := "/sys/block/" + name
	orNil := func(p string) any {
		if text := s.read(dir + "/" + p); text != "" {
			return text
		}
		return nil
	}
	d := map[string]any{
		"virtual": 1, "links": linksOf(links, name), "host": "", "holders": s.holders(dir),
		"vendor": orNil("device/vendor"), "model": orNil("device/model"), "sas_address": orNil("device/sas_address"),
		"sas_device_handle": orNil("device/sas_device_handle"), "removable": orNil("removable"), "rotational": orNil("queue/rotational"),
		"support_discard": orNil("queue/discard_granularity"), "scheduler_mode": "",
	}
	if s.read(dir+"/queue/discard_max_hw_bytes") == "0" {
		d["support_discard"] = "0"
	}
	if serial := s.read(dir + "/device/serial"); serial != "" {
		d["serial"] = serial
	}
	if _, mode, ok := strings.Cut(s.read(dir+"/queue/scheduler"), "["); ok {
		d["scheduler_mode"], _, _ = strings.Cut(mode, "]")
	}
	for _, id := range links["ids"][name] {
		if wwn, ok := strings.CutPrefix(id, "wwn-"); ok {
			d["wwn"] = wwn
		}
	}
	size, sector := s.sectors(dir, dir)
	d["sectorsize"], d["sectors"], d["size"] = strconv.Itoa(sector), size, human(float64(size)*float64(sector))
	parts := map[string]any{}
	for _, part := range s.list(dir) {
		rest, ok := strings.CutPrefix(part, name)
		if !ok || strings.Trim(strings.TrimPrefix(rest, "p"), "0123456789") != "" || rest == "" {
			continue
		}
		at := dir + "/" + part
		size, sector := s.sectors(at, dir)
		p := map[string]any{
			"links": linksOf(links, part), "start": s.read(at + "/start"), "sectorsize": sector, "sectors": size,
			"size": human(float64(size) * float64(sector)), "holders": s.holders(at), "uuid": nil,
		}
		if ids := links["uuids"][part]; len(ids) > 0 {
			p["uuid"] = ids[0]
		}
		parts[part] = p
	}
	d["partitions"] = parts
	return d
}

// sectors is a device's size in its own sectors; sysfs counts 512 bytes.
func (s *scan) sectors(dir, disk string) (n, sector int) {
	sector, err := strconv.Atoi(s.read(disk + "/queue/logical_block_size"))
	if err != nil || sector == 0 {
		sector = 512
	}
	n, _ = strconv.Atoi(s.read(dir + "/size"))
	return n * 512 / sector, sector
}

func (s *scan) holders(dir string) []string {
	out := []string{}
	for _, h := range s.list(dir + "/holders") {
		if name := s.read(path.Join("/sys/block", h, "dm/name")); name != "" && strings.HasPrefix(h, "dm-") {
			h = name
		}
		out = append(out, h)
	}
	return out
}

func (s *scan) lvm() facts {
	me, err := s.v.Whoami(s.ctx)
	if err != nil || !s.has("vgs") {
		return facts{"lvm": "N/A"}
	}
	if me.UID != 0 {
		return nil
	}
	table := func(tool string) [][]string {
		text, _ := s.ask(tool, "--noheadings", "--nosuffix", "--units", "g", "--separator", ",")
		var rows [][]string
		for line := range strings.Lines(text) {
			if f := strings.Split(strings.TrimSpace(line), ","); len(f) > 3 {
				rows = append(rows, f)
			}
		}
		return rows
	}
	vgs, lvs, pvs := map[string]any{}, map[string]any{}, map[string]any{}
	for _, f := range table("vgs") {
		vgs[f[0]] = map[string]string{"size_g": f[len(f)-2], "free_g": f[len(f)-1], "num_lvs": f[2], "num_pvs": f[1]}
	}
	for _, f := range table("lvs") {
		lvs[f[0]] = map[string]string{"size_g": f[3], "vg": f[1]}
	}
	for _, f := range table("pvs") {
		if len(f) > 5 {
			pvs[f[0]] = map[string]string{"size_g": f[4], "free_g": f[5], "vg": f[1]}
		}
	}
	return facts{"lvm": map[string]any{"vgs": vgs, "lvs": lvs, "pvs": pvs}}
}
