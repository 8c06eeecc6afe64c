// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picolet/picolet/api/v1alpha1"
)

// token makes a join token.
func (p *plane) token(t testing.TB, spec JoinToken) string {
	t.Helper()
	if spec.Expires.IsZero() {
		spec.Expires = time.Now().Add(time.Hour)
	}
	secret, token, err := NewJoinToken(spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.client.CoreV1().Secrets(DefaultNamespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return token
}

func (p *plane) tokenInfo(t testing.TB, token string) TokenInfo {
	t.Helper()
	s, err := p.client.CoreV1().Secrets(DefaultNamespace).Get(t.Context(), TokenSecretName(token), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := ReadTokenInfo(s)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func helloWith(t testing.TB, token string) Hello {
	h := newHello(t)
	h.JoinToken = token
	return h
}

func TestJoinToken(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	token := p.token(t, JoinToken{Uses: 2, NodeNames: "pico-*", Labels: map[string]string{"site": "north"}})
	h := helloWith(t, token)
	hold := g.admitted(t, h)
	if n := hold.Node(); n.Name != h.NodeName || n.Labels["site"] != "north" {
		t.Errorf("node %+v", n)
	}
	if d := p.device(t, h.Key.Name()); d.Annotations[tokenAnnotation] != strings.Split(token, ".")[0] {
		t.Errorf("annotations %v", d.Annotations)
	}
	// Who is in needs the token no more, and takes no use of it.
	hold.Release()
	p.has(t, h.Key.Name(), v1alpha1.Connected, metav1.ConditionFalse, linkEnded)
	g.admitted(t, h).Release()
	if info := p.tokenInfo(t, token); info.Used != 1 {
		t.Errorf("used %d times", info.Used)
	}
	// A no stands against a token.
	p.set(t, h.Key.Name(), `{"approved":false}`)
	g.sees(t, h.Key.Name(), func(d *v1alpha1.Device) bool { return !d.IsApproved() })
	g.refused(t, h, Revoked)
	// A Device that was deleted is another one: it needs another use.
	p.kubectl(t, "delete", "device", h.Key.Name())
	eventually(t, "it is forgotten", func() bool { return g.view.get(h.Key.Name()) == nil })
	g.admitted(t, h)
	if info := p.tokenInfo(t, token); info.Used != 2 {
		t.Errorf("used %d times", info.Used)
	}
	late := helloWith(t, token)
	r := g.refused(t, late, JoinTokenExhausted)
	p.has(t, late.Key.Name(), v1alpha1.Connected, metav1.ConditionFalse, JoinTokenExhausted)
	p.has(t, late.Key.Name(), v1alpha1.Enrolled, metav1.ConditionFalse, Pending)
	p.event(t, late.Key.Name(), JoinTokenExhausted, r.Message)
	for _, secretPart := range []string{strings.Split(token, ".")[1]} {
		if strings.Contains(g.logs.String(), secretPart) {
			t.Error("the token is in the log")
		}
	}
}

func TestJoinTokenLetsAPendingBoardIn(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	g.refused(t, h, Pending)
	h.NodeName += "-again" // provisioned again, with another name and a token
	h.JoinToken = p.token(t, JoinToken{Uses: 1})
	if hold := g.admitted(t, h); hold.Node().Name != h.NodeName {
		t.Errorf("node %+v", hold.Node())
	}
}

func TestJoinTokenThatIsNoGood(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	good := p.token(t, JoinToken{Uses: 1})
	id, _, _ := strings.Cut(good, ".")
	_, err := p.client.CoreV1().Secrets(DefaultNamespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: joinTokenPrefix + "broken0000"}, Type: JoinTokenType,
		Data: map[string][]byte{tokenUses: []byte("many")},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	taken := newHello(t)
	p.approved(t, g, taken)
	for name, tt := range map[string]struct {
		token  string
		change func(*Hello)
		want   Reason
	}{
		"expired":       {token: p.token(t, JoinToken{Uses: 1, Expires: time.Now().Add(-time.Second)}), want: JoinTokenExpired},
		"other names":   {token: p.token(t, JoinToken{Uses: 1, NodeNames: "valve-*"}), want: JoinTokenNodeName},
		"wrong secret":  {token: id + "." + strings.Repeat("a", 26), want: JoinTokenInvalid},
		"no such id":    {token: "aaaaaaaaaa." + strings.Repeat("a", 26), want: JoinTokenInvalid},
		"no token":      {token: "hello", want: JoinTokenInvalid},
		"path":          {token: "../default.aaaa", want: JoinTokenInvalid},
		"broken secret": {token: "broken0000.aaaa", want: JoinTokenInvalid},
		"name taken":    {token: good, change: func(h *Hello) { h.NodeName = taken.NodeName }, want: NodeNameTaken},
	} {
		h := helloWith(t, tt.token)
		if tt.change != nil {
			tt.change(&h)
		}
		t.Run(name, func(t *testing.T) {
			g.refused(t, h, tt.want)
			if d := p.device(t, h.Key.Name()); !d.IsPending() {
				t.Errorf("device %+v", d.Spec)
			}
		})
	}
	if info := p.tokenInfo(t, good); info.Used != 0 {
		t.Errorf("the good token was used %d times", info.Used)
	}
}

// TestTwoGatewaysRaceForTheLastUse: eight boards come to two gateways at once with
// a token for three.
func TestTwoGatewaysRaceForTheLastUse(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	gates := []*gate{p.gate(t, nil), p.gate(t, nil)}
	for range 3 {
		const uses, boards = 3, 8
		token := p.token(t, JoinToken{Uses: uses})
		var in, exhausted atomic.Int32
		var all sync.WaitGroup
		for i := range boards {
			h := helloWith(t, token)
			all.Go(func() {
				_, err := gates[i%2].decide(t, h)
				switch r, _ := err.(*Refusal); {
				case err == nil:
					in.Add(1)
				case r.Reason == JoinTokenExhausted:
					exhausted.Add(1)
				default:
					t.Errorf("board %s: %v: %v", h, err, r.Cause)
				}
			})
		}
		all.Wait()
		if info := p.tokenInfo(t, token); in.Load() != uses || exhausted.Load() != boards-uses || info.Used != uses {
			t.Errorf("%d boards are in, %d are not, for %d uses; the token counts %d", in.Load(), exhausted.Load(), uses, info.Used)
		}
	}
}

// TestDenialBeatsAToken: an administrator's no that comes while a token is looked
// at stands.
func TestDenialBeatsAToken(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, nil)
	h := newHello(t)
	g.refused(t, h, Pending)
	stale := p.device(t, h.Key.Name())
	h.JoinToken = p.token(t, JoinToken{Uses: 1})
	token, r := g.secret(t.Context(), h)
	if r != nil {
		t.Fatal(r)
	}
	if _, err := p.devices.Patch(t.Context(), stale.Name, types.MergePatchType, []byte(`{"spec":{"approved":false}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if d, _ := g.join(t.Context(), stale, h, token); d.IsApproved() {
		t.Errorf("approved: %+v", d)
	}
	if d := p.device(t, stale.Name); d.Spec.Approved == nil || *d.Spec.Approved {
		t.Errorf("approved %v", d.Spec.Approved)
	}
}

// namespace makes one of the test's own.
func (p *plane) namespace(t testing.TB) string {
	t.Helper()
	ns, err := p.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// TestTokenIsBoundByTheGatewaysNodeNames: one without names of its own gives no name
// that the gateway's do not allow, to a board that waits under another neither.
func TestTokenIsBoundByTheGatewaysNodeNames(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	g := p.gate(t, func(c *Config) { c.NodeNames = []string{"pico-*"} })
	h := newHello(t)
	g.refused(t, h, Pending)
	h.JoinToken = p.token(t, JoinToken{Uses: 2})
	h.NodeName = unique("worker")
	g.refused(t, h, NodeNameRefused)
	if d := p.device(t, h.Key.Name()); d.IsApproved() {
		t.Errorf("approved as %s", d.Spec.NodeName)
	}
	stranger := newHello(t)
	stranger.JoinToken, stranger.NodeName = h.JoinToken, h.NodeName
	g.refused(t, stranger, NodeNameRefused)
}
