package host

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"orch/modules"
	"orch/playbook/pyre"
)

// WaitFor waits until a port takes connections, a file is there, or the reverse.
type WaitFor struct {
	// Host of the port.
	Host string `orch:"default=127.0.0.1"`
	// Seconds to wait at most.
	Timeout int `orch:"default=300"`
	// Seconds one attempt to connect may take.
	ConnectTimeout int `orch:"default=5"`
	// Seconds before the first attempt.
	Delay int
	// Port to wait for.
	Port *int
	// States of connections that count for drained.
	ActiveConnectionStates []string `orch:"default=ESTABLISHED|FIN_WAIT1|FIN_WAIT2|SYN_RECV|SYN_SENT|TIME_WAIT"`
	// File to wait for.
	Path string `orch:"path"`
	// Text to find in the file, or in what the port says.
	SearchRegex *string
	// What to wait for.
	State string `orch:"enum=absent|drained|present|started|stopped,default=started"`
	// Hosts whose connections do not count for drained.
	ExcludeHosts []string
	// Seconds between attempts.
	Sleep int `orch:"default=1"`
	// What to say when it takes too long.
	Msg string
}

// tcpStates are the numbers of /proc/net/tcp.
var tcpStates = map[string]string{
	"ESTABLISHED": "01", "SYN_SENT": "02", "SYN_RECV": "03", "FIN_WAIT1": "04", "FIN_WAIT2": "05", "TIME_WAIT": "06",
}

// Validate implements modules.Validator.
func (w *WaitFor) Validate() error {
	switch {
	case w.Port != nil && w.Path != "":
		return errors.New("port and path parameter can not both be passed to wait_for")
	case w.Path != "" && (w.State == "stopped" || w.State == "drained"):
		return fmt.Errorf("state=%s should only be used for checking a port in the wait_for module", w.State)
	case w.ExcludeHosts != nil && w.State != "drained":
		return errors.New("exclude_hosts should only be with state=drained")
	case w.State == "drained" && w.Port == nil:
		return errors.New("port is required with state=drained")
	}
	for _, s := range w.ActiveConnectionStates {
		if tcpStates[s] == "" {
			return fmt.Errorf("unknown active_connection_state (%s) defined", s)
		}
	}
	if w.SearchRegex != nil {
		if _, err := pyre.Compile(*w.SearchRegex, pyre.Bytes|pyre.Multiline); err != nil {
			return fmt.Errorf("Invalid regular expression: %w", err) //nolint:staticcheck // Ansible's words
		}
	}
	return nil
}

// WaitForOut is the result of wait_for.
type WaitForOut struct {
	State          string             `json:"state"`
	Port           *int               `json:"port"`
	Path           *string            `json:"path"`
	SearchRegex    *string            `json:"search_regex"`
	MatchGroups    []*string          `json:"match_groups" orch:"after"`
	MatchGroupdict map[string]*string `json:"match_groupdict" orch:"after"`
	Elapsed        int                `json:"elapsed" orch:"after"`
}

// Plan implements modules.Module.
func (w *WaitFor) Plan(ctx context.Context, v modules.View) (plan, error) {
	w = clone(w)
	if err := expand(ctx, v, &w.Path); err != nil {
		return plan{}, err
	}
	out := &WaitForOut{State: w.State, Port: w.Port, SearchRegex: w.SearchRegex, MatchGroups: []*string{}, MatchGroupdict: map[string]*string{}}
	if w.Path != "" {
		out.Path = &w.Path
	}
	return plan{Out: out, Steps: []step{{Title: "wait " + w.title(), Effect: modules.Act, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		start := time.Now()
		err := w.wait(ctx, t, start, out)
		out.Elapsed = int(time.Since(start).Seconds())
		return false, err
	}}}}, nil
}

func (w *WaitFor) addr() string { return net.JoinHostPort(w.Host, strconv.Itoa(*w.Port)) }

func (w *WaitFor) title() string {
	switch {
	case w.Path != "":
		return "until " + w.Path + " is " + map[bool]string{true: "absent", false: "there"}[w.State == "absent"]
	case w.Port != nil:
		return "until " + w.addr() + " is " + map[string]string{"absent": "stopped", "present": "started"}[w.State] + strings.TrimSuffix(strings.TrimSuffix(w.State, "absent"), "present")
	}
	return strconv.Itoa(w.Timeout) + " s"
}

func (w *WaitFor) wait(ctx context.Context, t modules.Target, start time.Time, out *WaitForOut) error {
	if err := pause(ctx, time.Duration(w.Delay)*time.Second); err != nil {
		return err
	}
	if w.Port == nil && w.Path == "" {
		return pause(ctx, time.Duration(w.Timeout)*time.Second)
	}
	end := start.Add(time.Duration(w.Timeout) * time.Second)
	for time.Now().Before(end) {
		done, err := w.check(ctx, t, end, out)
		if done || err != nil {
			return err
		}
		if err := pause(ctx, time.Duration(w.Sleep)*time.Second); err != nil {
			return err
		}
	}
	if w.Msg != "" {
		return modules.Failf("%s", w.Msg)
	}
	where := w.Path
	if w.Port != nil {
		where = fmt.Sprintf("%s:%d", w.Host, *w.Port)
	}
	switch {
	case w.State == "drained":
		return modules.Failf("Timeout when waiting for %s to drain", where)
	case (w.State == "absent" || w.State == "stopped") && w.Port != nil:
		return modules.Failf("Timeout when waiting for %s to stop.", where)
	case w.State == "absent":
		return modules.Failf("Timeout when waiting for %s to be absent.", where)
	case w.SearchRegex != nil:
		return modules.Failf("Timeout when waiting for search string %s in %s", *w.SearchRegex, where)
	case w.Path != "":
		return modules.Failf("Timeout when waiting for file %s", where)
	}
	return modules.Failf("Timeout when waiting for %s", where)
}

func (w *WaitFor) check(ctx context.Context, t modules.Target, end time.Time, out *WaitForOut) (bool, error) {
	switch {
	case w.State == "drained":
		n, err := w.connections(ctx, t)
		return n == 0, err
	case w.Path != "":
		return w.file(ctx, t, out)
	}
	limit := min(time.Duration(w.ConnectTimeout)*time.Second, time.Until(end))
	dial, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := t.Dial(dial, "tcp", w.addr())
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if errors.Is(err, errors.ErrUnsupported) { // that is no answer about the port
			return false, modules.Failf("%v", err)
		}
		return w.State == "absent" || w.State == "stopped", nil
	}
	defer func() { _ = conn.Close() }() // only read
	if w.State == "absent" || w.State == "stopped" {
		return false, nil
	}
	if w.SearchRegex == nil {
		return true, nil
	}
	reading, stop := context.WithDeadline(ctx, end)
	defer stop()
	// not all connections have deadlines
	defer context.AfterFunc(reading, func() { _ = conn.Close() })()
	var data []byte
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		data = append(data, buf[:n]...)
		if found, bad := w.search(string(data), out); found || bad != nil {
			return found, bad
		}
		if err != nil {
			return false, nil
		}
	}
}

func (w *WaitFor) file(ctx context.Context, t modules.Target, out *WaitForOut) (bool, error) {
	fi, err := stat(ctx, t, w.Path)
	if w.State == "absent" {
		return err != nil || fi == nil, nil
	}
	if err != nil {
		return false, modules.Failf("Failed to stat %s, %s", w.Path, err)
	}
	if fi == nil || w.SearchRegex == nil {
		return fi != nil, nil
	}
	data, err := t.ReadFile(ctx, w.Path)
	if err != nil {
		return false, nil
	}
	return w.search(string(data), out)
}

func (w *WaitFor) search(text string, out *WaitForOut) (bool, error) {
	re, err := pyre.Compile(*w.SearchRegex, pyre.Bytes|pyre.Multiline)
	if err != nil {
		return false, modules.Failf("Invalid regular expression: %s", err)
	}
	m, err := search(re, text)
	if err != nil || m == nil {
		return false, err
	}
	for i, name := range re.GroupNames() {
		if i == 0 {
			continue
		}
		var group *string
		if s, ok := m.Group(i); ok {
			group = &s
		}
		out.MatchGroups = append(out.MatchGroups, group)
		if name != "" {
			out.MatchGroupdict[name] = group
		}
	}
	return true, nil
}

// connections counts the active connections to the port.
func (w *WaitFor) connections(ctx context.Context, v modules.View) (int, error) {
	states := map[string]bool{}
	for _, s := range w.ActiveConnectionStates {
		states[tcpStates[s]] = true
	}
	mine, err := addresses(ctx, v, w.Host)
	if err != nil {
		return 0, err
	}
	var not []netip.Addr
	for _, h := range w.ExcludeHosts {
		more, err := addresses(ctx, v, h)
		if err != nil {
			return 0, err
		}
		not = append(not, more...)
	}
	everywhere := slices.ContainsFunc(mine, netip.Addr.IsUnspecified)
	n := 0
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		data, err := readFile(ctx, v, file)
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) < 4 || !states[f[3]] {
				continue
			}
			local, port := procAddr(f[1])
			remote, _ := procAddr(f[2])
			if port == *w.Port && (everywhere || slices.Contains(mine, local)) && !slices.Contains(not, remote) {
				n++
			}
		}
	}
	return n, nil
}

// addresses resolves a name on the host.
func addresses(ctx context.Context, v modules.View, name string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	out, err := v.Query(ctx, "getent", "ahosts", name)
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for line := range strings.Lines(out.Stdout) {
		if a, err := netip.ParseAddr(strings.Fields(line + " ")[0]); err == nil {
			list = append(list, a.Unmap())
		}
	}
	if list == nil {
		return nil, modules.Failf("unable to resolve %s", name)
	}
	return list, nil
}

// procAddr reads an address of /proc/net/tcp: words of 32 bits in the machine's order.
func procAddr(s string) (netip.Addr, int) {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil {
		return netip.Addr{}, -1
	}
	for i := 0; i+3 < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	a, _ := netip.AddrFromSlice(raw)
	return a.Unmap(), int(n)
}
