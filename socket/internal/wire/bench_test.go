package wire_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

func benchmarkNext(b *testing.B, input []byte, messages int, deflate bool) {
	c := accept(b, &endless{input: input}, wire.Options{MaxMessageSize: 10 * mb}, deflate)
	b.ReportAllocs()
	b.SetBytes(int64(len(input) / messages))
	for b.Loop() {
		if _, err := c.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNext_recycle is BenchmarkNext with messages that are given back.
func BenchmarkNext_recycle(b *testing.B) {
	for name, size := range map[string]int{"16 KiB": 16 << 10, "1 MiB": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			c := accept(b, &endless{input: frame(fin, opBinary, str(size))}, wire.Options{MaxMessageSize: -1}, false)
			c.Lend()
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				m, err := c.Next()
				if err != nil {
					b.Fatal(err)
				}
				c.Recycle(m.Data)
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	small := frame(fin, opText, strings.Repeat("x", 32))
	b.Run("small", func(b *testing.B) { benchmarkNext(b, small, 1, false) })
	b.Run("small, 100 per read", func(b *testing.B) {
		benchmarkNext(b, []byte(strings.Repeat(string(small), 100)), 100, false)
	})
	b.Run("text 16 KiB", func(b *testing.B) { benchmarkNext(b, frame(fin, opText, str(16<<10)), 1, false) })
	b.Run("binary 16 KiB", func(b *testing.B) { benchmarkNext(b, frame(fin, opBinary, str(16<<10)), 1, false) })
	b.Run("binary 1 MiB", func(b *testing.B) { benchmarkNext(b, frame(fin, opBinary, str(1<<20)), 1, false) })
	b.Run("ping", func(b *testing.B) {
		benchmarkNext(b, join(frame(fin, opPing, "12345678"), frame(fin, opText, "")), 1, false)
	})
	b.Run("deflated 2 KiB", func(b *testing.B) { benchmarkNext(b, frame(fin|rsv1, opText, deflated(words(2<<10))), 1, true) })
}

func BenchmarkAppendFlush(b *testing.B) {
	for name, m := range map[string]websock.Message{
		"small": websock.Text(strings.Repeat("x", 32)), "16 KiB": websock.Binary(make([]byte, 16<<10)),
	} {
		b.Run(name, func(b *testing.B) {
			c := accept(b, &endless{}, wire.Options{}, false)
			b.ReportAllocs()
			for b.Loop() {
				c.Append(m)
				c.Flush()
			}
		})
	}
	b.Run("small, 100 per flush", func(b *testing.B) {
		c := accept(b, &endless{}, wire.Options{}, false)
		m := websock.Text(strings.Repeat("x", 32))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			c.Append(m)
			if i%100 == 99 {
				c.Flush()
			}
		}
	})
	b.Run("deflate 2 KiB, prepared", func(b *testing.B) {
		c := accept(b, &endless{}, wire.Options{}, true)
		m := websock.Prepare(websock.Text(words(2 << 10)))
		b.ReportAllocs()
		for b.Loop() {
			c.Append(m)
			c.Flush()
		}
	})
	for _, level := range []int{1, 6, 9} {
		b.Run("deflate 2 KiB, level "+string(rune('0'+level)), func(b *testing.B) {
			c := accept(b, &endless{}, wire.Options{Level: level}, true)
			m := websock.Text(words(2 << 10))
			b.ReportAllocs()
			b.SetBytes(int64(len(m.Data)))
			for b.Loop() {
				c.Append(m)
				c.Flush()
			}
		})
	}
}

// BenchmarkClient is what a client reads and writes.
func BenchmarkClient(b *testing.B) {
	for _, tt := range []struct {
		name string
		size int
	}{{"small", 32}, {"1 KiB", 1 << 10}, {"16 KiB", 16 << 10}, {"1 MiB", 1 << 20}} {
		m := websock.Binary(make([]byte, tt.size))
		b.Run("Append, Flush, "+tt.name, func(b *testing.B) {
			c := accept(b, &endless{}, wire.Options{Client: true}, false)
			b.ReportAllocs()
			b.SetBytes(int64(tt.size))
			for b.Loop() {
				c.Append(m)
				c.Flush()
			}
		})
		b.Run("Next, "+tt.name, func(b *testing.B) {
			c := accept(b, &endless{input: fromServer(frame(fin, opBinary, str(tt.size)))}, wire.Options{MaxMessageSize: 10 * mb, Client: true}, false)
			b.ReportAllocs()
			b.SetBytes(int64(tt.size))
			for b.Loop() {
				if _, err := c.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTCP_echo has one message in flight over loopback; the client's system
// calls are in it.
func BenchmarkTCP_echo(b *testing.B) {
	for _, tt := range []struct {
		name string
		size int
		lend bool
	}{
		{"32 B", 32, false}, {"128 B", 128, false},
		{"16 KiB", 16 << 10, false}, {"16 KiB, recycled", 16 << 10, true},
		{"1 MiB", 1 << 20, false}, {"1 MiB, recycled", 1 << 20, true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			benchmarkEcho(b, wire.Options{MaxMessageSize: 2 * mb, WriteTimeout: time.Minute}, tt.size, tt.lend)
		})
	}
}

func benchmarkEcho(b *testing.B, o wire.Options, size int, lend bool) {
	client, c := overTCP(b, o, false, nil)
	if lend {
		c.Lend()
	}
	c.SetHooks(hooks{func() { c.Flush() }, nil})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := c.Next()
			if err != nil {
				return
			}
			c.Append(m)
			c.Recycle(m.Data)
		}
	}()
	input := frame(fin, opBinary, str(size))
	output := make([]byte, len(input)-4)
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() {
		client.Conn().Write(input)
		if _, err := io.ReadFull(client.Conn(), output); err != nil {
			b.Fatal(err)
		}
	}
	c.Abort()
	<-done
}

// words is text that compresses as JSON does.
func words(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(`{"user":` + noise(4)[:0] + string(rune('a'+i%26)) + `,"text":"message number `)
		b.WriteString(strings.Repeat(string(rune('0'+i*7%10)), i%5+1))
		b.WriteString(`"},`)
	}
	return b.String()[:n]
}
