package host

import (
	"context"
	"encoding/base64"
	"errors"
	"io/fs"

	"orch/modules"
)

// Slurp reads a file of the host into the result, in base64.
type Slurp struct {
	// File to read.
	Src string `orch:"required,path,alias=path"`
}

// SlurpOut is the result of slurp.
type SlurpOut struct {
	Content  string `json:"content" orch:"after"`
	Source   string `json:"source"`
	Encoding string `json:"encoding"`
}

// Plan implements modules.Module.
func (s *Slurp) Plan(ctx context.Context, v modules.View) (plan, error) {
	s = clone(s)
	if err := expand(ctx, v, &s.Src); err != nil {
		return plan{}, err
	}
	fi, err := v.Stat(ctx, s.Src)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return plan{}, modules.Failf("file is not readable: %s", s.Src)
	case errors.Is(err, fs.ErrNotExist):
		f := modules.Failf("file not found: %s", s.Src)
		return plan{Steps: []step{failing("read "+s.Src, f)}, Out: &SlurpOut{Source: s.Src, Encoding: "base64"}}, nil
	case err != nil:
		if f := fileFailure(err); f != err {
			return plan{}, modules.Failf("unable to slurp file: %s", err)
		}
		return plan{}, err
	case fi.Mode.IsDir():
		if _, err := v.ReadDir(ctx, s.Src); errors.Is(err, fs.ErrPermission) {
			return plan{}, modules.Failf("file is not readable: %s", s.Src)
		}
		return plan{}, modules.Failf("source is a directory and must be a file: %s", s.Src)
	}
	data, err := v.ReadFile(ctx, s.Src)
	if err != nil {
		if f := fileFailure(err); f != err {
			return plan{}, modules.Failf("file is not readable: %s", s.Src)
		}
		return plan{}, err
	}
	return plan{Out: &SlurpOut{Content: base64.StdEncoding.EncodeToString(data), Source: s.Src, Encoding: "base64"}}, nil
}

// failing is a step for what is missing now but may be the work of an earlier task that a
// check run has not done: it fails when it is run, not when it is planned.
func failing(title string, f *modules.Failure) step {
	return step{Title: title, Effect: modules.Maybe, Do: func(context.Context, modules.Target) (bool, error) { return false, f }}
}
