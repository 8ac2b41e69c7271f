package host

import (
	"testing"

	"orch/modules/moduletest"
	"orch/modules/schema"
)

func table() schema.Table {
	return schema.Table{World: schema.Host, Entries: Modules(), Source: Source}
}

func TestModules(t *testing.T) { moduletest.Run(t, "testdata", table(), nil) }

// Every module and every argument has a manual, and every default fits its type.
func TestManual(t *testing.T) {
	if _, err := schema.NewRegistry(table()); err != nil {
		t.Fatal(err)
	}
	for _, s := range schema.Describe(table()) {
		d, err := s.Doc()
		if err != nil {
			t.Fatal(err)
		}
		if d.Text == "" {
			t.Errorf("%s has no comment", s.Name)
		}
		for name, text := range d.Args {
			if text == "" {
				t.Errorf("%s: argument %s has no comment", s.Name, name)
			}
		}
	}
}
