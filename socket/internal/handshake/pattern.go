package handshake

import (
	"errors"
	"path"
	"strings"
)

// add adds a pattern, or returns why no origin can match it.
func (o *Origins) add(pattern string) error {
	p := strings.ToLower(pattern)
	switch p {
	case "":
		return errors.New("it is empty")
	case "*":
		o.any = true
		return nil
	case "null":
		o.null = true
		return nil
	}
	if i := strings.IndexFunc(p, func(c rune) bool { return c <= ' ' || c == ',' || c >= 0x7f }); i >= 0 {
		return oddCharacter(p[i:])
	}
	scheme, host, full := strings.Cut(p, "://")
	if !full {
		scheme, host = "", p
	}
	if full {
		if err := checkScheme(scheme); err != nil {
			return err
		}
	}
	host, err := cleanHost(host)
	switch {
	case err != nil:
		return err
	case !full && host == "", scheme == "http" && host == "", scheme == "https" && host == "", strings.HasPrefix(host, ":"):
		return errors.New("it has no host")
	case full:
		o.full = append(o.full, scheme+"://"+host)
	default:
		o.hosts = append(o.hosts, host)
	}
	return nil
}

// oddCharacter says what is wrong with the first character of rest, which no origin has.
func oddCharacter(rest string) error {
	switch c := rest[0]; {
	case c == ',':
		return errors.New("an origin has no comma; make each a string of its own")
	case c <= ' ' || c == 0x7f:
		return errors.New("an origin has no space in it")
	}
	return errors.New("browsers spell such a host in ASCII, with xn--")
}

func checkScheme(scheme string) error {
	switch scheme {
	case "":
		return errors.New("nothing stands before ://")
	case "ws", "wss":
		return errors.New("an origin has the scheme of the page, http or https")
	}
	if !only(scheme, "+-."+metas) {
		return errors.New("its scheme has characters that a scheme cannot have")
	}
	return syntax(scheme)
}

// metas are the characters with a meaning of their own for path.Match.
const metas = `*?[]^\`

// cleanHost returns a pattern for host and port in which IPv6 addresses are literal and canonical.
func cleanHost(host string) (string, error) {
	address, port, v6 := cut6(host)
	if !v6 {
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !inClass(host[i:]) {
			host, port = host[:i], host[i:]
		}
		if strings.Contains(host, "/") {
			return "", errors.New("an origin has no path, not even a slash at its end")
		}
		if strings.Contains(host, ":") && !strings.ContainsAny(host, `[\`) {
			return "", errors.New("an IPv6 address stands in brackets")
		}
		if !only(host, hostMarks+":"+metas) {
			return "", errors.New("its host has characters that a host cannot have")
		}
	} else if strings.ContainsAny(address, "*?") { // matched against an address as browsers spell it
		host = `\[` + address + "]"
	} else if literal, ok := canonical6(address); ok {
		host = `\` + literal
	} else {
		return "", errors.New("what stands in brackets is not an IPv6 address")
	}
	if err := checkPort(port); err != nil {
		return "", err
	}
	return host + port, syntax(host)
}

// cut6 cuts host where it begins with an IPv6 address in brackets. Anything else in brackets is a class of characters.
func cut6(host string) (address, port string, ok bool) {
	rest, ok := strings.CutPrefix(host, "[")
	if !ok {
		return "", "", false
	}
	address, port, ok = strings.Cut(rest, "]")
	if !ok || !strings.Contains(address, ":") || strings.Trim(address, "0123456789abcdef:.*?") != "" {
		return "", "", false
	}
	return address, port, true
}

// inClass tells whether s, the end of a pattern, begins within brackets.
func inClass(s string) bool {
	i := strings.IndexByte(s, ']')
	return i >= 0 && !strings.Contains(s[:i], "[")
}

// checkPort checks what follows a host: nothing, or a colon and a port.
func checkPort(s string) error {
	if s == "" {
		return nil
	}
	port, ok := strings.CutPrefix(s, ":")
	switch {
	case strings.Contains(s, "/"):
		return errors.New("an origin has no path, not even a slash at its end")
	case !ok || port == "" || strings.Trim(port, "0123456789-"+metas) != "":
		return errors.New("what stands after the host is not a port")
	case strings.Trim(port, "0123456789") == "" && !isPort(port):
		return errors.New("there is no such port")
	}
	return syntax(port)
}

func syntax(pattern string) error {
	_, err := path.Match(pattern, "")
	return err
}
