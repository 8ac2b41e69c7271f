package jinja

import "orch/playbook/jinja/value"

// A kind is the kind of a token. Operators are tokens of their own.
type kind uint8

const (
	tokEOF kind = iota
	tokData
	tokVariableBegin
	tokVariableEnd
	tokBlockBegin
	tokBlockEnd
	tokName
	tokString
	tokInteger
	tokFloat
	tokAdd
	tokAssign
	tokColon
	tokComma
	tokDiv
	tokDot
	tokEq
	tokFloordiv
	tokGt
	tokGteq
	tokLbrace
	tokLbracket
	tokLparen
	tokLt
	tokLteq
	tokMod
	tokMul
	tokNe
	tokPipe
	tokPow
	tokRbrace
	tokRbracket
	tokRparen
	tokSemicolon
	tokSub
	tokTilde
	tokValue
)

// kindNames are how Jinja2's messages call the kinds.
var kindNames = [...]string{
	tokEOF: "end of template", tokData: "template data / text",
	tokVariableBegin: "begin of print statement", tokVariableEnd: "end of print statement",
	tokBlockBegin: "begin of statement block", tokBlockEnd: "end of statement block",
	tokName: "name", tokString: "string", tokInteger: "integer", tokFloat: "float",
	tokAdd: "+", tokAssign: "=", tokColon: ":", tokComma: ",", tokDiv: "/", tokDot: ".",
	tokEq: "==", tokFloordiv: "//", tokGt: ">", tokGteq: ">=", tokLbrace: "{",
	tokLbracket: "[", tokLparen: "(", tokLt: "<", tokLteq: "<=", tokMod: "%", tokMul: "*",
	tokNe: "!=", tokPipe: "|", tokPow: "**", tokRbrace: "}", tokRbracket: "]",
	tokRparen: ")", tokSemicolon: ";", tokSub: "-", tokTilde: "~", tokValue: "embedded value",
}

// operatorKind returns the operator at the start of s, the longest one first.
func operatorKind(s string) (kind, int) {
	if len(s) > 1 {
		switch s[:2] {
		case "//":
			return tokFloordiv, 2
		case "**":
			return tokPow, 2
		case "==":
			return tokEq, 2
		case "!=":
			return tokNe, 2
		case ">=":
			return tokGteq, 2
		case "<=":
			return tokLteq, 2
		}
	}
	for k := tokAdd; k <= tokTilde; k++ {
		if name := kindNames[k]; len(name) == 1 && name[0] == s[0] {
			return k, 1
		}
	}
	return tokEOF, 0
}

// A token is a piece of a template. val is the text of data and names, the decoded
// characters of a string, the digits of a number.
type token struct {
	kind kind
	at   value.Place
	val  string
	node node // a value, or a string with values inside
}

// is says whether the token is the name (Jinja has no reserved words).
func (t token) is(name string) bool { return t.kind == tokName && t.val == name }

// String is the token as Jinja2's messages describe it.
func (t token) String() string {
	if t.kind == tokName {
		return t.val
	}
	return kindNames[t.kind]
}
