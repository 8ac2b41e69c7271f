package playbook

import (
	"fmt"

	"orch/playbook/keyval"
)

// ParseKV reads "key=value" words as ansible-core reads them in module arguments and
// extra variables: quotes, escapes and template delimiters hold a word together. A word
// without "=" is an error.
func ParseKV(s string) ([][2]string, error) {
	pairs, free, _, err := keyval.Parse(s, nil)
	if err != nil {
		return nil, err
	}
	if free != "" {
		return nil, fmt.Errorf("expected key=value, got %q", free)
	}
	out := make([][2]string, len(pairs))
	for i, p := range pairs {
		out[i] = [2]string{p.Key, p.Val}
	}
	return out, nil
}
