// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/kubeletport/staticpod"
)

// Bounds of refusals, of all boards together. A pod is refused once: one that a
// controller makes again and again is made at that controller's pace.
const (
	refusalWorkers = 4
	refusalRate    = 50 // a second
	refusalTime    = 30 * time.Second
	refusalRetry   = time.Minute // at most
)

// Why a board runs no pod, in the words of a kubelet that has room for none
// (pkg/kubelet/lifecycle/predicate.go and rejectPod of pkg/kubelet/kubelet.go).
const (
	refusedReason  = "OutOfpods"
	refusedMessage = "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 0, capacity: 0; a board runs its firmware only"
)

// podRef names a pod that is bound to a node.
type podRef struct {
	node string
	pod  types.NamespacedName
}

// refusals refuse the pods that are bound to the nodes of boards, each as its node. A
// pod may name a node that the scheduler would not choose. Without a kubelet that
// refuses it or confirms its deletion, it keeps its namespace from being deleted.
type refusals struct {
	asNode func(node string) (kubernetes.Interface, error)
	log    *slog.Logger
	queue  workqueue.TypedRateLimitingInterface[podRef]
	limit  *rate.Limiter

	mu     sync.Mutex
	visits map[string]*visit // by node
	failed map[string]bool   // nodes whose failure was logged
}

func newRefusals(asNode func(string) (kubernetes.Interface, error), log *slog.Logger) *refusals {
	return &refusals{
		asNode: asNode, log: log, limit: rate.NewLimiter(refusalRate, refusalRate),
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[podRef](time.Second, refusalRetry)),
		visits: make(map[string]*visit), failed: make(map[string]bool),
	}
}

// add begins to follow the pods of the board's node. mirrorChanged is called when
// something happens to the pod of its firmware.
func (r *refusals) add(v *visit, mirrorChanged func()) {
	client, err := r.asNode(v.node)
	if err != nil {
		r.log.Error("Failed to make a client for a board's node", "node", v.node, "err", err)
		return
	}
	own := types.NamespacedName{Namespace: staticpod.Namespace, Name: staticpod.Name(v.node)}
	v.pods.failed = func(err error) { r.logFailure(v.node, err) }
	v.pods.changed = func(name types.NamespacedName) {
		if name == own {
			mirrorChanged()
			return
		}
		r.queue.Add(podRef{v.node, name})
	}
	r.mu.Lock()
	r.visits[v.node] = v
	r.mu.Unlock()
	go v.pods.follow(v.ctx, client.CoreV1().Pods(metav1.NamespaceAll))
}

// remove ends that for a board that has gone.
func (r *refusals) remove(v *visit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.visits[v.node] == v {
		delete(r.visits, v.node)
		delete(r.failed, v.node)
	}
}

func (r *refusals) visit(node string) *visit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.visits[node]
}

// logFailure logs the first failure of a row; err is nil where a request succeeded.
func (r *refusals) logFailure(node string, err error) {
	r.mu.Lock()
	first := err != nil && !r.failed[node] && r.visits[node] != nil && !errors.Is(err, errNotABoard)
	switch {
	case first:
		r.failed[node] = true
	case err == nil:
		delete(r.failed, node)
	}
	r.mu.Unlock()
	if first {
		r.log.Warn("Failed to refuse the pods of a board's node, will retry; apply deploy/enrolment.yaml if it is missing", "node", node, "err", err)
	}
}

// run works until ctx ends.
func (r *refusals) run(ctx context.Context) error {
	var running sync.WaitGroup
	for range refusalWorkers {
		running.Go(func() { r.work(ctx) })
	}
	<-ctx.Done()
	r.queue.ShutDown()
	running.Wait()
	return nil
}

func (r *refusals) work(ctx context.Context) {
	for {
		ref, ended := r.queue.Get()
		if ended {
			return
		}
		if err := r.process(ctx, ref); err != nil && ctx.Err() == nil {
			r.logFailure(ref.node, err)
			r.queue.AddRateLimited(ref)
		} else {
			r.queue.Forget(ref)
		}
		r.queue.Done(ref)
	}
}

// process refuses a pod, or confirms its deletion, if its node's board is here and
// the pod is not done with.
func (r *refusals) process(ctx context.Context, ref podRef) error {
	v := r.visit(ref.node)
	if v == nil {
		return nil
	}
	pod := v.pods.get(ref.pod)
	if pod == nil || pod.released || pod.ended && !pod.deleting {
		return nil
	}
	if err := r.limit.Wait(ctx); err != nil {
		return nil // ctx has ended
	}
	ctx, cancel := context.WithTimeout(ctx, refusalTime)
	defer cancel()
	defer context.AfterFunc(v.ctx, cancel)()
	err := r.settle(ctx, v, pod)
	if v.ctx.Err() != nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // what has changed since is seen by the watch
	}
	return err
}

// errNotABoard: the Node is not there yet, or another kubelet reports for it, whose
// pods the gateway leaves alone.
var errNotABoard = errors.New("the Node is not a board's")

func (r *refusals) settle(ctx context.Context, v *visit, pod *boundPod) error {
	client, err := r.asNode(v.node)
	if err != nil {
		return err
	}
	object, err := nodes{r.asNode}.Node(ctx, v.node)
	switch {
	case err != nil:
		return err
	case object == nil || object.Status.NodeInfo.ContainerRuntimeVersion == "":
		return errNotABoard
	case !enrolment.IsBoard(object):
		v.sawRuntime(object.Status.NodeInfo.ContainerRuntimeVersion)
		return errNotABoard
	}
	return pod.settle(ctx, client.CoreV1().Pods(pod.Namespace))
}

// settle does what a kubelet does with a pod that it cannot run. A mirror pod without
// its static pod is deleted, as a kubelet deletes it (pkg/kubelet/pod/mirror_client.go).
func (p *boundPod) settle(ctx context.Context, pods coreclient.PodInterface) error {
	if p.deleting || p.mirror {
		err := pods.Delete(ctx, p.Name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &p.uid},
		})
		if err != nil {
			return fmt.Errorf("deleting pod %s: %w", p.NamespacedName, err)
		}
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.uid},
		"status":   corev1.PodStatus{Phase: corev1.PodFailed, Reason: refusedReason, Message: refusedMessage},
	})
	if err != nil {
		return err
	}
	if _, err := pods.Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("status of pod %s: %w", p.NamespacedName, err)
	}
	return nil
}
