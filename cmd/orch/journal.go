package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"orch/playbook/journal"
	"orch/playbook/report"
	"orch/playbook/run"
	"orch/playbook/source"
	"orch/playbook/vault"
)

// A journalMode says whether a command keeps a journal.
type journalMode int

// Commands with the names of Ansible's keep one only when [orch] journal_keep or
// ORCH_JOURNAL_KEEP is set; ad-hoc commands never do.
const (
	journalWhenAsked journalMode = iota
	journalAlways
	journalNever
)

// A keeper is the journal of a run, and what the run goes on from.
type keeper struct {
	*journal.Writer
	sums int // files whose checksums are kept
}

// keepJournal begins the journal; nil when none is kept. That it cannot be written is a
// warning.
func (j *job) keepJournal(cmd *cobra.Command, paths []string, from *resumption) *keeper {
	keep, mode := j.settings.Int("JOURNAL_KEEP"), j.flags.journal
	if keep <= 0 || mode == journalNever || mode == journalWhenAsked && !j.settings.Set("JOURNAL_KEEP") {
		return nil
	}
	store := journal.Open(".")
	h := journal.Header{
		Playbooks: cleaned(paths), Inventory: j.inv.Sources, Limit: strings.Join(j.limit.Terms, ","), Check: j.flags.run.check,
	}
	if from != nil {
		h.Resumes = from.ID
	}
	last, err := store.Last(func(e *journal.Entry) bool {
		return e.Same(h.Playbooks, h.Inventory) && e.Outcome != journal.Running && !e.Check
	})
	if err == nil && last != nil {
		h.Before = last.Pending
		if from == nil {
			j.remind(last)
		}
	}
	o := journal.Options{
		Keep: keep, Stateless: h.Check, Secret: func(text string) bool { return j.redactor.Mask(text) != text },
		Encode: func(ev run.Event, at time.Time) ([]byte, error) { return report.Encode(ev, at, report.Options{}) },
	}
	// Without a password that can be had, secrets are left out; the run itself complains
	// when it needs one.
	if secrets, serr := j.vault.Secrets(); serr == nil && len(secrets) > 0 {
		o.Lock = func(plain []byte) ([]byte, error) {
			return vault.Encrypt(plain, secrets[0].Password, secrets[0].ID, nil)
		}
	}
	var w *journal.Writer
	if err == nil {
		w, err = store.Create(h, commandOf(cmd.Flags()), o)
	}
	if err != nil {
		j.warn(source.Diagnostic{
			Msg:  "this run keeps no journal: " + err.Error(),
			Hint: "--resume and orch history need one; ORCH_JOURNAL_KEEP=0 turns it off",
		})
		return nil
	}
	k := &keeper{Writer: w}
	k.files()
	return k
}

// closeJournal ends the journal and says how to go on with what is left.
func (j *job) closeJournal(k *keeper, done run.RunDone) {
	if err := k.Close(); err != nil {
		j.warn(source.Diagnostic{Msg: "the journal of this run is not whole: " + err.Error()})
		return
	}
	if j.flags.run.check || len(done.Failed)+len(done.Unreachable) == 0 && !done.Interrupted {
		return
	}
	j.tell("orch run --resume goes on from where hosts stopped (run " + k.ID + ")")
}

// Event is the sink of the journal.
func (k *keeper) Event(ev run.Event) {
	if _, ok := ev.(run.Included); ok {
		k.files()
	}
	k.Writer.Event(ev)
}

// files keeps the checksums of what was read since the last time.
func (k *keeper) files() {
	paths, data, next := files.Parsed(k.sums)
	k.sums = next
	sums := make(map[string]string, len(paths))
	for i, path := range paths {
		sums[path] = checksum(data[i])
	}
	k.Files(sums)
}

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

func cleaned(paths []string) []string {
	out := make([]string, len(paths))
	for i, path := range paths {
		out[i] = filepath.Clean(path)
	}
	return out
}

// remind says what the last run of the same playbooks left undone.
func (j *job) remind(last *journal.Entry) {
	for _, p := range last.Pending {
		j.warn(source.Diagnostic{
			Msg:  fmt.Sprintf("handlers notified by run %s have not run: %s", p.Run, pendingText(p.Hosts)),
			Hint: "orch run --resume " + p.Run + " runs them",
		})
	}
	if last.Outcome == journal.Cut && len(last.Pending) == 0 {
		j.warn(source.Diagnostic{Msg: "run " + last.ID + " was cut short", Hint: "orch run --resume " + last.ID + " goes on from there"})
	}
}

func pendingText(hosts map[string][]string) string {
	var names, out []string
	for host := range hosts {
		names = append(names, host)
	}
	sort.Strings(names)
	for i, host := range names {
		if i == 5 {
			out = append(out, fmt.Sprintf("%d more hosts", len(names)-i))
			break
		}
		out = append(out, host+": "+strings.Join(hosts[host], ", "))
	}
	return strings.Join(out, "; ")
}

// passing are flags that are about one invocation, not about the run.
var passing = []string{
	"resume", "force-resume", "verbose", "output", "lock-timeout", "exit-code", "ask-pass", "ask-become-pass",
	"ask-vault-password", "ask-vault-pass", "list-hosts", "list-tasks", "list-tags", "syntax-check",
}

// sensitive is how inline variables look whose values are no business of a file.
var sensitive = regexp.MustCompile(`(?i)pass|secret|token|api_?key|private`)

// commandOf is the command as a later run gives it again.
func commandOf(fs *pflag.FlagSet) journal.Command {
	c := journal.Command{Flags: map[string][]string{}, Secret: map[string][]string{}}
	c.Dir, _ = os.Getwd() // told to people only
	fs.Visit(func(f *pflag.Flag) {
		if slices.Contains(passing, f.Name) {
			return
		}
		values := flagValues(f)
		inline := func(v string) bool { return !strings.HasPrefix(v, "@") && sensitive.MatchString(v) }
		if f.Name == "extra-vars" && slices.ContainsFunc(values, inline) {
			c.Secret[f.Name] = values
			return
		}
		c.Flags[f.Name] = values
	})
	return c
}

func flagValues(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// A resumption is the run that --resume goes on from.
type resumption struct {
	*journal.Entry
	force bool
}

// resumeFlags are --resume and --force-resume.
type resumeFlags struct {
	run   string
	force bool
}

// lastRun is what --resume without a value stands for.
const lastRun = "last"

func (f *resumeFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.run, "resume", "", "go on from a run that failed or was cut short: the last one, or --resume=RUN")
	fs.Lookup("resume").NoOptDefVal = lastRun
	fs.BoolVar(&f.force, "force-resume", false, "with --resume: although files have changed or other variables are given")
}

var runID = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{5}$`)

// find looks up the run to go on from; nil without --resume. It gives the run's flags
// again and returns its playbooks.
func (f *resumeFlags) find(cmd *cobra.Command, paths []string, v *vaultFlags) (*resumption, []string, error) {
	if f.run == "" {
		if len(paths) == 0 {
			return nil, nil, inputError(fmt.Errorf("no playbook given\nhint: %s; see %s --help", cmd.UseLine(), cmd.CommandPath()))
		}
		return nil, paths, nil
	}
	name := f.run
	// The value of --resume is optional, so that pflag takes a word behind it for an argument.
	if name == lastRun && len(paths) > 0 && runID.MatchString(paths[0]) {
		name, paths = paths[0], paths[1:]
	}
	store := journal.Open(".")
	var e *journal.Entry
	var err error
	if name != lastRun {
		e, err = store.Find(name)
	} else {
		e, err = store.Last(func(e *journal.Entry) bool {
			return !e.Check && e.Outcome != journal.Running && (len(paths) == 0 || slices.Equal(e.Playbooks, cleaned(paths)))
		})
		if err == nil && e == nil {
			err = errors.New("the journal holds no such run to go on from\nhint: orch history lists runs")
		}
	}
	switch {
	case err != nil:
	case e.Outcome == journal.Running:
		err = fmt.Errorf("run %s has not ended yet", e.ID)
	case e.Outcome == journal.OK && len(e.Pending) == 0:
		err = fmt.Errorf("run %s ended well: there is nothing to go on with", e.ID)
	case !e.Resumable():
		err = fmt.Errorf("run %s left nothing to go on from", e.ID)
	case len(paths) > 0 && !slices.Equal(e.Playbooks, cleaned(paths)):
		err = fmt.Errorf("run %s was of %s", e.ID, strings.Join(e.Playbooks, ", "))
	}
	if err != nil {
		return nil, nil, inputError(err)
	}
	r := &resumption{e, f.force}
	if err := r.restore(cmd.Flags(), v); err != nil {
		return nil, nil, inputError(err)
	}
	return r, e.Playbooks, nil
}

// restore gives the flags of the run again. Those that say what is run may not differ.
func (r *resumption) restore(fs *pflag.FlagSet, v *vaultFlags) error {
	s, err := r.State(nil)
	if err != nil {
		return err
	}
	if err := r.set(fs, s.Flags); err != nil {
		return err
	}
	if s.Locked != "" {
		settings, _, err := loadSettings(fs)
		if err != nil {
			return err
		}
		p := &project{term: openTerminal(), redactor: run.NewRedactor(), settings: settings}
		p.openVault(v.sourcesFor(settings))
		if s, err = r.State(p.open); err != nil {
			return err
		}
		if err := r.set(fs, s.Secret); err != nil {
			return err
		}
	}
	for _, name := range s.Withheld {
		if f := fs.Lookup(name); f != nil && !f.Changed {
			return fmt.Errorf("the values of --%s of run %s look like secrets and were not kept\nhint: give them again, as they were", name, r.ID)
		}
	}
	for _, name := range pinned {
		if _, was := s.Flags[name]; !was && !slices.Contains(s.Withheld, name) && s.Secret[name] == nil && fs.Changed(name) && !r.force {
			return fmt.Errorf("run %s was given no --%s\nhint: leave it out, or add --force-resume", r.ID, name)
		}
	}
	return nil
}

// pinned are flags that say what is run, and where.
var pinned = []string{"inventory", "limit", "extra-vars", "tags", "skip-tags", "check", "start-at-task"}

func (r *resumption) set(fs *pflag.FlagSet, flags map[string][]string) error {
	for name, values := range flags {
		f := fs.Lookup(name)
		if f == nil {
			return fmt.Errorf("run %s had a flag --%s that this orch does not know", r.ID, name)
		}
		if f.Changed {
			if slices.Contains(pinned, name) && !r.force && !slices.Equal(values, flagValues(f)) {
				return fmt.Errorf("run %s was given --%s %s\nhint: leave it out, or add --force-resume", r.ID, name, strings.Join(values, " "))
			}
			continue
		}
		for _, v := range values {
			if err := fs.Set(name, v); err != nil {
				return fmt.Errorf("give --%s again: %w", name, err)
			}
		}
	}
	return nil
}

// resume reads what the run left and checks that it can be gone on from.
func (j *job) resume(r *resumption) (*run.Resume, error) {
	if r == nil {
		return nil, nil
	}
	s, err := r.State(j.open)
	if err != nil {
		return nil, inputError(err)
	}
	if s.Damaged > 0 {
		j.warn(source.Diagnostic{Msg: fmt.Sprintf("the state of run %s is damaged in line %d: what came after is done again", r.ID, s.Damaged)})
	}
	if changed := changedFiles(s.Files); len(changed) > 0 && !r.force {
		return nil, inputError(fmt.Errorf("run %s cannot be resumed, files have changed since: %s\n"+
			"hint: begin anew, or add --force-resume: tasks are then found by their names", r.ID, strings.Join(changed, ", ")))
	}
	out := &run.Resume{Records: s.Records, Loose: r.force}
	if unkept := out.Unkept(); len(unkept) > 0 && !r.force {
		u := unkept[0]
		more := ""
		if n := len(unkept) - 1; n > 0 {
			more = fmt.Sprintf(", nor of %d more", n)
		}
		return nil, inputError(fmt.Errorf("%s: %s of the task at %s is secret and was not kept%s; running it again could change something\n"+
			"hint: give the vault password of that run, begin anew, or add --force-resume to run it again",
			u.Host, strings.Join(u.Names, ", "), u.Task.Place, more))
	}
	return out, nil
}

// changedFiles names the files that are no longer what they were.
func changedFiles(sums map[string]string) []string {
	var out []string
	for path, sum := range sums {
		data, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			out = append(out, path+" (gone)")
		case err != nil || checksum(data) != sum:
			out = append(out, path)
		}
	}
	slices.Sort(out)
	if len(out) > 10 {
		out = append(out[:10], fmt.Sprintf("and %d more", len(out)-10))
	}
	return out
}
