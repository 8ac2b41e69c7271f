package control

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"orch/modules"
)

// Pause waits for some time, or for a person to press enter.
type Pause struct {
	// Minutes to wait.
	Minutes *float64
	// Seconds to wait.
	Seconds *float64
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
		out.Stdout = fmt.Sprintf("Paused for %s %s", strconv.FormatFloat(math.Round(took*100)/100, 'f', -1, 64), unit)
		out.Start, out.Stop, out.Delta, out.UserInput = &from, &to, &n, input
		return false, nil
	}}}}, nil
}

// duration is how long to wait; 0 is for enter. Ansible drops fractions and waits a
// second at least.
func (p *Pause) duration() time.Duration {
	var n float64
	switch {
	case p.Minutes != nil:
		n = math.Trunc(*p.Minutes) * 60
	case p.Seconds != nil:
		n = math.Trunc(*p.Seconds)
	default:
		return 0
	}
	return time.Duration(max(n, 1)) * time.Second
}

func (p *Pause) wait(ctx context.Context, t Target) (string, error) {
	term, d := t.Interactive(), p.duration()
	if d > 0 {
		t.Emit(fmt.Sprintf("Pausing for %d seconds", int(d.Seconds())))
		return "", sleep(ctx, d)
	}
	if term == nil {
		t.Warn("Not waiting for response to prompt as stdin is not interactive")
		return "", nil
	}
	text := p.Prompt
	if text == "" {
		text = "Press enter to continue, Ctrl+C to interrupt"
	}
	if !p.Echo {
		text += " (output is hidden)"
	}
	return term.Ask(ctx, text+":", p.Echo)
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
