package control

import (
	"context"
	"embed"
	"errors"
	"sync"

	"orch/modules"
	"orch/modules/host"
	"orch/modules/schema"
	"orch/playbook/jinja/value"
)

// Source is the package's source, for the manual.
//
//go:embed *.go
var Source embed.FS

// Table describes this world to package schema.
func Table() schema.Table {
	return schema.Table{World: schema.Site, Entries: Modules(), Source: Source, Uses: []embed.FS{host.Source}}
}

// HostTable describes the world of package host to package schema.
func HostTable() schema.Table {
	return schema.Table{World: schema.Host, Entries: host.Modules(), Source: host.Source}
}

// Modules is the table of this world.
func Modules() []modules.Entry {
	const builtin = "ansible.builtin."
	bind := func(name string, build func() Module, opts ...func(*modules.Entry)) modules.Entry {
		return modules.Bind(builtin+name, build, opts...)
	}
	return []modules.Entry{
		bind("add_host", func() Module { return &AddHost{} }),
		bind("assemble", func() Module { return &Assemble{} }),
		bind("async_status", func() Module { return &AsyncStatus{} }),
		bind("assert", func() Module { return &Assert{} }),
		bind("copy", func() Module { return &Copy{} }),
		bind("debug", func() Module { return &Debug{} }),
		bind("fail", func() Module { return &Fail{} }),
		bind("fetch", func() Module { return &Fetch{} }),
		bind("gather_facts", func() Module { return &GatherFacts{} }),
		bind("group_by", func() Module { return &GroupBy{} }),
		bind("package", func() Module { return &Package{} }),
		bind("pause", func() Module { return &Pause{} }),
		bind("raw", func() Module { return &Raw{} }, modules.FreeForm("cmd")),
		bind("reboot", func() Module { return &Reboot{} }),
		bind("script", func() Module { return &Script{} }, modules.FreeForm("cmd")),
		bind("service", func() Module { return &Service{} }),
		bind("set_fact", func() Module { return &SetFact{} }),
		bind("set_stats", func() Module { return &SetStats{} }),
		bind("template", func() Module { return &Template{} }),
		bind("unarchive", func() Module { return &Unarchive{} }),
		bind("validate_argument_spec", func() Module { return &ValidateArgumentSpec{} }),
		bind("wait_for_connection", func() Module { return &WaitForConnection{} }),
	}
}

type (
	plan = modules.Plan[Target]
	step = modules.Step[Target]
)

// hand makes a plan of running a host module: an action that has done its part.
func hand(v View, module string, args any) plan {
	return plan{Inner: func(ctx context.Context, t Target, o modules.Options) (modules.Result, error) {
		if o.Check {
			return v.Plan(ctx, module, args)
		}
		return t.Run(ctx, module, args)
	}}
}

// hostSpecs finds host modules for actions that decode arguments for them.
var hostSpecs = sync.OnceValues(func() (*schema.Registry, error) { return schema.NewRegistry(HostTable()) })

// handDecoded is hand for arguments that are still to be decoded.
func handDecoded(v View, module string, args *value.Dict) (plan, error) {
	reg, err := hostSpecs()
	if err != nil {
		return plan{}, err
	}
	spec, ok := reg.Lookup(module, nil)
	if !ok {
		return plan{}, modules.Failf("module %q is not supported", module)
	}
	m, diags := spec.Decode(args, nil)
	var p plan
	var msgs []error
	for _, d := range diags {
		if d.Severity == 0 {
			msgs = append(msgs, errors.New(d.Msg))
		} else {
			p.Warnings = append(p.Warnings, d.Msg)
		}
	}
	if m == nil {
		return p, modules.Failf("%s", errors.Join(msgs...))
	}
	p.Inner = hand(v, spec.Name, m).Inner
	return p, nil
}

// dictOut is a result of values, as JSON. Values only a run would tell are null there and
// named by unknown.
type dictOut struct{ *value.Dict }

// MarshalJSON implements json.Marshaler.
func (d dictOut) MarshalJSON() ([]byte, error) {
	return value.AppendJSON(nil, d.Dict, value.JSONOptions{Default: func(v value.Value) (value.Value, error) {
		switch v := v.(type) {
		case value.Bytes:
			return value.S(string(v)), nil
		case value.Unknown, *value.Undefined:
			return value.None{}, nil
		}
		return value.S(value.String(v)), nil
	}})
}

// known replaces values that are not known yet by null, and says whether there was one.
func known(v value.Value) (value.Value, bool) {
	if _, ok := value.HasUnknown(v); ok {
		return value.None{}, false
	}
	return v, true
}
