package chat

import "testing"

func TestCheckText(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{ // want "": refused
		"plain":              {"  hello, world ", "hello, world"},
		"lines and tabs":     {"a\n\tb", "a\n\tb"},
		"NUL":                {"a\x00b", "ab"},
		"escape sequence":    {"a\x1b[31mb", "a[31mb"},
		"carriage return":    {"a\r\nb", "a\nb"},
		"C1":                 {"a\u009bb", "ab"},
		"override":           {"a\u202egpj.exe", "agpj.exe"},
		"embedding":          {"a\u202ab\u202c", "ab"},
		"isolate":            {"a\u2066b\u2069", "ab"},
		"line separator":     {"a\u2028b\u2029c", "abc"},
		"byte order mark":    {"\ufeffa", "a"},
		"Hebrew with a mark": {"\u05d0\u200f!", "\u05d0\u200f!"},
		"Arabic letter mark": {"1\u061c2", "1\u061c2"},
		"joined emoji":       {"\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"},
		"nothing visible":    {"\x00\u202e \x01", ""},
	} {
		got, err := checkText(tt.text)
		if (err != nil) != (tt.want == "") || got != tt.want {
			t.Errorf("%s: checkText(%q) = %q, %v, want %q", name, tt.text, got, err, tt.want)
		}
	}
	for _, name := range []string{"an\u202en", "a\x00b", "a\u2066b", "a\x1bb"} {
		if got, err := checkName(name); err == nil {
			t.Errorf("checkName(%q) = %q, want an error", name, got)
		}
	}
}
