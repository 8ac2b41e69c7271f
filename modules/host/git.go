package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"orch/modules"
)

// Git clones a repository to the host, or brings a clone to a version.
type Git struct {
	// Address of the repository.
	Repo string `orch:"required,alias=name"`
	// Folder of the clone. Needed unless clone is off.
	Dest string `orch:"path"`
	// Branch, tag, or commit (all 40 digits, or with refspec).
	Version string `orch:"default=HEAD"`
	// Name of the remote.
	Remote string `orch:"default=origin"`
	// Further references to fetch.
	Refspec string
	// Repository on the host to take objects from.
	Reference string
	// Throw away local changes.
	Force bool
	// Take only so many commits.
	Depth *int
	// Make the clone if there is none.
	Clone bool `orch:"default=true"`
	// Fetch if there is one.
	Update bool `orch:"default=true"`
	// Check the signature of the version.
	VerifyCommit bool
	// Fingerprints a signature may have.
	GpgAllowlist []string `orch:"alias=gpg_whitelist"`
	// Accept the key of a host that is not known; a changed key is refused.
	AcceptHostkey bool
	// Accept new keys only: the same as accept_hostkey.
	AcceptNewhostkey bool
	// Private ssh key, a file on the host.
	KeyFile string `orch:"path"`
	// Options for ssh.
	SshOpts string
	// The git program.
	Executable string `orch:"path"`
	// Make a repository without a working tree.
	Bare bool
	// Submodules too.
	Recursive bool `orch:"default=true"`
	// Take only the version's branch.
	SingleBranch bool
	// Bring submodules to the tips of their branches.
	TrackSubmodules bool
	// Umask of the clone.
	Umask modules.Mode
	// Write an archive of the version to this file. Not supported.
	Archive string `orch:"path"`
	// Prefix of the archive. Not supported.
	ArchivePrefix string
	// Folder for the repository, apart from the working tree.
	SeparateGitDir string `orch:"path"`
}

// Validate implements modules.Validator.
func (g *Git) Validate() error {
	switch {
	case g.Archive != "" || g.ArchivePrefix != "":
		return errors.New("archive is not supported")
	case g.Dest == "" && g.Clone:
		return errors.New("the destination directory must be specified unless clone=no")
	case g.SeparateGitDir != "" && g.Bare:
		return errors.New("parameters are mutually exclusive: separate_git_dir|bare")
	}
	return nil
}

// GitOut is the result of git.
type GitOut struct {
	Before    *string `json:"before"`
	After     string  `json:"after" orch:"after"`
	RemoteURL string  `json:"remote_url_changed,omitempty"`
}

// Plan implements modules.Module.
func (g *Git) Plan(ctx context.Context, v modules.View) (plan, error) {
	g = clone(g)
	out := &GitOut{}
	p := plan{Out: out}
	if err := expand(ctx, v, &g.Dest, &g.KeyFile, &g.SeparateGitDir); err != nil {
		return p, err
	}
	head := path.Join(g.Dest, ".git")
	if g.Bare {
		head = path.Join(g.Dest, "HEAD")
	}
	fi, err := stat(ctx, v, head)
	if err != nil {
		return p, err
	}
	if fi == nil || g.Dest == "" {
		return g.fresh(ctx, v, p, out)
	}
	before, err := g.ask(ctx, v, "rev-parse", "HEAD")
	if err != nil {
		return p, err
	}
	out.Before, out.After = &before, before
	if !g.Update {
		return p, nil
	}
	if !g.Bare {
		status, err := g.ask(ctx, v, "status", "--porcelain", "--untracked-files=no")
		if err != nil {
			return p, err
		}
		if status != "" && !g.Force {
			return p, modules.Failf("Local modifications exist in the destination: %s (force=no).", g.Dest)
		}
		if status != "" {
			p.Steps = append(p.Steps, g.step("throw away local changes in "+g.Dest, "reset", "--hard", "HEAD", "--"))
		}
	}
	url, err := g.ask(ctx, v, "config", "--get", "remote."+g.Remote+".url")
	if err != nil {
		return p, err
	}
	if url != g.Repo {
		args := []string{"remote", "set-url", g.Remote, g.Repo}
		if url == "" {
			args = []string{"remote", "add", g.Remote, g.Repo}
		}
		p.Steps = append(p.Steps, g.step("point "+g.Remote+" to "+g.Repo, args...))
	}
	want, _, err := g.remoteVersion(ctx, v)
	if err != nil {
		return p, err
	}
	if want != before {
		out.After = want
		p.Steps = append(p.Steps, step{Title: "bring " + g.Dest + " to " + g.Version, Do: func(ctx context.Context, t modules.Target) (bool, error) {
			return true, g.update(ctx, t, out)
		}})
	}
	return p, nil
}

func (g *Git) fresh(ctx context.Context, v modules.View, p plan, out *GitOut) (plan, error) {
	if !g.Clone {
		want, _, err := g.remoteVersion(ctx, v)
		out.After = want
		return p, err
	}
	if entries, err := v.ReadDir(ctx, g.Dest); err == nil && len(entries) > 0 && !g.Force {
		return p, modules.Failf("destination path '%s' already exists and is not an empty directory.", g.Dest)
	}
	p.Steps = []step{{Title: "clone " + g.Repo + " to " + g.Dest, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		return true, g.clone(ctx, t, out)
	}}}
	return p, nil
}

func (g *Git) program() string {
	if g.Executable != "" {
		return g.Executable
	}
	return "git"
}

// argv is git with the ssh that the arguments ask for, run in dest.
func (g *Git) argv(inDest bool, args ...string) []string {
	argv := []string{"env", "GIT_TERMINAL_PROMPT=0"}
	ssh := []string{"ssh", "-o", "BatchMode=yes"}
	if g.AcceptHostkey || g.AcceptNewhostkey {
		ssh = append(ssh, "-o", "StrictHostKeyChecking=accept-new")
	}
	if g.KeyFile != "" {
		ssh = append(ssh, "-i", shellQuote(g.KeyFile), "-o", "IdentitiesOnly=yes")
	}
	argv = append(argv, "GIT_SSH_COMMAND="+strings.TrimSpace(strings.Join(ssh, " ")+" "+g.SshOpts), g.program())
	if inDest {
		argv = append(argv, "-C", g.Dest)
	}
	return append(argv, args...)
}

// ask runs git for its output; an unset config value is an empty one.
func (g *Git) ask(ctx context.Context, v modules.View, args ...string) (string, error) {
	o, err := v.Query(ctx, g.argv(true, args...)...)
	if errors.Is(err, fs.ErrNotExist) {
		return "", modules.Failf("Failed to find required executable \"%s\" in paths", g.program())
	}
	if err != nil {
		return "", err
	}
	if o.RC == 127 {
		return "", modules.Failf("Failed to find required executable \"%s\" in paths", g.program())
	}
	if o.RC != 0 && args[0] != "config" {
		return "", cmdFailure(append([]string{"git"}, args...), o, "")
	}
	return strings.TrimSpace(o.Stdout), nil
}

func (g *Git) step(title string, args ...string) step {
	return step{Title: title, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		_, err := g.run(ctx, t, true, args...)
		return true, err
	}}
}

func (g *Git) run(ctx context.Context, t modules.Target, inDest bool, args ...string) (string, error) {
	cmd := modules.Command{Argv: g.argv(inDest, args...), Stream: true}
	if g.Umask != "" {
		n, err := strconv.ParseUint(string(g.Umask), 8, 32)
		if err != nil {
			return "", modules.Failf("umask must be octal, got %q", string(g.Umask))
		}
		mask := int(n)
		cmd.Umask = &mask
	}
	o, err := t.Run(ctx, cmd)
	if err != nil {
		return "", startFailure([]string{"git"}, err)
	}
	if o.RC != 0 {
		return "", cmdFailure(append([]string{"git"}, args...), o, "")
	}
	return strings.TrimSpace(o.Stdout), nil
}

var commitID = lazy(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// remoteVersion asks the remote what version is, and whether it is a branch.
func (g *Git) remoteVersion(ctx context.Context, v modules.View) (id string, branch bool, err error) {
	if commitID().MatchString(g.Version) {
		return g.Version, false, nil
	}
	o, err := v.Query(ctx, g.argv(false, "ls-remote", g.Repo)...)
	if err != nil {
		return "", false, startFailure([]string{"git"}, err)
	}
	if o.RC != 0 {
		return "", false, cmdFailure([]string{"git", "ls-remote", g.Repo}, o, "")
	}
	refs := map[string]string{}
	for line := range strings.Lines(o.Stdout) {
		if f := strings.Fields(line); len(f) == 2 {
			refs[f[1]] = f[0]
		}
	}
	if g.Version == "HEAD" && refs["HEAD"] != "" {
		return refs["HEAD"], true, nil
	}
	for _, name := range []string{"refs/heads/" + g.Version, "refs/tags/" + g.Version + "^{}", "refs/tags/" + g.Version, g.Version} {
		if refs[name] != "" {
			return refs[name], strings.HasPrefix(name, "refs/heads/"), nil
		}
	}
	// An abbreviated commit is looked up in the clone itself.
	if o, err := v.Query(ctx, g.argv(true, "rev-parse", "--verify", "--quiet", g.Version+"^{commit}")...); err == nil && o.RC == 0 {
		return strings.TrimSpace(o.Stdout), false, nil
	}
	return "", false, modules.Failf("Failed to find version %q in %s", g.Version, g.Repo)
}

func (g *Git) clone(ctx context.Context, t modules.Target, out *GitOut) error {
	args := []string{"clone", "--origin", g.Remote}
	id, branch, err := "", false, error(nil)
	if !commitID().MatchString(g.Version) {
		if id, branch, err = g.remoteVersion(ctx, t); err != nil {
			return err
		}
	}
	named := id != "" && g.Version != "HEAD" && g.Refspec == "" && !strings.HasPrefix(g.Version, "refs/")
	if g.Bare {
		args = append(args, "--bare")
	} else if named {
		args = append(args, "--branch", g.Version)
	}
	if g.Depth != nil && (named || g.Version == "HEAD") {
		args = append(args, "--depth", strconv.Itoa(*g.Depth))
	}
	if g.SingleBranch && (named || g.Version == "HEAD") {
		args = append(args, "--single-branch")
	}
	if g.Reference != "" {
		args = append(args, "--reference", g.Reference)
	}
	if g.SeparateGitDir != "" {
		args = append(args, "--separate-git-dir="+g.SeparateGitDir)
	}
	if err := makeDirs(ctx, t, path.Dir(g.Dest), &FileArgs{}); err != nil {
		return err
	}
	if _, err := g.run(ctx, t, false, append(args, g.Repo, g.Dest)...); err != nil {
		return err
	}
	if g.Refspec != "" {
		if _, err := g.run(ctx, t, true, "fetch", g.Remote, g.Refspec); err != nil {
			return err
		}
	}
	if !g.Bare && !branch && g.Version != "HEAD" && !named {
		if _, err := g.run(ctx, t, true, "checkout", "--force", g.Version, "--"); err != nil {
			return err
		}
	}
	return g.after(ctx, t, out)
}

func (g *Git) update(ctx context.Context, t modules.Target, out *GitOut) error {
	id, branch, err := g.remoteVersion(ctx, t)
	if err != nil {
		return err
	}
	fetch := []string{"fetch", "--tags", "--force"}
	if g.Depth != nil {
		fetch = append(fetch, "--depth", strconv.Itoa(*g.Depth))
	}
	fetch = append(fetch, g.Remote)
	if g.Bare {
		fetch = append(fetch, "+refs/heads/*:refs/heads/*")
	}
	if g.Refspec != "" {
		fetch = append(fetch, g.Refspec)
	}
	if _, err := g.run(ctx, t, true, fetch...); err != nil {
		return err
	}
	switch {
	case g.Bare:
	case branch && g.Version != "HEAD":
		if _, err := g.run(ctx, t, true, "checkout", "--force", "-B", g.Version, g.Remote+"/"+g.Version, "--"); err != nil {
			return err
		}
	case branch:
		if _, err := g.run(ctx, t, true, "reset", "--hard", id, "--"); err != nil {
			return err
		}
	default:
		if _, err := g.run(ctx, t, true, "checkout", "--force", id, "--"); err != nil {
			return err
		}
	}
	return g.after(ctx, t, out)
}

// after brings submodules along, checks the signature and tells the commit.
func (g *Git) after(ctx context.Context, t modules.Target, out *GitOut) error {
	if g.Recursive && !g.Bare {
		if fi, err := stat(ctx, t, path.Join(g.Dest, ".gitmodules")); err != nil {
			return err
		} else if fi != nil {
			args := []string{"submodule", "update", "--init", "--recursive"}
			if g.TrackSubmodules {
				args = append(args, "--remote")
			}
			if _, err := g.run(ctx, t, true, args...); err != nil {
				return err
			}
		}
	}
	id, err := g.run(ctx, t, true, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	out.After = id
	if !g.VerifyCommit {
		return nil
	}
	o, err := t.Run(ctx, modules.Command{Argv: g.argv(true, "verify-commit", "--raw", id)})
	if err != nil {
		return startFailure([]string{"git"}, err)
	}
	if o.RC != 0 {
		return cmdFailure([]string{"git", "verify-commit", id}, o, fmt.Sprintf("Failed to verify GPG signature of commit/tag %q", g.Version))
	}
	if g.GpgAllowlist == nil {
		return nil
	}
	for line := range strings.Lines(o.Stderr + o.Stdout) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "VALIDSIG" && (slices.Contains(g.GpgAllowlist, f[2]) || slices.Contains(g.GpgAllowlist, f[len(f)-1])) {
			return nil
		}
	}
	return modules.Failf("The gpg_allowlist does not include the public key %q for this commit", id)
}
