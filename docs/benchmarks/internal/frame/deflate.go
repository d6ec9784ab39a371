package frame

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"sync"
)

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is right
	}
	return w
}}

// Deflate compresses a message without context takeover (RFC 7692 section 7.2.1), level 1.
func Deflate(data []byte) []byte {
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	w.Write(data) // a Buffer takes all
	w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// Inflate returns the text of a message compressed without context takeover (RFC 7692 section 7.2.2).
func Inflate(data []byte) ([]byte, error) {
	r := inflaters.Get().(io.Reader)
	defer inflaters.Put(r)
	all := io.MultiReader(bytes.NewReader(data), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))
	if err := r.(flate.Resetter).Reset(all, nil); err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
