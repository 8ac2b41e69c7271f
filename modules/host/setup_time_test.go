package host

import (
	"testing"

	"orch/modules/moduletest"
)

// tzif is a zone in the form of tzfile(5): one type of local time, and the rule for all
// years in the words of POSIX's TZ.
func tzif(rule string) string {
	const (
		header = "TZif2" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		counts = "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x01" + "\x00\x00\x00\x04"
		types  = "\x00\x00\x00\x00\x00\x00" + "LMT\x00"
	)
	return header + counts + types + header + counts + types + "\n" + rule + "\n"
}

// The name of summer time is that of the host's zone, whatever day it is, on both sides of
// the equator; a zone without one has its only name.
func TestSummerTime(t *testing.T) {
	for rule, want := range map[string]string{
		"CET-1CEST,M3.5.0,M10.5.0/3": "CEST", "AEST-10AEDT,M10.1.0,M4.1.0/3": "AEDT", "UTC0": "UTC", "": "LMT",
	} {
		h := moduletest.NewHost()
		h.AddFile("/etc/localtime", 0o644, 0, 0, []byte(tzif(rule)))
		s := &scan{ctx: t.Context(), v: h}
		if got := s.summerTime(2026, "now"); got != want {
			t.Errorf("%q: got %s, want %s", rule, got, want)
		}
	}
	h := moduletest.NewHost()
	s := &scan{ctx: t.Context(), v: h}
	if got := s.summerTime(2026, "now"); got != "now" {
		t.Errorf("without a file: got %s", got)
	}
	h.Environ["TZ"] = "Asia/Tokyo"
	h.AddFile("/etc/localtime", 0o644, 0, 0, []byte(tzif("UTC0")))
	if got := s.summerTime(2026, "JST"); got != "JST" {
		t.Errorf("with a zone of the session's own: got %s", got)
	}
}
