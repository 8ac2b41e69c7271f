package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"orch/playbook/jinja/value"
	"orch/playbook/run"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// options are those of a test: lines of events are their kind, texts with "hush" are
// secret, and the vault password turns a text around.
func options(vault bool) Options {
	o := Options{
		Keep: 5,
		Encode: func(ev run.Event, _ time.Time) ([]byte, error) {
			return fmt.Appendf(nil, "{\"event\":\"%T\"}\n", ev), nil
		},
		Secret: func(text string) bool { return strings.Contains(text, "hush") },
	}
	if vault {
		o.Lock = reverse
	}
	return o
}

func reverse(text []byte) ([]byte, error) {
	out := make([]byte, len(text))
	for i, c := range text {
		out[len(text)-1-i] = c
	}
	return out, nil
}

// records are of every kind, with values of every kind.
func records() []*run.Record {
	at := func(line int) run.TaskRef {
		return run.TaskRef{Play: "1.1", Place: fmt.Sprintf("site.yml:%d:7", line), Action: "command", Name: "do {{ it }}"}
	}
	odd := value.D("nan", value.Float(math.NaN()), "inf", value.Float(math.Inf(-1)), "f", value.Float(1), "n", value.Int(-3), "bytes", value.Bytes("\xff\x00"),
		"big", &value.BigInt{V: new(big.Int).Exp(big.NewInt(10), big.NewInt(30), nil)}, "raw", value.S("a\xffb"),
		"tuple", value.Tuple{value.Int(1), value.S("x")}, "none", value.None{}, "yes", value.Bool(true), "markup", value.Markup("<b>"),
		"undef", &value.Undefined{Name: "x", Hint: "h"}, "unknown", value.Unknown{Of: "r.stdout"}, "sealed", value.Sealed{Text: "$ANSIBLE_VAULT;1.1;AES256\n00"},
		"author", value.Str{S: "{{ x }}", From: &value.Origin{File: "a.yml", Line: 3, Col: 9}}, "text", value.Str{S: "[1]", Text: true},
		"list", value.NewList(value.S("ü"), value.NewList(), value.D("$", value.Int(1))))
	keys := value.NewDict(2)
	_ = keys.Set(value.Int(1), value.S("one"))
	_ = keys.Set(value.Tuple{value.Int(1)}, value.S("tuple"))
	odd.SetStr("keys", keys)
	handler := at(20)
	handler.Handler = true
	return []*run.Record{
		{Task: run.TaskRef{Play: "1.1", Name: "release"}, Outcome: run.Kept{Status: run.OK, Value: value.S("1.4")}},
		{Host: "web1", Task: at(5), Outcome: run.Kept{Status: run.Changed, Changed: true, Value: odd, Notify: []string{"restart nginx"}}},
		{Host: "web2", Task: at(5), Outcome: run.Kept{Status: run.Skipped}},
		{Host: "web1", Task: at(7), Loop: true, Outcome: run.Kept{Status: run.OK}, Items: []run.Kept{
			{Status: run.OK, Facts: &run.KeptFacts{Dict: value.D("a", value.Int(1)), Set: true, Cacheable: true}},
			{Status: run.Changed, Changed: true, Notify: []string{"x"}, Delegated: "db"},
		}},
		{Host: "web1", Task: at(9), Outcome: run.Kept{Status: run.OK, Facts: &run.KeptFacts{JSON: []byte(`{"ansible_os_family":"Debian"}`)}}},
		{Host: "web1", Task: at(11), Outcome: run.Kept{Status: run.OK, Include: &run.KeptInclude{Path: "/p/more.yml", Name: "more.yml", Label: "1", Vars: []value.Named{
			{Name: "item", Val: value.Str{S: "{{ x }}", From: &value.Origin{File: "a.yml", Line: 3, Col: 9}}},
		}}}},
		{Host: "web1", Task: at(12), Outcome: run.Kept{Status: run.OK, Include: &run.KeptInclude{}, Data: value.D("add_group", value.S("g"))}},
		{Host: "web1", Task: at(13), Ignored: true, Outcome: run.Kept{Status: run.Failed}},
		{Host: "web1", Task: at(14), Rescued: true, Outcome: run.Kept{Status: run.Failed, Value: value.D("rc", value.Int(1)), Partial: true}},
		{Host: "web2", Stop: true, Rescued: true},
		{Host: "web2", Cleared: true},
		{Host: "web1", Task: handler, Outcome: run.Kept{Status: run.Changed, Changed: true}},
	}
}

// write keeps a run and returns its entry.
func write(t testing.TB, s *Store, h Header, o Options, recs []*run.Record, events ...run.Event) *Entry {
	t.Helper()
	w, err := s.Create(h, Command{Dir: "/p", Flags: map[string][]string{"limit": {"web"}}, Secret: map[string][]string{"extra-vars": {"pw=hush"}}}, o)
	must(t, err)
	for _, ev := range events {
		w.Event(ev)
	}
	w.Files(map[string]string{"site.yml": "abc"})
	for _, r := range recs {
		w.Record(r)
	}
	must(t, w.Close())
	e, err := s.Find(w.ID)
	must(t, err)
	return e
}

func show(t testing.TB, recs []*run.Record) string {
	t.Helper()
	var b strings.Builder
	for _, r := range recs {
		var k encoder
		p, _, err := newEncoderFor(&k).whole(r)
		must(t, err)
		text, err := json.Marshal(p)
		must(t, err)
		fmt.Fprintf(&b, "%s %v stop=%t cleared=%t ignored=%t rescued=%t loop=%t secret=%t %s %t %s %q missing=%q %s\n", r.Host, r.Task, r.Stop, r.Cleared,
			r.Ignored, r.Rescued, r.Loop, r.Secret, r.Outcome.Status, r.Outcome.Changed, r.Outcome.Delegated, r.Outcome.Notify, r.Missing, text)
	}
	return b.String()
}

func newEncoderFor(e *encoder) *encoder {
	*e = newEncoder(Options{Secret: func(string) bool { return false }})
	return e
}

func TestStateRoundTrip(t *testing.T) {
	e := write(t, Open(t.TempDir()), Header{Playbooks: []string{"site.yml"}}, options(false), records())
	s, err := e.State(nil)
	must(t, err)
	if d := cmp.Diff(show(t, records()), show(t, s.Records)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if s.Damaged != 0 || s.Files["site.yml"] != "abc" || s.Flags["limit"][0] != "web" || s.Withheld[0] != "extra-vars" {
		t.Errorf("unexpected state %+v", s)
	}
	odd := s.Records[1].Outcome.Value.(*value.Dict)
	for name, want := range map[string]string{"big": "int", "bytes": "bytes", "tuple": "tuple", "f": "float", "unknown": "Unknown", "markup": "Markup"} {
		if v, _ := odd.GetStr(name); v.Type() != want {
			t.Errorf("%s came back as a %s", name, v.Type())
		}
	}
	if v, _ := odd.GetStr("author"); v.(value.Str).From == nil || v.(value.Str).From.Line != 3 {
		t.Error("an author's string came back as data")
	}
	if v, _ := odd.GetStr("raw"); v.(value.Str).S != "a\xffb" {
		t.Errorf("bytes that are no UTF-8 came back as %q", v)
	}
}

func stateFile(t testing.TB, e *Entry) []byte {
	t.Helper()
	text, err := os.ReadFile(e.store.path(e.ID, stateExt))
	must(t, err)
	return text
}

// TestCutAnywhere truncates the state at every byte: what is read is what whole lines say.
func TestCutAnywhere(t *testing.T) {
	e := write(t, Open(t.TempDir()), Header{}, options(false), records())
	text := stateFile(t, e)
	whole, err := ReadState(bytes.NewReader(text), nil)
	must(t, err)
	want := strings.SplitAfter(show(t, whole.Records), "\n")
	for n := range text {
		got, err := ReadState(bytes.NewReader(text[:n]), nil)
		lines := bytes.Count(text[:n], []byte("\n"))
		if lines == 0 {
			if err == nil {
				t.Fatalf("cut at byte %d: no error", n)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at byte %d: %v", n, err)
		}
		recs := 0
		for line := range bytes.Lines(text[:n]) {
			if bytes.HasSuffix(line, []byte("\n")) && !bytes.HasPrefix(line, []byte(`{"task"`)) && !bytes.HasPrefix(line, []byte(`{"files"`)) {
				recs++
			}
		}
		recs-- // the first line
		if d := cmp.Diff(strings.Join(want[:recs], ""), show(t, got.Records)); d != "" || got.Damaged != 0 {
			t.Fatalf("cut at byte %d, damaged=%d (-want +got):\n%s", n, got.Damaged, d)
		}
	}
}

func TestSecretsAreSealedOrLeftOut(t *testing.T) {
	recs := []*run.Record{
		{Host: "a", Task: run.TaskRef{Place: "s:1:1"}, Register: "token", Outcome: run.Kept{Status: run.OK, Value: value.S("hush1")}},
		{Host: "a", Task: run.TaskRef{Place: "s:2:1"}, Secret: true, Outcome: run.Kept{Status: run.OK, Facts: &run.KeptFacts{Dict: value.D("pin", value.S("4711")), Set: true}, Notify: []string{"h"}}},
		{Host: "a", Task: run.TaskRef{Place: "s:3:1"}, Outcome: run.Kept{Status: run.OK, Facts: &run.KeptFacts{JSON: []byte(`{"env":"hush2"}`)}}},
		{Host: "a", Task: run.TaskRef{Place: "s:4:1"}, Register: "plain", Outcome: run.Kept{Status: run.OK, Value: value.S("open")}},
	}
	for _, vault := range []bool{false, true} {
		e := write(t, Open(t.TempDir()), Header{}, options(vault), recs)
		text := stateFile(t, e)
		for _, word := range []string{"hush", "4711", "env"} {
			if bytes.Contains(text, []byte(word)) {
				t.Errorf("vault=%t: the state holds %q:\n%s", vault, word, text)
			}
		}
		s, err := e.State(nil)
		must(t, err)
		if got := fmt.Sprint(s.Records[0].Missing, s.Records[1].Missing, s.Records[2].Missing, s.Records[3].Missing); got != "[token] [pin] [ansible_facts] []" {
			t.Errorf("vault=%t: without the password %s are missing", vault, got)
		}
		if len(s.Records[1].Outcome.Notify) != 1 {
			t.Error("notifications are no secret")
		}
		if !vault {
			continue
		}
		if s, err = e.State(reverse); err != nil || value.String(s.Records[0].Outcome.Value) != "hush1" || s.Records[1].Missing != nil || s.Secret["extra-vars"] == nil {
			t.Errorf("with the password: %v %+v", err, s.Records[0])
		}
		if s, err = e.State(func([]byte) ([]byte, error) { return nil, errors.New("another password") }); err != nil || s.Records[0].Missing == nil {
			t.Errorf("with another password: %v", err)
		}
	}
	info, err := os.Stat(func() string {
		e := write(t, Open(t.TempDir()), Header{}, options(false), nil)
		return e.store.path(e.ID, stateExt)
	}())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the state has mode %v, %v", info.Mode(), err)
	}
}

func TestDamageEndsTheState(t *testing.T) {
	e := write(t, Open(t.TempDir()), Header{}, options(false), records())
	lines := bytes.SplitAfter(stateFile(t, e), []byte("\n"))
	lines[4] = append(bytes.Repeat([]byte{0}, 20), '\n')
	s, err := ReadState(bytes.NewReader(bytes.Join(lines, nil)), nil)
	if err != nil || s.Damaged != 5 {
		t.Errorf("damaged=%d, %v", s.Damaged, err)
	}
	if _, err := ReadState(strings.NewReader("{\"journal\":99}\n"), nil); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("a newer version: %v", err)
	}
}

func TestStoreKeepsTheLast(t *testing.T) {
	dir := t.TempDir()
	s := Open(dir)
	o := options(false)
	o.Keep = 3
	busy, err := s.Create(Header{}, Command{}, o)
	must(t, err)
	for i := range 5 {
		write(t, s, Header{Limit: fmt.Sprint(i)}, o, nil)
		time.Sleep(2 * time.Millisecond)
	}
	list, err := s.List()
	must(t, err)
	if len(list) != 4 || list[0].Outcome != Aborted || list[0].Limit != "4" || list[3].ID != busy.ID || list[3].Outcome != Running {
		t.Errorf("kept %d, oldest %+v", len(list), list[len(list)-1])
	}
	must(t, busy.Close())
	if text, err := os.ReadFile(filepath.Join(dir, ".orch", ".gitignore")); err != nil || string(text) != "*\n" {
		t.Errorf(".gitignore: %q, %v", text, err)
	}
	if _, err := s.Find("2"); err == nil || !strings.Contains(err.Error(), "beginning of") {
		t.Errorf("an ambiguous name: %v", err)
	}
}

func TestPendingHandlersAreHandedOn(t *testing.T) {
	s := Open(t.TempDir())
	h := Header{Playbooks: []string{"site.yml"}}
	pending := map[string][]string{"a": {"restart", "reload"}}
	one := write(t, s, h, options(false), nil, run.RunDone{Recap: map[string]*run.Counts{}, Failed: []string{"a"}, Pending: pending})
	if one.Outcome != Failed || len(one.Pending) != 1 {
		t.Fatalf("first run: %+v", one.Summary)
	}
	h.Before = one.Pending
	two := write(t, s, h, options(false), nil, run.TaskStart{ID: 7, Name: "reload", Handler: true},
		run.TaskDone{ID: 7, Host: "a", Result: run.Result{Status: run.Changed}}, run.RunDone{Recap: map[string]*run.Counts{}})
	if d := cmp.Diff([]Pending{{one.ID, map[string][]string{"a": {"restart"}}}}, two.Pending); d != "" || two.Outcome != OK {
		t.Errorf("second run %s (-want +got):\n%s", two.Outcome, d)
	}
	h.Before, h.Resumes = two.Pending, one.ID
	if three := write(t, s, h, options(false), nil, run.RunDone{Recap: map[string]*run.Counts{}}); three.Pending != nil {
		t.Errorf("resumed: %+v", three.Pending)
	}
}

func TestReadOnlyProject(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(dir, nil, 0o600))
	if _, err := Open(dir).Create(Header{}, Command{}, options(false)); err == nil {
		t.Error("a journal below a file")
	}
}

func FuzzReadState(f *testing.F) {
	for _, vault := range []bool{false, true} {
		e := write(f, Open(f.TempDir()), Header{}, options(vault), records())
		f.Add(stateFile(f, e))
	}
	f.Add([]byte("{\"journal\":1}\n{\"host\":\"a\",\"of\":1}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ReadState(bytes.NewReader(text), reverse)
		if err != nil {
			return
		}
		// What was read can be written and read again.
		var b bytes.Buffer
		e := newEncoder(options(false))
		e.secret = func(string) bool { return false }
		for _, r := range s.Records {
			r.Secret, r.Missing = false, nil
			_ = writeRecord(&e, &b, r)
		}
		again, err := ReadState(strings.NewReader("{\"journal\":1}\n"+b.String()), nil)
		if err != nil || again.Damaged != 0 {
			t.Fatalf("%v, damaged at line %d of\n%s", err, again.Damaged, b.String())
		}
		(&run.Resume{Records: s.Records}).Unkept()
	})
}

func writeRecord(e *encoder, b *bytes.Buffer, r *run.Record) error {
	w := bufio.NewWriter(b)
	if err := e.record(w, r); err != nil {
		return err
	}
	return w.Flush()
}
