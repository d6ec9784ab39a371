package observer

import (
	"net/url"
	"strconv"
	"strings"
)

const (
	defaultRows = 100
	mostRows    = 1000
)

// query are the parameters of a list.
type query struct {
	sort  string
	asc   bool
	q     string // in lower case
	limit int
}

// queryOf reads the parameters; sorts are what sort may be, the first one by default. asc is the default order of those that
// stand in ascending.
func queryOf(v url.Values, sorts []string, ascending ...string) (query, error) {
	q := query{sort: v.Get("sort"), limit: defaultRows}
	if q.sort == "" {
		q.sort = sorts[0]
	}
	if !among(q.sort, sorts) {
		return q, failed(400, "bad_request", "sort=%s: want one of %s", text(q.sort, 64), strings.Join(sorts, ", "))
	}
	switch v.Get("order") {
	case "":
		q.asc = among(q.sort, ascending)
	case "asc":
		q.asc = true
	case "desc":
	default:
		return q, failed(400, "bad_request", "order: want asc or desc")
	}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > mostRows {
			return q, failed(400, "bad_request", "limit: want 0 to %d", mostRows)
		}
		q.limit = n
	}
	if len(v.Get("q")) > mostName {
		return q, failed(400, "bad_request", "q has %d bytes; at most %d are searched for", len(v.Get("q")), mostName)
	}
	q.q = strings.ToLower(v.Get("q"))
	return q, nil
}

func among(s string, list []string) bool {
	for _, x := range list {
		if s == x {
			return true
		}
	}
	return false
}

// ordered is the order that is asked for: better says what comes first in the descending one.
func ordered[T any](q query, better func(a, b *T) bool) func(a, b *T) bool {
	if q.asc {
		return func(a, b *T) bool { return better(b, a) }
	}
	return better
}

// finds tells whether one of the texts has what is searched for in it.
func (q query) finds(texts ...string) bool {
	if q.q == "" {
		return true
	}
	for _, s := range texts {
		if containsFold(s, q.q) {
			return true
		}
	}
	return false
}

// findsPID tells whether the text of a PID has it in it; only what may be a part of one is compared, since the text of a PID
// has to be made first.
func (q query) findsPID(pid interface{ String() string }) bool {
	if q.q == "" {
		return true
	}
	return strings.ContainsAny(q.q, ".@0123456789") && containsFold(pid.String(), q.q)
}
