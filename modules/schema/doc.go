package schema

// A Doc is a module's manual, from the doc comments of its struct.
type Doc struct {
	Summary string            // first sentence
	Text    string            // the whole comment of the struct
	Args    map[string]string // by argument name; nested ones as "outer.inner"
}

// Doc reads the module's manual from its source.
func (s *Spec) Doc() (Doc, error) { return Doc{}, nil }

// Markdown is the module's page of the reference.
func Markdown(s *Spec) (string, error) { return "", nil }

// Text is what orch doc prints.
func Text(s *Spec, width int) (string, error) { return "", nil }

// JSONSchema is the JSON Schema (draft 2020-12) of the module's arguments, for editors.
func (s *Spec) JSONSchema() ([]byte, error) { return nil, nil }
