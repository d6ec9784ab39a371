// Package rawtls is the client's side of TLS 1.3 for tests, written by hand from RFC 8446 but for the handshake, which crypto/tls
// does. It sends what crypto/tls never sends: key updates, alerts, records without content, and records in pieces.
//
//	conn, err := rawtls.Client(raw)
//	conn.Write(p)                                // one record
//	raw.Write(conn.KeyUpdate(true, false))       // what is written after it has the new key
//	record := conn.Seal(rawtls.ApplicationData, p)
//	raw.Write(record[:3])                        // the beginning of a record
package rawtls
