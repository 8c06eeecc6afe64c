// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// approvedLink opens a link as a board with a Device of its own.
func approvedLink(t *testing.T, client *devices.Client, addr string, gateway noise.PublicKey, node string) *session.Session {
	t.Helper()
	_, own := newLinkKey(t)
	key := v1alpha1.Key(own.Public)
	_, err := client.Create(t.Context(), &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{Name: key.Name()},
		Spec:       v1alpha1.DeviceSpec{PublicKey: key.String(), NodeName: node, Approved: ptr.To(true)},
	}, metav1.CreateOptions{})
	must(t, err)
	var s *session.Session
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			s, err = session.Dial(ctx, c, session.Board{Key: own, GatewayKey: gateway, Hello: noise.Hello{BoardID: node, NodeName: node, Version: "e2e"}})
		}
		return err
	})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A gateway that is asked to stop says so at its /readyz while it ends its links one
// after the other, and then exits normally.
func TestGatewayCommandDrains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up := start(t, "up", "--nodes=0", "--datastore=memory", "--dir="+dir, "--gateway-listen="+anyPort, "--address=127.0.0.1", "--kubernetes="+line(t))
	up.waitOutput(t, "Ctrl-C ends all of it")
	kubeconfig, _ := up.client(t)
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(t, err)
	client, err := devices.New(config)
	must(t, err)

	own := gatewayKubeconfig(t, kubeconfig, filepath.Join(dir, "gateway.token"))
	links, admin := keptAddress(t), keptAddress(t)
	second := start(t, "gateway", "--name=second", "--kubeconfig="+own, "--listen="+links, "--admin-listen="+admin, "--address=127.0.0.1", "--drain-timeout=10s")
	told := second.waitLog(t, regexp.MustCompile(`picolet provision --gateway-key (\S+) --gateway HOST`))
	decoded, err := base64.StdEncoding.DecodeString(told[1])
	must(t, err)
	key := noise.PublicKey(decoded)
	var sessions []*session.Session
	for i := range 20 {
		sessions = append(sessions, approvedLink(t, client, links, key, fmt.Sprintf("drained-%d", i)))
	}
	must(t, second.Process.Signal(os.Interrupt))
	eventually(t, 2*time.Second, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
		must(t, err)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "this gateway stops") {
			return fmt.Errorf("/readyz: %s %s", resp.Status, body)
		}
		return nil
	})
	second.wait(t)
	if !second.ProcessState.Success() {
		t.Errorf("the gateway ended with %v", second.ProcessState)
	}
	for i, s := range sessions {
		<-s.Done()
		if err := s.Err(); !errors.Is(err, noise.ErrEnded) || !strings.Contains(err.Error(), noise.EndShutdown.String()) {
			t.Errorf("link %d: %v", i, err)
		}
	}
}
