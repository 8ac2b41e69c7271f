package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"orch/modules"
)

// Cron manages jobs and variables in a user's crontab or in a file of /etc/cron.d. A job
// is known by the comment above it.
type Cron struct {
	// Name of the job (its comment) or of the variable.
	Name string `orch:"required"`
	// Whether it is to be there.
	State string `orch:"enum=present|absent,default=present"`
	// The command, or the variable's value.
	Job *string `orch:"alias=value"`
	// Whose crontab; in cron_file, the user the job runs as.
	User string
	// File of /etc/cron.d, or an absolute path, instead of a crontab.
	CronFile string `orch:"name=cron_file"`
	// Keep a copy of the crontab before it changes.
	Backup bool
	// Minute.
	Minute string `orch:"default=*"`
	// Hour.
	Hour string `orch:"default=*"`
	// Day of the month.
	Day string `orch:"default=*,alias=dom"`
	// Month.
	Month string `orch:"default=*"`
	// Day of the week.
	Weekday string `orch:"default=*,alias=dow"`
	// A time by its name, instead of the five fields.
	SpecialTime string `orch:"enum=reboot|yearly|annually|monthly|weekly|daily|hourly"`
	// Comment the job out.
	Disabled bool
	// It is a variable.
	Env bool
	// Put a new variable after this one.
	Insertafter string
	// Put a new variable before this one.
	Insertbefore string
}

// Validate implements modules.Validator.
func (c *Cron) Validate() error {
	times := c.Minute + c.Hour + c.Day + c.Month + c.Weekday
	switch {
	case c.Insertafter != "" && c.Insertbefore != "":
		return errors.New("parameters are mutually exclusive: insertafter|insertbefore")
	case c.CronFile == "/etc/crontab":
		return errors.New("Will not manage /etc/crontab via cron_file, see documentation.") //nolint:staticcheck // Ansible's words
	case c.SpecialTime != "" && times != "*****":
		return errors.New("You must specify time and date fields or special time.") //nolint:staticcheck // Ansible's words
	case c.State == "present" && c.CronFile != "" && c.User == "":
		return errors.New("To use cron_file=... parameter you must specify user=... as well") //nolint:staticcheck // Ansible's words
	case c.State == "present" && c.Job == nil:
		return errors.New("You must specify 'job' to install a new cron job or variable") //nolint:staticcheck // Ansible's words
	case (c.Insertafter != "" || c.Insertbefore != "") && !c.Env:
		return errors.New("Insertafter and insertbefore parameters are valid only with env=yes") //nolint:staticcheck // Ansible's words
	case c.Env && strings.Contains(c.Name, " "):
		return errors.New("Invalid name for environment variable") //nolint:staticcheck // Ansible's words
	}
	return nil
}

// CronOut is the result of cron.
type CronOut struct {
	Jobs       []string `json:"jobs"`
	Envs       []string `json:"envs"`
	CronFile   string   `json:"cron_file,omitempty"`
	BackupFile string   `json:"backup_file,omitempty"`
	State      string   `json:"state,omitempty"`
}

// mark begins the comment that names a job.
const mark = "#Ansible: "

// Plan implements modules.Module.
func (c *Cron) Plan(ctx context.Context, v modules.View) (plan, error) {
	c = clone(c)
	out := &CronOut{CronFile: c.CronFile, Jobs: []string{}, Envs: []string{}}
	p := plan{Out: out, Warnings: c.warnings()}
	if c.CronFile != "" && !path.IsAbs(c.CronFile) {
		c.CronFile = path.Join("/etc/cron.d", c.CronFile)
	}
	before, err := c.read(ctx, v)
	if err != nil {
		return p, err
	}
	var lines []string
	if before != "" {
		lines = strings.Split(strings.TrimSuffix(before, "\n"), "\n")
	}
	edit := c.job
	if c.Env {
		edit = c.env
	}
	lines, err = edit(lines)
	if err != nil {
		return p, err
	}
	for _, l := range lines {
		if name, ok := strings.CutPrefix(l, mark); ok {
			out.Jobs = append(out.Jobs, name)
		}
		if name, _, ok := strings.Cut(l, "="); ok && name != "" && !strings.ContainsAny(name, " \t") {
			out.Envs = append(out.Envs, name)
		}
	}
	after := strings.TrimRight(strings.Join(lines, "\n"), "\r\n")
	if after != "" {
		after += "\n"
	}
	if after == before {
		return p, nil
	}
	d := fileDiff(c.where(), []byte(before), []byte(after))
	if strings.TrimSpace(after) == "" && c.CronFile != "" && c.State == "absent" {
		out.State = c.State
		p.Steps = []step{{Title: "remove " + c.CronFile, Diff: d, Do: func(ctx context.Context, t modules.Target) (bool, error) {
			return true, fileFailure(t.Remove(ctx, c.CronFile))
		}}}
		return p, nil
	}
	p.Steps = []step{{Title: "change " + c.where(), Diff: d, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		return true, c.write(ctx, t, before, after, out)
	}}}
	return p, nil
}

var cronFileName = lazy(`^[A-Za-z0-9_-]+$`)

func (c *Cron) warnings() (list []string) {
	if base := path.Base(c.CronFile); c.CronFile != "" && !cronFileName().MatchString(base) {
		list = append(list, fmt.Sprintf("Filename portion of cron_file (\"%s\") should consist solely of upper- and lower-case letters, digits, underscores, and hyphens", base))
	}
	if c.Job != nil && !c.Env && strings.ContainsAny(strings.Trim(*c.Job, "\r\n"), "\r\n") {
		list = append(list, "Job should not contain line breaks")
	}
	return list
}

func (c *Cron) where() string {
	switch {
	case c.CronFile != "":
		return c.CronFile
	case c.User != "":
		return "the crontab of " + c.User
	}
	return "the crontab"
}

func (c *Cron) crontab(ctx context.Context, v modules.View, args ...string) ([]string, error) {
	argv := []string{"crontab"}
	if c.User != "" {
		me, err := v.Whoami(ctx)
		if err != nil {
			return nil, err
		}
		if me.Name != c.User {
			argv = append(argv, "-u", c.User)
		}
	}
	return append(argv, args...), nil
}

// head are the lines crontab -l puts before what was installed.
var head = lazy(`^# (DO NOT EDIT THIS FILE - edit the master and reinstall\.|\(/tmp/.*installed on.*\)|\(.*version.*\))`)

func (c *Cron) read(ctx context.Context, v modules.View) (string, error) {
	if c.CronFile != "" {
		data, err := readFile(ctx, v, c.CronFile)
		return string(data), err
	}
	argv, err := c.crontab(ctx, v, "-l")
	if err != nil {
		return "", err
	}
	o, err := v.Query(ctx, argv...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", modules.Failf(`Failed to find required executable "crontab" in paths`)
	case err != nil:
		return "", err
	case o.RC == 1: // there is none
		return "", nil
	case o.RC != 0:
		return "", cmdFailure(argv, o, "Unable to read crontab")
	}
	lines := strings.SplitAfter(o.Stdout, "\n")
	for i := 0; i < 3 && len(lines) > 0 && head().MatchString(lines[0]); i++ {
		lines = lines[1:]
	}
	return strings.Join(lines, ""), nil
}

// job edits the lines of a job: its comment and the line below.
func (c *Cron) job(lines []string) ([]string, error) {
	comment := mark + c.Name
	if c.State == "absent" {
		for i := 0; i < len(lines); i++ {
			if lines[i] == comment {
				lines = slices.Delete(lines, i, min(i+2, len(lines)))
				i--
			}
		}
		return lines, nil
	}
	line := c.line()
	found := false
	for i := 0; i < len(lines); i++ {
		if lines[i] != comment {
			continue
		}
		found = true
		if i+1 < len(lines) {
			lines[i+1] = line
		} else {
			lines = append(lines, line)
		}
		i++
	}
	if found {
		return lines, nil
	}
	for i, l := range lines {
		// The very line without its comment gets one.
		if l == line && (i == 0 || !strings.HasPrefix(lines[i-1], mark)) {
			return slices.Insert(lines, i, comment), nil
		}
	}
	return append(lines, comment, line), nil
}

func (c *Cron) line() string {
	when := strings.Join([]string{c.Minute, c.Hour, c.Day, c.Month, c.Weekday}, " ")
	if c.SpecialTime != "" {
		when = "@" + c.SpecialTime
	}
	if c.Disabled {
		when = "#" + when
	}
	if c.CronFile != "" {
		when += " " + c.User
	}
	return when + " " + strings.Trim(*c.Job, "\r\n")
}

// env edits the line of a variable.
func (c *Cron) env(lines []string) ([]string, error) {
	find := func(name string) int {
		return slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+"=") })
	}
	at := find(c.Name)
	if c.State == "absent" {
		return slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, c.Name+"=") }), nil
	}
	decl := fmt.Sprintf("%s=\"%s\"", c.Name, *c.Job)
	if at >= 0 {
		for i, l := range lines {
			if strings.HasPrefix(l, c.Name+"=") {
				lines[i] = decl
			}
		}
		return lines, nil
	}
	other := c.Insertafter + c.Insertbefore
	if other == "" {
		return slices.Insert(lines, 0, decl), nil
	}
	at = find(other)
	if at < 0 {
		return nil, modules.Failf("Variable named '%s' not found.", other)
	}
	if c.Insertafter != "" {
		at++
	}
	return slices.Insert(lines, at, decl), nil
}

func (c *Cron) write(ctx context.Context, t modules.Target, before, after string, out *CronOut) error {
	if c.Backup {
		o, err := mustRun(ctx, t, "mktemp", "/tmp/crontabXXXXXXXX")
		if err != nil {
			return err
		}
		out.BackupFile = strings.TrimSpace(o.Stdout)
		if _, err := t.Write(ctx, out.BackupFile, strings.NewReader(before), modules.WriteOptions{}); err != nil {
			return fileFailure(err)
		}
	}
	if c.CronFile != "" {
		_, err := t.Write(ctx, c.CronFile, strings.NewReader(after), modules.WriteOptions{})
		return fileFailure(err)
	}
	argv, err := c.crontab(ctx, t, "-")
	if err != nil {
		return err
	}
	_, err = must(ctx, t, modules.Command{Argv: argv, Stdin: strings.NewReader(after)})
	return err
}
