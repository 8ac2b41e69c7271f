package modules

import (
	"context"
	"io"
	"io/fs"
	"net"
	"time"
)

// A HostModule manages one host.
type HostModule = Module[View, Target]

// A View is a host that may be looked at. Nothing it offers changes the host; Query is
// a promise of the module that its command does not either (the lab checks it by
// hashing the file tree around every Plan).
//
// Paths are absolute on the host. Errors satisfy errors.Is with fs.ErrNotExist,
// fs.ErrPermission and the like wherever the module runs.
type View interface {
	// Query runs a command that changes nothing, with LC_ALL=C, and waits for it. A
	// non-zero exit is an answer, not an error; a program that is not there is
	// an error that satisfies errors.Is(err, fs.ErrNotExist).
	Query(ctx context.Context, argv ...string) (Output, error)
	// LookPath finds a program in the host's PATH and the sbin folders; "" if missing.
	LookPath(ctx context.Context, name string) (string, error)
	Open(ctx context.Context, path string) (io.ReadCloser, error)
	// ReadFile reads a whole file of at most 64 MiB.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	Stat(ctx context.Context, path string) (FileInfo, error)  // follows links
	Lstat(ctx context.Context, path string) (FileInfo, error) // does not
	ReadDir(ctx context.Context, path string) ([]FileInfo, error)
	Readlink(ctx context.Context, path string) (string, error)
	Statfs(ctx context.Context, path string) (FSInfo, error)
	// Checksum is the hex digest of a file; algo is md5, sha1, sha224, sha256, sha384 or sha512.
	Checksum(ctx context.Context, path, algo string) (string, error)
	User(ctx context.Context, name string) (User, error) // fs.ErrNotExist if there is none
	UserID(ctx context.Context, uid int) (User, error)
	Group(ctx context.Context, name string) (Group, error)
	GroupID(ctx context.Context, gid int) (Group, error)
	// Env is the environment tasks run with: the login's, the task's environment on top.
	Env(ctx context.Context) (map[string]string, error)
	// Whoami is the user the module runs as.
	Whoami(ctx context.Context) (User, error)
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	// Source opens content held by the controller, by its hex sha1 checksum.
	Source(ctx context.Context, sum string) (io.ReadCloser, error)
	// TempDir is the folder for temporary files (remote_tmp), made for this user alone.
	TempDir(ctx context.Context) (string, error)
}

// A Target is a host that may be changed.
type Target interface {
	View
	// Run runs a command as asked and waits for it. A non-zero exit is an answer.
	Run(ctx context.Context, cmd Command) (Output, error)
	// Write replaces or makes a file, atomically unless o.Unsafe is needed and allowed.
	Write(ctx context.Context, path string, r io.Reader, o WriteOptions) (Written, error)
	Chmod(ctx context.Context, path string, mode fs.FileMode, follow bool) error
	Chown(ctx context.Context, path string, uid, gid int, follow bool) error // -1 keeps
	Chtimes(ctx context.Context, path string, atime, mtime time.Time, follow bool) error
	Symlink(ctx context.Context, target, path string) error
	Link(ctx context.Context, target, path string) error
	Mkdir(ctx context.Context, path string, mode fs.FileMode) error
	Rename(ctx context.Context, from, to string) error
	Remove(ctx context.Context, path string) error    // a file, link or empty folder
	RemoveAll(ctx context.Context, path string) error // never follows links
	// Emit hands a line of a running command to whoever watches the run (-v).
	Emit(line string)
}

// A Command is a program to run on a host.
type Command struct {
	Argv  []string
	Dir   string
	Env   []string // NAME=value, on top of View.Env
	Stdin io.Reader
	// Umask, if set, is the umask of the process.
	Umask *int
	// User runs it as that user where the module runs as root (crontab, user's keys).
	User string
	// Stream emits stdout line by line while it runs.
	Stream bool
}

// An Output is what a command answered.
type Output struct {
	Stdout, Stderr string
	RC             int
}

// FileInfo describes a file on the host.
type FileInfo struct {
	Name                string
	Size                int64
	Mode                fs.FileMode // type and permissions, setuid and so on as in package fs
	UID, GID            int
	Dev, Inode          uint64
	Rdev                uint64
	Nlink               uint64
	Blocks, BlkSize     int64
	Atime, Mtime, Ctime time.Time
}

// FSInfo describes the file system a path is on.
type FSInfo struct {
	Size, Free, Avail   uint64 // bytes
	Files, FilesFree    uint64
	BlockSize, FragSize uint64
	NameMax             uint64
	ReadOnly, NoExec    bool
}

// A User is an entry of the password database.
type User struct {
	Name, Gecos, Home, Shell string
	UID, GID                 int
}

// A Group is an entry of the group database.
type Group struct {
	Name    string
	GID     int
	Members []string
}

// WriteOptions say how a file is written.
type WriteOptions struct {
	// Mode is the new file's mode; nil keeps that of the file replaced, or 0666 &^ umask.
	Mode     *fs.FileMode
	UID, GID *int // nil keeps
	// Backup keeps the old file beside the new one, named as Ansible names it.
	Backup bool
	// Validate is a command run on the new content before it replaces the file; %s in
	// it is the temporary file.
	Validate []string
	// Unsafe falls back to writing in place where the rename fails (a bind mount).
	Unsafe bool
	// Sum, if set, is the hex sha1 the content must have.
	Sum string
	// NoFollow replaces a link itself instead of the file it points to.
	NoFollow bool
}

// Written is what Write did.
type Written struct {
	BackupFile string
	Size       int64
	Sum        string // hex sha1
}
