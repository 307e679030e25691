// Package faultproxy stands between a client and a real server in tests, and does
// to their requests what a bad network does: it delays them, loses them, breaks
// them off, makes them slow, or changes their bytes.
//
//	p := faultproxy.New(t, "http://127.0.0.1:7070", 1)
//	p.Set(faultproxy.Faults{Shares: faultproxy.Shares{faultproxy.Silent: 0.05}})
//	... a client of p.URL() ...
//	if p.Counts().Of[faultproxy.Silent] == 0 { ... nothing was tested ... }
//
// Bytes pass through the links of Shopify/toxiproxy. Its own toxics act on
// connections, of which one carries many requests; so two are added that follow
// HTTP/1.1 and act on single requests: one on the way up to the server, one on the
// way down.
//
// Which of the requests meets which fault depends on the seed alone: the n-th
// request that a fault may concern always has the same lot. Headers are never
// changed, so that signed requests stay valid.
package faultproxy
