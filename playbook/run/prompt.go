package run

import (
	"fmt"
	"path"
	"strings"

	"orch/playbook"
	"orch/playbook/jinja/value"
)

// prompt asks for the variables of vars_prompt. Those given as extra variables are not
// asked for; without a terminal the defaults are taken.
func (p *play) prompt() error {
	if len(p.src.VarsPrompt) == 0 {
		return nil
	}
	p.answers = value.NewDict(len(p.src.VarsPrompt))
	for _, q := range p.src.VarsPrompt {
		name, err := p.eval(q.Name)
		if err != nil {
			return p.wrong(&playbook.Scalar{Pos: q.Pos}, "vars_prompt: "+err.Error())
		}
		if e := p.run.cfg.ExtraVars; e != nil {
			if _, given := e.GetStr(value.String(name)); given {
				continue
			}
		}
		v, err := p.answered(q, value.String(name))
		if err != nil {
			return p.wrong(&playbook.Scalar{Pos: q.Pos}, "vars_prompt "+value.String(name)+": "+err.Error())
		}
		p.answers.SetStr(value.String(name), v)
	}
	return nil
}

// answered takes the answer of the run that is resumed, or asks.
func (p *play) answered(q playbook.Prompt, name string) (value.Value, error) {
	ref := TaskRef{Play: p.number, Name: name}
	v, known := p.run.answers[ref]
	private, err := p.promptFlag(q.Private, "private", true)
	if err != nil {
		return nil, err
	}
	if known && private {
		p.run.addSecrets(v)
	}
	if !known {
		if v, err = p.answer(q, name, private); err != nil {
			return nil, err
		}
	}
	if p.run.cfg.Record != nil {
		p.run.cfg.Record(&Record{Task: ref, Secret: private, Outcome: Kept{Status: OK, Value: v}})
	}
	return v, nil
}

func (p *play) answer(q playbook.Prompt, name string, private bool) (value.Value, error) {
	question := name
	if q.Prompt != nil {
		v, err := p.eval(q.Prompt)
		if err != nil {
			return nil, err
		}
		question = value.String(v)
	}
	var otherwise value.Value
	if q.Default != nil {
		v, err := p.eval(q.Default)
		if err != nil {
			return nil, err
		}
		if _, none := v.(value.None); !none {
			otherwise = v
		}
	}
	confirm, err := p.promptFlag(q.Confirm, "confirm", false)
	if err != nil {
		return nil, err
	}
	term := p.run.cfg.Prompt
	if term == nil {
		p.run.warn(q.Pos, "Not prompting as we are not in interactive mode")
		if otherwise == nil {
			return value.S("None"), nil // ansible-core 2.18 makes a text of whatever the answer is
		}
		return value.S(value.String(otherwise)), nil
	}
	text, err := p.read(question, otherwise, private, confirm)
	if err != nil {
		return nil, err
	}
	var v value.Value = value.S(text)
	if text == "" && otherwise != nil {
		v = value.S(value.String(otherwise))
	}
	if private {
		p.run.addSecrets(v)
	}
	if q.Encrypt == nil {
		return v, nil
	}
	if _, none := q.Encrypt.(value.None); none {
		return v, nil
	}
	return p.encrypt(q, v)
}

func (p *play) promptFlag(s *playbook.Scalar, name string, otherwise bool) (bool, error) {
	if s == nil {
		return otherwise, nil
	}
	v, err := p.eval(s.Val)
	if err != nil {
		return false, err
	}
	return toBool(name, newField(s), v)
}

func (p *play) read(question string, otherwise value.Value, private, confirm bool) (string, error) {
	shown := question + ": "
	if otherwise != nil {
		shown = fmt.Sprintf("%s [%s]: ", question, value.String(otherwise))
	}
	for {
		text, err := p.run.cfg.Prompt.Ask(p.run.ctx, shown, !private)
		if err != nil || !confirm {
			return text, err
		}
		again, err := p.run.cfg.Prompt.Ask(p.run.ctx, "confirm "+shown, !private)
		if err != nil || again == text {
			return text, err
		}
		shown = "***** VALUES ENTERED DO NOT MATCH ****\n" + strings.TrimPrefix(shown, "***** VALUES ENTERED DO NOT MATCH ****\n")
	}
}

// encrypt hashes an answer as the filter password_hash does.
func (p *play) encrypt(q playbook.Prompt, v value.Value) (value.Value, error) {
	top := []value.Named{{Name: "answer", Val: v}}
	expr := "answer | password_hash(scheme"
	for _, a := range []struct {
		name string
		raw  value.Value
	}{{"scheme", q.Encrypt}, {"salt", q.Salt}, {"salt_size", q.SaltSize}} {
		if a.raw == nil {
			continue
		}
		got, err := p.eval(a.raw)
		if err != nil {
			return nil, err
		}
		if _, none := got.(value.None); none {
			continue
		}
		top = append(top, value.Named{Name: a.name, Val: got})
		if a.name != "scheme" {
			expr += ", " + a.name + "=" + a.name
		}
	}
	code := value.Str{S: expr + ")", From: &q.Pos}
	return p.run.cfg.Templater.Expr(p.run.ctx, code, p.vars.Eval(p.run.ctx, nil, top...))
}

// seekStart moves the hosts to the task of --start-at-task, if it is in this batch.
func (b *batch) seekStart() {
	e := b.run
	if e.startAt == "" {
		return
	}
	matched := false
	for _, h := range b.hosts {
		for t := h.peek(); t != nil; t = h.peek() {
			if !t.implicit && t != b.setup && t.matches(e.startAt) {
				matched = true
				// Facts are gathered before the task, as always.
				h.it.cur.setup = setupDue
				h.it.current = false
				break
			}
			h.take()
		}
	}
	if matched {
		e.startAt = ""
	}
}

// matches says whether --start-at-task names the task: its name, with or without the
// role, or a pattern of it.
func (t *task) matches(pattern string) bool {
	name := ""
	if t.src.Name != nil {
		name = value.String(t.src.Name.Val)
	}
	for _, s := range []string{name, t.label(name)} {
		if s == "" {
			continue
		}
		if ok, err := path.Match(pattern, s); s == pattern || err == nil && ok {
			return true
		}
	}
	return false
}
