package control

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"orch/modules"
	"orch/playbook/jinja/value"
)

// Pause waits for some time, or for a person to press enter.
type Pause struct {
	// Minutes to wait.
	Minutes *modules.Whole
	// Seconds to wait.
	Seconds *modules.Whole
	// What to show to the person.
	Prompt string
	// Show what the person types.
	Echo bool `orch:"default=true"`
}

// Validate implements modules.Validator.
func (p *Pause) Validate() error {
	if p.Minutes != nil && p.Seconds != nil {
		return errors.New("parameters are mutually exclusive: minutes|seconds")
	}
	return nil
}

// PauseOut is the result of pause.
type PauseOut struct {
	Stdout    string  `json:"stdout" orch:"after"`
	Stderr    string  `json:"stderr"`
	RC        int     `json:"rc"`
	Start     *string `json:"start" orch:"after"`
	Stop      *string `json:"stop" orch:"after"`
	Delta     *int    `json:"delta" orch:"after"`
	Echo      bool    `json:"echo"`
	UserInput string  `json:"user_input" orch:"after"`
}

// Plan implements modules.Module.
func (p *Pause) Plan(context.Context, View) (plan, error) {
	out := &PauseOut{Echo: p.Echo}
	title := "wait for enter"
	if d := p.duration(); d > 0 {
		title = "wait " + d.String()
	}
	return plan{Out: out, Steps: []step{{Title: title, Effect: modules.Act, Do: func(ctx context.Context, t Target) (bool, error) {
		start := time.Now()
		input, err := p.wait(ctx, t)
		if err != nil {
			return false, err
		}
		from, to, n := stamp(start), stamp(time.Now()), int(time.Since(start).Seconds())
		unit, took := "seconds", time.Since(start).Seconds()
		if p.Seconds == nil {
			unit, took = "minutes", took/60
		}
		out.Stdout = fmt.Sprintf("Paused for %s %s", value.String(value.Float(math.Round(took*100)/100)), unit)
		out.Start, out.Stop, out.Delta, out.UserInput = &from, &to, &n, input
		return false, nil
	}}}}, nil
}

// duration is how long to wait; 0 is for enter. A second is the least.
func (p *Pause) duration() time.Duration {
	var n modules.Whole
	switch {
	case p.Minutes != nil:
		n = *p.Minutes * 60
	case p.Seconds != nil:
		n = *p.Seconds
	default:
		return 0
	}
	return time.Duration(max(n, 1)) * time.Second
}

const howToGoOn = "(ctrl+C then 'C' = continue early, ctrl+C then 'A' = abort)"

// wait waits for the time, for a person to press enter, or for one who interrupts it. The
// words and keys are those of ansible-core 2.18's action/pause.
func (p *Pause) wait(ctx context.Context, t Target) (string, error) {
	d, hidden := p.duration(), ""
	if !p.Echo {
		hidden = " (output is hidden)"
	}
	text := p.Prompt
	if text == "" {
		text = "Press enter to continue, Ctrl+C to interrupt"
	}
	typing := Typing{
		Prompt: fmt.Sprintf("[%s]\n%s%s:", strings.TrimSpace(t.Name()), text, hidden), Echo: p.Echo, End: "\r\n",
	}
	if d > 0 {
		t.Emit(fmt.Sprintf("Pausing for %d seconds%s", int(d.Seconds()), hidden))
		typing.For, typing.Echo, typing.End = d, false, ""
		if p.Prompt != "" {
			t.Emit(howToGoOn)
		} else {
			typing.Prompt = howToGoOn
		}
	}
	typed, err := ask(ctx, t, typing)
	switch {
	case errors.Is(err, ErrNobody) && d > 0:
		return "", sleep(ctx, d)
	case errors.Is(err, ErrNobody):
		t.Warn("Not waiting for response to prompt as stdin is not interactive")
		return "", nil
	case errors.Is(err, ErrInterrupted):
		typed, err = ask(ctx, t, Typing{Prompt: "Press 'C' to continue the play or 'A' to abort ", Echo: typing.Echo, End: "c", Interrupt: "a"})
		if errors.Is(err, ErrInterrupted) {
			return "", modules.Failf("user requested abort!")
		}
		return typed, err
	case d > 0:
		return "", err
	}
	return typed, err
}

func ask(ctx context.Context, t Target, typing Typing) (string, error) {
	person := t.Interactive()
	if person == nil {
		return "", ErrNobody
	}
	return person.Type(ctx, typing)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// stamp is Python's str() of a datetime.
func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05.000000") }
