package jinja

import (
	"hash/maphash"
	"sync"
)

// A cache keeps compiled programs of one environment by their source. It is bounded: it
// has two generations, and when the young one is full it becomes the old one, so that
// what is in use survives and the rest goes.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]cacheShard
}

const (
	cacheShards = 16
	// A generation of a shard holds so many programs, and sources of so many bytes.
	shardEntries = 1024
	shardBytes   = 4 << 20
)

type cacheKey struct {
	src  string
	kind sourceKind
}

// A sourceKind is what a source is compiled as.
type sourceKind uint8

const (
	templateSource sourceKind = iota
	exprSource
	filledSource
)

type cacheShard struct {
	mu         sync.RWMutex
	young, old map[cacheKey]*program
	bytes      int
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

// get returns the program of a key, compiling it if need be. Two goroutines may compile
// the same source at once; either result will do.
func (c *cache) get(k cacheKey, compile func() (*program, error)) (*program, error) {
	s := &c.shards[maphash.String(c.seed, k.src)%cacheShards]
	s.mu.RLock()
	p := s.young[k]
	if p != nil {
		s.mu.RUnlock()
		return p, nil
	}
	p = s.old[k]
	s.mu.RUnlock()
	if p == nil {
		var err error
		if p, err = compile(); err != nil {
			return nil, err
		}
	}
	s.put(k, p)
	return p, nil
}

func (s *cacheShard) put(k cacheKey, p *program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= shardEntries || s.bytes >= shardBytes {
		s.old, s.young, s.bytes = s.young, map[cacheKey]*program{}, 0
	}
	s.young[k] = p
	s.bytes += len(k.src)
}
