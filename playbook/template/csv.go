package template

import "strings"

// csvRows reads CSV as Python's csv module does, which encoding/csv does not: what follows
// a closing quote belongs to the field. Empty lines are left out.
func csvRows(text string, comma rune) [][]string {
	const (
		begin = iota // of a field
		plain
		quoted
		closed // a quote inside of quotes: the end of them, or the first of two
	)
	var rows [][]string
	var row []string
	var field strings.Builder
	state := begin
	end := func() {
		row = append(row, field.String())
		field.Reset()
		state = begin
	}
	for _, r := range text {
		switch {
		case state == quoted && r == '"':
			state = closed
		case state == quoted:
			field.WriteRune(r)
		case state == closed && r == '"':
			field.WriteRune(r)
			state = quoted
		case r == comma:
			end()
		case r == '\n' || r == '\r':
			if state != begin || row != nil {
				end()
				rows, row = append(rows, row), nil
			}
		case state == begin && r == '"':
			state = quoted
		default:
			field.WriteRune(r)
			state = plain
		}
	}
	if state != begin || row != nil {
		end()
		rows = append(rows, row)
	}
	return rows
}
