package filter

import (
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
)

// An ipNet is an address with the prefix of its network, as netaddr's IPNetwork: the
// host bits are kept.
type ipNet struct {
	v6   bool
	addr *big.Int
	bits int
}

var one = big.NewInt(1)

func (n ipNet) width() int {
	if n.v6 {
		return 128
	}
	return 32
}

func (n ipNet) version() int {
	if n.v6 {
		return 6
	}
	return 4
}

// pow2 is 2^k.
func pow2(k int) *big.Int { return new(big.Int).Lsh(one, uint(max(k, 0))) }

// size is the number of addresses of the network.
func (n ipNet) size() *big.Int { return pow2(n.width() - n.bits) }

// sizeIs compares the size with a small number.
func (n ipNet) sizeIs(k int64) int { return n.size().Cmp(big.NewInt(k)) }

func (n ipNet) hostmask() *big.Int { return new(big.Int).Sub(n.size(), one) }

func (n ipNet) netmask() *big.Int {
	all := new(big.Int).Sub(pow2(n.width()), one)
	return all.Xor(all, n.hostmask())
}

func (n ipNet) first() *big.Int { return new(big.Int).AndNot(n.addr, n.hostmask()) }

func (n ipNet) last() *big.Int { return new(big.Int).Or(n.addr, n.hostmask()) }

// broadcast is the last address, which an IPv4 network of two or fewer has not.
func (n ipNet) broadcast() (*big.Int, bool) {
	if !n.v6 && n.bits >= 31 {
		return nil, false
	}
	return n.last(), true
}

func (n ipNet) isFirst() bool { return n.addr.Cmp(n.first()) == 0 }

// text writes an address of the network's family.
func (n ipNet) text(a *big.Int) string { return addrText(n.v6, a) }

// addrText writes an address as the C library does: unlike netip it has the low 32 bits
// of an address that is otherwise zero in dots.
func addrText(v6 bool, a *big.Int) string {
	if !v6 {
		var b [4]byte
		return netip.AddrFrom4([4]byte(a.FillBytes(b[:]))).String()
	}
	if a.BitLen() > 16 && a.BitLen() <= 32 {
		return "::" + addrText(false, a)
	}
	var b [16]byte
	return netip.AddrFrom16([16]byte(a.FillBytes(b[:]))).String()
}

func (n ipNet) ip() string { return n.text(n.addr) }

func (n ipNet) String() string { return n.ip() + "/" + strconv.Itoa(n.bits) }

// cidr is the network without host bits.
func (n ipNet) cidr() ipNet { return ipNet{n.v6, n.first(), n.bits} }

// within says whether n lies in the network m.
func (n ipNet) within(m ipNet) bool {
	return n.v6 == m.v6 && m.bits <= n.bits && n.first().Cmp(m.first()) >= 0 && n.last().Cmp(m.last()) <= 0
}

// host is n's address alone.
func (n ipNet) host() ipNet { return ipNet{n.v6, n.addr, n.width()} }

func parseAddr(s string) (v6 bool, addr *big.Int, ok bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return false, nil, false
	}
	return !a.Is4(), new(big.Int).SetBytes(a.AsSlice()), true
}

// parseNet reads what netaddr.IPNetwork reads: an address, an IPv4 address cut short
// (10.1), with a prefix length, a netmask or a hostmask.
func parseNet(s string) (ipNet, bool) {
	text, mask, masked := strings.Cut(s, "/")
	v6, addr, ok := parseAddr(text)
	if !ok {
		full, partial := expandPartial(text)
		if !partial {
			return ipNet{}, false
		}
		if v6, addr, ok = parseAddr(full); !ok {
			return ipNet{}, false
		}
	}
	n := ipNet{v6: v6, addr: addr}
	n.bits = n.width()
	if !masked {
		return n, true
	}
	if bits, err := strconv.Atoi(strings.TrimSpace(mask)); err == nil {
		n.bits = bits
		return n, bits >= 0 && bits <= n.width()
	}
	m6, m, ok := parseAddr(mask)
	if !ok || m6 != v6 {
		return ipNet{}, false
	}
	n.bits, ok = maskBits(m, n.width())
	return n, ok
}

// maskBits is the prefix length of a netmask or hostmask.
func maskBits(m *big.Int, width int) (int, bool) {
	all := new(big.Int).Sub(pow2(width), one)
	for _, hostmask := range []*big.Int{new(big.Int).Xor(m, all), m} {
		next := new(big.Int).Add(hostmask, one)
		if new(big.Int).And(next, hostmask).Sign() == 0 {
			return width - hostmask.BitLen(), true
		}
	}
	return 0, false
}

// expandPartial completes an IPv4 address of fewer than four numbers.
func expandPartial(s string) (string, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 || strings.Contains(s, ":") {
		return "", false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(strings.TrimSpace(p))
		if err != nil {
			return "", false
		}
		parts[i] = strconv.Itoa(n)
	}
	for len(parts) < 4 {
		parts = append(parts, "0")
	}
	return strings.Join(parts, "."), true
}

// usable are the first and last address that hosts can have.
func (n ipNet) usable() (first, last *big.Int) {
	first, last = n.first(), n.last()
	if n.sizeIs(2) > 0 {
		first.Add(first, one)
		last.Sub(last, one)
	}
	return first, last
}

// literalNet makes a network of a literal.
func literalNet(s string) ipNet {
	n, _ := parseNet(s)
	return n
}

func netList(list string) []ipNet {
	var out []ipNet
	for _, s := range strings.Fields(list) {
		out = append(out, literalNet(s))
	}
	return out
}

var (
	private4 = netList("10.0.0.0/8 100.64.0.0/10 172.16.0.0/12 192.0.0.0/24 192.168.0.0/16 198.18.0.0/15 169.254.0.0/16")
	private6 = netList("fc00::/7 fec0::/10 fe80::/10")
)

func (n ipNet) inAny(list []ipNet) bool {
	for _, m := range list {
		if n.within(m) {
			return true
		}
	}
	return false
}

// isPrivate is netaddr's notion: private use, shared, testing, link-local, and
// administratively scoped multicast. alone is set for a bare address.
func (n ipNet) isPrivate(alone bool) bool {
	if n.v6 {
		return n.inAny(private6)
	}
	if scoped := literalNet("239.0.0.0/8"); n.within(scoped) {
		// netaddr leaves out networks that reach up to the end of that range.
		return alone || new(big.Int).Add(n.last(), one).Cmp(scoped.last()) < 0
	}
	return n.inAny(private4)
}

func (n ipNet) isMulticast() bool {
	if n.v6 {
		return n.within(literalNet("ff00::/8"))
	}
	return n.within(literalNet("224.0.0.0/4"))
}

func (n ipNet) isLoopback() bool {
	if n.v6 {
		return n.addr.Cmp(one) == 0
	}
	return n.host().within(literalNet("127.0.0.0/8"))
}

// isMask says whether the address could be a netmask or a hostmask.
func (n ipNet) isMask() bool {
	_, ok := maskBits(n.addr, n.width())
	return ok
}

// isPublic: unicast, not private, no loopback, no mask.
func (n ipNet) isPublic() bool {
	h := n.host()
	return !h.isMulticast() && !h.isPrivate(true) && !h.isLoopback() && !h.isMask()
}

// reverseDNS is the name of the address's PTR record.
func (n ipNet) reverseDNS() string {
	if !n.v6 {
		p := strings.Split(n.ip(), ".")
		return fmt.Sprintf("%s.%s.%s.%s.in-addr.arpa.", p[3], p[2], p[1], p[0])
	}
	hex := fmt.Sprintf("%032x", n.addr)
	var b strings.Builder
	for i := len(hex) - 1; i >= 0; i-- {
		b.WriteByte(hex[i])
		b.WriteByte('.')
	}
	return b.String() + "ip6.arpa."
}
