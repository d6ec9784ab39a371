package observer

import "time"

type peersJSON struct {
	At    time.Time  `json:"at"`
	Name  string     `json:"name"`
	Ready bool       `json:"ready"`
	Error string     `json:"error"`
	Rows  []peerJSON `json:"rows"`
}

type peerJSON struct {
	Node        string    `json:"node"`
	Boot        string    `json:"boot"`
	Since       time.Time `json:"since"`
	RTT         float64   `json:"rtt_ms"`
	Window      int       `json:"window"`
	InUse       int       `json:"in_use"`
	RecordsIn   uint64    `json:"records_in"`
	RecordsOut  uint64    `json:"records_out"`
	BytesIn     uint64    `json:"bytes_in"`
	BytesOut    uint64    `json:"bytes_out"`
	Refused     uint64    `json:"refused"`
	Resent      uint64    `json:"resent"`
	Resets      uint64    `json:"resets"`
	Undecodable uint64    `json:"undecodable"`
	Undelivered uint64    `json:"undelivered"`
}

// nodes are the links to other nodes; none without a cluster.
func (o *Observer) nodes() (any, error) {
	v := peersJSON{At: time.Now(), Name: o.node, Rows: []peerJSON{}}
	n := o.cfg.Node
	if n == nil {
		return v, nil
	}
	v.Error = errorText(n.Ready())
	v.Ready = v.Error == ""
	for p := range n.Peers() {
		if len(v.Rows) >= mostRows {
			break
		}
		v.Rows = append(v.Rows, peerJSON{
			Node: p.Node, Boot: p.Boot, Since: p.Since, RTT: ms(p.RTT), Window: p.Window, InUse: p.InUse,
			RecordsIn: p.RecordsIn, RecordsOut: p.RecordsOut, BytesIn: p.BytesIn, BytesOut: p.BytesOut,
			Refused: p.Refused, Resent: p.Resent, Resets: p.Resets, Undecodable: p.Undecodable, Undelivered: p.Undelivered,
		})
	}
	return v, nil
}
