package pyyaml

import (
	"orch/playbook/source"
)

// YAML 1.1's implicit types, as PyYAML recognises them.
var (
	boolWord = source.Lazy(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	number   = source.Lazy(`^(?:` +
		`[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+|` +
		`[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|` +
		`[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	timestamp = source.Lazy(`^(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}` +
		`(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)$`)
)

// resolvesOtherwise says whether the plain text s would not be read back as a str.
func resolvesOtherwise(s string) bool {
	if s == "" {
		return true
	}
	switch s[0] {
	case '~':
		return s == "~"
	case 'n', 'N':
		return oneOf(s, "null", "Null", "NULL") || boolWord().MatchString(s)
	case 'y', 'Y', 't', 'T', 'f', 'F', 'o', 'O':
		return boolWord().MatchString(s)
	case '<':
		return s == "<<"
	case '=', '!', '&', '*':
		return len(s) == 1
	case '+', '-', '.':
		return number().MatchString(s)
	}
	return s[0] >= '0' && s[0] <= '9' && (number().MatchString(s) || timestamp().MatchString(s))
}
