package filter

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync"

	"orch/playbook/jinja/value"
)

// An ipQuery is a value that was recognised as an address or network, and what is asked.
type ipQuery struct {
	net     ipNet
	network bool        // it was given with a prefix
	value   value.Value // what a positive answer hands on
}

var errNotNetwork = errors.New("not a network address")

func (q *ipQuery) addr(a *big.Int) value.Value { return value.S(q.net.text(a)) }

// ipNothing is what a query without an answer returns; false is for what is no address.
var ipNothing value.Value = value.None{}

const ipFalse = value.Bool(false)

func when(ok bool, v value.Value) (value.Value, error) {
	if ok {
		return v, nil
	}
	return ipNothing, nil
}

func (q *ipQuery) host() bool {
	if q.net.sizeIs(1) == 0 {
		return true
	}
	_, hasBroadcast := q.net.broadcast()
	return !q.net.isFirst() || !hasBroadcast
}

// ipQueries are the queries of ipaddr by name.
var ipQueries = sync.OnceValue(func() map[string]func(q *ipQuery) (value.Value, error) {
	withPrefix := func(q *ipQuery) (value.Value, error) {
		b, ok := q.net.broadcast()
		if q.net.sizeIs(2) > 0 && (q.net.isFirst() || ok && q.net.addr.Cmp(b) == 0) {
			return ipFalse, nil
		}
		return value.S(q.net.String()), nil
	}
	ip := func(q *ipQuery) (value.Value, error) {
		return when(q.host() || q.net.v6, value.S(q.net.ip()))
	}
	hostmask := func(q *ipQuery) (value.Value, error) { return q.addr(q.net.hostmask()), nil }
	network := func(q *ipQuery) (value.Value, error) { return q.addr(q.net.first()), nil }
	subnet := func(q *ipQuery) (value.Value, error) { return value.S(q.net.cidr().String()), nil }
	loopback := func(q *ipQuery) (value.Value, error) { return when(q.net.isLoopback(), q.value) }
	return map[string]func(q *ipQuery) (value.Value, error){
		"": func(q *ipQuery) (value.Value, error) {
			if q.network {
				return value.S(q.net.String()), nil
			}
			return value.S(q.net.ip()), nil
		},
		"6to4": ipTo6to4, "address": ip, "ip": ip,
		"address/prefix": withPrefix, "gateway": withPrefix, "gw": withPrefix,
		"host/prefix": withPrefix, "hostnet": withPrefix, "router": withPrefix,
		"bool": func(*ipQuery) (value.Value, error) { return value.Bool(true), nil },
		"broadcast": func(q *ipQuery) (value.Value, error) {
			b, ok := q.net.broadcast()
			if q.net.sizeIs(2) <= 0 || !ok {
				return ipNothing, nil
			}
			return q.addr(b), nil
		},
		"cidr":     func(q *ipQuery) (value.Value, error) { return value.S(q.net.String()), nil },
		"host":     func(q *ipQuery) (value.Value, error) { return when(q.host(), value.S(q.net.String())) },
		"hostmask": hostmask, "wildcard": hostmask,
		"int":  ipInt,
		"ipv4": ipToV4, "v4": ipToV4, "ipv6": ipToV6, "v6": ipToV6,
		"ip/prefix": func(q *ipQuery) (value.Value, error) {
			return when(q.net.sizeIs(2) == 0 || q.net.sizeIs(1) > 0 && !q.net.isFirst(), value.S(q.net.String()))
		},
		"ip_netmask": func(q *ipQuery) (value.Value, error) {
			return when(q.net.sizeIs(2) == 0 || q.net.sizeIs(1) > 0 && !q.net.isFirst(), q.pair(q.net.addr, q.net.netmask()))
		},
		"first_usable": ipUsable(func(q *ipQuery, first, _ *big.Int) value.Value { return q.addr(first) }),
		"last_usable":  ipUsable(func(q *ipQuery, _, last *big.Int) value.Value { return q.addr(last) }),
		"range_usable": ipUsable(func(q *ipQuery, first, last *big.Int) value.Value {
			return value.S(q.net.text(first) + "-" + q.net.text(last))
		}),
		"next_usable":     ipNeighbour(1),
		"previous_usable": ipNeighbour(-1),
		"link-local": func(q *ipQuery) (value.Value, error) {
			h := q.net.host()
			return when(h.within(literalNet("169.254.0.0/16")) || h.within(literalNet("fe80::/10")), q.value)
		},
		"lo": loopback, "loopback": loopback,
		"multicast": func(q *ipQuery) (value.Value, error) { return when(q.net.isMulticast(), q.value) },
		"unicast":   func(q *ipQuery) (value.Value, error) { return when(!q.net.isMulticast(), q.value) },
		"net": func(q *ipQuery) (value.Value, error) {
			return when(q.net.sizeIs(1) > 0 && q.net.isFirst(), value.S(q.net.String()))
		},
		"netmask": func(q *ipQuery) (value.Value, error) { return q.addr(q.net.netmask()), nil },
		"network": network, "network_id": network,
		"network/prefix": subnet, "subnet": subnet,
		"network_netmask":  func(q *ipQuery) (value.Value, error) { return q.pair(q.net.first(), q.net.netmask()), nil },
		"network_wildcard": func(q *ipQuery) (value.Value, error) { return q.pair(q.net.first(), q.net.hostmask()), nil },
		"peer":             ipPeer,
		"prefix":           func(q *ipQuery) (value.Value, error) { return value.Int(q.net.bits), nil },
		"private":          func(q *ipQuery) (value.Value, error) { return when(q.net.isPrivate(false), q.value) },
		"public":           func(q *ipQuery) (value.Value, error) { return when(q.net.isPublic(), q.value) },
		"revdns":           func(q *ipQuery) (value.Value, error) { return value.S(q.net.reverseDNS()), nil },
		"size":             func(q *ipQuery) (value.Value, error) { return value.NewBig(q.net.size()), nil },
		"size_usable":      ipSizeUsable,
		"type":             func(q *ipQuery) (value.Value, error) { return value.S(q.kind()), nil },
		"version":          func(q *ipQuery) (value.Value, error) { return value.Int(q.net.version()), nil },
		"wrap":             ipWrapQuery,
	}
})

func (q *ipQuery) pair(a, b *big.Int) value.Value {
	return value.S(q.net.text(a) + " " + q.net.text(b))
}

func (q *ipQuery) kind() string {
	if q.net.sizeIs(1) == 0 || !q.net.isFirst() {
		return "address"
	}
	return "network"
}

func ipInt(q *ipQuery) (value.Value, error) {
	if q.network {
		return value.S(q.net.addr.String() + "/" + strconv.Itoa(q.net.bits)), nil
	}
	return value.NewBig(q.net.addr), nil
}

func ipSizeUsable(q *ipQuery) (value.Value, error) {
	switch {
	case q.net.sizeIs(1) == 0:
		return value.Int(0), nil
	case q.net.sizeIs(2) == 0:
		return value.Int(2), nil
	}
	return value.NewBig(new(big.Int).Sub(q.net.size(), big.NewInt(2))), nil
}

// mapped is where IPv4 addresses are mapped into IPv6.
var mapped = new(big.Int).Lsh(big.NewInt(0xffff), 32)

func ipToV4(q *ipQuery) (value.Value, error) {
	if !q.net.v6 {
		return q.value, nil
	}
	a := q.net.addr
	if a.BitLen() > 32 {
		if a = new(big.Int).Sub(a, mapped); a.Sign() < 0 || a.BitLen() > 32 {
			return ipFalse, nil
		}
	}
	if q.net.bits < 96 {
		return ipFalse, nil
	}
	return value.S(ipNet{addr: a, bits: q.net.bits - 96}.String()), nil
}

func ipToV6(q *ipQuery) (value.Value, error) {
	if q.net.v6 {
		return q.value, nil
	}
	return value.S(ipNet{true, new(big.Int).Add(q.net.addr, mapped), q.net.bits + 96}.String()), nil
}

func ipTo6to4(q *ipQuery) (value.Value, error) {
	if q.net.v6 {
		in := q.net.host().within(literalNet("2002::/16"))
		return orFalse(in && (!q.network || !q.net.isFirst()), q.value), nil
	}
	if q.net.sizeIs(1) > 0 && q.net.isFirst() {
		return ipFalse, nil
	}
	if h := q.net.host(); !h.isPublic() && !h.isPrivate(false) {
		return ipFalse, nil
	}
	var b [4]byte
	q.net.addr.FillBytes(b[:])
	return value.S(fmt.Sprintf("2002:%02x%02x:%02x%02x::1/48", b[0], b[1], b[2], b[3])), nil
}

func orFalse(ok bool, v value.Value) value.Value {
	if ok {
		return v
	}
	return ipFalse
}

// ipUsable answers queries about the addresses that hosts of a network can have.
func ipUsable(answer func(q *ipQuery, first, last *big.Int) value.Value) func(*ipQuery) (value.Value, error) {
	return func(q *ipQuery) (value.Value, error) {
		if !q.network {
			return nil, errNotNetwork
		}
		if q.net.sizeIs(1) <= 0 {
			return ipNothing, nil
		}
		first, last := q.net.usable()
		return answer(q, first, last), nil
	}
}

// neighbour is the address at a distance, if it is usable.
func (n ipNet) neighbour(step *big.Int) (string, bool) {
	if n.sizeIs(1) <= 0 {
		return "", false
	}
	first, last := n.usable()
	a := new(big.Int).Add(n.addr, step)
	if a.Cmp(first) < 0 || a.Cmp(last) > 0 {
		return "", false
	}
	return n.text(a), true
}

func ipNeighbour(step int64) func(*ipQuery) (value.Value, error) {
	return func(q *ipQuery) (value.Value, error) {
		if !q.network {
			return nil, errNotNetwork
		}
		s, ok := q.net.neighbour(big.NewInt(step))
		return when(ok, value.S(s))
	}
}

func ipPeer(q *ipQuery) (value.Value, error) {
	if !q.network {
		return nil, errNotNetwork
	}
	if q.net.sizeIs(2) == 0 {
		return q.addr(new(big.Int).Xor(q.net.addr, one)), nil
	}
	if q.net.sizeIs(4) != 0 {
		return nil, errors.New("not a point-to-point network")
	}
	switch new(big.Int).And(q.net.addr, big.NewInt(3)).Int64() {
	case 0:
		return nil, errors.New("network address of /30 has no peer")
	case 3:
		return nil, errors.New("broadcast address of /30 has no peer")
	}
	return q.addr(new(big.Int).Xor(q.net.addr, big.NewInt(3))), nil
}

func ipWrapQuery(q *ipQuery) (value.Value, error) {
	switch {
	case !q.net.v6:
		return q.value, nil
	case q.network:
		return value.S("[" + q.net.ip() + "]/" + strconv.Itoa(q.net.bits)), nil
	}
	return value.S("[" + q.net.ip() + "]"), nil
}

// allDigits is str.isdigit for ASCII.
func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// newIPQuery recognises an address or network: text, a number, number/prefix.
func newIPQuery(v value.Value, version int) (*ipQuery, bool) {
	s := value.String(v)
	if allDigits(s) {
		a, _ := new(big.Int).SetString(s, 10)
		n := ipNet{v6: version == 6 || a.BitLen() > 32, addr: a}
		n.bits = n.width()
		return &ipQuery{net: n, value: value.S(n.String())}, a.BitLen() <= 128
	}
	if _, isText := asStr(v); !isText {
		return nil, false
	}
	if n, ok := parseNet(s); ok {
		return &ipQuery{net: n, network: strings.Count(s, "/") == 1, value: v}, true
	}
	addr, prefix, ok := strings.Cut(s, "/")
	a, isNum := new(big.Int).SetString(addr, 10)
	bits, err := strconv.Atoi(prefix)
	if !ok || !isNum || err != nil || bits < 0 || a.Sign() < 0 {
		return nil, false
	}
	n := ipNet{v6: a.BitLen() > 32 || bits > 32, addr: a, bits: bits}
	return &ipQuery{net: n, network: true, value: value.S(n.String())}, a.BitLen() <= 128 && bits <= 128
}

// ipaddr is the filter ipaddr: version is 4, 6 or 0 for both, name what errors call it.
func ipaddr(v value.Value, query string, version int, name string) (value.Value, error) {
	switch v := v.(type) {
	case *value.List, value.Tuple:
		items, err := value.Items(v)
		if err != nil {
			return nil, err
		}
		out := []value.Value{}
		for _, item := range items {
			r, err := ipaddr(item, query, version, name)
			if err != nil {
				return nil, err
			}
			if value.Truth(r) {
				out = append(out, r)
			}
		}
		return newList(out), nil
	case value.Bool, value.None:
		return ipFalse, nil
	case *value.Undefined:
		return nil, &value.UndefinedError{U: v}
	case value.Unknown:
		return v, nil
	}
	if !value.Truth(v) {
		return ipFalse, nil
	}
	q, ok := newIPQuery(v, version)
	if !ok || version != 0 && q.net.version() != version {
		return ipFalse, nil
	}
	return q.answer(query, name)
}

func (q *ipQuery) answer(query, name string) (value.Value, error) {
	if do := ipQueries()[query]; do != nil {
		v, err := do(q)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", name, err, q.net)
		}
		return v, nil
	}
	if !allDigits(query) {
		if within, ok := newIPQuery(value.S(query), 0); ok {
			return when(q.net.within(within.net.cidr()), q.value)
		}
	}
	if _, err := value.ParseFloat(query); err != nil {
		return nil, fmt.Errorf("%s: unknown filter type: %s", name, query)
	}
	if q.net.sizeIs(1) == 0 {
		if q.network {
			return value.S(q.net.String()), nil
		}
		return value.S(q.net.ip()), nil
	}
	n, ok := new(big.Int).SetString(query, 10)
	if !ok {
		return ipFalse, nil
	}
	a, ok := q.net.at(n)
	return orFalse(ok, value.S(q.net.text(a)+"/"+strconv.Itoa(q.net.bits))), nil
}

// at is the address with an index in the network; negative ones count from the end.
func (n ipNet) at(i *big.Int) (*big.Int, bool) {
	if i.Sign() < 0 {
		i = new(big.Int).Add(i, n.size())
	}
	if i.Sign() < 0 || i.Cmp(n.size()) >= 0 {
		return new(big.Int), false
	}
	return new(big.Int).Add(n.first(), i), true
}
