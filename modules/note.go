package modules

import "context"

type noteKey struct{}

// WithNotes returns a context whose runs of modules tell note which step begins.
func WithNotes(ctx context.Context, note func(title string)) context.Context {
	return context.WithValue(ctx, noteKey{}, note)
}

// Notes returns what WithNotes was given; nil when nobody wants to know.
func Notes(ctx context.Context) func(title string) {
	note, _ := ctx.Value(noteKey{}).(func(string))
	return note
}
