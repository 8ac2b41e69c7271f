package control

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"orch/modules"
)

// A typist answers prompts with what is scripted: "^C" interrupts.
type typist struct {
	keys  []string
	shown []Typing
}

func (p *typist) Ask(context.Context, string, bool) (string, error) { return "", ErrNobody }

func (p *typist) Type(_ context.Context, t Typing) (string, error) {
	p.shown = append(p.shown, t)
	if len(p.keys) == 0 {
		return "", nil // the time is over
	}
	key := p.keys[0]
	p.keys = p.keys[1:]
	if key == "^C" || t.Interrupt != "" && strings.EqualFold(key, t.Interrupt) {
		return "", ErrInterrupted
	}
	return key, nil
}

func TestPauseAsks(t *testing.T) {
	second := modules.Whole(1)
	for name, c := range map[string]struct {
		pause Pause
		keys  []string
		want  string // what was typed, prompts and lines, or the failure
	}{
		"enter": {Pause{Echo: true}, []string{"text"}, `text ["[task]\nPress enter to continue, Ctrl+C to interrupt:"] []`},
		"a hidden answer": {
			Pause{Prompt: "Token"},
			[]string{"t"},
			`t ["[task]\nToken (output is hidden):"] []`,
		},
		"going on early":    {Pause{Seconds: &second, Echo: true}, []string{"^C", "C"}, `C ["(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)" "Press 'C' to continue the play or 'A' to abort "] ["Pausing for 1 seconds"]`},
		"abort":             {Pause{Echo: true}, []string{"^C", "A"}, "user requested abort!"},
		"time, with a text": {Pause{Seconds: &second, Prompt: "Wait"}, nil, ` ["[task]\nWait (output is hidden):"] ["Pausing for 1 seconds (output is hidden)" "(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)"]`},
		"typing in vain":    {Pause{Seconds: &second, Echo: true}, []string{"x"}, ` ["(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)"] ["Pausing for 1 seconds"]`},
	} {
		t.Run(name, func(t *testing.T) {
			p := &typist{keys: c.keys}
			s := &fakeSite{person: p}
			got, err := c.pause.wait(t.Context(), s)
			if err != nil {
				got = err.Error()
			} else {
				var prompts []string
				for _, shown := range p.shown {
					prompts = append(prompts, shown.Prompt)
				}
				got = fmt.Sprintf("%s %q %q", got, prompts, s.said)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
