package report

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"orch/playbook/jinja/value"
	"orch/playbook/run"
	"orch/playbook/source"
)

// Decode reads an event back from a line that [Encode] made; nil for a kind that this
// version does not know. Values come back as they are shown.
func Decode(line []byte) (run.Event, error) {
	var ev jsonEvent
	if err := json.Unmarshal(line, &ev); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	pos := placeOf(ev.Place)
	switch ev.Event {
	case "run_start":
		return run.RunStart{Playbooks: ev.Playbooks, Check: ev.Check, Diff: ev.Diff, Time: ev.Time}, nil
	case "playbook_start":
		return run.PlaybookStart{Path: ev.Playbook, Plays: ev.Plays}, nil
	case "play_start":
		return run.PlayStart{
			Name: ev.Play, Hosts: ev.Hosts, Pos: pos, Batch: ev.Batch, Batches: ev.Batches, Strategy: ev.Strategy, Check: ev.Check,
		}, nil
	case "batch_done":
		return run.BatchDone{Batch: ev.Batch}, nil
	case "no_hosts":
		return run.NoHosts{Play: ev.Play, Matched: ev.Matched != nil && *ev.Matched}, nil
	case "task_start":
		return run.TaskStart{
			ID: ev.Task, Name: ev.Name, Role: ev.Role, Module: ev.Module, Handler: ev.Handler, Pos: pos, NoLog: ev.NoLog,
			Check: ev.Check, Tags: ev.Tags, Implicit: ev.Implicit,
		}, nil
	case "host_start":
		return run.HostStart{ID: ev.Task, Host: ev.Host, Item: ev.Item, Time: ev.Time}, nil
	case "resumed":
		return run.Resumed{ID: ev.Task, Host: ev.Host, Done: ev.Done}, nil
	case "host_step":
		return run.HostStep{ID: ev.Task, Host: ev.Host, Title: ev.Name, Time: ev.Time}, nil
	case "host_line":
		return run.HostLine{ID: ev.Task, Host: ev.Host, Line: ev.Line}, nil
	case "included":
		return run.Included{ID: ev.Task, File: ev.File, Hosts: ev.Hosts, Label: ev.Item}, nil
	case "notified":
		return run.Notified{ID: ev.Task, Host: ev.Host, Handlers: ev.Handlers, Saved: ev.Saved}, nil
	case "stopping":
		return run.Stopping{Grace: lasting(ev.Seconds)}, nil
	case "warning":
		w := run.Warning{Deprecated: ev.Deprecated}
		if ev.Diagnostic != nil {
			w.Diagnostic = *ev.Diagnostic
		}
		return w, nil
	}
	return decodeDone(&ev)
}

// decodeDone reads the events that hold results.
func decodeDone(ev *jsonEvent) (run.Event, error) {
	res, err := ev.Result.decode()
	if err != nil {
		return nil, err
	}
	switch ev.Event {
	case "item_done":
		return run.ItemDone{ID: ev.Task, Host: ev.Host, Label: ev.Item, Result: res}, nil
	case "retry":
		return run.Retry{ID: ev.Task, Host: ev.Host, Item: ev.Item, Attempt: ev.Attempt, Retries: ev.Retries, Result: res}, nil
	case "task_done":
		return run.TaskDone{ID: ev.Task, Host: ev.Host, Loop: ev.Loop, Result: res}, nil
	case "run_done":
		out := run.RunDone{
			Hosts: ev.Hosts, Failed: ev.Failed, Unreachable: ev.Unreachable, Pending: ev.Pending, Interrupted: ev.Interrupted,
			Aborted: ev.Aborted, Duration: lasting(ev.Seconds), Recap: map[string]*run.Counts{},
		}
		for _, name := range ev.Hosts {
			c := run.Counts(ev.Recap[name])
			out.Recap[name] = &c
		}
		out.Stats, err = dictOf(ev.Stats)
		return out, err
	}
	return nil, nil
}

func (r *jsonResult) decode() (run.Result, error) {
	if r == nil {
		return run.Result{}, nil
	}
	out := run.Result{
		Status: r.Status, Ignored: r.Ignored, Rescued: r.Rescued, Maybe: r.Maybe, Unknown: r.Unknown, Msg: r.Msg, Steps: r.Steps,
		Warnings: r.Warnings, Failure: r.Failure, Delegated: r.DelegatedTo, Attempts: r.Attempts, Duration: lasting(r.Seconds),
		NoLog: r.NoLog,
	}
	if r.Cause != nil {
		out.Cause = *r.Cause
	}
	for _, s := range r.Steps {
		if s.Diff != nil {
			out.Diffs = append(out.Diffs, *s.Diff)
		}
	}
	var err error
	if out.Value, err = dictOf(r.Value); err == nil {
		out.Args, err = dictOf(r.Args)
	}
	return out, err
}

func dictOf(text json.RawMessage) (*value.Dict, error) {
	if len(text) == 0 {
		return nil, nil
	}
	v, err := value.FromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	d, _ := v.(*value.Dict)
	return d, nil
}

func lasting(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// placeOf reads file:line:column; what is missing stays 0.
func placeOf(place string) source.Pos {
	var p source.Pos
	for _, dst := range []*int{&p.Col, &p.Line} {
		i := strings.LastIndexByte(place, ':')
		if i < 0 {
			break
		}
		n, err := strconv.Atoi(place[i+1:])
		if err != nil {
			break
		}
		*dst, place = n, place[:i]
	}
	if p.Line == 0 && p.Col > 0 {
		p.Line, p.Col = p.Col, 0
	}
	p.File = place
	return p
}
