package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"orch/modules"
)

// User manages users, their groups and their ssh key.
type User struct {
	// Name of the user.
	Name string `orch:"required,alias=user"`
	// Whether the user is to be there.
	State string `orch:"enum=absent|present,default=present"`
	// Number of the user.
	Uid *int
	// The number may belong to another user too.
	NonUnique bool
	// Primary group, by name or number.
	Group string
	// Further groups; the user leaves others unless append is on. An empty list is none.
	Groups *[]string
	// Only add groups.
	Append bool
	// Full name or remark.
	Comment *string
	// Home folder.
	Home string `orch:"path"`
	// Login shell.
	Shell string `orch:"path"`
	// Make the home folder of a new user.
	CreateHome bool `orch:"default=true,alias=createhome"`
	// Move the home folder when it changes.
	MoveHome bool
	// Folder a new home is filled from.
	Skeleton string
	// Umask of a new home folder.
	Umask string
	// Take a number for users of the system.
	System bool
	// The encrypted password.
	Password *string `orch:"secret"`
	// Set the password of users that are there already, or only of new ones.
	UpdatePassword string `orch:"enum=always|on_create,default=always"`
	// Lock or unlock the password.
	PasswordLock *bool
	// When the account expires, in seconds since 1970; negative for never.
	Expires *float64
	// Days a password may be used.
	PasswordExpireMax *int
	// Days a password must be used.
	PasswordExpireMin *int
	// Days of warning before a password expires.
	PasswordExpireWarn *int
	// Days after which an account with an expired password is closed.
	PasswordExpireAccountDisable *int
	// Smallest number a new user may get.
	UidMin *int
	// Largest number a new user may get.
	UidMax *int
	// Use the tools for local users (luseradd) where names come from the network.
	Local bool
	// Remove the home folder with the user.
	Remove bool
	// Remove the user although logged in.
	Force bool
	// User of SELinux.
	Seuser string
	// Make an ssh key if there is none.
	GenerateSshKey bool
	// Bits of a new key.
	SshKeyBits int
	// Type of a new key.
	SshKeyType string `orch:"default=rsa"`
	// File of the key; relative to the home folder.
	SshKeyFile string `orch:"path"`
	// Remark in a new key.
	SshKeyComment string
	// Passphrase of a new key.
	SshKeyPassphrase *string `orch:"secret"`
	// Class of login on BSD. Not supported.
	LoginClass string
	// Profiles on Solaris. Not supported.
	Profile string
	// Authorizations on Solaris. Not supported.
	Authorization string
	// Roles on Solaris. Not supported.
	Role string
	// Hide the user on macOS. Not supported.
	Hidden *bool
}

// Validate implements modules.Validator.
func (u *User) Validate() error {
	for name, given := range map[string]bool{
		"login_class": u.LoginClass != "", "profile": u.Profile != "", "authorization": u.Authorization != "", "role": u.Role != "", "hidden": u.Hidden != nil,
	} {
		if given {
			return errors.New(name + " is not supported")
		}
	}
	if u.NonUnique && u.Uid == nil {
		return errors.New("non_unique is True but all of the following are missing: uid")
	}
	if u.Local && (u.Groups != nil || u.Expires != nil) && u.Append {
		return errors.New("local is true but append is set: not supported")
	}
	return nil
}

// UserOut is the result of user.
type UserOut struct {
	Name           string  `json:"name"`
	State          string  `json:"state"`
	UID            *int    `json:"uid,omitempty" orch:"after"`
	Group          *int    `json:"group,omitempty" orch:"after"`
	Groups         string  `json:"groups,omitempty"`
	Comment        *string `json:"comment,omitempty" orch:"after"`
	Home           string  `json:"home,omitempty" orch:"after"`
	Shell          string  `json:"shell,omitempty" orch:"after"`
	Append         *bool   `json:"append,omitempty"`
	MoveHome       *bool   `json:"move_home,omitempty"`
	CreateHome     *bool   `json:"create_home,omitempty"`
	System         *bool   `json:"system,omitempty"`
	Force          *bool   `json:"force,omitempty"`
	Remove         *bool   `json:"remove,omitempty"`
	Password       string  `json:"password,omitempty"`
	SSHKeyFile     string  `json:"ssh_key_file,omitempty" orch:"after"`
	SSHPublicKey   string  `json:"ssh_public_key,omitempty" orch:"after"`
	SSHFingerprint string  `json:"ssh_fingerprint,omitempty" orch:"after"`
}

// Plan implements modules.Module.
func (u *User) Plan(ctx context.Context, v modules.View) (plan, error) {
	u = clone(u)
	out := &UserOut{Name: u.Name, State: u.State}
	p := plan{Out: out}
	if err := expand(ctx, v, &u.Home, &u.Shell); err != nil {
		return p, err
	}
	if u.Password != nil && plainPassword(*u.Password) {
		p.Warnings = append(p.Warnings, "The input password appears not to have been hashed. The 'password' argument must be encrypted for this module to work properly.")
	}
	now, err := v.User(ctx, u.Name)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return p, err
	}
	if u.State == "absent" {
		out.Force, out.Remove = &u.Force, &u.Remove
		if !missing {
			p.Steps = []step{command("remove the user "+u.Name, u.delArgv()...)}
		}
		return p, nil
	}
	if missing {
		p.Steps, err = u.create(ctx, v)
		out.CreateHome, out.System = &u.CreateHome, &u.System
	} else {
		p.Steps, err = u.modify(ctx, v, now)
		out.Append, out.MoveHome = &u.Append, &u.MoveHome
	}
	if err != nil {
		return p, err
	}
	if u.Groups != nil {
		out.Groups = strings.Join(*u.Groups, ",")
	}
	if u.Password != nil {
		out.Password = "NOT_LOGGING_PASSWORD"
	}
	if u.GenerateSshKey {
		s, err := u.sshKey(ctx, v, now.Home, out)
		if err != nil {
			return p, err
		}
		p.Steps = append(p.Steps, s...)
	}
	return p, finish(ctx, v, &p, func(ctx context.Context, v modules.View) error {
		now, err := v.User(ctx, u.Name)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		out.UID, out.Group, out.Comment, out.Home, out.Shell = &now.UID, &now.GID, &now.Gecos, now.Home, now.Shell
		return u.readKey(ctx, v, now.Home, out)
	})
}

// plainPassword says whether a password looks as if it were not encrypted, by
// ansible-core's rules.
func plainPassword(hash string) bool {
	if hash == "" || hash == "*" || hash == "!" || hash == "*************" {
		return false
	}
	f := strings.Split(hash, "$")
	if strings.ContainsAny(hash, ":*!") || len(f) < 3 {
		return true
	}
	last := f[len(f)-1]
	want := map[string]int{"1": 22, "5": 43, "6": 86, "y": 43}[f[1]]
	odd := strings.ContainsFunc(last, func(r rune) bool { return r > 0x7f || r != '.' && r != '/' && !isAlnum(byte(r)) })
	return odd || want > 0 && len(last) != want
}

func (u *User) tool(name string) string {
	if u.Local {
		return "l" + name
	}
	return name
}

func (u *User) delArgv() []string {
	argv := []string{u.tool("userdel")}
	if u.Force && !u.Local {
		argv = append(argv, "-f")
	}
	if u.Remove {
		argv = append(argv, "-r")
	}
	return append(argv, u.Name)
}

func (u *User) create(ctx context.Context, v modules.View) ([]step, error) {
	argv := []string{u.tool("useradd")}
	add := func(words ...string) { argv = append(argv, words...) }
	if u.Uid != nil {
		add("-u", strconv.Itoa(*u.Uid))
		if u.NonUnique {
			add("-o")
		}
	}
	if u.Seuser != "" {
		add("-Z", u.Seuser)
	}
	if u.Group != "" {
		add("-g", u.Group)
	} else if _, err := v.Group(ctx, u.Name); err == nil {
		add("-N") // a group of the user's name is there, it need not be made
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if u.Groups != nil && len(*u.Groups) > 0 && !u.Local {
		add("-G", strings.Join(*u.Groups, ","))
	}
	if u.Comment != nil {
		add("-c", *u.Comment)
	}
	if u.Home != "" {
		add("-d", u.Home)
	}
	if u.Shell != "" {
		add("-s", u.Shell)
	}
	if u.Expires != nil {
		add("-e", expiry(*u.Expires))
	}
	for i, n := range []*int{u.UidMin, u.UidMax} {
		name := []string{"UID_MIN", "UID_MAX"}[i]
		if n != nil {
			add("-K", name+"="+strconv.Itoa(*n))
		}
	}
	if u.CreateHome {
		if !u.Local {
			add("-m")
		}
		if u.Skeleton != "" {
			add("-k", u.Skeleton)
		}
		if u.Umask != "" {
			add("-K", "UMASK="+u.Umask)
		}
	} else {
		add("-M")
	}
	if u.System {
		add("-r")
	}
	steps := []step{command("make the user "+u.Name, append(argv, u.Name)...)}
	more, err := u.secrets(shadow{})
	return append(steps, more...), err
}

// expiry is the date useradd and usermod take.
func expiry(epoch float64) string {
	if epoch < 0 {
		return ""
	}
	return time.Unix(int64(epoch), 0).UTC().Format("2006-01-02")
}

func (u *User) modify(ctx context.Context, v modules.View, now modules.User) ([]step, error) {
	argv := []string{u.tool("usermod")}
	var what []string
	set := func(word string, args ...string) {
		what = append(what, word)
		argv = append(argv, args...)
	}
	if u.Uid != nil && *u.Uid != now.UID {
		set("uid", "-u", strconv.Itoa(*u.Uid))
		if u.NonUnique {
			argv = append(argv, "-o")
		}
	}
	if u.Group != "" {
		gid, err := groupNumber(ctx, v, u.Group)
		if err != nil {
			return nil, err
		}
		if gid != now.GID {
			set("group", "-g", u.Group)
		}
	}
	if u.Groups != nil {
		if err := u.groupChange(ctx, v, now, set); err != nil {
			return nil, err
		}
	}
	if u.Comment != nil && *u.Comment != now.Gecos {
		set("comment", "-c", *u.Comment)
	}
	if u.Home != "" && u.Home != now.Home {
		set("home", "-d", u.Home)
		if u.MoveHome {
			argv = append(argv, "-m")
		}
	}
	if u.Shell != "" && u.Shell != now.Shell {
		set("shell", "-s", u.Shell)
	}
	sh, err := readShadow(ctx, v, u.Name)
	if err != nil {
		return nil, err
	}
	if u.Expires != nil && sh.expires != daysOf(*u.Expires) {
		set("expiry", "-e", expiry(*u.Expires))
	}
	var steps []step
	if what != nil {
		steps = append(steps, command("change "+strings.Join(what, ", ")+" of the user "+u.Name, append(argv, u.Name)...))
	}
	if u.CreateHome && u.Home != "" || u.CreateHome && now.Home != "" {
		home := now.Home
		if u.Home != "" {
			home = u.Home
		}
		fi, err := stat(ctx, v, home)
		if err != nil {
			return nil, err
		}
		if fi == nil && !(u.MoveHome && u.Home != now.Home) {
			steps = append(steps, u.homeStep(home))
		}
	}
	if u.UpdatePassword == "on_create" {
		u.Password = nil
	}
	more, err := u.secrets(sh)
	return append(steps, more...), err
}

// homeStep makes a home folder that an existing user lacks, from the skeleton.
func (u *User) homeStep(home string) step {
	skel := u.Skeleton
	if skel == "" {
		skel = "/etc/skel"
	}
	return step{Title: "make the home folder " + home, Do: func(ctx context.Context, t modules.Target) (bool, error) {
		if fi, err := stat(ctx, t, skel); err == nil && fi != nil {
			if _, err := mustRun(ctx, t, "cp", "-a", skel, home); err != nil {
				return false, err
			}
		} else if err := makeDirs(ctx, t, home, &FileArgs{}); err != nil {
			return false, err
		}
		mode := fs.FileMode(0o755)
		if n, err := strconv.ParseUint(u.Umask, 8, 32); err == nil && u.Umask != "" {
			mode = 0o777 &^ fs.FileMode(n)
		}
		if err := t.Chmod(ctx, home, mode, true); err != nil {
			return true, fileFailure(err)
		}
		_, err := mustRun(ctx, t, "chown", "-R", u.Name+":", home)
		return true, err
	}}
}

func groupNumber(ctx context.Context, v modules.View, name string) (int, error) {
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	g, err := v.Group(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil // a task before may make it; usermod says so if not
	}
	return g.GID, err
}

// groupChange compares the user's further groups with those asked for.
func (u *User) groupChange(ctx context.Context, v modules.View, now modules.User, set func(string, ...string)) error {
	have, err := membership(ctx, v, now)
	if err != nil {
		return err
	}
	var want []string
	for _, name := range *u.Groups {
		if n, err := strconv.Atoi(name); err == nil {
			if g, err := v.GroupID(ctx, n); err == nil {
				name = g.Name
			}
		}
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(want, name) {
			want = append(want, name)
		}
	}
	if primary, err := v.GroupID(ctx, now.GID); err == nil {
		want = slices.DeleteFunc(want, func(g string) bool { return g == primary.Name })
	}
	lacks := slices.ContainsFunc(want, func(g string) bool { return !slices.Contains(have, g) })
	extra := slices.ContainsFunc(have, func(g string) bool { return !slices.Contains(want, g) })
	switch {
	case u.Append && lacks:
		set("groups", "-a", "-G", strings.Join(want, ","))
	case !u.Append && (lacks || extra):
		set("groups", "-G", strings.Join(want, ","))
	}
	return nil
}

// membership lists the groups a user is a member of, without the primary one.
func membership(ctx context.Context, v modules.View, now modules.User) ([]string, error) {
	out, err := v.Query(ctx, "getent", "group")
	text := out.Stdout
	if errors.Is(err, fs.ErrNotExist) || err == nil && out.RC != 0 {
		data, err := readFile(ctx, v, "/etc/group")
		if err != nil {
			return nil, err
		}
		text = string(data)
	} else if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) > 3 && slices.Contains(strings.Split(f[3], ","), now.Name) && f[2] != strconv.Itoa(now.GID) {
			names = append(names, f[0])
		}
	}
	return names, nil
}

// A shadow is a user's entry in /etc/shadow; known is unset when it cannot be read.
type shadow struct {
	known          bool
	hash           string
	min, max, warn string
	inactive       string
	expires        int
}

func readShadow(ctx context.Context, v modules.View, name string) (shadow, error) {
	data, err := v.ReadFile(ctx, "/etc/shadow")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return shadow{expires: -1}, nil
	}
	if err != nil {
		return shadow{}, fileFailure(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if f[0] == name && len(f) >= 8 {
			s := shadow{known: true, hash: f[1], min: f[3], max: f[4], warn: f[5], inactive: f[6], expires: -1}
			if n, err := strconv.Atoi(f[7]); err == nil {
				s.expires = n
			}
			return s, nil
		}
	}
	return shadow{expires: -1}, nil
}

func daysOf(epoch float64) int {
	if epoch < 0 {
		return -1
	}
	return int(epoch) / 86400
}

// secrets makes the steps for password, lock and ageing.
func (u *User) secrets(sh shadow) ([]step, error) {
	var steps []step
	locked := strings.HasPrefix(sh.hash, "!")
	if u.Password != nil && strings.TrimLeft(sh.hash, "!") != strings.TrimLeft(*u.Password, "!") {
		hash := *u.Password
		if u.PasswordLock != nil && *u.PasswordLock && !strings.HasPrefix(hash, "!") {
			hash = "!" + hash
		}
		// chpasswd takes the hash on stdin, where a list of processes does not show it.
		steps = append(steps, step{Title: "set the password of the user " + u.Name, Do: func(ctx context.Context, t modules.Target) (bool, error) {
			_, err := must(ctx, t, modules.Command{Argv: []string{"chpasswd", "-e"}, Stdin: strings.NewReader(u.Name + ":" + hash + "\n")})
			return true, err
		}})
		locked = strings.HasPrefix(hash, "!")
	}
	if u.PasswordLock != nil && *u.PasswordLock != locked {
		if *u.PasswordLock {
			steps = append(steps, command("lock the password of the user "+u.Name, u.tool("usermod"), "-L", u.Name))
		} else if sh.hash != "" || u.Password != nil {
			steps = append(steps, command("unlock the password of the user "+u.Name, u.tool("usermod"), "-U", u.Name))
		}
	}
	for _, age := range []struct {
		flag, have, what string
		want             *int
	}{
		{"-M", sh.max, "maximum age", u.PasswordExpireMax},
		{"-m", sh.min, "minimum age", u.PasswordExpireMin},
		{"-W", sh.warn, "days of warning", u.PasswordExpireWarn},
		{"-I", sh.inactive, "days until closing", u.PasswordExpireAccountDisable},
	} {
		if age.want != nil && strconv.Itoa(*age.want) != age.have {
			n := strconv.Itoa(*age.want)
			steps = append(steps, command(fmt.Sprintf("set the password's %s of the user %s to %s", age.what, u.Name, n), "chage", age.flag, n, u.Name))
		}
	}
	return steps, nil
}
