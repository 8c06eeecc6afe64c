// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/cluster"
)

// TestTwoGatewaysOfOneName: the second decides on nobody until the first has ended,
// and then the first's boards are free at once.
func TestTwoGatewaysOfOneName(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	name := unique("same")
	called := func(c *Config) { c.Replica = name }
	a := p.gate(t, called)
	h := newHello(t)
	device := p.approved(t, a, h)
	hold := a.admitted(t, h)
	b := p.start(t, called)
	eventually(t, "the second gateway waits", func() bool { return b.logs.about("A gateway of this name holds the Lease") != "" })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if hold, err := b.Decide(ctx, h); err == nil {
		t.Fatalf("both gateways have the board: %+v", hold)
	}
	if got := p.device(t, device).Status.Gateway; got != a.identity || nameOf(got) != name {
		t.Errorf("gateway %q", got)
	}
	a.stop()
	cutOff(t, hold, Unavailable)
	b.waitReady(t)
	b.admitted(t, h)
	if got := p.device(t, device).Status.Gateway; got != b.identity {
		t.Errorf("gateway %q, want %q", got, b.identity)
	}
	lease := p.lease(t, name)
	if lease == nil || *lease.Spec.HolderIdentity != b.identity {
		t.Errorf("Lease %+v", lease)
	}
}

func (p *plane) lease(t testing.TB, replica string) *coordinationv1.Lease {
	t.Helper()
	l, err := p.client.CoordinationV1().Leases(DefaultNamespace).Get(t.Context(), leasePrefix+replica, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestGatewayOfACrashedOnesName takes over when its own looks at the Lease say so.
func TestGatewayOfACrashedOnesName(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	name := unique("same")
	crashed := newIdentity(name)
	renewed := metav1.NewMicroTime(time.Now().Add(time.Hour)) // whatever its clock said
	_, err := p.client.CoordinationV1().Leases(DefaultNamespace).Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: leasePrefix + name, Labels: map[string]string{replicaLabel: replicaValue}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &crashed, RenewTime: &renewed},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	g := p.gate(t, func(c *Config) { c.Replica = name })
	t.Logf("ready after %v", time.Since(start))
	if took := time.Since(start); took < leaseDuration || took > leaseDuration+2*leaseRenewal {
		t.Errorf("ready after %v", took)
	}
	if !g.gone(t.Context(), crashed) {
		t.Error("the crashed gateway is there")
	}
	start = time.Now()
	g.stop()
	p.gate(t, func(c *Config) { c.Replica = name })
	if took := time.Since(start); took > leaseRenewal {
		t.Errorf("ready %v after an orderly end", took)
	}
}

// datastoreFiles are those of the datastore, SQLite's journal among them.
func datastoreFiles(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "state.db*"))
	must(t, err)
	if len(files) == 0 {
		t.Fatalf("no datastore in %s", dir)
	}
	return files
}

// copyDatastore makes the datastore in dir what files are.
func copyDatastore(t testing.TB, dir string, files []string) {
	t.Helper()
	if old, _ := filepath.Glob(filepath.Join(dir, "state.db*")); len(old) > 0 {
		for _, f := range old {
			must(t, os.Remove(f))
		}
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, filepath.Base(f)), content, 0o600))
	}
}

// TestRevokedAfterARestore: the datastore goes back under a connected board, and a
// revocation cuts it off although its version is lower than what is known.
func TestRevokedAfterARestore(t *testing.T) {
	t.Parallel()
	livePlane(t) // skips where there is no binary
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p, c := ownPlane(ctx, t)
	h := newHello(t)
	name := h.Key.Name()
	g := p.gate(t, nil)
	p.approved(t, g, h)
	p.has(t, name, v1alpha1.Enrolled, metav1.ConditionTrue, Approved)
	g.admitted(t, h).Release()
	p.has(t, name, v1alpha1.Connected, metav1.ConditionFalse, linkEnded)

	backup := t.TempDir()
	must(t, c.Stop(ctx))
	copyDatastore(t, backup, datastoreFiles(t, c.dir))
	must(t, c.Restart(ctx))
	g.clock.advance(time.Minute) // past the limits
	var hold *Hold
	eventually(t, "the board is let in", func() (ok bool) {
		var err error
		hold, err = g.decide(t, h)
		return err == nil
	})
	for i := range 200 {
		_, err := p.client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("later-%d", i)}}, metav1.CreateOptions{})
		must(t, err)
	}
	p.set(t, name, `{"taints":[{"key":"later","effect":"NoSchedule"}]}`) // moves the version on
	g.sees(t, name, func(d *v1alpha1.Device) bool { return len(d.Spec.Taints) == 1 })
	before := p.device(t, name)

	must(t, c.Stop(ctx))
	copyDatastore(t, c.dir, datastoreFiles(t, backup))
	must(t, c.Restart(ctx))
	eventually(t, "the API server is back", func() bool {
		_, err := p.devices.Get(ctx, name, metav1.GetOptions{})
		return err == nil
	})
	if after := p.device(t, name); !newer(before, after) {
		t.Fatalf("version %s after the restore, %s before", after.ResourceVersion, before.ResourceVersion)
	}
	if hold.Context().Err() != nil {
		t.Fatalf("the restore cut the board off: %v", context.Cause(hold.Context()))
	}
	p.set(t, name, `{"approved":false}`)
	t.Logf("cut off %v after kubectl had patched", cutOff(t, hold, Revoked))
	if v := p.device(t, name); newer(v, before) {
		t.Errorf("version %s of the revocation is above %s: nothing was tested", v.ResourceVersion, before.ResourceVersion)
	}
}

// ownCluster is a control plane of one test.
type ownCluster struct {
	*cluster.Cluster
	dir string
}

func ownPlane(ctx context.Context, t testing.TB) (*plane, ownCluster) {
	t.Helper()
	binary, err := cluster.Find(ctx, cluster.FindOptions{})
	must(t, err)
	dir := t.TempDir()
	c, err := cluster.Start(ctx, cluster.Options{Binary: binary.Path, Dir: dir, Datastore: cluster.SQLite})
	must(t, err)
	t.Cleanup(c.Kill)
	p, err := preparePlane(ctx, c)
	must(t, err)
	return p, ownCluster{c, dir}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
