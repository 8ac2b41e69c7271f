package run

import (
	"slices"
	"strings"
	"sync"

	"orch/inventory"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/source"
	"orch/playbook/vars"
)

// A batch is a part of a play's hosts going through all its tasks.
type batch struct {
	run   *engine
	play  *play
	hosts []*host
	nodes []node
	setup *task // gathers facts; nil when tags exclude it
	// all are the tasks of the batch in the order they are written, included ones where
	// they were included: what keeps hosts in step.
	all      []*task
	cursor   int
	handlers []*task
	groups   [][]*task // the same, as they stand together
	// pending counts notified handlers over all hosts.
	pending int
	// size is the number of hosts at the start; failedNow those that failed since.
	size      int
	failedNow map[string]bool
	endPlay   bool
	broken    bool // ends the whole run
	err       error
	// opening is the batch's PlayStart, until it has been emitted: a run that is resumed
	// says nothing of batches that were through.
	opening *PlayStart

	// added are the hosts of add_host: magic variables name them beside the play's own
	// (ansible-core 2.18: StrategyBase._add_host), no task runs for them.
	added   []string
	addedMu sync.Mutex

	mu sync.Mutex // guards all of it under the strategies that are not linear
}

// A host is a host of a batch.
type host struct {
	name string
	b    *batch
	vars *vars.Host
	it   *iterator
}

func (p *play) newBatch(hosts []*inventory.Host) (*batch, error) {
	b := &batch{run: p.run, play: p, size: len(hosts), failedNow: map[string]bool{}}
	err := b.compile()
	for _, h := range hosts {
		host := &host{name: h.Name, b: b, vars: p.vars.Host(h.Name), it: newIterator(b)}
		b.hosts = append(b.hosts, host)
		if p.run.failed[h.Name] {
			host.it.fail()
			p.removed[h.Name] = true
		}
		if p.run.unreachable[h.Name] {
			p.removed[h.Name] = true
		}
		b.cached(host)
		b.passwords(host)
	}
	b.seekStart()
	b.publish()
	return b, err
}

// passwordNames are the variables that hold passwords of connections.
var passwordNames = []string{
	"ansible_password", "ansible_ssh_pass", "ansible_ssh_password", "ansible_become_password", "ansible_become_pass",
	"ansible_sudo_pass", "ansible_su_pass", "ansible_doas_pass",
}

// passwords makes a host's passwords secrets before anything is printed, whether its
// connection needs them or not. Templates are left alone: evaluating one may ask a
// password store.
func (b *batch) passwords(h *host) {
	scope := b.play.vars.Eval(b.run.ctx, h.vars)
	for _, name := range passwordNames {
		v, ok, err := scope.Raw(name)
		if s, isText := v.(value.Str); err == nil && ok && isText && !strings.Contains(s.S, "{{") {
			b.run.redact.Add(s.S)
		}
	}
}

// open says that the batch has begun, once.
func (b *batch) open() {
	if b.opening != nil {
		b.run.emit(*b.opening)
		b.opening = nil
	}
}

// publish tells the variables which hosts the play has.
func (b *batch) publish() {
	var h vars.Hosts
	b.addedMu.Lock()
	added := slices.Clone(b.added)
	b.addedMu.Unlock()
	h.All = append(names(b.play.hosts), added...)
	for _, name := range h.All {
		if !b.play.removed[name] {
			h.Active = append(h.Active, name)
		}
	}
	for _, host := range b.hosts {
		if !b.play.removed[host.name] {
			h.Batch = append(h.Batch, host.name)
		}
	}
	h.Batch = append(h.Batch, added...)
	b.play.vars.SetHosts(h)
}

func (b *batch) remove(name string) {
	if !b.play.removed[name] {
		b.play.removed[name] = true
		b.publish()
	}
}

func (b *batch) restore(name string) {
	if b.play.removed[name] {
		delete(b.play.removed, name)
		b.publish()
	}
}

// left are the hosts that can be reached.
func (b *batch) left() []*host {
	if len(b.run.unreachable) == 0 {
		return b.hosts
	}
	var out []*host
	for _, h := range b.hosts {
		if !b.run.unreachable[h.name] {
			out = append(out, h)
		}
	}
	return out
}

func (b *batch) anyNotified() bool { return b.pending > 0 }

// compile lays the play out: facts, pre_tasks, roles and tasks, post_tasks, with a flush
// of handlers after each (ansible-core 2.18: Play.compile).
func (b *batch) compile() error {
	p := b.play
	p.tagsErr = nil
	b.setup = p.setupTask()
	if b.setup != nil && !p.selected(b.setup) {
		b.setup = nil
	}
	flush := p.flushTask()
	var roles []node
	for _, r := range p.src.Roles {
		roles = append(roles, p.nodes([]playbook.Node{r.Body}, origin{})...)
	}
	parts := [][]node{p.nodes(p.src.PreTasks, origin{}), append(roles, p.nodes(p.src.Tasks, origin{})...), p.nodes(p.src.PostTasks, origin{})}
	for _, part := range parts {
		switch {
		case flush == nil:
			b.nodes = append(b.nodes, part...)
		case p.force:
			b.nodes = append(b.nodes, &block{main: part, always: []node{p.flushTask()}})
		default:
			b.nodes = append(append(b.nodes, part...), p.flushTask())
		}
	}
	if b.setup != nil {
		b.all = append(b.all, b.setup)
	}
	b.all = tasks(b.all, b.nodes)
	for _, r := range p.src.Roles {
		b.addHandlers(p.roleHandlers(r, origin{}))
	}
	b.addHandlers(p.nodes(p.src.Handlers, origin{handler: true}))
	for _, list := range [][]playbook.Node{p.src.PreTasks, p.src.Tasks, p.src.PostTasks} {
		b.addHandlers(p.importedHandlers(list, origin{}))
	}
	for _, r := range p.src.Roles {
		b.addHandlers(p.importedHandlers([]playbook.Node{r.Body}, origin{}))
	}
	return p.tagsErr
}

// nodes makes tasks and blocks ready, leaving out what tags exclude. Handlers are never
// left out by tags.
func (p *play) nodes(list []playbook.Node, in origin) []node {
	var out []node
	for _, n := range list {
		switch n := n.(type) {
		case *playbook.Task:
			if t := p.newTask(n, in); in.handler || p.selected(t) {
				out = append(out, t)
			}
		case *playbook.Block:
			b := &block{main: p.nodes(n.Block, in), rescue: p.nodes(n.Rescue, in), always: p.nodes(n.Always, in)}
			if n.Role != nil && n.Role.Body == n && !in.handler {
				b.main = append(b.main, p.roleComplete(n))
			}
			if !b.empty() {
				out = append(out, b)
			}
		}
	}
	return out
}

// roleComplete is the implicit task at the end of a role: it has run on a host that gets
// here.
func (p *play) roleComplete(body *playbook.Block) *task {
	src := &playbook.Task{Pos: body.Role.Pos, Role: body.Role, Action: "meta", Module: modMeta, FreeForm: &value.Str{S: "role_complete"}}
	t := p.newTask(src, origin{})
	t.implicit = true
	return t
}

// addHandlers makes handlers known. Tasks that stand together are one group: of handlers
// of the same name in it the first is meant, of several groups the last (ansible-core
// 2.18 makes a block of each such group).
func (b *batch) addHandlers(nodes []node) {
	var group []*task
	end := func() {
		if group != nil {
			b.groups = append(b.groups, group)
			group = nil
		}
	}
	for _, n := range nodes {
		t, ok := n.(*task)
		if !ok {
			end()
			group = tasks(nil, []node{n})
			end()
			continue
		}
		if len(group) > 0 && roleOf(group[0].src) != roleOf(t.src) {
			end()
		}
		group = append(group, t)
	}
	end()
	b.handlers = append(b.handlers, tasks(nil, nodes)...)
}

func (p *play) roleHandlers(r *playbook.Role, in origin) []node {
	in.handler = true
	var out []node
	for _, dep := range r.Deps {
		out = append(out, p.roleHandlers(dep, in)...)
	}
	return append(out, p.nodes(r.Handlers, in)...)
}

// importedHandlers are those of roles that import_role brought into nodes.
func (p *play) importedHandlers(nodes []playbook.Node, in origin) []node {
	var out []node
	for _, n := range nodes {
		b, ok := n.(*playbook.Block)
		if !ok {
			continue
		}
		if r := b.Role; r != nil && r.Body == b && r.Include != nil {
			out = append(out, p.roleHandlers(r, in)...)
		}
		for _, list := range [][]playbook.Node{b.Block, b.Rescue, b.Always} {
			out = append(out, p.importedHandlers(list, in)...)
		}
	}
	return out
}

func (p *play) flushTask() *task {
	src := &playbook.Task{Pos: p.src.Pos, Action: "meta", Module: modMeta, FreeForm: &value.Str{S: "flush_handlers"}}
	t := p.newTask(src, origin{})
	t.implicit = true
	if len(p.src.Tags) > 0 && !p.selected(t) {
		return nil
	}
	return t
}

// setupTask gathers facts. It always runs, unless the play has tags of its own.
func (p *play) setupTask() *task {
	args := value.NewDict(3)
	set := func(name string, v value.Value) {
		if v != nil {
			args.SetStr(name, v)
		}
	}
	set("gather_subset", p.src.GatherSubset)
	if p.src.GatherSubset == nil && len(p.run.cfg.GatherSubset) > 0 {
		set("gather_subset", value.FromGo(p.run.cfg.GatherSubset))
	}
	if s := p.src.GatherTimeout; s != nil {
		set("gather_timeout", s.Val)
	} else if n := p.run.cfg.GatherTimeout; n > 0 {
		set("gather_timeout", value.Int(n))
	}
	if s := p.src.FactPath; s != nil {
		set("fact_path", s.Val)
	} else if s := p.run.cfg.FactPath; s != "" {
		set("fact_path", value.S(s))
	}
	src := &playbook.Task{Pos: p.src.Pos, Action: "gather_facts", Module: modGatherFacts, Args: args}
	src.Name = &playbook.Scalar{Pos: p.src.Pos, Val: value.S("Gathering Facts")}
	// Gathering once would give all hosts the facts of one.
	src.RunOnce = &playbook.Scalar{Pos: p.src.Pos, Val: value.Bool(false)}
	if len(p.src.Tags) == 0 {
		src.Tags = []value.Value{value.S("always")}
	}
	return p.newTask(src, origin{})
}

// gathers says whether facts are gathered for h (gathering and gather_facts).
func (b *batch) gathers(h *host) bool {
	given, yes := false, false
	if b.play.gather.given() {
		given = true
		yes, _ = toBool("gather_facts", b.play.gather, b.play.gather.raw)
	}
	switch b.run.cfg.Gathering {
	case "explicit":
		return given && yes
	case "smart":
		return (!given || yes) && !h.vars.State().HasFacts()
	}
	return !given || yes
}

// cached loads the facts a fact cache holds.
func (b *batch) cached(h *host) {
	if b.run.cfg.Facts == nil || h.vars.State().HasFacts() {
		return
	}
	facts, ok := b.run.cfg.Facts.Get(h.name)
	if !ok {
		return
	}
	if err := h.vars.State().UpdateFactsJSON(facts); err != nil {
		b.run.warn(source.Pos{}, "fact cache of "+h.name+": "+err.Error())
		return
	}
	h.vars.State().Publish()
}

// selected says whether the tags of the run let a task through (ansible-core 2.18:
// Taggable.evaluate_tags): what is run is decided before what is skipped.
func (p *play) selected(t *task) bool {
	if t.implicit && t.meta != "" && t.meta != "flush_handlers" {
		return true
	}
	only, skip := p.run.cfg.OnlyTags, p.run.cfg.SkipTags
	if len(only) == 0 {
		only = []string{"all"}
	}
	tags := p.tags(t)
	untagged := len(tags) == 0
	if untagged {
		tags = []string{"untagged"}
	}
	has := func(list []string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(tags, s) })
	}
	never := slices.Contains(tags, "never")
	switch {
	case slices.Contains(tags, "always"):
	case slices.Contains(only, "all") && !never:
	case has(only):
	case slices.Contains(only, "tagged") && !untagged && !never:
	default:
		return false
	}
	switch {
	case slices.Contains(skip, "all"):
		return slices.Contains(tags, "always") && !slices.Contains(skip, "always")
	case has(skip):
		return false
	case slices.Contains(skip, "tagged") && !untagged:
		return false
	}
	return true
}

// tags are a task's, templated with what is known before hosts are.
func (p *play) tags(t *task) []string {
	var out []string
	var add func(v value.Value)
	add = func(v value.Value) {
		switch v := v.(type) {
		case *value.List:
			for _, item := range v.Items {
				add(item)
			}
		case value.None:
		default:
			for s := range strings.SplitSeq(value.String(v), ",") {
				if s = strings.TrimSpace(s); s != "" {
					out = append(out, s)
				}
			}
		}
	}
	for _, raw := range t.kw.tags {
		v := raw
		if !isLiteral(raw) {
			got, err := p.run.cfg.Templater.Value(p.run.ctx, raw, p.vars.Eval(p.run.ctx, nil))
			if err != nil {
				if p.tagsErr == nil {
					p.tagsErr = &AbortError{Pos: t.src.Pos, Err: err, Placeless: true}
				}
				continue
			}
			v = got
		}
		add(v)
	}
	return out
}
