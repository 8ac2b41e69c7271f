package run

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// A recording is what a run of a case did: what reached its hosts, and after how much of
// it each record was made.
type recording struct {
	orders  []string
	records []*Record
	at      []int
	log     string
	dir     string
}

// upTo is what is left of the first n records in a project in another folder.
func (rec recording) upTo(n int, dir string) *Resume {
	r := &Resume{}
	for _, old := range rec.records[:n] {
		c := *old
		move := func(k *Kept) {
			if k.Include != nil {
				inc := *k.Include
				inc.Path = strings.Replace(inc.Path, rec.dir, dir, 1)
				k.Include = &inc
			}
		}
		c.Task.Place = strings.Replace(c.Task.Place, rec.dir, dir, 1)
		move(&c.Outcome)
		c.Items = append([]Kept{}, c.Items...)
		for i := range c.Items {
			move(&c.Items[i])
		}
		r.Records = append(r.Records, &c)
	}
	return r
}

func record(t *testing.T, files []txtar.File, args []string, from func(dir string) *Resume) recording {
	t.Helper()
	f := newFixture(t, files, args)
	rec := recording{dir: f.dir}
	f.fake.emit = func(line string) { rec.orders = append(rec.orders, line); f.log.order(line) }
	f.cfg.Record = func(r *Record) {
		rec.records = append(rec.records, r)
		rec.at = append(rec.at, len(rec.orders))
	}
	if from != nil {
		f.cfg.Resume = from(f.dir)
	}
	done, err := f.run()
	rec.log = f.log.text(done, err)
	return rec
}

// perHost sorts orders by host: hosts that go on may be served in another order.
func perHost(orders []string) map[string][]string {
	out := map[string][]string{}
	for _, line := range orders {
		host, _, _ := strings.Cut(line, " ")
		out[host] = append(out[host], line)
	}
	return out
}

// TestResumeDoesWhatIsLeft cuts the run of every case short behind each of its records
// and goes on: what reaches the hosts before and after is what reaches them in one run.
func TestResumeDoesWhatIsLeft(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	must(t, err)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(file)
			must(t, err)
			args := []string{}
			for line := range strings.Lines(string(ar.Comment)) {
				if rest, ok := strings.CutPrefix(line, "args: "); ok {
					args = strings.Fields(rest)
				}
			}
			whole := record(t, ar.Files, args, nil)
			step := max(1, len(whole.records)/6)
			for n := 0; n <= len(whole.records); n += step {
				done := 0
				if n > 0 {
					done = whole.at[n-1]
				}
				failed := false
				for _, r := range whole.records[:n] {
					failed = failed || r.fatal()
				}
				rest := record(t, ar.Files, args, func(dir string) *Resume { return whole.upTo(n, dir) })
				if strings.Contains(rest.log, "another way") {
					t.Errorf("cut behind %d records, a host lost its way:\n%s", n, rest.log)
				}
				if failed {
					continue // what failed, and what depends on it, is done again
				}
				got := perHost(append(append([]string{}, whole.orders[:done]...), rest.orders...))
				if d := cmp.Diff(perHost(whole.orders), got); d != "" {
					t.Errorf("cut behind %d of %d records (-whole +resumed):\n%s\n%s", n, len(whole.records), d, rest.log)
				}
				if d := len(rest.records) - len(whole.records); d != 0 {
					t.Errorf("cut behind %d records: %d records more than in one run", n, d)
				}
			}
		})
	}
}

// TestResumeAfterFailure goes on from runs that failed, with a playbook that has been
// mended.
func TestResumeAfterFailure(t *testing.T) {
	for _, c := range []struct {
		name, hosts, site string
		mend              [2]string // in the playbook, between the runs
		args              []string
		first, then       []string // what reaches hosts
		pending           string
	}{
		{
			name: "the failed task is run again, finished hosts are not", hosts: "a\nb\n", site: `
- hosts: all
  tasks:
    - command: echo one
    - command: "{{ 'fail' if inventory_hostname == 'a' else 'echo' }} two"
    - command: echo three
`,
			mend:  [2]string{"'fail'", "'echo'"},
			first: []string{"a: command echo one", "b: command echo one", "a: command fail two", "b: command echo two", "b: command echo three"},
			then:  []string{"a: command echo two", "a: command echo three"},
		},
		{
			name: "handlers notified before are run", hosts: "a\nb\n", site: `
- hosts: all
  tasks:
    - command: echo one
      notify: restart
    - command: "{{ 'fail' if inventory_hostname == 'a' else 'echo' }} two"
  handlers:
    - name: restart
      command: echo restarted
`,
			mend:    [2]string{"'fail'", "'echo'"},
			first:   []string{"a: command echo one", "b: command echo one", "a: command fail two", "b: command echo two", "b: command echo restarted"},
			then:    []string{"a: command echo two", "a: command echo restarted"},
			pending: "PENDING a [restart]",
		},
		{
			name: "always runs again behind the task that failed", hosts: "a\n", site: `
- hosts: all
  tasks:
    - block:
        - command: echo one
        - command: fail two
        - command: echo three
      always:
        - command: echo always
    - command: echo four
`,
			mend:  [2]string{"fail two", "echo two"},
			first: []string{"a: command echo one", "a: command fail two", "a: command echo always"},
			then:  []string{"a: command echo two", "a: command echo three", "a: command echo always", "a: command echo four"},
		},
		{
			name: "a rescue is gone on in, with what failed", hosts: "a\n", site: `
- hosts: all
  tasks:
    - block:
        - command: fail one
      rescue:
        - command: echo rescue
          when: ansible_failed_result.rc == 1
        - command: fail two
        - command: echo {{ ansible_failed_task.name | default('') }}{{ ansible_failed_result.rc }}
`,
			mend:  [2]string{"fail two", "echo two"},
			first: []string{"a: command fail one", "a: command echo rescue", "a: command fail two"},
			then:  []string{"a: command echo two", "a: command echo 1"},
		},
		{
			name: "hosts another host's failure ended go on", hosts: "a\nb\n", site: `
- hosts: all
  any_errors_fatal: true
  tasks:
    - command: "{{ 'fail' if inventory_hostname == 'a' else 'echo' }} one"
    - command: echo two
`,
			mend:  [2]string{"'fail'", "'echo'"},
			first: []string{"a: command fail one", "b: command echo one"},
			then:  []string{"a: command echo one", "a: command echo two", "b: command echo two"},
		},
		{
			name: "run_once is not run again by another host", hosts: "a\nb\n", site: `
- hosts: all
  tasks:
    - command: "{{ 'fail' if inventory_hostname == 'a' else 'echo' }} zero"
    - command: echo once
      run_once: true
      register: r
    - command: echo {{ r.stdout }}
`,
			mend:  [2]string{"'fail'", "'echo'"},
			first: []string{"a: command fail zero", "b: command echo zero", "b: command echo once", "b: command echo once"},
			then:  []string{"a: command echo zero", "a: command echo once"},
		},
		{
			name: "handlers of a host that ended early", hosts: "a\nb\n", site: `
- hosts: all
  tasks:
    - command: echo one
      notify: restart
    - meta: end_host
      when: inventory_hostname == 'a'
    - command: fail two
  handlers:
    - name: restart
      command: echo restarted
`,
			mend:  [2]string{"fail two", "echo two"},
			first: []string{"a: command echo one", "b: command echo one", "b: command fail two"},
			then:  []string{"b: command echo two", "b: command echo restarted", "a: command echo restarted"},
		},
		{
			name: "every host at its own speed", hosts: "a\nb\n", args: []string{"strategy=free"}, site: `
- hosts: all
  tasks:
    - set_fact: {n: "{{ inventory_hostname }}!"}
    - command: "{{ 'fail' if inventory_hostname == 'a' else 'echo' }} one"
    - command: echo {{ n }}
`,
			mend:  [2]string{"'fail'", "'echo'"},
			first: []string{"a: command fail one", "b: command echo one", "b: command echo b!"},
			then:  []string{"a: command echo one", "a: command echo a!"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			project := func(site string) []txtar.File {
				return []txtar.File{{Name: "hosts", Data: []byte(c.hosts)}, {Name: "site.yml", Data: []byte(site)}}
			}
			first := record(t, project(c.site), c.args, nil)
			if d := cmp.Diff(perHost(c.first), perHost(first.orders)); d != "" {
				t.Fatalf("first run (-want +got):\n%s%s", d, first.log)
			}
			if !strings.Contains(first.log, c.pending) {
				t.Errorf("the first run does not say %q:\n%s", c.pending, first.log)
			}
			mended := strings.Replace(c.site, c.mend[0], c.mend[1], 1)
			then := record(t, project(mended), c.args, func(dir string) *Resume { return first.upTo(len(first.records), dir) })
			if d := cmp.Diff(perHost(c.then), perHost(then.orders)); d != "" {
				t.Errorf("second run (-want +got):\n%s%s", d, then.log)
			}
			if strings.Contains(then.log, "another way") || !strings.Contains(then.log, "EXIT 0") {
				t.Errorf("second run:\n%s", then.log)
			}
			again := record(t, project(mended), c.args, func(dir string) *Resume { return then.upTo(len(then.records), dir) })
			if len(again.orders) > 0 {
				t.Errorf("a third run had something to do:\n%s", again.log)
			}
		})
	}
}
