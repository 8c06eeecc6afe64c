// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

// TestDrainMovesBoards: a replica that stops is not ready at once, and its boards go to
// another one, one after the other, without their nodes being NotReady.
func TestDrainMovesBoards(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	first, second := p.start(t, func(c *Config) { c.DrainTimeout = 30 * time.Second }), p.start(t, nil)
	var boards []*testBoard
	for range 10 {
		b := newBoard(t, first)
		key := v1alpha1.Key(b.link.Key.Public)
		_, err := p.devices.Create(t.Context(), &v1alpha1.Device{
			ObjectMeta: metav1.ObjectMeta{Name: b.device},
			Spec:       v1alpha1.DeviceSpec{PublicKey: key.String(), NodeName: b.name, Approved: ptr.To(true)},
		}, metav1.CreateOptions{})
		must(t, err)
		b.boot(t)
		boards = append(boards, b)
	}
	var since []metav1.Time
	for _, b := range boards {
		since = append(since, readySince(p.waitNode(t, b.name, isReady)))
	}
	for _, b := range boards {
		b.gateway.Store(&second.addr)
	}
	begin, stopped := time.Now(), make(chan struct{})
	go func() { defer close(stopped); first.stop() }()
	eventually(t, 5*time.Second, func() error {
		if n := first.log.lines("Board's link is down", "reason=shutdown"); n == 0 {
			return fmt.Errorf("no link has ended")
		}
		return nil
	})
	first.admin(t, "/readyz", http.StatusServiceUnavailable)
	<-stopped
	if d, ends := time.Since(begin), first.log.lines("Board's link is down", "reason=shutdown"); ends != len(boards) || d < time.Duration(len(boards)-1)*100*time.Millisecond || d > 10*time.Second {
		t.Errorf("%d links ended in %v", ends, d)
	}
	for i, b := range boards {
		n := p.waitNode(t, b.name, func(n *corev1.Node) error {
			if port := portOf(n); port < second.config.FirstPort || port > second.config.LastPort {
				return fmt.Errorf("port %d", port)
			}
			return isReady(n)
		})
		if now := readySince(n); !now.Equal(&since[i]) {
			t.Errorf("%s was not Ready for a while: Ready since %v, was since %v", b.name, now, since[i])
		}
	}
	t.Logf("%d boards moved in %v", len(boards), time.Since(begin))
}

func readySince(n *corev1.Node) metav1.Time {
	i := slices.IndexFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
	return n.Status.Conditions[i].LastTransitionTime
}
