package filter

import (
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"

	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

var ipTests = []def{
	{
		names: "ip", test: netTest(func(ipNet) bool { return true }),
		doc:      "Whether a value is an IP address or a network without host bits.",
		examples: []string{"{{ '10.1.0.0/16' is ansible.utils.ip }}", "True", "{{ '10.1.0.1/16' is ansible.utils.ip }}", "False"},
	},
	{
		names: "ipv4", test: netTest(func(n ipNet) bool { return !n.v6 }),
		doc:      "Whether a value is an IPv4 address or network.",
		examples: []string{"{{ '10.1.0.0/16' is ansible.utils.ipv4 }}", "True"},
	},
	{
		names: "ipv6", test: netTest(func(n ipNet) bool { return n.v6 }),
		doc:      "Whether a value is an IPv6 address or network.",
		examples: []string{"{{ 'fe80::/10' is ansible.utils.ipv6 }}", "True"},
	},
	{
		names: "ip_address", test: addrTest(func(ipNet) bool { return true }),
		doc:      "Whether a value is an IP address.",
		examples: []string{"{{ '10.1.1.1' is ansible.utils.ip_address }}", "True"},
	},
	{
		names: "ipv4_address", test: addrTest(func(n ipNet) bool { return !n.v6 }),
		doc:      "Whether a value is an IPv4 address.",
		examples: []string{"{{ '10.1.1.0/31' is ansible.utils.ipv4_address }}", "False"},
	},
	{
		names: "ipv6_address", test: addrTest(func(n ipNet) bool { return n.v6 }),
		doc:      "Whether a value is an IPv6 address.",
		examples: []string{"{{ 'fe80::1' is ansible.utils.ipv6_address }}", "True"},
	},
	{
		names: "ipv4_netmask", test: maskTest(ipNet.netmask),
		doc:      "Whether a value is an IPv4 netmask.",
		examples: []string{"{{ '255.255.255.0' is ansible.utils.ipv4_netmask }}", "True"},
	},
	{
		names: "ipv4_hostmask", test: maskTest(ipNet.hostmask),
		doc:      "Whether a value is an IPv4 hostmask.",
		examples: []string{"{{ '0.0.0.255' is ansible.utils.ipv4_hostmask }}", "True"},
	},
	{
		names: "ipv6_ipv4_mapped", test: addrTest(func(n ipNet) bool { return n.v6 && n.within(literalNet("::ffff:0:0/96")) }),
		doc:      "Whether a value is an IPv4 address mapped into IPv6.",
		examples: []string{"{{ '::ffff:10.1.1.1' is ansible.utils.ipv6_ipv4_mapped }}", "True"},
	},
	{
		names: "ipv6_sixtofour", test: addrTest(func(n ipNet) bool { return n.within(literalNet("2002::/16")) }),
		doc:      "Whether a value is a 6to4 address.",
		examples: []string{"{{ '2002:c058:6301::' is ansible.utils.ipv6_sixtofour }}", "True"},
	},
	{
		names: "ipv6_teredo", test: addrTest(func(n ipNet) bool { return n.within(literalNet("2001::/32")) }),
		doc:      "Whether a value is a Teredo address.",
		examples: []string{"{{ '2001:0:53aa:64c::1' is ansible.utils.ipv6_teredo }}", "True"},
	},
	{
		names: "loopback", test: addrTest(ipNet.isLoopback),
		doc:      "Whether a value is a loopback address.",
		examples: []string{"{{ '127.10.10.10' is ansible.utils.loopback }}", "True"},
	},
	{
		names: "multicast", test: addrTest(ipNet.isMulticast),
		doc:      "Whether a value is a multicast address.",
		examples: []string{"{{ '224.0.0.1' is ansible.utils.multicast }}", "True"},
	},
	{
		names: "private", test: addrTest(registryPrivate),
		doc:      "Whether a value is an address that IANA's registries list as not global.",
		examples: []string{"{{ '10.1.1.1' is ansible.utils.private }}", "True"},
	},
	{
		names: "public", test: addrTest(func(n ipNet) bool { return !registryPrivate(n) && !n.within(literalNet("100.64.0.0/10")) }),
		doc:      "Whether a value is a global address.",
		examples: []string{"{{ '8.8.8.8' is ansible.utils.public }}", "True"},
	},
	{
		names: "reserved", test: addrTest(func(n ipNet) bool { return n.inAny(reservedNets()) }),
		doc:      "Whether a value is an address reserved by the IETF.",
		examples: []string{"{{ '253.0.0.1' is ansible.utils.reserved }}", "True"},
	},
	{
		names: "unspecified", test: addrTest(func(n ipNet) bool { return n.addr.Sign() == 0 }),
		doc:      "Whether a value is the unspecified address.",
		examples: []string{"{{ '0.0.0.0' is ansible.utils.unspecified }}", "True"},
	},
	{
		names: "resolvable", test: resolvable,
		doc:      "Whether the controller can resolve a host name, or find the name of an address. Not hermetic.",
		examples: []string{"{{ 'no-such-host.invalid' is ansible.utils.resolvable }}", "False"},
	},
	{
		names: "mac", test: isMAC,
		doc:      "Whether a value is a hardware address.",
		examples: []string{"{{ '02:16:3e:e4:16:f3' is ansible.utils.mac }}", "True"},
	},
	{
		names: "in_network", sig: "network", test: func(c *call) (bool, error) { return inNetwork(c.in, c.args[0]), nil },
		doc:      "Whether an address or network lies in a network.",
		examples: []string{"{{ '10.1.1.1' is ansible.utils.in_network '10.0.0.0/8' }}", "True"},
	},
	{
		names: "in_any_network", sig: "networks", test: countNetworks(func(n int) bool { return n > 0 }),
		doc:      "Whether an address or network lies in any of some networks.",
		examples: []string{"{{ '10.1.1.1' is ansible.utils.in_any_network(['10.0.0.0/8', '192.168.1.0/24']) }}", "True"},
	},
	{
		names: "in_one_network", sig: "networks", test: countNetworks(func(n int) bool { return n == 1 }),
		doc:      "Whether an address or network lies in exactly one of some networks.",
		examples: []string{"{{ '10.1.1.1' is ansible.utils.in_one_network(['10.0.0.0/8', '10.1.0.0/16']) }}", "False"},
	},
	{
		names: "subnet_of", sig: "network", test: func(c *call) (bool, error) { return inNetwork(c.in, c.args[0]), nil },
		doc:      "Whether a network is a subnet of another.",
		examples: []string{"{{ '10.1.1.0/24' is ansible.utils.subnet_of '10.0.0.0/8' }}", "True"},
	},
	{
		names: "supernet_of", sig: "network", test: func(c *call) (bool, error) { return inNetwork(c.args[0], c.in), nil },
		doc:      "Whether a network holds another.",
		examples: []string{"{{ '10.0.0.0/8' is ansible.utils.supernet_of '10.1.1.0/24' }}", "True"},
	},
}

// strictNet reads a network as Python's ipaddress does: no partial addresses, no host bits.
func strictNet(s string) (ipNet, error) {
	n, ok := parseNet(s)
	addr, _, _ := strings.Cut(s, "/")
	if _, err := netip.ParseAddr(addr); !ok || err != nil {
		return n, fmt.Errorf("'%s' does not appear to be an IPv4 or IPv6 network", s)
	}
	if !n.isFirst() {
		return n, fmt.Errorf("%s has host bits set", s)
	}
	return n, nil
}

func netTest(is func(ipNet) bool) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		s, err := c.inputText()
		if err != nil {
			return false, err
		}
		n, err := strictNet(s)
		return err == nil && is(n), nil
	}
}

func addrTest(is func(ipNet) bool) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		s, err := c.inputText()
		if err != nil {
			return false, err
		}
		v6, a, ok := parseAddr(s)
		if !ok {
			return false, nil
		}
		n := ipNet{v6: v6, addr: a}
		n.bits = n.width()
		return is(n), nil
	}
}

func maskTest(mask func(ipNet) *big.Int) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		s, err := c.inputText()
		if err != nil {
			return false, err
		}
		n, err := strictNet("10.0.0.0/" + s)
		return err == nil && n.text(mask(n)) == s, nil
	}
}

// registryPrivate is Python's is_private: the special purpose registries of IANA.
func registryPrivate(n ipNet) bool {
	if n.v6 {
		if n.within(literalNet("::ffff:0:0/96")) {
			return registryPrivate(ipNet{addr: new(big.Int).Sub(n.addr, mapped), bits: 32})
		}
		return n.inAny(netList("::1/128 ::/128 100::/64 2001::/23 2001:2::/48 2001:db8::/32 2001:10::/28 fc00::/7 fe80::/10"))
	}
	return n.inAny(netList("0.0.0.0/8 10.0.0.0/8 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/29 192.0.0.170/31 192.0.2.0/24 " +
		"192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4"))
}

func reservedNets() []ipNet {
	return netList("240.0.0.0/4 ::/8 100::/8 200::/7 400::/6 800::/5 1000::/4 4000::/3 6000::/3 8000::/3 a000::/3 c000::/3 e000::/4 " +
		"f000::/5 f800::/6 fe00::/9")
}

func resolvable(c *call) (bool, error) {
	host, err := c.inputText()
	if err != nil {
		return false, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		names, err := net.DefaultResolver.LookupAddr(c.Ctx, host)
		return err == nil && len(names) > 0, nil
	}
	addrs, err := net.DefaultResolver.LookupHost(c.Ctx, host)
	return err == nil && len(addrs) > 0, nil
}

var macText = source.Lazy(`(?i)^(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}$|^[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}$|^[0-9a-f]{12}$`)

func isMAC(c *call) (bool, error) {
	s, err := c.inputText()
	return macText().MatchString(s), err
}

func inNetwork(inner, outer value.Value) bool {
	a, err := strictNet(value.String(inner))
	if err != nil {
		return false
	}
	b, err := strictNet(value.String(outer))
	return err == nil && a.within(b)
}

func countNetworks(ok func(n int) bool) func(*call) (bool, error) {
	return func(c *call) (bool, error) {
		networks, err := value.Items(c.args[0])
		if err != nil {
			return false, err
		}
		n := 0
		for _, network := range networks {
			if inNetwork(c.in, network) {
				n++
			}
		}
		return ok(n), nil
	}
}
