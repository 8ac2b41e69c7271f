package filter

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

var ipFilters = []def{
	{
		names: "ipaddr", sig: "query='', version=None, alias='ipaddr'", filter: ipaddrFilter(0),
		doc: "Whether a value is an IP address or network, and facts about it: false when it is none, itself without a query. Queries: 6to4, address (ip), " +
			"address/prefix (gateway, gw, host/prefix, hostnet, router), bool, broadcast, cidr, first_usable, host, hostmask (wildcard), int, ip/prefix, " +
			"ip_netmask, ipv4 (v4), ipv6 (v6), last_usable, link-local, loopback (lo), multicast, net, netmask, network (network_id), network/prefix " +
			"(subnet), network_netmask, network_wildcard, next_usable, peer, prefix, previous_usable, private, public, range_usable, revdns, size, " +
			"size_usable, type, unicast, version, wrap; a number is the address with that index, a network asks whether it lies in it. Of a list, the " +
			"positive answers.",
		examples: []string{
			"{{ '192.168.0.5/24' | ansible.utils.ipaddr('network') }}", "192.168.0.0",
			"{{ ['10.0.0.1', 'x', '::1'] | ansible.utils.ipaddr }}", "['10.0.0.1', '::1']",
			"{{ '192.168.0.0/24' | ansible.utils.ipaddr(5) }}", "192.168.0.5/24",
		},
	},
	{
		names: "ipv4", sig: "query=''", filter: ipaddrFilter(4),
		doc:      "As ipaddr, for IPv4 only.",
		examples: []string{"{{ ['10.0.0.1', '::1'] | ansible.utils.ipv4 }}", "['10.0.0.1']"},
	},
	{
		names: "ipv6", sig: "query=''", filter: ipaddrFilter(6),
		doc:      "As ipaddr, for IPv6 only.",
		examples: []string{"{{ ['10.0.0.1', '::1'] | ansible.utils.ipv6 }}", "['::1']"},
	},
	{
		names: "ipwrap", sig: "query=''", filter: ipwrap,
		doc:      "Puts IPv6 addresses in brackets and leaves everything else as it is.",
		examples: []string{"{{ ['::1', '10.0.0.1', 'host'] | ansible.utils.ipwrap }}", "['[::1]', '10.0.0.1', 'host']"},
	},
	{
		names: "ipsubnet", sig: "query='', index=None", filter: ipsubnet,
		doc: "Subnets of a network: how many of a prefix length there are, the one with an index, or (query is a network) the position in it. " +
			"Of an address, the network of that prefix length it lies in.",
		examples: []string{
			"{{ '192.168.0.0/16' | ansible.utils.ipsubnet(20) }}", "16",
			"{{ '192.168.0.0/16' | ansible.utils.ipsubnet(20, 1) }}", "192.168.16.0/20",
		},
	},
	{
		names: "ipmath", sig: "amount", filter: ipmath,
		doc:      "The address at a distance.",
		examples: []string{"{{ '192.168.1.250' | ansible.utils.ipmath(10) }}", "192.168.2.4"},
	},
	{
		names: "ipcut", sig: "amount", filter: ipcut,
		doc:      "The first bits of an IPv6 address, or the last ones with a negative amount, in groups of 16.",
		examples: []string{"{{ '1234:4321:abcd:dcba::17' | ansible.utils.ipcut(64) }}", "1234:4321:abcd:dcba"},
	},
	{
		names: "ip4_hex ipv4_hex", sig: "delimiter=''", filter: ip4Hex,
		doc:      "An IPv4 address in hexadecimal.",
		examples: []string{"{{ '192.168.1.5' | ansible.utils.ip4_hex(':') }}", "c0:a8:01:05"},
	},
	{
		names: "hwaddr", sig: "query='', alias='hwaddr'", filter: hwaddr,
		doc:      "Whether a value is a hardware address, or its form: bare, bool, int, cisco, eui48 (win), linux, pgsql (postgresql, psql), unix.",
		examples: []string{"{{ '1a:2b:3c:4d:5e:6f' | ansible.utils.hwaddr('cisco') }}", "1a2b.3c4d.5e6f"},
	},
	{
		names: "macaddr", sig: "query=''", filter: hwaddr,
		doc:      "As hwaddr.",
		examples: []string{"{{ '1A-2B-3C-4D-5E-6F' | ansible.utils.macaddr('linux') }}", "1a:2b:3c:4d:5e:6f"},
	},
	{
		names: "network_in_network", sig: "test", filter: networkIn("network", "broadcast"),
		doc:      "Whether an address or network lies in the piped network.",
		examples: []string{"{{ '192.168.0.0/24' | ansible.utils.network_in_network('192.168.0.1') }}", "True"},
	},
	{
		names: "network_in_usable", sig: "test", filter: networkIn("first_usable", "last_usable"),
		doc:      "Whether an address or network lies among the addresses that hosts of the piped network can have.",
		examples: []string{"{{ '192.168.0.0/24' | ansible.utils.network_in_usable('192.168.0.255') }}", "False"},
	},
	{
		names: "reduce_on_network", sig: "network", filter: reduceOnNetwork,
		doc:      "The addresses of a list that lie in a network.",
		examples: []string{"{{ ['192.168.0.1', '10.0.0.1'] | ansible.utils.reduce_on_network('192.168.0.0/24') }}", "['192.168.0.1']"},
	},
	{
		names: "next_nth_usable", sig: "offset", filter: nthUsable(1),
		doc:      "The usable address a number of steps further.",
		examples: []string{"{{ '192.168.122.1/24' | ansible.utils.next_nth_usable(2) }}", "192.168.122.3"},
	},
	{
		names: "previous_nth_usable", sig: "offset", filter: nthUsable(-1),
		doc:      "The usable address a number of steps before.",
		examples: []string{"{{ '192.168.122.10/24' | ansible.utils.previous_nth_usable(2) }}", "192.168.122.8"},
	},
	{
		names: "nthhost", sig: "query=''", filter: nthhost,
		doc:      "The address with an index in a network.",
		examples: []string{"{{ '10.0.0.0/8' | ansible.utils.nthhost(305) }}", "10.0.1.49"},
	},
	{
		names: "slaac", sig: "query=''", filter: slaac,
		doc:      "The IPv6 address that a hardware address configures itself in a network.",
		examples: []string{"{{ 'fdcf:1894:23b5:d38c::/64' | ansible.utils.slaac('c2:31:b3:83:bf:2b') }}", "fdcf:1894:23b5:d38c:c031:b3ff:fe83:bf2b"},
	},
	{
		names: "cidr_merge", sig: "action='merge'", filter: cidrMerge,
		doc:      "The smallest list of networks that holds the same addresses, or (action=span) the smallest network that holds them all.",
		examples: []string{"{{ ['192.168.0.0/17', '192.168.128.0/17'] | ansible.utils.cidr_merge }}", "['192.168.0.0/16']", "{{ ['192.168.1.1', '192.168.1.6'] | ansible.utils.cidr_merge('span') }}", "192.168.1.0/29"},
	},
	{
		names: "usable_range", filter: usableRange,
		doc:      "All addresses of a network and their number.",
		examples: []string{"{{ '192.168.1.0/30' | ansible.utils.usable_range }}", "{'usable_ips': ['192.168.1.0', '192.168.1.1', '192.168.1.2', '192.168.1.3'], 'number_of_ips': 4}"},
	},
}

func ipaddrFilter(version int) func(*call) (value.Value, error) {
	return func(c *call) (value.Value, error) {
		want := version
		if len(c.args) > 1 && c.truth(1) {
			n, err := value.ToInt(c.args[1])
			if err != nil {
				return nil, err
			}
			want, _ = asInt(n)
		}
		switch c.in.(type) {
		case value.Str, value.Markup, *value.List, value.Tuple, value.Int, value.Bool, *value.BigInt:
		default:
			return nil, typeErr("%s: unrecognized type %s, expected a string, a number or a list", c.Name, typeName(c.in))
		}
		return ipaddr(c.in, value.String(c.args[0]), want, "ipaddr")
	}
}

func ipwrap(c *call) (value.Value, error) {
	wrap := func(v value.Value) value.Value {
		r, err := ipaddr(v, value.String(c.args[0]), 0, "ipwrap")
		if err != nil || !value.Truth(r) {
			return v
		}
		if r, err = ipaddr(r, "wrap", 0, "ipwrap"); err != nil {
			return v
		}
		return r
	}
	switch in := c.in.(type) {
	case *value.List, value.Tuple:
		items, err := value.Items(in)
		if err != nil {
			return nil, err
		}
		out := make([]value.Value, len(items))
		for i, item := range items {
			out[i] = wrap(item)
		}
		return newList(out), nil
	case value.Str, value.Markup, value.Bool:
		return wrap(in), nil
	}
	return nil, typeErr("unrecognized type %s for ipwrap filter", typeName(c.in))
}

// ask is ipaddr for the filters built on it: an error is no answer.
func ask(v value.Value, query string) value.Value {
	r, err := ipaddr(v, query, 0, "ipaddr")
	if err != nil {
		return ipFalse
	}
	return r
}

// networkOf is the network meant by a value: itself with its prefix for an address, without
// host bits for a network.
func networkOf(v value.Value) (ipNet, bool) {
	q, ok := newIPQuery(v, 0)
	if _, isBool := v.(value.Bool); !ok || isBool {
		return ipNet{}, false
	}
	return q.net, true
}

// bounds are the first and last address between which a test is made, by two queries.
func bounds(v value.Value, firstQuery, lastQuery string) (first, last *big.Int, ok bool) {
	net := ask(v, "subnet")
	if !value.Truth(net) {
		return nil, nil, false
	}
	edge := func(query string) (*big.Int, bool) {
		a := ask(net, query)
		if !value.Truth(a) {
			a = ask(net, "address")
		}
		return bigOf(ask(a, "int"))
	}
	first, ok1 := edge(firstQuery)
	last, ok2 := edge(lastQuery)
	return first, last, ok1 && ok2
}

func networkIn(firstQuery, lastQuery string) func(*call) (value.Value, error) {
	return func(c *call) (value.Value, error) {
		first, last, ok := bounds(c.in, firstQuery, lastQuery)
		from, to, ok2 := bounds(c.args[0], "network", "broadcast")
		return value.Bool(ok && ok2 && from.Cmp(first) >= 0 && from.Cmp(last) <= 0 && to.Cmp(first) >= 0 && to.Cmp(last) <= 0), nil
	}
}

func reduceOnNetwork(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, err
	}
	first, last, ok := bounds(c.args[0], "network", "broadcast")
	out := []value.Value{}
	for _, item := range items {
		from, to, ok2 := bounds(item, "network", "broadcast")
		if ok && ok2 && from.Cmp(first) >= 0 && to.Cmp(last) <= 0 && from.Cmp(last) <= 0 && to.Cmp(first) >= 0 {
			out = append(out, item)
		}
	}
	return newList(out), nil
}

func ipsubnet(c *call) (value.Value, error) {
	n, ok := networkOf(c.in)
	if !ok {
		return ipFalse, nil
	}
	n = n.cidr()
	address := n.sizeIs(1) == 0
	query := value.String(c.args[0])
	if query == "" || query == "False" {
		return value.S(n.String()), nil
	}
	if !allDigits(query) {
		return subnetPosition(n, query)
	}
	bits, err := strconv.Atoi(query)
	if err != nil || bits > n.width() {
		return ipFalse, nil
	}
	if !c.has(1) {
		if address {
			return supernet(n, bits, 0, bits)
		}
		if bits < n.bits {
			return nil, fmt.Errorf("requested subnet size of %d is invalid: the network is a /%d", bits, n.bits)
		}
		return value.S(pow2(bits - n.bits).String()), nil
	}
	i, err := value.ToInt(c.args[1])
	if err != nil {
		return nil, err
	}
	index, ok := asInt(i)
	if !ok {
		return ipFalse, nil
	}
	if address {
		if index > n.width()+1-index || index < bits-n.width() {
			return ipFalse, nil
		}
		return supernet(n, bits, index, bits)
	}
	return subnetAt(n, bits, index)
}

// supernet is the network around an address whose prefix is index longer than bits.
func supernet(n ipNet, bits, index, shortest int) (value.Value, error) {
	if index < 0 {
		bits = n.width()
	}
	bits += index
	if bits < shortest || bits >= n.width() {
		return nil, value.Errorf("IndexError", "there is no network with index %d between /%d and the address", index, shortest)
	}
	return value.S(ipNet{n.v6, n.addr, bits}.cidr().String()), nil
}

func subnetAt(n ipNet, bits, index int) (value.Value, error) {
	if bits < n.bits {
		return ipFalse, nil
	}
	count, i := pow2(bits-n.bits), big.NewInt(int64(index))
	if index < 0 {
		i.Add(i, count)
	}
	if i.Sign() < 0 || i.Cmp(count) >= 0 {
		return ipFalse, nil
	}
	a := new(big.Int).Lsh(i, uint(n.width()-bits))
	return value.S(ipNet{n.v6, a.Add(a, n.first()), bits}.String()), nil
}

// subnetPosition is the number (from 1) of n among the networks of its size in another.
func subnetPosition(n ipNet, query string) (value.Value, error) {
	outer, ok := networkOf(value.S(query))
	if !ok {
		return nil, fmt.Errorf("you must pass a valid subnet or IP address; %s is invalid", query)
	}
	if !n.within(outer.cidr()) {
		return nil, fmt.Errorf("%s is not in the subnet %s", n, outer.cidr())
	}
	i := new(big.Int).Sub(n.first(), outer.first())
	i.Rsh(i, uint(n.width()-n.bits))
	return value.S(i.Add(i, one).String()), nil
}

func ipmath(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	n, ok := parseNet(s)
	if !ok {
		return nil, fmt.Errorf("you must pass a valid IP address; %s is invalid", s)
	}
	amount, ok := bigOf(c.args[0])
	if !ok {
		return nil, fmt.Errorf("you must pass an integer for arithmetic; %s is not a valid integer", value.String(c.args[0]))
	}
	a := new(big.Int).Add(n.addr, amount)
	if a.Sign() < 0 || a.BitLen() > n.width() {
		return nil, value.Errorf("IndexError", "%s is no address of IPv%d", a, n.version())
	}
	return value.S(n.text(a)), nil
}

func ipcut(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	n, ok := parseNet(s)
	if !ok || !n.v6 {
		return nil, fmt.Errorf("you must pass a valid IPv6 address; %s is invalid", s)
	}
	amount, err := c.integer(0)
	if err != nil {
		return nil, err
	}
	bits := fmt.Sprintf("%0128b", n.addr)
	switch {
	case amount > 128 || amount < -128 || amount == 0:
		return nil, fmt.Errorf("ipcut: an address has 128 bits, %d cannot be cut", amount)
	case amount < 0:
		bits = bits[128+amount:]
	default:
		bits = bits[:amount]
	}
	var groups []string
	for part := range slices.Chunk([]byte(bits), 16) {
		g, _ := new(big.Int).SetString(string(part), 2)
		groups = append(groups, g.Text(16))
	}
	return value.S(strings.Join(groups, ":")), nil
}

func ip4Hex(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	v6, a, ok := parseAddr(s)
	if !ok || v6 {
		return nil, valueErr("'%s' is no IPv4 address", s)
	}
	var b [4]byte
	a.FillBytes(b[:])
	d := value.String(c.args[0])
	return value.S(fmt.Sprintf("%02x%s%02x%s%02x%s%02x", b[0], d, b[1], d, b[2], d, b[3])), nil
}

func nthUsable(sign int64) func(*call) (value.Value, error) {
	return func(c *call) (value.Value, error) {
		n, ok := networkOf(c.in)
		if !ok {
			return ipFalse, nil
		}
		offset, ok := c.args[0].(value.Int)
		if !ok {
			return nil, typeErr("must pass in an integer")
		}
		s, ok := n.neighbour(big.NewInt(sign * int64(offset)))
		return when(ok, value.S(s))
	}
}

func nthhost(c *call) (value.Value, error) {
	n, ok := networkOf(c.in)
	if !ok || !c.truth(0) {
		return ipFalse, nil
	}
	v, err := value.ToInt(c.args[0])
	if err != nil {
		return ipFalse, nil
	}
	i, _ := bigOf(v)
	a, ok := n.at(i)
	return orFalse(ok, value.S(n.text(a))), nil
}

func slaac(c *call) (value.Value, error) {
	n, ok := networkOf(c.in)
	if !ok || !n.v6 || !c.truth(0) {
		return ipFalse, nil
	}
	mac, ok := parseMAC(c.args[0])
	if !ok {
		return ipFalse, nil
	}
	id := new(big.Int).SetUint64((mac>>24<<40 | 0xfffe<<24 | mac&0xffffff) ^ 2<<56)
	return value.S(n.text(id.Add(id, n.first()))), nil
}

var macForm = source.Lazy(`(?i)^(?:(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}|(?:[0-9a-f]{1,2}-){5}[0-9a-f]{1,2}|` +
	`(?:[0-9a-f]{1,4}:){2}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}-){2}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}\.){2}[0-9a-f]{1,4}|` +
	`[0-9a-f]{5,6}[-:][0-9a-f]{5,6}|[0-9a-f]{11,12})$`)

// parseMAC reads a hardware address of 48 bits in any usual form.
func parseMAC(v value.Value) (uint64, bool) {
	if n, ok := v.(value.Int); ok {
		return uint64(n), n >= 0 && n < 1<<48
	}
	s, ok := asStr(v)
	if !ok || !macForm().MatchString(s) {
		return 0, false
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(":-.", r) })
	var mac uint64
	for _, w := range words {
		n, err := strconv.ParseUint(w, 16, 64)
		if err != nil {
			return 0, false
		}
		mac = mac<<(48/len(words)) | n
	}
	return mac, true
}

// macWords writes a hardware address in n words.
func macWords(mac uint64, n int, format, sep string) value.Value {
	words := make([]string, n)
	width := 48 / n
	for i := range words {
		words[i] = fmt.Sprintf(format, mac>>(48-width*(i+1))&(1<<width-1))
	}
	return value.S(strings.Join(words, sep))
}

func hwaddr(c *call) (value.Value, error) {
	query := value.String(c.args[0])
	mac, ok := parseMAC(c.in)
	if !ok {
		if query != "" && query != "bool" {
			return nil, fmt.Errorf("%s: not a hardware address: %s", strings.TrimPrefix(c.Name, "ansible.utils."), value.String(c.in))
		}
		return ipNothing, nil
	}
	switch query {
	case "":
		return c.in, nil
	case "bool":
		return value.Bool(true), nil
	case "int":
		return value.Int(mac), nil
	case "bare":
		return macWords(mac, 1, "%012X", ""), nil
	case "cisco":
		return macWords(mac, 3, "%04x", "."), nil
	case "eui48", "win":
		return macWords(mac, 6, "%02X", "-"), nil
	case "linux":
		return macWords(mac, 6, "%02x", ":"), nil
	case "pgsql", "postgresql", "psql":
		return macWords(mac, 2, "%06x", ":"), nil
	case "unix":
		return macWords(mac, 6, "%x", ":"), nil
	}
	return nil, fmt.Errorf("hwaddr: unknown filter type: %s", query)
}

func cidrMerge(c *call) (value.Value, error) {
	items, err := value.Items(c.in)
	if err != nil {
		return nil, fmt.Errorf("cidr_merge: expected iterable, got %s", value.Repr(c.in))
	}
	nets := make([]ipNet, len(items))
	for i, item := range items {
		n, ok := parseNet(value.String(item))
		if !ok {
			return nil, fmt.Errorf("cidr_merge: invalid IPNetwork %s", value.String(item))
		}
		nets[i] = n
	}
	switch action := value.String(c.args[0]); action {
	case "merge":
		var out []string
		for _, n := range mergeNets(nets) {
			out = append(out, n.String())
		}
		return strs(out), nil
	case "span":
		return spanNets(nets)
	default:
		return nil, badChoice("cidr_merge: action", action, "merge", "span")
	}
}

// An ipRange is a run of addresses; net is set while it is one network as given.
type ipRange struct {
	v6          bool
	first, last *big.Int
	net         *ipNet
}

func mergeNets(nets []ipNet) []ipNet {
	ranges := make([]ipRange, len(nets))
	for i := range nets {
		ranges[i] = ipRange{nets[i].v6, nets[i].first(), nets[i].last(), &nets[i]}
	}
	slices.SortStableFunc(ranges, func(a, b ipRange) int {
		if a.v6 != b.v6 {
			if a.v6 {
				return 1
			}
			return -1
		}
		if n := a.last.Cmp(b.last); n != 0 {
			return n
		}
		return a.first.Cmp(b.first)
	})
	for i := len(ranges) - 1; i > 0; i-- {
		a, b := ranges[i-1], ranges[i]
		if a.v6 != b.v6 || new(big.Int).Sub(b.first, one).Cmp(a.last) > 0 {
			continue
		}
		first := a.first
		if b.first.Cmp(first) < 0 {
			first = b.first
		}
		ranges[i-1] = ipRange{v6: a.v6, first: first, last: b.last}
		ranges = slices.Delete(ranges, i, i+1)
	}
	var out []ipNet
	for _, r := range ranges {
		if r.net != nil {
			out = append(out, *r.net)
			continue
		}
		out = append(out, r.nets()...)
	}
	return out
}

// nets splits a run of addresses into networks, the largest that fit.
func (r ipRange) nets() []ipNet {
	var out []ipNet
	for at := new(big.Int).Set(r.first); at.Cmp(r.last) <= 0; {
		n := ipNet{v6: r.v6, addr: new(big.Int).Set(at)}
		n.bits = n.width()
		for n.bits > 0 {
			wider := ipNet{n.v6, n.addr, n.bits - 1}
			if !wider.isFirst() || wider.last().Cmp(r.last) > 0 {
				break
			}
			n = wider
		}
		out = append(out, n)
		at.Add(n.last(), one)
	}
	return out
}

func spanNets(nets []ipNet) (value.Value, error) {
	switch len(nets) {
	case 0:
		return value.None{}, nil
	case 1:
		return value.S(nets[0].String()), nil
	}
	low, high := nets[0], nets[0]
	for _, n := range nets {
		if n.v6 != low.v6 {
			return nil, errors.New("cidr_merge: IP sequence cannot contain both IPv4 and IPv6")
		}
		if n.first().Cmp(low.first()) < 0 {
			low = n
		}
		if c := n.first().Cmp(high.first()); c > 0 || c == 0 && n.last().Cmp(high.last()) > 0 {
			high = n
		}
	}
	span := ipNet{high.v6, high.last(), high.bits}
	for span.bits > 0 && span.addr.Cmp(low.first()) > 0 {
		span.bits--
		span.addr = span.first()
	}
	return value.S(span.String()), nil
}

func usableRange(c *call) (value.Value, error) {
	s, err := c.input()
	if err != nil {
		return nil, err
	}
	n, err := strictNet(s)
	if err != nil {
		return nil, fmt.Errorf("usable_range: %w", err)
	}
	if limit := c.Limits().Range; n.size().Cmp(big.NewInt(int64(limit))) > 0 {
		return nil, fmt.Errorf("usable_range: %s has %s addresses, more than the limit of %d", n, n.size(), limit)
	}
	var ips []string
	for a := n.first(); a.Cmp(n.last()) <= 0; a.Add(a, one) {
		if err := c.Step(1); err != nil {
			return nil, err
		}
		ips = append(ips, n.text(a))
	}
	return value.D("usable_ips", strs(ips), "number_of_ips", value.NewBig(n.size())), nil
}
