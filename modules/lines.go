package modules

import (
	"bytes"
	"strings"
)

// maxLine is the length of the longest line that is watched: what is longer is no line
// for people.
const maxLine = 64 << 10

// A LineWriter hands the lines of what is written to it to whoever watches. What a
// progress bar overwrote (behind a carriage return) and lines of more than 64 KiB are left
// out: a line is handed on whole or not at all, so that secrets in it can be masked.
type LineWriter struct {
	emit func(line string)
	rest []byte
	long bool // the line is too long: it is passed over up to its end
}

// Lines makes a LineWriter.
func Lines(emit func(line string)) *LineWriter { return &LineWriter{emit: emit} }

// Write implements io.Writer.
func (w *LineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, found := bytes.Cut(p, []byte("\n"))
		if !w.long {
			w.rest = append(w.rest, line...)
			w.long = len(w.rest) > maxLine
		}
		if !found {
			if w.long {
				w.rest = w.rest[:0]
			}
			return n, nil
		}
		w.line()
		p = rest
	}
}

// line hands the line on that is complete.
func (w *LineWriter) line() {
	if !w.long {
		text := strings.TrimRight(string(w.rest), "\r")
		w.emit(text[strings.LastIndexByte(text, '\r')+1:])
	}
	w.rest, w.long = w.rest[:0], false
}

// Close hands on what has no end of line: the output is over.
func (w *LineWriter) Close() {
	if len(w.rest) > 0 {
		w.line()
	}
}
