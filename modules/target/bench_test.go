package target

import (
	"syscall"
	"testing"
	"time"

	"orch/modules"
	"orch/modules/host"
	"orch/transport/transporttest"
)

// cpu is what this process has used: the servers are others.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchSpec(b *testing.B) (*Pool, HostSpec) {
	b.Helper()
	s := transporttest.Sshd(b)
	b.Setenv("SSH_AUTH_SOCK", "")
	p := NewPool(PoolConfig{Helper: testHelper(b)})
	b.Cleanup(func() { _ = p.Close() }) // nothing is asserted of it here
	return p, HostSpec{Name: "box", Address: s.Host, Port: s.Port, User: s.User, KeyFile: s.KeyFile, CommonArgs: "-F none -o UserKnownHostsFile=" + s.KnownHosts}
}

// BenchmarkConnect is a connection with its helper; the helper is there already.
func BenchmarkConnect(b *testing.B) {
	p, spec := benchSpec(b)
	if _, err := p.Connect(b.Context(), spec); err != nil {
		b.Fatal(err)
	}
	before := cpu(b)
	for b.Loop() {
		if err := p.Reset("box"); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Connect(b.Context(), spec); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkTask is a task that changes nothing, on a connected host.
func BenchmarkTask(b *testing.B) {
	p, spec := benchSpec(b)
	req := Request{Module: "ansible.builtin.file", Args: &host.File{Path: "/tmp", FileArgs: host.FileArgs{}, State: "directory"}, Options: modules.Options{Check: true}}
	if _, err := p.Connect(b.Context(), spec); err != nil {
		b.Fatal(err)
	}
	one := func() {
		place, err := p.Connect(b.Context(), spec)
		if err != nil {
			b.Error(err)
			return
		}
		if res, err := place.Run(b.Context(), req); err != nil || res.Failure != nil {
			b.Error(err, res.Failure)
		}
	}
	b.Run("alone", func(b *testing.B) {
		before := cpu(b)
		for b.Loop() {
			one()
		}
		b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	})
	// Many at once keep the processor awake, as many hosts do.
	b.Run("many", func(b *testing.B) {
		before := cpu(b)
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one()
			}
		})
		b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
	})
}
