package machine

import (
	"bufio"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"orch/modules"
)

// The databases are read from their files first: no C library is linked in. What is not
// there (a directory server's users) is asked of getent.

// record finds the first line of a database whose field n is want.
func record(database string, n int, want string) ([]string, error) {
	for _, line := range lines(database) {
		fields := strings.Split(line, ":")
		if len(fields) > n && fields[n] == want {
			return fields, nil
		}
	}
	out, err := exec.Command("getent", database, want).Output()
	if err == nil {
		fields := strings.Split(strings.TrimSpace(string(out)), ":")
		// getent takes a name that is a number for an id
		if len(fields) > n && fields[n] == want {
			return fields, nil
		}
	}
	return nil, &fs.PathError{Op: "look up in " + database, Path: want, Err: fs.ErrNotExist}
}

func lines(name string) []string {
	f, err := os.Open("/etc/" + name)
	if err != nil {
		return nil
	}
	defer f.Close()
	var list []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// UserOf reads the fields of a line of the password database.
func UserOf(fields []string) modules.User {
	for len(fields) < 7 {
		fields = append(fields, "")
	}
	uid, _ := strconv.Atoi(fields[2])
	gid, _ := strconv.Atoi(fields[3])
	return modules.User{Name: fields[0], UID: uid, GID: gid, Gecos: fields[4], Home: fields[5], Shell: fields[6]}
}

// GroupOf reads the fields of a line of the group database.
func GroupOf(fields []string) modules.Group {
	for len(fields) < 4 {
		fields = append(fields, "")
	}
	gid, _ := strconv.Atoi(fields[2])
	g := modules.Group{Name: fields[0], GID: gid}
	for m := range strings.SplitSeq(fields[3], ",") {
		if m != "" {
			g.Members = append(g.Members, m)
		}
	}
	return g
}

// User implements modules.View.
func (o *OS) User(_ context.Context, name string) (modules.User, error) {
	f, err := record("passwd", 0, name)
	if err != nil {
		return modules.User{}, err
	}
	return UserOf(f), nil
}

// UserID implements modules.View.
func (o *OS) UserID(_ context.Context, uid int) (modules.User, error) {
	f, err := record("passwd", 2, strconv.Itoa(uid))
	if err != nil {
		return modules.User{}, err
	}
	return UserOf(f), nil
}

// Group implements modules.View.
func (o *OS) Group(_ context.Context, name string) (modules.Group, error) {
	f, err := record("group", 0, name)
	if err != nil {
		return modules.Group{}, err
	}
	return GroupOf(f), nil
}

// GroupID implements modules.View.
func (o *OS) GroupID(_ context.Context, gid int) (modules.Group, error) {
	f, err := record("group", 2, strconv.Itoa(gid))
	if err != nil {
		return modules.Group{}, err
	}
	return GroupOf(f), nil
}

// groupsOf lists the supplementary groups of a user.
func (o *OS) groupsOf(name string, gid int) ([]uint32, error) {
	groups := []uint32{uint32(gid)}
	for _, line := range lines("group") {
		g := GroupOf(strings.Split(line, ":"))
		if slices.Contains(g.Members, name) {
			groups = append(groups, uint32(g.GID))
		}
	}
	return groups, nil
}
