package template

import (
	"fmt"
	"testing"
)

// TestCSVRows: what Python 3.11's csv.reader makes of it, empty lines apart.
func TestCSVRows(t *testing.T) {
	for text, want := range map[string]string{
		"a,b\nc,d\n":       `[["a" "b"] ["c" "d"]]`,
		"a,b\r\nc,d":       `[["a" "b"] ["c" "d"]]`,
		"a,,\n\n,b":        `[["a" "" ""] ["" "b"]]`,
		`"a,1","b""c"`:     `[["a,1" "b\"c"]]`,
		"\"two\nlines\",x": `[["two\nlines" "x"]]`,
		`x,"crazy mail"@host,9` + "\n" + `"""q"" z",1`: `[["x" "crazy mail@host" "9"] ["\"q\" z" "1"]]`,
		`a"b",c`:  `[["a\"b\"" "c"]]`,
		`"open,x`: `[["open,x"]]`,
		"":        `[]`,
	} {
		if got := fmt.Sprintf("%q", csvRows(text, ',')); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}
