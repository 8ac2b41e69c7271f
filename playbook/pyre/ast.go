package pyre

// An op is the kind of a node.
type op int

const (
	opSeq    op = iota // subs one after the other
	opLit              // the character r
	opAny              // .
	opSet              // set
	opAt               // an anchor: r is one of ^ $ A Z b B
	opRepeat           // subs[0], min to max times
	opGroup            // subs[0]; captured when group > 0, with flags added and removed
	opAtomic           // (?>subs[0])
	opAssert           // look around: subs[0]; behind, neg
	opRef              // \group
	opCond             // (?(group)subs[0]|subs[1])
	opBranch           // subs are alternatives
)

// A node is a piece of a pattern.
type node struct {
	op         op
	r          rune
	set        *class
	subs       []*node
	min, max   int // opRepeat; max < 0 is no bound
	lazy       bool
	possessive bool
	group      int
	add, del   Flags
	behind     bool
	neg        bool
}

// A class is a set of characters as written.
type class struct {
	neg    bool
	ranges []span
	cats   []byte // of dDsSwW
}

// A span is the characters lo to hi, both included.
type span struct{ lo, hi rune }

// unbounded is the width of what has no upper bound. It saturates.
const unbounded = 1 << 40

// width returns how many characters n can match at least and at most. groups holds the
// widths of the groups seen so far, for back references.
func (n *node) width(groups map[int][2]int) (lo, hi int) {
	switch n.op {
	case opLit, opAny, opSet:
		return 1, 1
	case opSeq:
		for _, s := range n.subs {
			l, h := s.width(groups)
			lo, hi = min(lo+l, unbounded), min(hi+h, unbounded)
		}
		return lo, hi
	case opBranch:
		lo = unbounded
		for _, s := range n.subs {
			l, h := s.width(groups)
			lo, hi = min(lo, l), max(hi, h)
		}
		return lo, hi
	case opRepeat:
		l, h := n.subs[0].width(groups)
		most := unbounded
		if n.max >= 0 {
			most = n.max
		}
		return times(l, n.min), times(h, most)
	case opGroup:
		lo, hi = n.subs[0].width(groups)
		if n.group > 0 {
			groups[n.group] = [2]int{lo, hi}
		}
		return lo, hi
	case opAtomic:
		return n.subs[0].width(groups)
	case opRef:
		w := groups[n.group]
		return w[0], w[1]
	case opCond:
		lo, hi = n.subs[0].width(groups)
		if len(n.subs) == 1 {
			return 0, hi
		}
		l, h := n.subs[1].width(groups)
		return min(lo, l), max(hi, h)
	}
	return 0, 0
}

func times(width, n int) int {
	if width == 0 || n == 0 {
		return 0
	}
	if width >= unbounded/n {
		return unbounded
	}
	return width * n
}
