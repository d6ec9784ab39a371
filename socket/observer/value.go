package observer

import (
	"encoding/json"
	"fmt"
	"strings"
)

// How many bytes of a value are shown.
const (
	mostMeta   = 4 << 10
	mostState  = 64 << 10
	mostValues = 1 << 20 // of one answer with many of them
)

// valueJSON is a value of the program's: as JSON where that is possible and short enough, else the beginning of that as text.
type valueJSON struct {
	Type  string          `json:"type"`
	JSON  json.RawMessage `json:"json,omitempty"`
	Text  *string         `json:"text,omitempty"`
	Cut   bool            `json:"cut,omitempty"`
	Bytes int             `json:"bytes,omitempty"`
}

// valueOf says what a value is, which is shared and only read; nil for nil. Its methods are the program's, and may panic.
func valueOf(v any, most int) (shown *valueJSON) {
	if v == nil {
		return nil
	}
	shown = &valueJSON{Type: typeOf(v)}
	defer func() {
		if p := recover(); p != nil {
			shown.JSON, shown.Text = nil, new("a method of it panics: "+text(fmt.Sprint(p), mostError))
		}
	}()
	b, err := json.Marshal(v)
	switch {
	case err != nil:
		shown.Text = new(text(err.Error(), mostError))
	case len(b) > most:
		shown.Text, shown.Cut, shown.Bytes = new(text(string(b[:most]), most)), true, len(b)
	case !safe(b):
		shown.JSON = clean(b)
	default:
		shown.JSON = b
	}
	return shown
}

func typeOf(v any) string { return text(fmt.Sprintf("%T", v), mostName) }

// safe tells whether no text in JSON has escaped control characters, or any that are no ASCII.
func safe(b []byte) bool {
	for _, c := range b {
		if c >= 0x7f {
			return false
		}
	}
	return !strings.Contains(string(b), `\u00`) && !strings.Contains(string(b), `\u20`)
}

// clean is JSON with all texts in it as text shows them.
func clean(b []byte) json.RawMessage {
	var v any
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	cleaned, err := json.Marshal(cleanValue(v))
	if err != nil {
		return nil
	}
	return cleaned
}

func cleanValue(v any) any {
	switch v := v.(type) {
	case string:
		return text(v, mostState)
	case []any:
		for i := range v {
			v[i] = cleanValue(v[i])
		}
	case map[string]any:
		cleaned := make(map[string]any, len(v))
		for key, x := range v {
			cleaned[text(key, mostState)] = cleanValue(x)
		}
		return cleaned
	}
	return v
}
