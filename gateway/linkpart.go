// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// startTelling tells the API server the gateway's part of the link's Node, until
// the link has ended: stop waits for it. A board that comes back to another replica
// may have nothing to say of its Node for minutes.
func (l *boardLink) startTelling(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l.gateway.config.Turns.Wait(ctx) != nil {
			return
		}
		l.tellPart(ctx)
	}()
	return func() { cancel(); <-done }
}

// tellPart tries until the API server has taken everything, or has no such Node:
// then the board makes it, with the part in it.
func (l *boardLink) tellPart(ctx context.Context) {
	untold := l.overlay().patches()
	backoff := wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.2, Steps: 7, Cap: time.Minute}
	for loud := true; len(untold) > 0 && ctx.Err() == nil; {
		untold = slices.DeleteFunc(untold, func(r request) bool {
			taken, tried := l.tell(ctx, r, loud)
			loud = loud && (taken || !tried)
			return taken
		})
		if len(untold) > 0 {
			sleep(ctx, backoff.Step())
		}
	}
}

// patches are the requests that put an overlay into a Node that exists. There is one
// for the Device's labels alone, so that one that a node may not have does not keep
// the kubelet port from being known. The API server takes changes of labels with a
// patch of the status, too.
func (o *overlay) patches() (all []request) {
	path := "/api/v1/nodes/" + o.node
	add := func(path string, object *nodeObject) {
		all = append(all, request{method: http.MethodPatch, path: path, node: o.node, contentType: strategicPatchType, body: encodeJSON(object)})
	}
	pods := resources{}.bound(nil, o.Pods)
	status := &nodeStatus{reported: reported{Capacity: pods, Allocatable: pods}}
	o.putStatus(status, 0)
	replaceAddresses(status)
	add(path+"/status", &nodeObject{Metadata: &nodeObjectMeta{Labels: o.fixedLabels()}, Status: status})
	if len(o.Labels) > 0 {
		decided := labels{}
		for key, value := range o.Labels {
			decided[key] = &value
		}
		add(path, &nodeObject{Metadata: &nodeObjectMeta{Labels: decided}})
	}
	return all
}

// tell makes one such request. It is not tried while the gateway lacks rights,
// which has been logged, and while what boards ask for needs the room.
func (l *boardLink) tell(ctx context.Context, r request, loud bool) (taken, tried bool) {
	g := l.gateway
	if g.rights.refusal() != nil || g.upstreamIsBusy() {
		return false, false
	}
	a, err := g.upstream.do(ctx, r)
	switch {
	case ctx.Err() != nil:
		return false, false
	case err == nil && (a.code/100 == 2 || a.code == http.StatusNotFound):
		return true, true
	case err == nil && g.isOwnFault(l.node, a):
		return false, true
	case loud && err != nil:
		g.log.Warn("Cannot tell the API server where a node's kubelet port is and which labels it has: trying on", l.attrs("err", err)...)
	case loud:
		g.log.Warn("API server does not take a node's kubelet port or labels: trying on; check the Device's labels", l.attrs("code", a.code, "answer", excerpt(a.body))...)
	}
	return false, true
}
