package notify_test

import (
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/notify"
)

type channel chan notify.Event

func (c channel) Wake(what notify.Event) { c <- what }

// BenchmarkNotifier_ArmDisarm is what going to sleep costs, without the wake.
func BenchmarkNotifier_ArmDisarm(b *testing.B) {
	for _, tr := range transports(b) {
		b.Run(tr.name, func(b *testing.B) {
			var n notify.Notifier
			var s notify.Sleeper
			c, peer := tr.dial(b)
			w := make(channel, 1)
			b.ReportAllocs()
			for b.Loop() {
				if already, err := n.Arm(&s, c, w, notify.Readable); already != 0 || err != nil {
					b.Fatal(already, err)
				}
				n.Disarm(&s, c)
			}
			n.Release(&s, c)
			_, _ = c.Close(), peer.Close()
			n.Wait()
		})
	}
}

// BenchmarkNotifier_roundTrip arms, has the peer write a byte, waits for the wake
// and reads. The write and the read are part of it.
func BenchmarkNotifier_roundTrip(b *testing.B) {
	for _, tr := range transports(b) {
		b.Run(tr.name, func(b *testing.B) {
			var n notify.Notifier
			var s notify.Sleeper
			c, peer := tr.dial(b)
			w := make(channel, 1)
			p := make([]byte, 1)
			b.ReportAllocs()
			for b.Loop() {
				if already, err := n.Arm(&s, c, w, notify.Readable); already != 0 || err != nil {
					b.Fatal(already, err)
				}
				if _, err := peer.Write(p); err != nil {
					b.Fatal(err)
				}
				<-w
				if _, err := c.Read(p); err != nil {
					b.Fatal(err)
				}
			}
			n.Release(&s, c)
			_, _ = c.Close(), peer.Close()
			n.Wait()
		})
	}
}

// BenchmarkNotifier_register is the first Arm and the Release.
func BenchmarkNotifier_register(b *testing.B) {
	tr := transports(b)[0]
	var n notify.Notifier
	var keep, s notify.Sleeper
	c, peer := tr.dial(b)
	c2, peer2 := tr.dial(b)
	w := make(channel, 1)
	mustArm(b, &n, &keep, c2, w, notify.Readable)
	b.ReportAllocs()
	for b.Loop() {
		if already, err := n.Arm(&s, c, w, notify.Readable); already != 0 || err != nil {
			b.Fatal(already, err)
		}
		n.Release(&s, c)
	}
	n.Release(&keep, c2)
	_, _, _, _ = c.Close(), peer.Close(), c2.Close(), peer2.Close()
	n.Wait()
}
