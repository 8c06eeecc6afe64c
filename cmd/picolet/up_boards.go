// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link"
)

// upBoard is one of the boards that "picolet up" runs.
type upBoard struct {
	name       string
	isThisBoot func(bootID string) bool
	port       string // address of the kubelet port
}

// makeBoards makes the virtual boards; nothing runs yet.
func (u *up) makeBoards(gateway string) ([]*fleet.Node, error) {
	nodes := make([]*fleet.Node, 0, u.nodes-u.emulate)
	for i := u.emulate; i < u.nodes; i++ {
		n, err := u.makeBoard(u.boardName(i+1), gateway)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func (u *up) makeBoard(name, gateway string) (*fleet.Node, error) {
	h, err := openVirtual(name, filepath.Join(u.dir, "boards", name))
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(nodeAddress, "0"))
	if err != nil {
		return nil, fmt.Errorf("kubelet port of %s: %w", name, err)
	}
	isThisBoot := func(id string) bool { return id == h.facts().Facts.BootID }
	u.boards = append(u.boards, upBoard{name, isThisBoot, l.Addr().String()})
	config := kubelet.Config{
		NodeName: name, Host: gateway, Version: kubeletVersions[u.kubernetes], OS: u.os, Arch: u.arch,
		Address: nodeAddress, Port: l.Addr().(*net.TCPAddr).Port,
	}
	return fleet.NewNode(fleet.Options{
		Name:         name,
		Boot:         fleet.Machine(h.configure(config)),
		Dialer:       link.TCP(gateway),
		Listener:     l,
		FixedAddress: true,
		Log:          u.log,
	})
}

// welcome waits until all boards are Ready and says what to do with them.
func (u *up) welcome(ctx context.Context, client kubernetes.Interface, plane *cluster.Cluster) error {
	limit := readyTime + time.Duration(u.nodes)*200*time.Millisecond + time.Duration(u.emulate)*emulatedReadyTime
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	missing := u.boards
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
	_, err = fmt.Fprint(u.out, u.message(plane, server.GitVersion))
	return err
}

// notReady returns those of boards that are not Ready since their last boot.
func (u *up) notReady(ctx context.Context, client kubernetes.Interface, boards []upBoard) (missing []upBoard) {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return boards
	}
	ready := map[string]string{}
	for i := range list.Items {
		if n := &list.Items[i]; isReady(n) {
			ready[n.Name] = n.Status.NodeInfo.BootID
		}
	}
	for _, b := range boards {
		if id := ready[b.name]; id != "" && b.isThisBoot(id) {
			u.progress.printf("%s is Ready, kubelet port %s", b.name, b.port)
		} else {
			missing = append(missing, b)
		}
	}
	return missing
}

func isReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func names(boards []upBoard) string {
	all := make([]string, 0, len(boards))
	for _, b := range boards {
		all = append(all, b.name)
	}
	if len(all) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:5], ", "), len(all)-5)
	}
	return strings.Join(all, ", ")
}

// message is what a newcomer needs next.
func (u *up) message(plane *cluster.Cluster, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s on Kubernetes %s. In another terminal:\n\n", countReady(len(u.boards)), version)
	fmt.Fprintf(&b, "  export KUBECONFIG=%s\n", shellQuote(plane.AdminKubeconfig()))
	if _, err := exec.LookPath("kubectl"); err != nil {
		fmt.Fprintf(&b, "  export PATH=%s:$PATH   # there is no kubectl here: this one was built along\n", shellQuote(filepath.Dir(plane.Kubectl())))
	}
	b.WriteString("\nThen try:\n\n  kubectl get nodes -o wide\n")
	b.WriteString("  kubectl patch configmap pico-config --type merge -p '{\"data\":{\"pin_15\":\"HIGH\"}}'\n")
	if len(u.boards) > 0 {
		fmt.Fprintf(&b, "  curl http://%s/metrics\n", u.boards[0].port)
	}
	fmt.Fprintf(&b, "\nCtrl-C ends all of it; the state stays in %s\n", u.dir)
	return b.String()
}

func countReady(n int) string {
	if n == 1 {
		return "1 node is Ready"
	}
	return fmt.Sprintf("%d nodes are Ready", n)
}

// shellQuote quotes s for a POSIX shell, if it must be.
func shellQuote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
