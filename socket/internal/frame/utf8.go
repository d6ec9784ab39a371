package frame

import "unicode/utf8"

// TextPrefix returns how many bytes at the start of p are whole runes, and
// whether p can be the beginning of UTF-8 text: false as soon as nothing that
// follows could make it valid (RFC 6455 section 8.1). The bytes after the prefix,
// at most three, are the beginning of a rune.
func TextPrefix(p []byte) (n int, ok bool) {
	n = len(p)
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if !utf8.RuneStart(p[len(p)-i]) {
			continue
		}
		// FullRune is true for a sequence that is already wrong, such as E0 41
		// or F4 90, which Valid then refuses.
		if !utf8.FullRune(p[len(p)-i:]) {
			n -= i
		}
		break
	}
	return n, utf8.Valid(p[:n])
}
