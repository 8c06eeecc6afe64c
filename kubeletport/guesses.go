// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// Limits of one client address for tokens that nobody knows yet, each of which the API
// server must review.
const (
	guessInterval = 200 * time.Millisecond // for one more
	guessBurst    = 20
	guessesAtOnce = 8      // under review
	maxGuessers   = 16_384 // addresses remembered, the latest ones
)

// guesses bounds the reviews that a client address can cause.
type guesses struct {
	mu      sync.Mutex
	clients *lru.Cache // of *guesser, by address
}

// guesser is one address.
type guesser struct {
	rate  *rate.Limiter
	slots chan struct{}
}

func newGuesses() *guesses { return &guesses{clients: lru.New(maxGuessers)} }

// begin takes a review of addr, until done is called.
func (g *guesses) begin(addr string) (done func(), refused *refusal) {
	c := g.of(network(addr))
	select {
	case c.slots <- struct{}{}:
	default:
		return nil, tooMany()
	}
	if !c.rate.Allow() {
		<-c.slots
		return nil, tooMany()
	}
	return func() { <-c.slots }, nil
}

func (g *guesses) of(network string) *guesser {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.clients.Get(network); ok {
		return c.(*guesser)
	}
	c := &guesser{rate: rate.NewLimiter(rate.Every(guessInterval), guessBurst), slots: make(chan struct{}, guessesAtOnce)}
	g.clients.Add(network, c)
	return c
}

func tooMany() *refusal {
	r := refuse(http.StatusTooManyRequests, "too many unknown bearer tokens from this address: try again later, or with a client certificate of this cluster")
	r.retryAfter = 1
	return r
}

// network is what is limited as one client: of IPv6 the /64, which one host has (RFC
// 4291, section 2.5.4).
func network(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}
