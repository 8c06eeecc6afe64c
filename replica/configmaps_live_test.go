// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/kubelet"
)

// TestDeviceNamesConfigMaps: a board reads what its Device names, and a change takes
// effect within seconds while it is connected.
func TestDeviceNamesConfigMaps(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	r := p.start(t, nil)
	b := newBoard(t, r)
	b.maps = []kubelet.ObjectName{{Namespace: "default", Name: "pico-config"}}
	_, err := p.client.CoreV1().ConfigMaps("default").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "pico-config"}, Data: map[string]string{"pin_15": "HIGH"}}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		must(t, p.client.CoreV1().ConfigMaps("default").Delete(context.Background(), "pico-config", metav1.DeleteOptions{}))
	})
	p.join(t, b, `{"approved":true,"configMaps":[]}`)
	waitLine := func(log *logs, n int, texts ...string) {
		t.Helper()
		begin := time.Now()
		eventually(t, 10*time.Second, func() error {
			if log.lines(texts...) < n {
				return errors.New("not in the log: " + texts[0])
			}
			return nil
		})
		t.Logf("%s after %v", texts[0], time.Since(begin))
	}
	waitLine(r.log, 1, "does not name ConfigMap default/pico-config", "kubectl patch device "+b.device)
	waitLine(b.log, 1, "Watch is refused")
	if b.log.lines("ConfigMap applied") > 0 {
		t.Error("it has read it all the same")
	}
	p.set(t, b.device, `{"configMaps":null}`)
	waitLine(b.log, 1, "ConfigMap applied", "name=pico-config")
	waitLine(b.log, 2, "Link is up")
	p.set(t, b.device, `{"configMaps":[{"namespace":"plant","name":"other"}]}`)
	waitLine(b.log, 3, "Link is up")
	waitLine(b.log, 2, "Watch is refused")
}
