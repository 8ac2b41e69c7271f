package journal

import (
	"testing"
	"time"

	"orch/modules"
	"orch/playbook/jinja/value"
	"orch/playbook/report"
	"orch/playbook/run"
)

// BenchmarkTask measures what the journal costs a run for one task on one host: its
// record and two events, of a task that changed something and registered its result.
func BenchmarkTask(b *testing.B) {
	o := Options{
		Keep: 1, Secret: func(string) bool { return false },
		Encode: func(ev run.Event, at time.Time) ([]byte, error) { return report.Encode(ev, at, report.Options{}) },
	}
	w, err := Open(b.TempDir()).Create(Header{}, Command{}, o)
	must(b, err)
	result := value.D("changed", value.Bool(true), "stdout", value.S("a line of output"), "rc", value.Int(0), "cmd", value.FromGo([]string{"echo", "x"}))
	done := run.TaskDone{ID: 1, Host: "web1", Result: run.Result{
		Status: run.Changed, Value: result, Steps: []modules.StepResult{{Title: "run echo x", Ran: true, Changed: true}},
	}}
	rec := &run.Record{
		Host: "web1", Task: run.TaskRef{Play: "1.1", Place: "site.yml:5:7", Action: "command", Name: "say x"}, Register: "r",
		Outcome: run.Kept{Status: run.Changed, Changed: true, Value: result},
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Event(run.HostStart{ID: 1, Host: "web1", Time: time.Now()})
		w.Record(rec)
		w.Event(done)
	}
	must(b, w.Close())
}
