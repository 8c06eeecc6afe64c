// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package httpserver

// Codes are the HTTP status codes that are counted one by one. The last one, 0,
// stands for all others.
var Codes = [NumCodes]int{200, 400, 401, 404, 405, 408, 413, 429, 431, 500, 503, 0}

// NumCodes is the number of Codes.
const NumCodes = 12

// Unrouted is the route index of requests that reached no route: those refused
// before, and those for unknown paths.
const Unrouted = -1

// Stats are a server's counters since Configure. Those of bytes count what
// Receive took and Sent reported.
type Stats struct {
	Accepted uint32 // connections
	Refused  uint32 // connections that found all others busy
	Evicted  uint32 // idle connections closed to make room
	Expired  uint32 // connections closed because their time was up
	Cut      uint32 // connections closed because a later part did not fit into its buffer
	InUse    int    // connections now
	BytesIn  uint64
	BytesOut uint64
}

// Stats returns the counters.
func (s *Server) Stats() Stats { return s.stats }

// Count returns how many requests for a route, by its index in Config.Routes
// or Unrouted, were answered with a code of Codes; 0 for anything else.
func (s *Server) Count(route, code int) uint32 {
	if route < Unrouted || route >= len(s.config.Routes) {
		return 0
	}
	for i, c := range Codes {
		if c == code {
			return s.counts[route+1][i]
		}
	}
	return 0
}

func (s *Server) count(route, code int) {
	i := 0
	for i < NumCodes-1 && Codes[i] != code {
		i++
	}
	s.counts[route+1][i]++
}
