// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/kubeletport/staticpod"
)

// Each board's pod is looked at again and again, by a list of one object, and at once
// when the watch of the node's pods shows that it is being deleted or is gone.
const (
	mirrorWorkers  = 4
	mirrorInterval = time.Minute // a tenth more or less
	mirrorTime     = 30 * time.Second
	// mirrorDelay lets a board that has just come say what it is.
	mirrorDelay = time.Second
)

// firmware is what the pods' content comes from and goes to.
type firmware interface {
	// Started asks a node's board since when it runs; zero if it does not know.
	Started(ctx context.Context, node string) (time.Time, error)
	// SetPod tells the pod that stands for a node's firmware.
	SetPod(node string, pod *corev1.Pod)
	// Report has a node's board send its status now.
	Report(ctx context.Context, node string) error
}

// mirrors keep the pods in the API server that stand for the firmware of boards, as
// a kubelet keeps those of static pods (pkg/kubelet/pod/mirror_client.go). Each is
// made, replaced and told about by its node.
type mirrors struct {
	asNode   func(node string) (kubernetes.Interface, error)
	firmware firmware
	log      *slog.Logger
	queue    workqueue.TypedRateLimitingInterface[string]
	turns    *rate.Limiter // shared with what else boards need that come

	mu     sync.Mutex
	boards map[string]*mirrored // by node
}

// mirrored is a board whose firmware is shown.
type mirrored struct {
	*visit
	started time.Time // zero: not known yet
	failed  bool      // and was logged
	hadNode bool
}

func newMirrors(asNode func(string) (kubernetes.Interface, error), f firmware, turns *rate.Limiter, log *slog.Logger) *mirrors {
	return &mirrors{
		asNode: asNode, firmware: f, log: log, turns: turns,
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, mirrorInterval)),
		boards: make(map[string]*mirrored),
	}
}

// add begins to show the firmware of the board that has come.
func (m *mirrors) add(v *visit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.boards[v.node] = &mirrored{visit: v}
	m.queue.AddAfter(v.node, mirrorDelay)
}

// remove ends that for a board that has gone. Its pod stays: what becomes of it is
// told by its node's condition.
func (m *mirrors) remove(v *visit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b := m.boards[v.node]; b != nil && b.visit == v {
		delete(m.boards, v.node)
	}
}

// changed has a board's pod reconciled at once if it is gone or being deleted. It does
// nothing where there are no mirrors.
func (m *mirrors) changed(v *visit) {
	if m == nil {
		return
	}
	pod := v.pods.get(types.NamespacedName{Namespace: staticpod.Namespace, Name: staticpod.Name(v.node)})
	if pod == nil || pod.deleting {
		m.queue.Add(v.node)
	}
}

func (m *mirrors) get(node string) *mirrored {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boards[node]
}

// run works until ctx ends.
func (m *mirrors) run(ctx context.Context) error {
	var running sync.WaitGroup
	for range mirrorWorkers {
		running.Go(func() { m.work(ctx) })
	}
	<-ctx.Done()
	m.queue.ShutDown()
	running.Wait()
	return nil
}

func (m *mirrors) work(ctx context.Context) {
	for {
		node, ended := m.queue.Get()
		if ended {
			return
		}
		m.look(ctx, node)
		m.queue.Done(node)
	}
}

// look brings the pod of a board in line, if the board is still here, and sees to
// it that it is looked at again.
func (m *mirrors) look(ctx context.Context, node string) {
	b := m.get(node)
	if b == nil || m.turns.Wait(ctx) != nil {
		m.queue.Forget(node)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, mirrorTime)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	switch done, err := m.sync(ctx, b); {
	case b.ctx.Err() != nil:
		m.queue.Forget(node)
	case err != nil:
		m.tell(ctx, b, err)
		m.queue.AddRateLimited(node)
	case !done:
		m.queue.AddRateLimited(node)
	default:
		b.failed = false
		m.queue.Forget(node)
		m.queue.AddAfter(node, wait.Jitter(mirrorInterval*9/10, 0.2))
	}
}

// tell logs the first failure of a row.
func (m *mirrors) tell(ctx context.Context, b *mirrored, err error) {
	level := slog.LevelDebug
	if !b.failed {
		level = slog.LevelWarn
	}
	b.failed = true
	m.log.Log(ctx, level, "Firmware of a node cannot be shown as a pod: trying again; apply deploy/kubelet-port.yaml if it is missing", "node", b.node, "err", err)
}

// sync takes one look. It is not done where the board has not created its Node yet. A
// Node that was deleted is created again at once: the board's status is answered with
// 404.
func (m *mirrors) sync(ctx context.Context, b *mirrored) (done bool, err error) {
	client, err := m.asNode(b.node)
	if err != nil {
		return false, err
	}
	object, err := client.CoreV1().Nodes().Get(ctx, b.node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		if b.hadNode {
			m.askForReport(ctx, b)
		}
		return false, nil
	case err != nil:
		return false, err
	}
	b.hadNode = true
	want := m.pod(ctx, object, b)
	m.firmware.SetPod(b.node, want)
	return mirror(ctx, client.CoreV1().Pods(staticpod.Namespace), want)
}

// askForReport has the board find out that its Node is gone, before its next heartbeat.
func (m *mirrors) askForReport(ctx context.Context, b *mirrored) {
	b.hadNode = false
	if err := m.firmware.Report(ctx, b.node); err != nil {
		m.log.Debug("Board of a deleted Node was not asked for its status", "node", b.node, "err", err)
	}
}

// pod is the pod of a board as it should be. Without an answer of the board it does
// not tell since when the firmware runs.
func (m *mirrors) pod(ctx context.Context, node *corev1.Node, b *mirrored) *corev1.Pod {
	if b.started.IsZero() {
		var err error
		if b.started, err = m.firmware.Started(ctx, node.Name); err != nil {
			m.log.Debug("Board does not tell since when it runs", "node", node.Name, "err", err)
		}
	}
	return staticpod.New(staticpod.Options{
		Node: node.Name, NodeUID: node.UID, Version: b.version, Address: b.address.String(), Started: b.started,
	})
}

// mirror makes the pod in the API server what want is. One of another firmware or
// another Node, and one that is being deleted, is deleted and created again.
func mirror(ctx context.Context, pods coreclient.PodInterface, want *corev1.Pod) (done bool, err error) {
	have, err := find(ctx, pods, want)
	if err != nil {
		return false, fmt.Errorf("looking for pod %s: %w", want.Name, err)
	}
	if have != nil && !isMirror(have, want) {
		err = pods.Delete(ctx, have.Name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: ptr.To(have.UID)},
		})
		switch {
		case apierrors.IsConflict(err): // it is another one by now
			return false, nil
		case err != nil && !apierrors.IsNotFound(err):
			return false, fmt.Errorf("deleting pod %s: %w", want.Name, err)
		}
		have = nil
	}
	if have == nil {
		if have, err = pods.Create(ctx, staticpod.Mirror(want), metav1.CreateOptions{}); err != nil {
			return false, fmt.Errorf("creating pod %s: %w", want.Name, err)
		}
	}
	patch, err := statusPatch(have, want, time.Now())
	if err != nil || patch == nil {
		return err == nil, err
	}
	if _, err = pods.Patch(ctx, have.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return false, fmt.Errorf("status of pod %s: %w", want.Name, err)
	}
	return true, nil
}

// find lists the one pod, for that is what a node may do without asking whether it
// is there.
func find(ctx context.Context, pods coreclient.PodInterface, want *corev1.Pod) (*corev1.Pod, error) {
	list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: fields.Set{
		"spec.nodeName": want.Spec.NodeName, metav1.ObjectNameField: want.Name,
	}.AsSelector().String()})
	if err != nil || len(list.Items) == 0 {
		return nil, err
	}
	return &list.Items[0], nil
}

// isMirror tells whether have mirrors the very pod that want is.
func isMirror(have, want *corev1.Pod) bool {
	return have.DeletionTimestamp == nil && have.Annotations[corev1.MirrorPodAnnotationKey] == string(want.UID)
}
