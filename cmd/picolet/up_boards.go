// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/node"
	"github.com/picolet/picolet/kubeletport/staticpod"
	"github.com/picolet/picolet/link"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
)

// makeVirtual makes the virtual boards, which are those behind the emulated ones;
// nothing runs yet.
func (u *up) makeVirtual(gatewayKey noise.PublicKey) ([]*fleet.Node, error) {
	var nodes []*fleet.Node
	for _, b := range u.boards[u.emulate:] {
		n, err := u.makeBoard(b, gatewayKey)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func (u *up) makeBoard(b *upBoard, gatewayKey noise.PublicKey) (*fleet.Node, error) {
	h, err := openVirtual(b.name, b.dir)
	if err != nil {
		return nil, err
	}
	b.isThisBoot = func(id string) bool { return id == h.facts().Facts.BootID }
	gateway := reachable(u.doors.links.Addr())
	config := kubelet.Config{
		NodeName: b.name, Host: gateway, Version: kubeletVersions[u.kubernetes], OS: u.os, Arch: u.arch,
	}
	over := linked.Config{
		Key: b.key.Key, GatewayKey: gatewayKey, Random: rand.Reader, Hello: noise.Hello{NodeName: b.name, Version: node.RuntimeVersion},
	}
	return fleet.NewNode(fleet.Options{
		Name:   b.name,
		Boot:   overLink(b.dir, over, h.configure(config)),
		Dialer: link.TCP(gateway),
		Log:    u.log,
	})
}

// welcome waits until all boards that are let in are Ready and says what to do
// with them.
func (u *up) welcome(ctx context.Context, client kubernetes.Interface, plane *cluster.Cluster, key noise.PublicKey) error {
	limit := readyTime + time.Duration(u.nodes)*200*time.Millisecond + time.Duration(u.emulate)*emulatedReadyTime
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-u.ready:
	case <-waiting.Done():
		return fmt.Errorf("the gateway is not ready after %v; look for the reason by --log-level info", limit)
	}
	in, out := u.lettingIn()
	for _, b := range out {
		u.progress.printf("%s %s", b.name, b.keptOut)
	}
	missing := in
	for len(missing) > 0 {
		missing = u.notReady(waiting, client, missing)
		if len(missing) > 0 && !pause(waiting, 200*time.Millisecond) {
			return fmt.Errorf("%s: not Ready after %v; look for the reason by --log-level info", names(missing), limit)
		}
	}
	server, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("version of the API server: %w", err)
	}
	_, err = fmt.Fprint(u.out, u.message(plane, server.GitVersion, in, key))
	return err
}

// lettingIn divides the boards into those that are let in and others.
func (u *up) lettingIn() (in, out []*upBoard) {
	for _, b := range u.boards {
		if b.keptOut == "" {
			in = append(in, b)
		} else {
			out = append(out, b)
		}
	}
	return in, out
}

// notReady returns those of boards that are not Ready since their last boot, or
// whose pod kubectl could not reach yet.
func (u *up) notReady(ctx context.Context, client kubernetes.Interface, boards []*upBoard) (missing []*upBoard) {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return boards
	}
	pods, err := client.CoreV1().Pods(staticpod.Namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return boards
	}
	ready := map[string]*corev1.Node{}
	for i := range list.Items {
		if n := &list.Items[i]; isReady(n) && slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return isRunningOn(&p, n) }) {
			ready[n.Name] = n
		}
	}
	for _, b := range boards {
		if n := ready[b.name]; n != nil && b.isThisBoot(n.Status.NodeInfo.BootID) {
			u.progress.printf("%s is Ready, kubelet port %s", b.name, kubeletAddressOf(n))
		} else {
			missing = append(missing, b)
		}
	}
	return missing
}

// isRunningOn tells whether p stands for the firmware of n.
func isRunningOn(p *corev1.Pod, n *corev1.Node) bool {
	return p.Spec.NodeName == n.Name && p.Name == staticpod.Name(n.Name) && p.Status.Phase == corev1.PodRunning
}

// kubeletAddressOf is where the API server reaches the kubelet of n.
func kubeletAddressOf(n *corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return at(a.Address, int(n.Status.DaemonEndpoints.KubeletEndpoint.Port))
		}
	}
	return "unknown"
}

func isReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func names(boards []*upBoard) string {
	all := make([]string, 0, len(boards))
	for _, b := range boards {
		all = append(all, b.name)
	}
	if len(all) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:5], ", "), len(all)-5)
	}
	return strings.Join(all, ", ")
}
