// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/kubeletport/staticpod"
)

// boardNode is a Node as the gateway makes it.
func boardNode(name string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			corev1.LabelHostname: name, corev1.LabelNodeExcludeBalancers: "", "node.kubernetes.io/exclude-disruption": "",
		}},
		Spec: corev1.NodeSpec{Taints: []corev1.Taint{boardTaint}},
		Status: corev1.NodeStatus{
			Capacity:   corev1.ResourceList{"cpu": resource.MustParse("1"), "memory": resource.MustParse("256Ki"), "pods": resource.MustParse("0")},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeHostName, Address: name}},
			NodeInfo:   corev1.NodeSystemInfo{ContainerRuntimeVersion: "picolet://0.1.0"},
		},
	}
}

func allPods(n *corev1.Node) { n.Status.Capacity["pods"] = resource.MustParse("110") }
func noTaint(n *corev1.Node) { n.Spec.Taints = nil }

// nodeClaims are what no board may claim of its Node, and the API server's answer to
// whoever has the gateway's token.
var nodeClaims = map[string]struct {
	claim func(n *corev1.Node)
	says  string
}{
	"no taint":      {noTaint, "needs the taint"},
	"another taint": {func(n *corev1.Node) { n.Spec.Taints[0].Effect = corev1.TaintEffectPreferNoSchedule }, "needs the taint"},
	"a pod CIDR":    {func(n *corev1.Node) { n.Spec.PodCIDR, n.Spec.PodCIDRs = "10.9.0.0/16", []string{"10.9.0.0/16"} }, "spec"},
	"a provider":    {func(n *corev1.Node) { n.Spec.ProviderID = "probe://i-1" }, "spec"},
	"an annotation": {func(n *corev1.Node) {
		n.Annotations = map[string]string{"flannel.alpha.coreos.com/public-ip": "192.0.2.1"}
	}, "annotations"},
	"a finalizer":   {func(n *corev1.Node) { n.Finalizers = []string{"example.com/stay"} }, "finalizers"},
	"load":          {func(n *corev1.Node) { delete(n.Labels, corev1.LabelNodeExcludeBalancers) }, "labels that exclude"},
	"another name":  {func(n *corev1.Node) { n.Labels[corev1.LabelHostname] = "other" }, "kubernetes.io/hostname"},
	"room for pods": {allPods, "no room for pods"},
	"all CPUs":      {func(n *corev1.Node) { n.Status.Capacity["cpu"] = resource.MustParse("1000") }, "64 CPUs"},
	"all memory":    {func(n *corev1.Node) { n.Status.Capacity["memory"] = resource.MustParse("1Ti") }, "64 CPUs"},
	"a device":      {func(n *corev1.Node) { n.Status.Capacity["example.com/gpu"] = resource.MustParse("1") }, "no other resources"},
	"a condition":   {func(n *corev1.Node) { n.Status.Conditions[0].Type = "Mine" }, "conditions"},
	"a long text":   {func(n *corev1.Node) { n.Status.Conditions[0].Message = strings.Repeat("a", 1025) }, "conditions"},
	"no status":     {func(n *corev1.Node) { n.Status.Conditions[0].Status = "" }, "conditions"},
	"an address": {func(n *corev1.Node) {
		n.Status.Addresses[1] = corev1.NodeAddress{Type: corev1.NodeExternalDNS, Address: "x"}
	}, "address"},
	"a host's name": {func(n *corev1.Node) { n.Status.Addresses[1].Address = "kubernetes.default" }, "address"},
	"a runtime":     {func(n *corev1.Node) { n.Status.NodeInfo.ContainerRuntimeVersion = "containerd://2" }, "not a board's"},
	"a long fact":   {func(n *corev1.Node) { n.Status.NodeInfo.OSImage = strings.Repeat("a", 129) }, "nodeInfo"},
	"an image":      {func(n *corev1.Node) { n.Status.Images = []corev1.ContainerImage{{Names: []string{"a"}}} }, "no images"},
	"a volume":      {func(n *corev1.Node) { n.Status.VolumesAttached = []corev1.AttachedVolume{{Name: "a"}} }, "no images"},
}

// held returns an error unless err is a policy's refusal with that text.
func held(err error, says string) error {
	if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'picolet-") || !strings.Contains(err.Error(), says) {
		return fmt.Errorf("%v, want a refusal of a policy that says %q", err, says)
	}
	return nil
}

// policedThief waits until the policies are in force.
func policedThief(t *testing.T) *thief {
	t.Helper()
	f := &thief{plane: fullPlane(t)}
	var err error
	f.own, err = f.plane.identity(t.Context(), gatewayAccount)
	must(t, err)
	name := unique("unpoliced")
	node, err := f.plane.client.CoreV1().Nodes().Create(t.Context(), boardNode(name), metav1.CreateOptions{})
	must(t, err)
	client, try := f.as(t, "system:node:"+name), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	for what, refused := range map[string]func(ctx context.Context) error{
		"nodes": func(ctx context.Context) error {
			other := unique("unpoliced")
			return errOf(f.as(t, "system:node:"+other).CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: other}}, try))
		},
		"leases": func(ctx context.Context) error {
			return errOf(client.CoordinationV1().Leases("kube-node-lease").Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"a": "b"}}}, try))
		},
		"events": func(ctx context.Context) error {
			return errOf(client.CoreV1().Events("default").Create(ctx, &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "a"}, InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: name}}, try))
		},
		"pods": func(ctx context.Context) error {
			p := staticpod.Mirror(staticpod.New(staticpod.Options{Node: name, NodeUID: node.UID}))
			p.Name = "mine"
			return errOf(client.CoreV1().Pods("kube-system").Create(ctx, p, try))
		},
	} {
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			if err := held(refused(ctx), ""); err != nil {
				return fmt.Errorf("policy for %s: %w", what, err)
			}
			return nil
		})
	}
	return f
}

// TestPoliciesHoldStolenToken: who has the gateway's token can be a node, and no
// more of one than a board.
func TestPoliciesHoldStolenToken(t *testing.T) {
	t.Parallel()
	f := policedThief(t)
	for name, is := range map[string]func(*testing.T){
		"new Node": f.newNodes, "Node that is there": f.oldNodes, "Node of a machine": f.machineNode, "granted": f.granted,
		"Lease": f.leases, "Event": f.events, "Pod": f.pods,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is(t)
		})
	}
}

func (f *thief) newNodes(t *testing.T) {
	for what, tt := range nodeClaims {
		n := boardNode(unique("policed"))
		tt.claim(n)
		_, err := f.as(t, "system:node:"+n.Name).CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{})
		if err := held(err, tt.says); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func (f *thief) oldNodes(t *testing.T) {
	name := unique("policed")
	nodes := f.as(t, "system:node:"+name).CoreV1().Nodes()
	_, err := nodes.Create(t.Context(), boardNode(name), metav1.CreateOptions{})
	must(t, err)
	// What others wrote stays, and does not get in the way of heartbeats.
	_, err = f.plane.client.CoreV1().Nodes().Patch(t.Context(), name, types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"a":"b"},"finalizers":["example.com/f"]},"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
	must(t, err)
	t.Cleanup(func() {
		_, err := f.plane.client.CoreV1().Nodes().Patch(context.Background(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		must(t, err)
	})
	patch := func(patch string, sub ...string) error {
		_, err := nodes.Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, sub...)
		return err
	}
	must(t, patch(`{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":"2026-01-01T00:00:00Z"}]}}`, "status"))
	must(t, patch(`{"metadata":{"labels":{"kubernetes.io/os":"linux"}}}`))
	for body, says := range map[string]string{
		`{"status":{"capacity":{"pods":"110"}}}`:                                        "no room for pods",
		`{"status":{"allocatable":{"cpu":"1000"}}}`:                                     "64 CPUs",
		`{"status":{"conditions":[{"type":"DiskPressure","lastHeartbeatTime":null}]}}`:  "conditions",
		`{"status":{"nodeInfo":{"containerRuntimeVersion":"cri-o://1"}}}`:               "not a board's",
		`{"status":{"volumesInUse":["a"]}}`:                                             "no images",
		`{"status":{"addresses":[{"type":"ExternalIP","address":"192.0.2.66"}]}}`:       "address",
		`{"metadata":{"annotations":{"a":"c"}}}`:                                        "annotations",
		`{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/f"]}}`:        "finalizers",
		`{"metadata":{"labels":{"kubernetes.io/hostname":"other"}},"status":{"a":"b"}}`: "kubernetes.io/hostname",
	} {
		if err := held(patch(body, "status"), says); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
	for body, says := range map[string]string{
		`{"spec":{"providerID":"probe://i-1"}}`: "spec",
		`{"spec":{"unschedulable":null}}`:       "spec",
		`{"metadata":{"annotations":null}}`:     "annotations",
	} {
		if err := held(patch(body), says); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// machineNode is the Node of a real kubelet.
func (f *thief) machineNode(t *testing.T) {
	n := boardNode(unique("machine"))
	n.Status.NodeInfo.ContainerRuntimeVersion = "containerd://2.1.0"
	_, err := f.plane.client.CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{})
	must(t, err)
	for _, patch := range []string{`{"status":{"conditions":[{"type":"Ready","status":"False"}]}}`, `{"status":{"nodeInfo":{"containerRuntimeVersion":"picolet://1"}}}`} {
		_, err = f.as(t, "system:node:"+n.Name).CoreV1().Nodes().Patch(t.Context(), n.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		if err := held(err, "not a board's"); err != nil {
			t.Error(err)
		}
	}
}

// granted: an administrator lets a node do without the taint, and have pods.
func (f *thief) granted(t *testing.T) {
	n := boardNode(unique("granted"))
	noTaint(n)
	allPods(n)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: n.Name}, Rules: []rbacv1.PolicyRule{{
		Verbs: []string{"register-untainted", "host-pods"}, APIGroups: []string{"picolet.dev"}, Resources: []string{"devices"}, ResourceNames: []string{n.Name},
	}}}
	_, err := f.plane.client.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
	must(t, err)
	_, err = f.plane.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: n.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:node:" + n.Name}},
	}, metav1.CreateOptions{})
	must(t, err)
	eventually(t, 10*time.Second, func(ctx context.Context) error { // as the API server learns of the role
		_, err := f.as(t, "system:node:"+n.Name).CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
		return err
	})
	other := boardNode(unique("not-granted"))
	noTaint(other)
	_, err = f.as(t, "system:node:"+other.Name).CoreV1().Nodes().Create(t.Context(), other, metav1.CreateOptions{})
	if err := held(err, "register-untainted"); err != nil {
		t.Error(err)
	}
}

func (f *thief) leases(t *testing.T) {
	for what, tt := range map[string]struct {
		claim func(l *coordinationv1.Lease)
		says  string
	}{
		"":             {func(*coordinationv1.Lease) {}, ""},
		"other holder": {func(l *coordinationv1.Lease) { l.Spec.HolderIdentity = ptr.To("other") }, "own node"},
		"for ever":     {func(l *coordinationv1.Lease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](86400) }, "an hour"},
		"other owner":  {func(l *coordinationv1.Lease) { l.OwnerReferences[0].Name = "other" }, "no other metadata"},
		"two owners": {func(l *coordinationv1.Lease) {
			l.OwnerReferences = append(l.OwnerReferences, l.OwnerReferences[0])
			l.OwnerReferences[1].UID = "v"
		}, "no other metadata"},
		"an annotation": {func(l *coordinationv1.Lease) { l.Annotations = map[string]string{"a": strings.Repeat("a", 1000)} }, "no other metadata"},
		"a finalizer":   {func(l *coordinationv1.Lease) { l.Finalizers = []string{"example.com/stay"} }, "no other metadata"},
	} {
		name := unique("policed")
		l := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: name, UID: "u"}}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &name, LeaseDurationSeconds: ptr.To[int32](40)},
		}
		tt.claim(l)
		_, err := f.as(t, "system:node:"+name).CoordinationV1().Leases("kube-node-lease").Create(t.Context(), l, metav1.CreateOptions{})
		if tt.says != "" {
			err = held(err, tt.says)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func (f *thief) events(t *testing.T) {
	for what, tt := range map[string]struct {
		claim func(e *corev1.Event)
		says  string
	}{
		"":               {func(*corev1.Event) {}, ""},
		"another node's": {func(e *corev1.Event) { e.InvolvedObject.Name = "other" }, "own Node"},
		"a Pod's":        {func(e *corev1.Event) { e.InvolvedObject.Kind = "Pod" }, "own Node"},
		"another name":   {func(e *corev1.Event) { e.Name = "other.1" }, "own Node"},
		"an annotation":  {func(e *corev1.Event) { e.Annotations = map[string]string{"a": strings.Repeat("a", 60<<10)} }, "no other metadata"},
		"a long message": {func(e *corev1.Event) { e.Message = strings.Repeat("a", 1025) }, "1024"},
	} {
		name := unique("policed")
		e := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: name + ".1"},
			InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: name}, Reason: "Starting", Message: "a", Type: corev1.EventTypeNormal,
		}
		tt.claim(e)
		_, err := f.as(t, "system:node:"+name).CoreV1().Events("default").Create(t.Context(), e, metav1.CreateOptions{})
		if tt.says != "" {
			err = held(err, tt.says)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func (f *thief) pods(t *testing.T) {
	name := unique("policed")
	client := f.as(t, "system:node:"+name)
	node, err := client.CoreV1().Nodes().Create(t.Context(), boardNode(name), metav1.CreateOptions{})
	must(t, err)
	for what, tt := range map[string]struct {
		claim func(p *corev1.Pod)
		says  string
	}{
		"another name":  {func(p *corev1.Pod) { p.Name = "mine" }, "the mirror of its firmware"},
		"a finalizer":   {func(p *corev1.Pod) { p.Finalizers = []string{"example.com/stay"} }, "the mirror of its firmware"},
		"another image": {func(p *corev1.Pod) { p.Spec.Containers[0].Image = "example.com/miner" }, "one container"},
		"two containers": {func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0])
			p.Spec.Containers[1].Name = "b"
		}, "one container"},
		"a volume": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "a", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		}, "one container"},
		"all of a machine": {func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
		}, "one container"},
	} {
		p := staticpod.Mirror(staticpod.New(staticpod.Options{Node: name, NodeUID: node.UID, Version: "v1"}))
		tt.claim(p)
		_, err := client.CoreV1().Pods("kube-system").Create(t.Context(), p, metav1.CreateOptions{})
		if err := held(err, tt.says); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	p, err := client.CoreV1().Pods("kube-system").Create(t.Context(), staticpod.Mirror(staticpod.New(staticpod.Options{Node: name, NodeUID: node.UID, Version: "v1"})), metav1.CreateOptions{})
	must(t, err)
	status := func(patch string) error {
		_, err := client.CoreV1().Pods("kube-system").Patch(t.Context(), p.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
		return err
	}
	must(t, status(`{"status":{"phase":"Running"}}`))
	if err := held(status(`{"status":{"message":"`+strings.Repeat("a", 1025)+`"}}`), "short"); err != nil {
		t.Error(err)
	}
}

// asKubelet is a client with the certificate of a node.
func (p *plane) asKubelet(t *testing.T, node string) kubernetes.Interface {
	t.Helper()
	cert := p.nodeCertificate(t, node)
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	must(t, err)
	c := rest.AnonymousClientConfig(p.config)
	c.CertData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	c.KeyData = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	client, err := kubernetes.NewForConfig(c)
	must(t, err)
	return client
}

// TestPoliciesLeaveKubeletsAlone: a node that authenticates by a client certificate,
// as real kubelets do, claims all that a thief may not.
func TestPoliciesLeaveKubeletsAlone(t *testing.T) {
	t.Parallel()
	f := policedThief(t)
	n := boardNode(unique("real"))
	for what, tt := range nodeClaims {
		if what != "another taint" && what != "an address" { // which "no taint" and "a host's name" leave no room for
			tt.claim(n)
		}
	}
	client := f.plane.asKubelet(t, n.Name)
	self, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), selfReview(), metav1.CreateOptions{})
	must(t, err)
	if id := self.Status.UserInfo.Extra["authentication.kubernetes.io/credential-id"]; len(id) != 1 {
		t.Errorf("extra of a certificate's user: %v", self.Status.UserInfo.Extra)
	}
	self, err = f.as(t, "system:node:"+n.Name).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), selfReview(), metav1.CreateOptions{})
	if err == nil && len(self.Status.UserInfo.Extra) > 0 {
		t.Errorf("extra of an impersonated user: %v", self.Status.UserInfo.Extra)
	}
	n, err = client.CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{})
	must(t, err)
	_, err = client.CoreV1().Nodes().Patch(t.Context(), n.Name, types.StrategicMergePatchType, []byte(`{"metadata":{"annotations":{"a":"b"}},"status":{"capacity":{"pods":"250"}}}`), metav1.PatchOptions{}, "status")
	must(t, err)
	_, err = f.plane.client.CoreV1().Nodes().Patch(t.Context(), n.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	must(t, err)
	as := rest.CopyConfig(f.own)
	as.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + n.Name, Extra: map[string][]string{"authentication.kubernetes.io/credential-id": {"X509SHA256=0"}}}
	_, err = kubernetes.NewForConfigOrDie(as).CoreV1().Nodes().Get(t.Context(), n.Name, metav1.GetOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "cannot impersonate") {
		t.Errorf("a thief that impersonates an extra: %v", err)
	}
}

// TestPoliciesTypeCheck: the API server knows each field that the policies name.
func TestPoliciesTypeCheck(t *testing.T) {
	t.Parallel()
	p := fullPlane(t)
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		list, err := p.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, policy := range list.Items {
			switch s := policy.Status; {
			case s.TypeChecking == nil || s.ObservedGeneration != policy.Generation:
				return fmt.Errorf("policy %s is not checked yet", policy.Name)
			case len(s.TypeChecking.ExpressionWarnings) > 0:
				t.Fatalf("policy %s: %+v", policy.Name, s.TypeChecking.ExpressionWarnings)
			}
		}
		return nil
	})
}

func selfReview() *authenticationv1.SelfSubjectReview { return &authenticationv1.SelfSubjectReview{} }
