// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/picolet/picolet/link/noise"
)

// ErrNoLink is returned by DialBoard for a node whose board is not connected by a
// link.
var ErrNoLink = errors.New("no board is connected as this node")

// Fingerprint is a short name of a key for people: the first 16 hexadecimal digits
// of its SHA-256 hash.
func Fingerprint(key noise.PublicKey) string {
	sum := sha256.Sum256(key[:])
	return hex.EncodeToString(sum[:8])
}

// DialBoard opens a stream to the kubelet port of the board that is node, through
// the link that the board has opened. A board takes five at once: a further one
// waits until ctx ends.
func (g *Gateway) DialBoard(ctx context.Context, node string) (net.Conn, error) {
	l := g.links.of(node)
	if l == nil {
		return nil, fmt.Errorf("node %q: %w", node, ErrNoLink)
	}
	return l.session.Dial(ctx)
}

// links are those that are up.
type links struct {
	mu     sync.Mutex
	byNode map[string]*boardLink
	byKey  map[noise.PublicKey]*boardLink
}

func newLinks() *links {
	return &links{byNode: make(map[string]*boardLink), byKey: make(map[noise.PublicKey]*boardLink)}
}

func (s *links) of(node string) *boardLink {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byNode[node]
}

// all returns the links in no order.
func (s *links) all() []*boardLink {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.byNode))
}

func (s *links) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byNode)
}

// add puts l in the place of links of the same node or key, which it returns: they
// are to be ended. There are some only while Admission has cut them off already.
func (s *links) add(l *boardLink) (old []*boardLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range []*boardLink{s.byNode[l.node], s.byKey[l.peer.Key]} {
		if o != nil {
			s.drop(o)
			old = append(old, o)
		}
	}
	s.byNode[l.node], s.byKey[l.peer.Key] = l, l
	return old
}

// remove takes l out, if it is still there.
func (s *links) remove(l *boardLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(l)
}

func (s *links) drop(l *boardLink) {
	if s.byNode[l.node] == l {
		delete(s.byNode, l.node)
	}
	if s.byKey[l.peer.Key] == l {
		delete(s.byKey, l.peer.Key)
	}
}
