package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"orch/inventory"
	"orch/modules/container"
	"orch/modules/control"
	"orch/modules/kube"
	"orch/modules/schema"
	"orch/modules/target"
	"orch/playbook"
	"orch/playbook/jinja/value"
	"orch/playbook/report"
	"orch/playbook/run"
	"orch/playbook/settings"
	"orch/playbook/source"
	"orch/playbook/vars"
	"orch/roles"
	"orch/transport"
)

// playFlags are the flags of commands that work on playbooks.
type playFlags struct {
	project    projectFlags
	connection connectionFlags
	run        runFlags
	tags       tagFlags

	listHosts, listTasks, listTags, syntaxCheck bool
	startAt                                     string
	step                                        bool
	exitCode, verify                            bool
	lockTimeout                                 time.Duration
	output                                      string
	// callback, if set, names the output once the settings are known.
	callback func(*settings.Settings) (string, error)
	// adhoc is the task of an ad-hoc command: there is no playbook's file.
	adhoc   *adhoc
	resume  resumeFlags
	journal journalMode
}

// addShared adds the flags of everything that works on hosts.
func (f *playFlags) addShared(fs *pflag.FlagSet) {
	f.project.add(fs)
	f.connection.add(fs)
	f.run.add(fs)
}

// addPlaybook adds the flags that only make sense with playbooks.
func (f *playFlags) addPlaybook(fs *pflag.FlagSet) {
	f.tags.add(fs)
	fs.BoolVar(&f.listHosts, "list-hosts", false, "print the hosts of each play and do nothing")
	fs.BoolVar(&f.listTasks, "list-tasks", false, "print the tasks and do nothing")
	fs.BoolVar(&f.listTags, "list-tags", false, "print the tags and do nothing")
	fs.BoolVar(&f.syntaxCheck, "syntax-check", false, "check the playbooks and do nothing")
	fs.StringVar(&f.startAt, "start-at-task", "", "start at the task of this name")
	fs.BoolVar(&f.step, "step", false, "ask before each task")
}

func newRun() *cobra.Command {
	f := &playFlags{journal: journalAlways}
	cmd := &cobra.Command{
		Use:   "run PLAYBOOK…",
		Short: "Run playbooks",
		Long: `Runs playbooks on the hosts and clusters of an inventory.

-i NAME is a path if it exists, else a name in inventories/ or inventory/. Without -i the
project's "dev" inventory is used.

What a run does is kept in .orch/journal: orch history shows it. --resume goes on from a run
that failed or was cut short, each host at the task where it stopped, with its variables and
notified handlers. The run's own playbooks, inventory and flags are taken again.

Ctrl-\ on a terminal, or the signal USR1, tells what every host is doing.

Exit codes: 0 fine, 2 a task failed, 3 the input is wrong and nothing was touched, 4 a host
was unreachable, 5 changes are pending (--check --exit-code), 130 interrupted.`,
		Example: `  orch run playbooks/deploy.yml -i stage
  orch run playbooks/deploy.yml -i stage --check --diff
  orch run playbooks/deploy.yml -i live -l web1 -t config -e release=1.4.1
  orch run --resume`,
		RunE: func(cmd *cobra.Command, paths []string) error { return f.runPlaybooks(cmd, paths) },
	}
	fs := cmd.Flags()
	f.addShared(fs)
	f.addPlaybook(fs)
	fs.BoolVar(&f.exitCode, "exit-code", false, "with --check: end with 5 when something would change")
	fs.BoolVar(&f.verify, "verify", false, "plan each module again after its steps; fail when something is left")
	fs.DurationVar(&f.lockTimeout, "lock-timeout", 0, "how long to wait for another run on the same inventory")
	f.resume.add(fs)
	fs.StringVar(&f.output, "output", "", "auto, terminal, plain, json, ansible, junit=FILE")
	return cmd
}

// helpers open the helper of an architecture; nil is those that are embedded.
var helpers func(arch string) (sum string, open func() (io.ReadCloser, error), err error)

// A job is a set of playbooks, loaded, with everything needed to run them.
type job struct {
	*project
	flags     *playFlags
	registry  *schema.Registry
	loader    *playbook.Loader
	playbooks []*playbook.Playbook
	vars      *vars.Run
	closers   []io.Closer
	// hosts are those an ad-hoc command of Ansible works on.
	hosts []string
}

// prepare loads the playbooks and reports every mistake in them at once.
func (f *playFlags) prepare(cmd *cobra.Command, paths []string) (*job, error) {
	p, err := f.project.open(cmd.Context(), cmd.Flags(), cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	j := &job{project: p, flags: f}
	if p.as != nil {
		if j.hosts, err = p.targets(f.pattern()); err != nil {
			return nil, err
		}
	}
	if f.adhoc != nil {
		if err := f.adhoc.write(p, paths[0]); err != nil {
			return nil, err
		}
	}
	if j.registry, err = newRegistry(); err != nil {
		return nil, err
	}
	s := p.settings
	j.vars = p.varsRun(vars.Options{
		Check: f.run.check, Diff: f.run.diff || s.Bool("DIFF_ALWAYS"),
		RunTags: f.onlyTags(p), SkipTags: words(s.List("TAGS_SKIP")),
	})
	j.loader = playbook.NewLoader(j.loaderConfig())
	var diags source.Diagnostics
	for _, path := range paths {
		pb, found := j.loader.Load(path)
		diags = append(diags, found...)
		j.playbooks = append(j.playbooks, pb)
	}
	if diags.HasErrors() {
		return nil, diags.Sorted()
	}
	for _, d := range diags {
		p.warn(d)
	}
	return j, nil
}

func (j *job) loaderConfig() playbook.Config {
	s := j.settings
	c := playbook.Config{
		Files: files, Modules: playbook.FromRegistry(j.registry), Templates: j.engine, Lookup: j.hasLookup,
		OpenVault: j.open, Library: s.List("DEFAULT_MODULE_PATH"),
		Roles:         roles.Finder{Path: j.roleFolders(), Collections: s.List("COLLECTIONS_PATHS")},
		DuplicateKeys: s.Str("DUPLICATE_YAML_DICT_KEY"), LenientTasks: !s.Bool("INVALID_TASK_ATTRIBUTE_FAILED"),
		Static: j.static, ActionGroup: j.hasActionGroup, Deferred: j.as != nil,
	}
	if s.Set("DEFAULT_PRIVATE_ROLE_VARS") {
		private := s.Bool("DEFAULT_PRIVATE_ROLE_VARS")
		c.PrivateRoleVars = &private
	}
	return c
}

// static templates what must be known while loading, from extra variables and those of
// the play: no host is known yet.
func (j *job) static(p *playbook.Play, t *playbook.Task, v value.Value) (value.Value, error) {
	ctx := context.Background()
	if p == nil {
		return j.engine.Value(ctx, v, j.vars.Eval(ctx, "", vars.PlayOptions{}))
	}
	play := j.vars.Play(p, vars.PlayOptions{Basedir: filepath.Dir(p.File)})
	if t == nil {
		return j.engine.Value(ctx, v, play.Eval(ctx, play.Host("")))
	}
	return j.engine.Value(ctx, v, play.Task(t, vars.TaskOptions{}).Eval(ctx, play.Host("")))
}

// pattern is what must leave hosts before anything runs.
func (f *playFlags) pattern() string {
	if f.adhoc != nil {
		return f.adhoc.pattern
	}
	return inventory.All
}

func (f *playFlags) onlyTags(p *project) []string {
	tags := words(p.settings.List("TAGS_RUN"))
	if len(tags) == 0 {
		return []string{"all"}
	}
	return tags
}

func (f *playFlags) runPlaybooks(cmd *cobra.Command, paths []string) error {
	from, paths, err := f.resume.find(cmd, paths, &f.project.vault)
	if err != nil {
		return err
	}
	j, err := f.prepare(cmd, paths)
	if err != nil {
		return err
	}
	switch {
	case f.listHosts && j.as != nil && f.adhoc != nil:
		fmt.Fprintf(cmd.OutOrStdout(), "  hosts (%d):\n", len(j.hosts))
		for _, name := range j.hosts {
			fmt.Fprintf(cmd.OutOrStdout(), "    %s\n", name)
		}
		return nil
	case f.listHosts || f.listTasks || f.listTags:
		return j.list(cmd.OutOrStdout())
	case f.syntaxCheck:
		for _, path := range paths {
			fmt.Fprintf(cmd.OutOrStdout(), "\nplaybook: %s\n", path)
		}
		return nil
	}
	if f.step && openTerminal() == nil {
		return inputError(fmt.Errorf("--step asks before each task: %w", errNoTerminal))
	}
	if j.as == nil {
		if err := j.preflight(cmd.Context()); err != nil {
			return err
		}
		lock, err := lockRun(cmd.Context(), j.inv.Sources, f.lockTimeout)
		if err != nil {
			return inputError(err)
		}
		defer lock.Close()
	}
	return j.run(cmd, paths, from)
}

// run executes the job and turns its end into an exit code.
func (j *job) run(cmd *cobra.Command, paths []string, from *resumption) error {
	resume, err := j.resume(from)
	if err != nil {
		return err
	}
	output := j.flags.output
	if j.flags.callback != nil {
		if output, err = j.flags.callback(j.settings); err != nil {
			return err
		}
	}
	look := viewOptions{
		out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), settings: j.settings, redactor: j.redactor,
		diff: j.flags.run.diff || j.settings.Bool("DIFF_ALWAYS"), display: j.as.say(), log: j.log,
	}
	view, err := openView(output, look)
	if err != nil {
		return inputError(err)
	}
	watch := report.NewWatch()
	defer answer(watch, view, cmd.ErrOrStderr())()
	config, err := j.config(cmd, report.Tee(watch.Event, view.Sink))
	if err != nil {
		return err
	}
	config.Lines = config.Verbosity > 0 || view.live
	config.Resume = resume
	if likeAnsible(output) {
		config.Excerpt = look.excerpt
	}
	kept := j.keepJournal(cmd, paths, from)
	if kept != nil {
		config.Sink, config.Record = report.Tee(kept.Event, config.Sink), kept.Record
	}
	boundMemory(len(j.inv.Hosts()))
	done, err := run.Run(cmd.Context(), config)
	for _, c := range append(j.closers, config.Connector) {
		err = errors.Join(err, c.Close())
	}
	if cerr := view.Close(); err == nil {
		err = cerr
	}
	if kept != nil {
		j.closeJournal(kept, done)
	}
	code := run.ExitCode(done, err, j.flags.run.check && j.flags.exitCode)
	if j.as != nil && err == nil && len(done.Unreachable) > 0 && !done.Interrupted {
		code = exitUnreachable // Ansible: before failed
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, err: err, quiet: err == nil}
}

// manyHosts is where the connections of a run, which live as long as it does, begin to
// be most of its memory.
const manyHosts = 600

// boundMemory makes garbage cost less memory, and more time, in a run on many hosts, where
// the default lets it grow to the size of everything that lives. GOGC has the last word.
func boundMemory(hosts int) {
	if hosts > manyHosts && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(max(50, 100*manyHosts/hosts))
	}
}

func (j *job) config(cmd *cobra.Command, sink run.Sink) (run.Config, error) {
	s, f := j.settings, j.flags
	defaults, err := j.hostDefaults()
	if err != nil {
		return run.Config{}, err
	}
	pool := target.NewPool(target.PoolConfig{
		Warn:       func(host, msg string) { j.warn(source.Diagnostic{Msg: host + ": " + msg}) },
		Passphrase: j.passphrase, Self: jobCommand(), Helper: helpers,
	})
	facts, err := openFactCache(s)
	if err == nil && f.project.inventory.flush {
		err = j.flushFacts(facts)
	}
	if err != nil {
		return run.Config{}, err
	}
	c := run.Config{
		Playbooks: j.playbooks, Inventory: j.inv, Vars: j.vars, Templater: j.engine, Modules: j.registry,
		Loader: j.loader, Connector: pool, Sink: sink, Limit: j.limit, Redactor: j.redactor,
		Refresh: j.reload, Files: j.files, OpenVault: j.open, Render: j.engine.Render, Stop: stopOf(cmd.Context()), Facts: facts,
		ActionGroups: actionGroups(j.registry),
		Options: run.Options{
			Check: f.run.check, Diff: f.run.diff || s.Bool("DIFF_ALWAYS"), Verbosity: s.Int("DEFAULT_VERBOSITY"),
			Forks: s.Int("DEFAULT_FORKS"), OnlyTags: f.onlyTags(j.project), SkipTags: words(s.List("TAGS_SKIP")),
			StartAt: f.startAt, Step: f.step, ForceHandlers: s.Bool("DEFAULT_FORCE_HANDLERS"),
			Strategy: s.Str("DEFAULT_STRATEGY"), Gathering: s.Str("DEFAULT_GATHERING"), FactModules: s.List("FACTS_MODULES"),
			AnyErrorsFatal: s.Bool("ANY_ERRORS_FATAL"), NoLog: s.Bool("DEFAULT_NO_LOG"), TaskTimeout: s.Int("TASK_TIMEOUT"),
			MissingHandlerWarns: !s.Bool("ERROR_ON_MISSING_HANDLER"), NoMatch: s.Str("HOST_PATTERN_MISMATCH"),
			HashMerge: s.Str("DEFAULT_HASH_BEHAVIOUR") == "merge", MaxDiff: s.Int("MAX_FILE_SIZE_FOR_DIFF"),
			PollInterval: s.Int("DEFAULT_POLL_INTERVAL"), AsyncDir: s.Str("async_dir"),
			Debugger: s.Bool("ENABLE_TASK_DEBUGGER"), DebugIgnored: !s.Bool("TASK_DEBUGGER_IGNORE_ERRORS"),
			Defaults: defaults, Become: s.Bool("DEFAULT_BECOME"), Verify: f.verify,
			ShowArgs: s.Bool("DISPLAY_ARGS_TO_STDOUT"), Native: s.Bool("DEFAULT_JINJA2_NATIVE"),
		},
	}
	if j.term != nil {
		c.Prompt = j.term
	}
	clusters, engines := &kube.World{}, &container.World{}
	c.Worlds = map[schema.World]func(context.Context, control.Target, any) (any, any, error){schema.Cluster: clusters.Open, schema.Container: engines.Open}
	j.closers = append(j.closers, clusters, engines)
	return c, nil
}

// hostDefaults are the connection values of flags, password files and settings.
func (j *job) hostDefaults() (target.HostSpec, error) {
	s := j.settings
	h := target.HostSpec{
		Connection: s.Str("DEFAULT_TRANSPORT"), User: s.Str("DEFAULT_REMOTE_USER"), Port: s.Int("DEFAULT_REMOTE_PORT"),
		KeyFile: s.Path("DEFAULT_PRIVATE_KEY_FILE"), SSHArgs: s.Str("ssh_args"), CommonArgs: s.Str("ssh_common_args"),
		ExtraArgs: s.Str("ssh_extra_args"), Retries: s.Int("ssh_retries"),
		ConnectTimeout: time.Duration(s.Int("DEFAULT_TIMEOUT")) * time.Second,
		Become: transport.Become{
			Method: s.Str("DEFAULT_BECOME_METHOD"), User: s.Str("DEFAULT_BECOME_USER"),
			Exe: s.Str("DEFAULT_BECOME_EXE"), Flags: s.Str("DEFAULT_BECOME_FLAGS"),
		},
	}
	if s.Set("remote_tmp") {
		h.RemoteTmp = s.Str("remote_tmp")
	}
	if !s.Bool("HOST_KEY_CHECKING") || s.Set("ssh_host_key_checking") && !s.Bool("ssh_host_key_checking") {
		h.HostKeys = "off"
	}
	if err := h.Check(); err != nil {
		return h, inputError(err)
	}
	// A key named on the command line is meant; one of ansible.cfg may be for other machines.
	if strings.HasPrefix(s.Get("DEFAULT_PRIVATE_KEY_FILE").Origin, "flag") {
		f, err := os.Open(h.KeyFile)
		if err != nil {
			return h, inputError(fmt.Errorf("read private key: %w", err))
		}
		f.Close()
	}
	var err error
	if h.Password, err = j.password("CONNECTION_PASSWORD_FILE", "DEFAULT_ASK_PASS", "SSH password: "); err != nil {
		return h, err
	}
	prompt := strings.ToUpper(orDefault(h.Become.Method, "sudo")) + " password"
	if h.Password != "" {
		prompt += "[defaults to SSH password]"
	}
	if h.Become.Password, err = j.password("BECOME_PASSWORD_FILE", "DEFAULT_BECOME_ASK_PASS", prompt+": "); err != nil {
		return h, err
	}
	if h.Become.Password == "" && s.Bool("DEFAULT_BECOME_ASK_PASS") {
		h.Become.Password = h.Password
	}
	j.redactor.Add(h.Password, h.Become.Password)
	return h, nil
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func (j *job) password(file, ask, prompt string) (string, error) {
	if path := j.settings.Str(file); path != "" {
		if path != "-" {
			path = j.settings.Path(file)
		}
		text, err := readPasswordFile(path)
		if err != nil {
			return "", inputError(err)
		}
		return text, nil
	}
	if !j.settings.Bool(ask) {
		return "", nil
	}
	text, err := j.term.secret(prompt)
	if err != nil {
		return "", inputError(fmt.Errorf("ask for a password: %w\nhint: give it in a file: --connection-password-file, --become-password-file", err))
	}
	return text, nil
}

func (j *job) passphrase(_ context.Context, path string) (string, error) {
	text, err := j.term.secret(fmt.Sprintf("Enter passphrase for key %q: ", path))
	if err == nil {
		j.redactor.Add(text)
	}
	return text, err
}

func (j *job) hasLookup(name string) bool {
	_, ok := j.engine.LookupDoc(name)
	return ok
}

// isTerminal reports whether w is a terminal, so that a view may redraw lines.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
