package value

import "strings"

var htmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// Escape is markupsafe.escape: the HTML-safe text of v; Markup stays as it is.
func Escape(v Value) Markup {
	if m, ok := v.(Markup); ok {
		return m
	}
	return Markup(htmlEscaper.Replace(String(v)))
}
