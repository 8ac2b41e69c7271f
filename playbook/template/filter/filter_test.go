package filter_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"orch/playbook/jinja"
	"orch/playbook/jinja/value"
	"orch/playbook/template/filter"
)

func newEnv(t testing.TB) *jinja.Env {
	t.Helper()
	env, err := jinja.New(jinja.Options{Filters: filter.Filters(), Tests: filter.Tests(), Chainable: true})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func eval(env *jinja.Env, expr string, vars jinja.Vars) (value.Value, error) {
	x, err := env.Expr(expr)
	if err != nil {
		return nil, err
	}
	v, err := x.Eval(context.Background(), vars)
	if it, ok := v.(*value.Iterator); ok && err == nil {
		items, err := value.Items(it)
		return value.NewList(items...), err
	}
	return v, err
}

// TestExamples executes the examples of all manuals.
func TestExamples(t *testing.T) {
	env := newEnv(t)
	for _, doc := range append(filter.Docs(), filter.TestDocs()...) {
		if doc.Text == "" || len(doc.Examples) == 0 {
			t.Errorf("%s has no manual or no example", doc.FullName())
		}
		for _, ex := range doc.Examples {
			expr := strings.TrimSuffix(strings.TrimPrefix(ex.Expr, "{{ "), " }}")
			v, err := eval(env, expr, jinja.MapVars{})
			if err != nil {
				t.Errorf("%s: %s: %v", doc.FullName(), ex.Expr, err)
				continue
			}
			if got := value.String(v); got != ex.Result {
				t.Errorf("%s: %s\n got %q\nwant %q", doc.FullName(), ex.Expr, got, ex.Result)
			}
		}
	}
}

// A recording is a line of a *.jsonl file that record.py wrote.
type recording struct {
	Expr, Result, Type, Error, Msg, Skip string
}

// TestRecorded replays what Python's filters and tests made of the same expressions.
func TestRecorded(t *testing.T) {
	t.Setenv("TZ", "UTC")
	env := newEnv(t)
	vars := recordedVars(t)
	files := []string{"testdata/cases.jsonl", "testdata/collections.jsonl"}
	n := 0
	for _, file := range files {
		for _, rec := range recordings(t, file) {
			n++
			if different[rec.Expr] != "" {
				continue
			}
			v, err := eval(env, rec.Expr, vars)
			rec.compare(t, v, err)
		}
	}
	if n < 600 {
		t.Errorf("only %d recordings", n)
	}
}

func recordings(t *testing.T, file string) []recording {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []recording
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var r recording
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func (r recording) compare(t *testing.T, v value.Value, err error) {
	t.Helper()
	switch {
	case r.Error != "":
		if err == nil {
			t.Errorf("%s: got %s, want %s: %s", r.Expr, value.Repr(v), r.Error, r.Msg)
		}
	case err != nil:
		t.Errorf("%s: got error %v, want %s", r.Expr, err, r.Result)
	case r.Type == "Undefined":
		if v.Type() != "Undefined" {
			t.Errorf("%s: got %s, want an undefined value", r.Expr, value.Repr(v))
		}
	case value.Repr(v) != r.Result || v.Type() != r.Type:
		t.Errorf("%s:\n got %s %s\nwant %s %s", r.Expr, v.Type(), value.Repr(v), r.Type, r.Result)
	}
}

// different are the recordings we mean to differ from, and why.
var different = map[string]string{
	"{'results': []} is changed":              "an empty loop has changed nothing; ansible-core fails",
	"{'timedout': {'period': 3}} is timedout": "a test is true or false; ansible-core hands out the period",
	"5 is file": "Python takes a number for a file descriptor",
}
