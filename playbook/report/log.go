package report

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"orch/playbook/source"
)

// A Log keeps what a display and its callback said in a file (log_path), in the form of
// Ansible's: time, process, user, level, text. The nil Log keeps nothing.
type Log struct {
	// Verbosity is how much is kept beyond what is shown (log_verbosity).
	Verbosity int

	mu   sync.Mutex
	out  printer
	user string
}

// NewLog makes a log that writes to w; user is who runs.
func NewLog(w io.Writer, user string, verbosity int) *Log {
	return &Log{Verbosity: verbosity, out: printer{w: w}, user: user}
}

// painted matches what paint adds.
var painted = source.Lazy("\x1b\\[[0-9;]*m")

// The levels of a Log.
const (
	levelInfo    = "INFO"
	levelWarning = "WARNING"
	levelError   = "ERROR"
)

// add keeps a text.
func (l *Log) add(level, text string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.out.printf("%s,%03d p=%d u=%s n=ansible %s| %s\n", now.Format("2006-01-02 15:04:05"), now.Nanosecond()/1e6,
		os.Getpid(), l.user, level, strings.TrimSuffix(strings.TrimLeft(text, "\n"), "\n"))
}

// exec keeps what is done on a host, for a log that wants to know.
func (l *Log) exec(host, module string) {
	if l != nil && l.Verbosity > 2 {
		l.add(levelInfo, fmt.Sprintf("<%s> EXEC %s", host, module))
	}
}
