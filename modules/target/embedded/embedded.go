// Package embedded holds the helpers built into orch: gzip-compressed programs named
// orch-helper-linux-ARCH.gz.
package embedded

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
)

//go:embed *
var files embed.FS

// A helper is a program and its hash, worked out once.
type helper struct {
	once sync.Once
	sum  string
	err  error
}

var helpers sync.Map // arch → *helper

// Helper returns the hex sha256 of the helper for a Go architecture and a function that
// opens it, uncompressed. fs.ErrNotExist says that there is none.
func Helper(arch string) (sum string, open func() (io.ReadCloser, error), err error) {
	packed, err := files.ReadFile("orch-helper-linux-" + arch + ".gz")
	if err != nil {
		return "", nil, fmt.Errorf("no helper for %s: %w", arch, err)
	}
	open = func() (io.ReadCloser, error) { return gzip.NewReader(bytes.NewReader(packed)) }
	got, _ := helpers.LoadOrStore(arch, &helper{})
	h, ok := got.(*helper)
	if !ok {
		return "", nil, fmt.Errorf("no helper for %s", arch)
	}
	h.once.Do(func() {
		// The packer notes the hash in the header, so that it need not be unpacked to be named.
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			h.err = err
			return
		}
		if h.sum = r.Comment; len(h.sum) == 64 {
			return
		}
		d := sha256.New()
		_, h.err = io.Copy(d, r)
		h.sum = hex.EncodeToString(d.Sum(nil))
	})
	return h.sum, open, h.err
}

// Size is the compressed size of the helper for a Go architecture.
func Size(arch string) (int64, error) {
	packed, err := files.ReadFile("orch-helper-linux-" + arch + ".gz")
	if err != nil {
		return 0, fmt.Errorf("no helper for %s: %w", arch, err)
	}
	return int64(len(packed)), nil
}
