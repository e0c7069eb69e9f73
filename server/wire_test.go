package server

import (
	"regexp"
	"strings"
	"testing"
)

// schemeOf returns the scheme that a browser sees in an absolute or relative
// URL (WHATWG URL Standard, "basic URL parser"): leading and trailing control
// characters and spaces are stripped, tabs and line breaks removed anywhere.
func schemeOf(u string) string {
	u = strings.TrimFunc(u, func(r rune) bool { return r <= ' ' })
	u = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(u)
	m := scheme.FindStringSubmatch(u)
	if m == nil {
		return ""
	}
	return strings.ToLower(m[1])
}

var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):`)

// unescape is what a browser makes of the escaped text in an attribute.
var unescape = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#039;", "'")

func FuzzSafeURL(f *testing.F) {
	for _, u := range []string{
		"javascript:alert(1)", " java\nscript:x", "\x00javascript:x", "JAVASCRIPT:x", "java\x7fscript:x", "data:,x", "vbscript:x",
		"http://x/", "HtTpS://x", "mailto:a@b", "/a:b", "?a:b", "#a:b", "\\a:b", "a", "", ":", "ht\ttp://x", "1:2", "x\u00a0:y", "&#106;avascript:x", "\xffx:y",
	} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, u string) {
		for _, form := range []format{formatHTML, formatText} {
			shown := form.url(u)
			if form == formatHTML {
				if strings.ContainsAny(shown, `<>"'`) {
					t.Errorf("%q is not escaped: %q", u, shown)
				}
				shown = unescape.Replace(shown)
			}
			if shown != "" && shown != u {
				t.Errorf("%q became %q", u, shown)
			}
			switch s := schemeOf(shown); s {
			case "", "http", "https", "mailto":
			default:
				t.Errorf("%q keeps the scheme %s", u, s)
			}
		}
	})
}
