package rawtls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"hash"
)

// direction is how the records of one direction are protected (RFC 8446 section 5.2).
type direction struct {
	hash    func() hash.Hash
	keySize int
	secret  []byte
	aead    cipher.AEAD
	iv      []byte
	number  uint64 // of the next record
}

func newDirection(suite uint16, secret []byte) (*direction, error) {
	d := &direction{secret: secret}
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
		d.hash, d.keySize = sha256.New, 16
	case tls.TLS_AES_256_GCM_SHA384:
		d.hash, d.keySize = sha512.New384, 32
	default: // crypto/tls prefers it only on processors without instructions for AES
		return nil, fmt.Errorf("rawtls: the server has chosen %s, and only AES-GCM is known here", tls.CipherSuiteName(suite))
	}
	d.keys()
	return d, nil
}

// keys derives key and IV from the secret (RFC 8446 section 7.3).
func (d *direction) keys() {
	block, err := aes.NewCipher(d.expand("key", d.keySize))
	if err != nil {
		panic(err) // the size is wrong
	}
	if d.aead, err = cipher.NewGCM(block); err != nil {
		panic(err) // likewise
	}
	d.iv = d.expand("iv", d.aead.NonceSize())
	d.number = 0
}

// update is the next generation of keys (RFC 8446 section 7.2).
func (d *direction) update() {
	d.secret = d.expand("traffic upd", d.hash().Size())
	d.keys()
}

// expand is HKDF-Expand-Label without a context (RFC 8446 section 7.1).
func (d *direction) expand(label string, size int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(append(info, byte(len(label))), label...), 0)
	key, err := hkdf.Expand(d.hash, d.secret, string(info), size)
	if err != nil {
		panic(err) // the size is wrong
	}
	return key
}

// nonce is that of the next record (RFC 8446 section 5.3).
func (d *direction) nonce() []byte {
	nonce := bytes.Clone(d.iv)
	number := binary.BigEndian.AppendUint64(nil, d.number)
	for i, b := range number {
		nonce[len(nonce)-len(number)+i] ^= b
	}
	d.number++
	return nonce
}

func (d *direction) seal(kind byte, content []byte) []byte {
	inner := append(bytes.Clone(content), kind)
	head := []byte{ApplicationData, 3, 3}
	head = binary.BigEndian.AppendUint16(head, uint16(len(inner)+d.aead.Overhead()))
	return d.aead.Seal(head, d.nonce(), inner, head)
}

func (d *direction) open(record []byte) (kind byte, content []byte, err error) {
	inner, err := d.aead.Open(nil, d.nonce(), record[headerSize:], record[:headerSize])
	if err != nil {
		return 0, nil, fmt.Errorf("rawtls: record %d: %w", d.number-1, err)
	}
	inner = bytes.TrimRight(inner, "\x00")
	if len(inner) == 0 {
		return 0, nil, fmt.Errorf("rawtls: record %d has no type", d.number-1)
	}
	return inner[len(inner)-1], inner[:len(inner)-1], nil
}
