// Package playbook is the language: files become plays, blocks and tasks, each part
// with its place. It loads and checks; running is the business of playbook/run.
package playbook

import (
	"orch/playbook/jinja/value"
	"orch/playbook/source"
)

// A Playbook is a file of plays, with imported playbooks in place.
type Playbook struct {
	Path  string
	Plays []*Play

	remarks source.Diagnostics // for Lint
}

// A Play maps hosts to work.
type Play struct {
	Keywords
	Pos   source.Pos
	File  string      // the playbook file it is written in
	Hosts value.Value // pattern: Str, or *List of them; may be templated

	GatherFacts   *Scalar // nil: as the settings say
	GatherSubset  value.Value
	GatherTimeout *Scalar
	FactPath      *Scalar
	VarsFiles     []value.Value // each a Str, or a *List of alternatives
	VarsPrompt    []Prompt
	Roles         []*Role
	PreTasks      []Node
	Tasks         []Node
	PostTasks     []Node
	Handlers      []Node
	ForceHandlers *Scalar
	MaxFail       *Scalar // max_fail_percentage
	Serial        []value.Value
	Strategy      *Scalar
	Order         *Scalar
	// When, of the Keywords, comes from import_playbook: it holds for the play's tasks
	// and roles, not for its handlers.
	//
	// Dir is the folder of File: where the play's relative names begin.
	Dir string
	// Imported are the roles import_role brought in; their handlers are in Handlers.
	Imported []*Role
}

// A Prompt is an entry of vars_prompt.
type Prompt struct {
	Pos                      source.Pos
	Name, Prompt             value.Value
	Default                  value.Value
	Private, Confirm, Unsafe *Scalar
	Encrypt, Salt, SaltSize  value.Value
}

// A Node is a *Task or a *Block of a list of tasks.
type Node interface {
	Common() *Keywords
	Position() source.Pos
}

// A Scalar is a keyword's value: a literal or a template, with its place.
type Scalar struct {
	Pos source.Pos
	Val value.Value // Str with From when it is (or may be) a template
}

// Keywords are those a play, role, block and task share, and inherit from one to the
// next. Nil means not given. Values are as written: templates are evaluated when used.
type Keywords struct {
	Name           *Scalar
	Vars           *value.Dict // author's values, untemplated; nil if none
	VarsPos        source.Pos
	Tags           []value.Value
	When           []Scalar      // all must hold; of an import they come before the task's own
	Environment    []value.Value // dicts or templates, outermost first
	ModuleDefaults []value.Value
	Collections    []string

	Connection, Port, RemoteUser                                     *Scalar
	Become, BecomeMethod, BecomeUser, BecomeFlags, BecomeExe         *Scalar
	NoLog, RunOnce, IgnoreErrors, IgnoreUnreachable, CheckMode, Diff *Scalar
	AnyErrorsFatal, Throttle, Timeout, Debugger                      *Scalar
	DelegateTo, DelegateFacts                                        *Scalar
	Notify                                                           []value.Value
}

// Common implements Node.
func (k *Keywords) Common() *Keywords { return k }

// A Block groups tasks. Roles and static imports are blocks too.
type Block struct {
	Keywords
	Pos                   source.Pos
	Block, Rescue, Always []Node
	Parent                *Block // the enclosing block, nil at the play's level
	Role                  *Role  // the role the block belongs to
	// Implicit marks blocks that were not written: a role's list, an import's.
	Implicit bool
	// File is the task file an import or include brought in, "" for other blocks.
	File string
	// Import is the task that stood where the block is: import_tasks or import_role.
	Import *Task
}

// Position implements Node.
func (b *Block) Position() source.Pos { return b.Pos }

// A Task is one call of a module, or an include.
type Task struct {
	Keywords
	Pos    source.Pos
	Parent *Block
	Role   *Role
	// Action is the module's name as written; Module the full name the registry
	// resolved it to. For a templated action (action: "{{ x }}") Module is empty.
	Action    string
	ActionPos source.Pos
	Module    string
	// Args are the arguments as written, untemplated: a dict for mapping and k=v, and
	// FreeForm the rest of a string. ArgsTemplate is args: "{{ … }}".
	Args         *value.Dict
	FreeForm     *value.Str
	ArgsTemplate *Scalar

	Loop        value.Value // loop: as written; nil if none
	With        string      // the lookup of with_…; Loop holds its terms
	LoopControl *LoopControl
	Register    *Scalar
	ChangedWhen []Scalar
	FailedWhen  []Scalar
	Until       []Scalar
	Retries     *Scalar
	Delay       *Scalar
	Async, Poll *Scalar
	// Listen is set on handlers.
	Listen []value.Value
	// Handler marks a task of a handlers list.
	Handler bool
	// LocalAction marks local_action: delegate_to localhost with a local connection.
	LocalAction bool
	// Executable is the file of a module found in a library folder; Module is then its name.
	Executable string
	// Implicit marks a task nobody wrote: a role's validation of its arguments.
	Implicit bool
	// Play is the play the task was loaded for.
	Play *Play

	apply *source.Node // the argument of an include, for when it is run
}

// Position implements Node.
func (t *Task) Position() source.Pos { return t.Pos }

// LoopControl is the keyword of that name.
type LoopControl struct {
	Pos                                                         source.Pos
	LoopVar, IndexVar, Label, Pause, Extended, ExtendedAllitems *Scalar
	BreakWhen                                                   []Scalar
	Parallel                                                    *Scalar
}

// A Role is one use of a role: from roles:, a dependency, import_role or include_role.
type Role struct {
	Keywords
	Pos     source.Pos
	Name    string      // as written
	Path    string      // its folder
	Params  *value.Dict // further keys of the entry: role params
	Parents []*Role     // the roles that brought it in, outermost first
	Deps    []*Role     // its dependencies, in order

	Defaults, RoleVars     *value.Dict // defaults/main, vars/main, author's values
	DefaultsFile, VarsFile string
	Tasks, Handlers        []Node
	AllowDuplicates        bool
	Public                 bool
	ArgumentSpecs          *value.Dict // meta/argument_specs; nil if none
	Collection             string
	// Static: from roles: or import_role, so its variables last for the play.
	Static bool

	// Body is what the use runs: an implicit block with the keywords of the use, holding
	// the bodies of its dependencies and then its tasks.
	Body *Block
	// Include is the import_role or include_role task; nil for roles: and dependencies.
	Include *Task
	// Names of the files to read instead of main; "" for main.
	TasksFrom, VarsFrom, DefaultsFrom, HandlersFrom string
	// Key is the same for uses that Ansible takes for one: once such a use has completed
	// on a host, another is passed over there unless AllowDuplicates is set.
	Key string
}

// AllHandlers are the handlers of the role and of its dependencies, theirs first.
func (r *Role) AllHandlers() []Node {
	var out []Node
	for _, dep := range r.Deps {
		out = append(out, dep.AllHandlers()...)
	}
	return append(out, r.Handlers...)
}

// FullName is the role's name with its collection in front.
func (r *Role) FullName() string {
	if r.Collection == "" {
		return r.Name
	}
	return r.Collection + "." + r.Name
}
