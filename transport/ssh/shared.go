package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	multierror "github.com/hashicorp/go-multierror"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Shared is what the connections of a run have in common: one connection per jump host,
// and what was read from files and the agent. The zero value is ready; Close it after
// the connections.
type Shared struct {
	configs cache[*configFile]
	keys    cache[*keyFile]
	known   cache[[]*knownLine]

	mu     sync.Mutex
	agents map[string]*agentConn
	jumps  map[string]*jump
}

// cache holds what was read from files, as long as they do not change.
type cache[T any] struct {
	mu      sync.Mutex
	entries map[string]*cached[T]
}

type cached[T any] struct {
	size  int64
	mtime time.Time
	val   T
	err   error
}

func (c *cache[T]) get(path string, read func(string) (T, error)) (T, error) {
	st, err := os.Stat(path)
	if err != nil {
		var zero T
		return zero, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[path]; e != nil && e.size == st.Size() && e.mtime.Equal(st.ModTime()) {
		return e.val, e.err
	}
	e := &cached[T]{size: st.Size(), mtime: st.ModTime()}
	e.val, e.err = read(path)
	if c.entries == nil {
		c.entries = map[string]*cached[T]{}
	}
	c.entries[path] = e
	return e.val, e.err
}

func (s *Shared) configFile(path string) (*configFile, error) { return s.configs.get(path, parseFile) }

func (s *Shared) keyFile(path string) (*keyFile, error) { return s.keys.get(path, readKeyFile) }

func (s *Shared) knownHosts(path string) ([]*knownLine, error) {
	return s.known.get(path, readKnownHosts)
}

func (s *Shared) forget(path string) {
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	delete(s.known.entries, path)
}

// An agentKey is a key an agent holds.
type agentKey struct {
	signer ssh.Signer
	name   string
}

type agentConn struct {
	once sync.Once
	conn net.Conn
	keys []agentKey
	err  error
}

// agentSocket is where the agent listens; "" if there is none.
func (t *target) agentSocket() string {
	path := t.opts.get("identityagent")
	switch {
	case path == "none":
		return ""
	case path == "" || path == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK")
	case path[0] == '$':
		return os.Getenv(strings.Trim(path[1:], "{}"))
	}
	path, err := expand(path, t.tokens())
	if err != nil {
		return ""
	}
	return path
}

// agentKeys lists the keys of an agent, once a run.
func (s *Shared) agentKeys(path string) ([]agentKey, error) {
	s.mu.Lock()
	if s.agents == nil {
		s.agents = map[string]*agentConn{}
	}
	a := s.agents[path]
	if a == nil {
		a = &agentConn{}
		s.agents[path] = a
	}
	s.mu.Unlock()
	a.once.Do(func() {
		if a.conn, a.err = net.DialTimeout("unix", path, 5*time.Second); a.err != nil {
			return
		}
		client := agent.NewClient(a.conn)
		listed, err := client.List()
		if err != nil {
			a.err = err
			return
		}
		signers, err := client.Signers()
		if err != nil || len(signers) != len(listed) {
			a.err = errors.Join(err, fmt.Errorf("list the agent's keys"))
			return
		}
		for i, signer := range signers {
			a.keys = append(a.keys, agentKey{signer, fmt.Sprintf("%q (%s)", listed[i].Comment, describe(signer.PublicKey()))})
		}
	})
	return a.keys, a.err
}

// A jump is the one connection to a jump host.
type jump struct {
	mu   sync.Mutex
	conn *Conn
}

// jumpHost returns the connection to a jump host, made once and again when it is lost.
func (s *Shared) jumpHost(ctx context.Context, key string, config Config, depth int) (*Conn, error) {
	s.mu.Lock()
	if s.jumps == nil {
		s.jumps = map[string]*jump{}
	}
	j := s.jumps[key]
	if j == nil {
		j = &jump{}
		s.jumps[key] = j
	}
	s.mu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.conn != nil && j.conn.Err() == nil {
		return j.conn, nil
	}
	conn, err := dial(ctx, config, depth)
	if err != nil {
		return nil, err
	}
	j.conn = conn
	return conn, nil
}

// Close closes the jump hosts and lets go of the agents.
func (s *Shared) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all *multierror.Error
	for _, j := range s.jumps {
		if j.conn != nil {
			all = multierror.Append(all, j.conn.Close())
		}
	}
	for _, a := range s.agents {
		if a.conn != nil {
			all = multierror.Append(all, a.conn.Close())
		}
	}
	s.jumps, s.agents = nil, nil
	return all.ErrorOrNil()
}
