// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/deploy"
)

// TestLivePlainImpersonationGrantedLater: from one request on that only the plain kind lets
// through, the API server takes all of the gateway's for that kind, without the group
// system:nodes. Boards recover by the next thing that they ask for.
func TestLivePlainImpersonationGrantedLater(t *testing.T) {
	t.Parallel()
	l := startLive(t)
	h := l.gateway(t)
	c := h.client("")
	if r := ask(t, c, "POST", "/api/v1/nodes", `{"metadata":{"name":"pico-1"}}`, "Content-Type", jsonType); r.code != http.StatusCreated {
		t.Fatalf("%d %s", r.code, r.body)
	}
	if mode := h.upstream.mode(); mode != IdentityConstrained {
		t.Fatalf("acts for nodes by %s", mode)
	}
	l.apply(t, deploy.PlainImpersonation)
	plain := rest.CopyConfig(l.own)
	plain.Impersonate.UserName = nodeUserPrefix + "pico-1"
	asNode := kubernetes.NewForConfigOrDie(plain)
	eventually(t, "the plain kind lets a request through", func() bool {
		_, err := asNode.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}) // constrained rights do not name it
		return apierrors.IsForbidden(err) && notTakenForNode(statusOf(t, err), "pico-1")
	})
	if r := ask(t, c, "GET", own, ""); r.code != http.StatusBadGateway {
		t.Errorf("the board is refused by %d %s", r.code, r.body)
	}
	begin := time.Now()
	eventually(t, "the board is served", func() bool {
		time.Sleep(100 * time.Millisecond) // within its budget
		return ask(t, c, "GET", own, "").code == http.StatusOK
	})
	t.Logf("after %v", time.Since(begin))
	if mode := h.upstream.mode(); mode != IdentityPlain {
		t.Errorf("acts for nodes by %s", mode)
	}
}

// statusOf is an error of client-go as the API server wrote it.
func statusOf(t *testing.T, err error) []byte {
	t.Helper()
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		t.Fatal(err)
	}
	s := status.Status()
	return encodeJSON(&s)
}
