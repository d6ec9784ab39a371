package load

import (
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	type step = func(*numbers) error
	join := func(n *numbers) error { n.join(); return nil }
	joined := func(since uint64) step { return func(n *numbers) error { return n.joined(since) } }
	left := func(n *numbers) error { return n.left() }
	got := func(all ...uint64) step {
		return func(n *numbers) error {
			for _, number := range all {
				if err := n.got(number); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, tt := range map[string]struct {
		steps []step
		want  string
	}{
		"all":                      {[]step{join, joined(3), got(4, 5, 6), left}, ""},
		"before the answer":        {[]step{join, got(3, 4), joined(3), got(5)}, ""},
		"begun before join":        {[]step{join, joined(3), got(2, 3, 4)}, ""},
		"nothing came":             {[]step{join, joined(3), left}, ""},
		"joined again":             {[]step{join, joined(3), got(4), left, join, joined(9), got(10)}, ""},
		"lost":                     {[]step{join, joined(3), got(4, 6)}, "6 came after 4"},
		"the first lost":           {[]step{join, joined(3), got(5)}, "5 came after 0"},
		"lost before the answer":   {[]step{join, got(5), joined(3)}, "5 came after 0"},
		"lost after old ones":      {[]step{join, joined(3), got(2, 3, 5)}, "5 came after 3"},
		"doubled":                  {[]step{join, joined(3), got(4, 4)}, "4 came after 4"},
		"reordered":                {[]step{join, joined(1), got(2, 4, 3)}, "4 came after 2"},
		"after left":               {[]step{join, joined(3), got(4), left, got(5)}, "had left"},
		"an old one after left":    {[]step{join, joined(3), got(4), left, got(4)}, "had left"},
		"an answer without asking": {[]step{joined(3)}, "nobody asked"},
	} {
		var n numbers
		var err error
		for _, s := range tt.steps {
			if err = s(&n); err != nil {
				break
			}
		}
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got error %v, want %q", name, err, tt.want)
		}
	}
}
