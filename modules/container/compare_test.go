package container

import (
	"fmt"
	"strings"
	"testing"
)

// How options are compared: what is a set may be more, unless the task says otherwise.
func TestComparisons(t *testing.T) {
	one, both := map[string]string{"a": "1"}, map[string]string{"a": "1", "b": "2"}
	for _, c := range []struct {
		how  map[string]string
		diff string
	}{
		{nil, "memory"},
		{map[string]string{"*": "strict"}, "volumes labels.b memory"},
		{map[string]string{"*": "ignore"}, ""},
		{map[string]string{"*": "ignore", "volumes": "strict"}, "volumes"},
		{map[string]string{"labels": "strict", "memory": "ignore"}, "labels.b"},
		{map[string]string{"*": "strict", "labels": "allow_more_present", "volumes": "ignore"}, "memory"},
	} {
		d := &comparer{how: c.how}
		d.set("volumes", true, []string{"/b:/b:rw"}, []string{"/a:/a:rw", "/b:/b:rw"})
		d.set("devices", false, nil, []string{"/dev/x"})
		d.dict("labels", one, both, nil)
		d.dict("env", one, both, map[string]string{"b": "2"}) // the image's own
		d.dict("sysctls", nil, both, nil)
		d.value("memory", true, 1, 2)
		var names []string
		for _, x := range d.diffs {
			names = append(names, x.option)
		}
		if got := strings.Join(names, " "); got != c.diff {
			t.Errorf("%v: %s, want %s", c.how, got, c.diff)
		}
	}
	d := &comparer{}
	d.set("volumes", true, []string{"/c:/c:rw"}, []string{"/a:/a:rw"})
	d.dict("labels", both, map[string]string{"a": "9"}, nil)
	if got := fmt.Sprint(d.diffs); got != "[{volumes [/c:/c:rw] [/a:/a:rw]} {labels.a 1 9} {labels.b 2 }]" {
		t.Errorf("missing ones: %s", got)
	}
	for _, wrong := range []map[string]string{{"memory": "allow_more_present"}, {"*": "allow_more_present"}, {"nope": "strict"}, {"env": "loose"}} {
		if checkComparisons(wrong) == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}
