package run

// A node is a *task or a *block.
type node interface{ isNode() }

func (*task) isNode()  {}
func (*block) isNode() {}

// A block is what is left of a playbook.Block after tags: lists of nodes.
type block struct {
	main, rescue, always []node
}

func (b *block) empty() bool { return len(b.main)+len(b.rescue)+len(b.always) == 0 }

// tasks appends all tasks of nodes to out, in the order they are written.
func tasks(out []*task, nodes []node) []*task {
	for _, n := range nodes {
		switch n := n.(type) {
		case *task:
			out = append(out, n)
		case *block:
			out = tasks(tasks(tasks(out, n.main), n.rescue), n.always)
		}
	}
	return out
}

// A section is the part of a block that a host is in.
type section uint8

const (
	inMain section = iota
	inRescue
	inAlways
)

// A frame is a host's place in a block.
type frame struct {
	blk  *block
	list []node // of the section; an include's blocks are put into a copy
	pos  int
	sect section
	// failed says that main failed without a rescue, or the rescue did: the block fails
	// once always has run.
	failed bool
}

// A place is where a host is in its play: a stack of blocks, innermost last. It is
// ansible-core 2.18's HostState.
type place struct {
	frames []frame
	setup  setupState
	// flushing is set while notified handlers run; the frames wait meanwhile.
	flushing bool
	handlers []*task // the list being walked, included ones put in
	at       int
	done     bool
	failed   bool // done, by a failure nothing rescued
}

type setupState uint8

const (
	setupDue setupState = iota
	setupRunning
	setupOver
)

// copyTo makes dst an independent copy, reusing its memory.
func (p *place) copyTo(dst *place) {
	frames := append(dst.frames[:0], p.frames...)
	*dst = *p
	dst.frames = frames
}

// An iterator says what a host does next. Only the strategy's goroutine uses it.
type iterator struct {
	b         *batch
	cur, next place
	// peeked is what next leads to, valid until cur changes.
	peeked  *task
	current bool

	notifications []string // asked for and not yet matched to handlers, in order
	notified      map[*task]bool
}

func newIterator(b *batch) *iterator {
	it := &iterator{b: b}
	it.cur.frames = []frame{{blk: &block{main: b.nodes}, list: b.nodes}}
	return it
}

// peek returns the next task without taking it; nil at the end.
func (h *host) peek() *task {
	it := h.it
	if !it.current {
		it.cur.copyTo(&it.next)
		it.peeked = h.advance(&it.next)
		it.current = true
	}
	return it.peeked
}

// take makes the peeked task the current one.
func (h *host) take() {
	h.peek()
	h.it.cur, h.it.next = h.it.next, h.it.cur
	h.it.current = false
}

// advance moves p to its next task and returns it.
func (h *host) advance(p *place) *task {
	for !p.done {
		t, ok := h.step(p)
		if !ok || t == nil {
			continue
		}
		if t.implicit && t.meta == "flush_handlers" && len(h.it.notifications) == 0 && !h.b.anyNotified() {
			continue
		}
		// A role that has run is not run again; its handlers are.
		if !p.flushing && t.roleRun != nil && !roleOf(t.src).AllowDuplicates && t.roleRun.completed[h.name] {
			continue
		}
		return t
	}
	return nil
}

// step moves p by one: to a task, or nearer to one.
func (h *host) step(p *place) (*task, bool) {
	switch {
	case p.flushing:
		for p.at < len(p.handlers) {
			t := p.handlers[p.at]
			p.at++
			if h.it.notified[t] {
				return t, true
			}
		}
		p.flushing, p.handlers, p.at = false, nil, 0
		return nil, false
	case p.setup == setupDue:
		p.setup = setupRunning
		if h.b.setup != nil && h.b.gathers(h) {
			return h.b.setup, true
		}
		return nil, false
	}
	p.setup = setupOver
	f := &p.frames[len(p.frames)-1]
	if f.pos < len(f.list) {
		n := f.list[f.pos]
		f.pos++
		if t, ok := n.(*task); ok {
			return t, true
		}
		b := n.(*block)
		p.frames = append(p.frames, frame{blk: b, list: b.main})
		return nil, false
	}
	if f.sect != inAlways {
		f.enter(inAlways)
		return nil, false
	}
	failed := f.failed
	p.pop()
	if failed {
		p.fail()
	}
	return nil, false
}

func (f *frame) enter(s section) {
	f.sect, f.pos = s, 0
	f.list = f.blk.rescue
	if s == inAlways {
		f.list = f.blk.always
	}
}

func (p *place) pop() {
	p.frames = p.frames[:len(p.frames)-1]
	p.done = p.done || len(p.frames) == 0
}

// fail moves p to where a failure at it leads: the nearest rescue or always, else the end.
func (p *place) fail() {
	if p.flushing {
		p.flushing, p.handlers, p.at = false, nil, 0
	}
	if p.done {
		return
	}
	if p.setup == setupRunning || p.setup == setupDue {
		p.end(true)
		return
	}
	for len(p.frames) > 0 {
		f := &p.frames[len(p.frames)-1]
		switch {
		case f.sect == inMain && len(f.blk.rescue) > 0:
			f.enter(inRescue)
			return
		case f.sect != inAlways && len(f.blk.always) > 0:
			f.failed = true
			f.enter(inAlways)
			return
		}
		p.pop()
	}
	p.failed = true
}

func (p *place) end(failed bool) {
	p.done, p.failed = true, failed
	p.flushing, p.handlers = false, nil
}

// rescues says whether a failure at p is caught by a rescue at any level
// (ansible-core 2.18: is_any_block_rescuing).
func (p *place) rescues() bool {
	for i := range p.frames {
		if p.frames[i].sect == inMain && len(p.frames[i].blk.rescue) > 0 {
			return true
		}
	}
	return false
}

// fail marks the host failed where it is.
func (it *iterator) fail() {
	it.cur.fail()
	it.current = false
}

// revive takes up a host that has ended, for handlers that are left.
func (it *iterator) revive() {
	it.cur = place{setup: setupOver, frames: []frame{{blk: &block{}, sect: inAlways}}}
	it.current = false
}

func (it *iterator) end() {
	it.cur.end(false)
	it.current = false
}

// insert puts nodes where the host is, so that they come next. Of a flush, the tasks of
// the blocks become handlers of it.
func (it *iterator) insert(nodes []node) {
	it.current = false
	p := &it.cur
	if len(nodes) == 0 || p.done {
		return
	}
	if p.flushing {
		p.handlers = splice(p.handlers, p.at, tasks(nil, nodes))
		return
	}
	f := &p.frames[len(p.frames)-1]
	f.list = splice(f.list, f.pos, nodes)
}

// splice returns a copy of list with more put in at i: lists are shared by hosts.
func splice[T any](list []T, i int, more []T) []T {
	out := make([]T, 0, len(list)+len(more))
	out = append(append(out, list[:i]...), more...)
	return append(out, list[i:]...)
}

// flush starts running notified handlers.
func (it *iterator) flush(handlers []*task) {
	it.current = false
	if it.cur.done {
		return
	}
	it.cur.flushing, it.cur.handlers, it.cur.at = true, handlers, 0
}

// notify marks a handler for the host; false if it was already.
func (it *iterator) notify(t *task) bool {
	if it.notified[t] {
		return false
	}
	if it.notified == nil {
		it.notified = map[*task]bool{}
	}
	it.notified[t] = true
	it.b.pending++
	it.current = false
	return true
}

// began takes a handler off the host's list: it is about to run.
func (it *iterator) began(t *task) {
	if it.notified[t] {
		delete(it.notified, t)
		it.b.pending--
	}
}
