package host

import (
	"encoding/json"
	"testing"

	"orch/modules"
)

func TestReadAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		out  modules.Output
		want string
		warn int
		fail string
	}{
		"plain":         {out: modules.Output{Stdout: `{"changed": true, "a": 1}`}, want: `{"a":1,"changed":true}`},
		"own business":  {out: modules.Output{Stdout: `{"_ansible_x": 1, "a": 1}`}, want: `{"a":1}`},
		"junk before":   {out: modules.Output{Stdout: "motd\n[1]\n{\"a\": 1}\n"}, want: `{"a":1}`},
		"many lines":    {out: modules.Output{Stdout: "{\n \"a\": 1\n}\n"}, want: `{"a":1}`},
		"junk after":    {out: modules.Output{Stdout: "{\"a\": 1}\nbye\n"}, want: `{"a":1,"warnings":["Module invocation had junk after the JSON data: bye"]}`, warn: 1},
		"rc":            {out: modules.Output{Stdout: `{"rc": 2, "msg": "no"}`}, want: `{"msg":"no","rc":2}`, fail: "no"},
		"rc and failed": {out: modules.Output{Stdout: `{"rc": 2, "failed": false}`}, want: `{"failed":false,"rc":2}`},
		"failed: 1":     {out: modules.Output{Stdout: `{"failed": 1, "msg": "m"}`}, want: `{"failed":1,"msg":"m"}`, fail: "m"},
		"nothing": {
			out:  modules.Output{Stdout: "no json", Stderr: "why", RC: 4},
			want: `{"failed":true,"module_stderr":"why","module_stdout":"no json","msg":"MODULE FAILURE\nSee stdout/stderr for the exact error","rc":4}`,
			fail: "MODULE FAILURE\nSee stdout/stderr for the exact error",
		},
		"a list": {
			out:  modules.Output{Stdout: "[1]"},
			want: `{"failed":true,"module_stderr":"","module_stdout":"[1]","msg":"MODULE FAILURE\nSee stdout/stderr for the exact error","rc":0}`,
			fail: "MODULE FAILURE\nSee stdout/stderr for the exact error",
		},
		"no interpreter": {
			out:  modules.Output{Stderr: "/bin/sh: 1: /bin/x: not found", RC: 127},
			want: `{"failed":true,"module_stderr":"/bin/sh: 1: /bin/x: not found","module_stdout":"","msg":"The module failed to execute correctly, you probably need to set the interpreter.\nSee stdout/stderr for the exact error","rc":127}`,
			fail: "The module failed to execute correctly, you probably need to set the interpreter.\nSee stdout/stderr for the exact error",
		},
	} {
		a := readAnswer(c.out, "/bin/x")
		var res modules.Result
		a.Report(&res)
		got, err := json.Marshal(a)
		fail := ""
		if res.Failure != nil {
			fail = res.Failure.Msg
		}
		if err != nil || string(got) != c.want || len(res.Warnings) != c.warn || fail != c.fail {
			t.Errorf("%s: %s, %d warnings, failure %q, %v", name, got, len(res.Warnings), fail, err)
		}
	}
}

// TestFlatAndBack keeps a result in a job's file and reads it again.
func TestFlatAndBack(t *testing.T) {
	rc := 3
	in := modules.Result{
		Changed: true, Warnings: []string{"w"}, Out: []byte(`{"stdout":"x"}`), Unknown: []string{"u"},
		Steps:   []modules.StepResult{{Title: "do", Ran: true}},
		Failure: &modules.Failure{Msg: "m", RC: &rc, Stdout: "other"},
	}
	a, err := modules.Flat(in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.Keep()
	if err != nil {
		t.Fatal(err)
	}
	if a, err = modules.ParseAnswer(text); err != nil {
		t.Fatal(err)
	}
	var out modules.Result
	a.Report(&out)
	if !out.Changed || out.Failure == nil || out.Failure.Msg != "m" || len(out.Steps) != 1 || len(out.Warnings) != 1 || len(out.Unknown) != 1 {
		t.Errorf("%+v", out)
	}
	if a.Text("stdout") != "x" || a.Text("rc") != "3" {
		t.Errorf("%s", text)
	}
}
