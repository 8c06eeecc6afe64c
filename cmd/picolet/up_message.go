// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/kubeletport/staticpod"
	"github.com/picolet/picolet/link/noise"
)

// message is what a newcomer needs next. in are the boards that are Ready.
func (u *up) message(plane *cluster.Cluster, version string, in []*upBoard, key noise.PublicKey) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s on Kubernetes %s. In another terminal:\n\n", countReady(len(in)), version)
	fmt.Fprintf(&b, "  export KUBECONFIG=%s\n", shellQuote(plane.AdminKubeconfig()))
	if dirs, what := u.exports(filepath.Dir(plane.Kubectl())); len(dirs) > 0 {
		fmt.Fprintf(&b, "  export PATH=%s:$PATH   # %s\n", strings.Join(dirs, ":"), what)
	}
	b.WriteString("\nThen try:\n\n")
	for _, command := range u.proposals(in) {
		fmt.Fprintf(&b, "  kubectl %s\n", command)
	}
	fmt.Fprintf(&b, "\n%s\nCtrl-C ends all of it; the state stays in %s\n", u.tellOthers(key), u.dir)
	return b.String()
}

// proposals are what to try with kubectl.
func (u *up) proposals(in []*upBoard) []string {
	all := []string{"get nodes -o wide", "get devices", `patch configmap pico-config --type merge -p '{"data":{"pin_15":"HIGH"}}'`}
	if len(in) == 0 {
		return all
	}
	name := in[0].name
	pod := "-n " + staticpod.Namespace + " " + staticpod.Name(name)
	all = append(all, "logs "+pod, "exec "+pod+" -- status")
	proxy := "get --raw /api/v1/nodes/" + name + "/proxy/metrics"
	if a, err := u.kubeletAddress(); err == nil && a.IsLoopback() {
		proxy = "# " + proxy + "   (needs --address IP: the API server proxies to no loopback address)"
	}
	return append(all, proxy)
}

// tellOthers says how boards connect that "picolet up" does not run.
func (u *up) tellOthers(key noise.PublicKey) string {
	a := u.doors.links.Addr().(*net.TCPAddr)
	text := fmt.Sprintf("Another board connects once it has been provisioned with\n\n"+
		"  --gateway HOST:%d --gateway-key %s\n\nLet it in by: %s\n", a.Port, publicKeyText(key), u.advice.approve("NAME", ""))
	if a.IP.IsLoopback() {
		text += fmt.Sprintf("\nThe gateway listens on this machine alone; for other machines: --gateway-listen %s\n", at("0.0.0.0", a.Port))
	}
	return text
}

// exports are the directories that PATH lacks, quoted for a shell, and what for.
func (u *up) exports(kubectlDir string) (dirs []string, what string) {
	if u.pluginDir != "" {
		dirs = append(dirs, shellQuote(u.pluginDir))
	}
	if !inPath("kubectl") {
		dirs = append(dirs, shellQuote(kubectlDir))
	}
	if u.advice.plugin {
		return dirs, `kubectl and its plugin, "kubectl pico"`
	}
	return dirs, "kubectl"
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
