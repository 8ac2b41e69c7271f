package report

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/run"
	"orch/playbook/source"
)

// Version is the version of the JSON events; docs/events.md describes them. It grows
// when a field changes its meaning or goes away.
const Version = 1

// A jsonEvent is every event's form: unset fields are left out.
type jsonEvent struct {
	Event   string    `json:"event"`
	Version int       `json:"version,omitempty"`
	Time    time.Time `json:"time"`

	Playbooks []string `json:"playbooks,omitempty"`
	Playbook  string   `json:"playbook,omitempty"`
	Plays     int      `json:"plays,omitempty"`
	Check     bool     `json:"check,omitempty"`
	Diff      bool     `json:"diff,omitempty"`

	Play     string   `json:"play,omitempty"`
	Hosts    []string `json:"hosts,omitempty"`
	Batch    int      `json:"batch,omitempty"`
	Batches  int      `json:"batches,omitempty"`
	Strategy string   `json:"strategy,omitempty"`
	Matched  *bool    `json:"matched,omitempty"`

	Task     int      `json:"task,omitempty"`
	Name     string   `json:"name,omitempty"`
	Role     string   `json:"role,omitempty"`
	Module   string   `json:"module,omitempty"`
	Handler  bool     `json:"handler,omitempty"`
	Implicit bool     `json:"implicit,omitempty"`
	NoLog    bool     `json:"no_log,omitempty"`
	Tags     []string `json:"tags,omitempty"`
	Place    string   `json:"place,omitempty"`

	Host      string      `json:"host,omitempty"`
	Item      string      `json:"item,omitempty"`
	Line      string      `json:"line,omitempty"`
	Done      int         `json:"done,omitempty"`
	File      string      `json:"file,omitempty"`
	Handlers  []string    `json:"handlers,omitempty"`
	Saved     bool        `json:"saved,omitempty"`
	Loop      bool        `json:"loop,omitempty"`
	Attempt   int         `json:"attempt,omitempty"`
	Retries   int         `json:"retries,omitempty"`
	Job       string      `json:"job,omitempty"`
	JobFailed bool        `json:"job_failed,omitempty"`
	Result    *jsonResult `json:"result,omitempty"`

	Diagnostic *source.Diagnostic `json:"diagnostic,omitempty"`
	Deprecated bool               `json:"deprecated,omitempty"`

	Recap       map[string]jsonCounts `json:"recap,omitempty"`
	Failed      []string              `json:"failed,omitempty"`
	Unreachable []string              `json:"unreachable,omitempty"`
	Pending     map[string][]string   `json:"pending_handlers,omitempty"`
	Stats       json.RawMessage       `json:"stats,omitempty"`
	Interrupted bool                  `json:"interrupted,omitempty"`
	Aborted     bool                  `json:"aborted,omitempty"`
	Seconds     float64               `json:"seconds,omitempty"`
}

type jsonResult struct {
	Status      run.Status           `json:"status"`
	Ignored     bool                 `json:"ignored,omitempty"`
	Rescued     bool                 `json:"rescued,omitempty"`
	Maybe       bool                 `json:"maybe,omitempty"`
	Unknown     bool                 `json:"unknown,omitempty"`
	Msg         string               `json:"msg,omitempty"`
	Steps       []modules.StepResult `json:"steps,omitempty"`
	Warnings    []string             `json:"warnings,omitempty"`
	Failure     *modules.Failure     `json:"failure,omitempty"`
	Cause       *source.Diagnostic   `json:"cause,omitempty"`
	DelegatedTo string               `json:"delegated_to,omitempty"`
	Attempts    int                  `json:"attempts,omitempty"`
	Seconds     float64              `json:"seconds"`
	NoLog       bool                 `json:"no_log,omitempty"`
	Value       json.RawMessage      `json:"value,omitempty"`
	Args        json.RawMessage      `json:"args,omitempty"`
}

type jsonCounts struct {
	OK          int `json:"ok"`
	Changed     int `json:"changed"`
	Unreachable int `json:"unreachable"`
	Failed      int `json:"failed"`
	Skipped     int `json:"skipped"`
	Rescued     int `json:"rescued"`
	Ignored     int `json:"ignored"`
	Maybe       int `json:"maybe"`
	Made        int `json:"made,omitempty"`
}

// JSON prints an event a line. Arguments of modules are there from -vvv on.
func JSON(w io.Writer, o Options) run.Sink {
	var failed error
	return func(ev run.Event) {
		if _, live := ev.(run.HostStep); failed != nil || live && o.Verbosity == 0 {
			return
		}
		var line []byte
		if line, failed = Encode(ev, time.Now(), o); failed == nil {
			_, failed = w.Write(line)
		}
	}
}

// Encode is an event as [JSON] prints it: a line, with its end.
func Encode(ev run.Event, at time.Time, o Options) ([]byte, error) {
	line := toEvent(ev, o)
	line.Time = at.UTC()
	if s, ok := ev.(run.RunStart); ok {
		line.Time = s.Time.UTC()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(line)
	return b.Bytes(), err
}

func toEvent(ev run.Event, o Options) jsonEvent {
	switch ev := ev.(type) {
	case run.RunStart:
		return jsonEvent{Event: "run_start", Version: Version, Playbooks: ev.Playbooks, Check: ev.Check, Diff: ev.Diff}
	case run.PlaybookStart:
		return jsonEvent{Event: "playbook_start", Playbook: ev.Path, Plays: ev.Plays}
	case run.PlayStart:
		return jsonEvent{
			Event: "play_start", Play: ev.Name, Hosts: ev.Hosts, Batch: ev.Batch, Batches: ev.Batches, Strategy: ev.Strategy,
			Check: ev.Check, Place: source.Place(ev.Pos),
		}
	case run.BatchDone:
		return jsonEvent{Event: "batch_done", Batch: ev.Batch}
	case run.NoHosts:
		return jsonEvent{Event: "no_hosts", Play: ev.Play, Matched: &ev.Matched}
	case run.TaskStart:
		return jsonEvent{
			Event: "task_start", Task: ev.ID, Name: ev.Name, Role: ev.Role, Module: ev.Module, Handler: ev.Handler,
			Implicit: ev.Implicit, NoLog: ev.NoLog, Check: ev.Check, Tags: ev.Tags, Place: source.Place(ev.Pos),
		}
	case run.HostStart:
		return jsonEvent{Event: "host_start", Task: ev.ID, Host: ev.Host, Item: ev.Item}
	case run.Resumed:
		return jsonEvent{Event: "resumed", Task: ev.ID, Host: ev.Host, Done: ev.Done}
	case run.HostStep:
		return jsonEvent{Event: "host_step", Task: ev.ID, Host: ev.Host, Name: ev.Title}
	case run.HostLine:
		return jsonEvent{Event: "host_line", Task: ev.ID, Host: ev.Host, Line: ev.Line}
	case run.ItemDone:
		return jsonEvent{Event: "item_done", Task: ev.ID, Host: ev.Host, Item: ev.Label, Result: toResult(ev.Result, o)}
	case run.Retry:
		return jsonEvent{
			Event: "retry", Task: ev.ID, Host: ev.Host, Item: ev.Item, Attempt: ev.Attempt, Retries: ev.Retries, Result: toResult(ev.Result, o),
		}
	case run.AsyncPoll:
		return jsonEvent{Event: "async_poll", Task: ev.ID, Host: ev.Host, Job: ev.Job}
	case run.AsyncDone:
		return jsonEvent{Event: "async_done", Task: ev.ID, Host: ev.Host, Job: ev.Job, JobFailed: ev.Failed}
	case run.TaskDone:
		return jsonEvent{Event: "task_done", Task: ev.ID, Host: ev.Host, Loop: ev.Loop, Result: toResult(ev.Result, o)}
	case run.Included:
		return jsonEvent{Event: "included", Task: ev.ID, File: ev.File, Hosts: ev.Hosts, Item: ev.Label}
	case run.Notified:
		return jsonEvent{Event: "notified", Task: ev.ID, Host: ev.Host, Handlers: ev.Handlers, Saved: ev.Saved}
	case run.Warning:
		return jsonEvent{Event: "warning", Diagnostic: &ev.Diagnostic, Deprecated: ev.Deprecated}
	case run.Stopping:
		return jsonEvent{Event: "stopping", Seconds: ev.Grace.Seconds()}
	case run.RunDone:
		return toDone(ev)
	}
	return jsonEvent{Event: "unknown"}
}

func toDone(ev run.RunDone) jsonEvent {
	out := jsonEvent{
		Event: "run_done", Hosts: ev.Hosts, Failed: ev.Failed, Unreachable: ev.Unreachable, Pending: ev.Pending,
		Interrupted: ev.Interrupted, Aborted: ev.Aborted, Seconds: ev.Duration.Seconds(), Recap: map[string]jsonCounts{},
	}
	for name, c := range ev.Recap {
		out.Recap[name] = jsonCounts(*c)
	}
	if ev.Stats != nil {
		out.Stats = rawJSON(ev.Stats)
	}
	return out
}

func toResult(r run.Result, o Options) *jsonResult {
	out := &jsonResult{
		Status: r.Status, Ignored: r.Ignored, Rescued: r.Rescued, Maybe: r.Maybe, Unknown: r.Unknown, Msg: r.Msg, Steps: r.Steps,
		Warnings: r.Warnings, Failure: r.Failure, DelegatedTo: r.Delegated, Attempts: r.Attempts, Seconds: r.Duration.Seconds(),
		NoLog: r.NoLog,
	}
	if r.Cause.Msg != "" {
		out.Cause = &r.Cause
	}
	if r.Value != nil {
		out.Value = rawJSON(r.Value)
	}
	if r.Args != nil && o.Verbosity > 2 {
		out.Args = rawJSON(r.Args)
	}
	return out
}

func rawJSON(v value.Value) json.RawMessage {
	text, err := value.JSON(showable(v), value.JSONOptions{ItemSep: ",", KeySep: ":", Unicode: true})
	if err != nil {
		return json.RawMessage(`null`)
	}
	return json.RawMessage(text)
}
