// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/kubeletport/staticpod"
	"github.com/picolet/picolet/link/noise"
)

// pluginName is the plugin of kubectl that `make build` makes beside picolet.
const pluginName = "kubectl-pico"

// message is what a newcomer needs next. in are the boards that are Ready.
func (u *up) message(plane *cluster.Cluster, version string, in []*upBoard, key noise.PublicKey) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s on Kubernetes %s. In another terminal:\n\n", countReady(len(in)), version)
	fmt.Fprintf(&b, "  export KUBECONFIG=%s\n", shellQuote(plane.AdminKubeconfig()))
	if dirs := missingFromPath(filepath.Dir(plane.Kubectl())); len(dirs) > 0 {
		fmt.Fprintf(&b, "  export PATH=%s:$PATH   # kubectl and its plugin, \"kubectl pico\"\n", strings.Join(dirs, ":"))
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

// tellOthers says how boards come in that "picolet up" does not run.
func (u *up) tellOthers(key noise.PublicKey) string {
	a := u.doors.links.Addr().(*net.TCPAddr)
	text := fmt.Sprintf("Another board comes in by \"kubectl pico approve NAME\", once it has been provisioned with\n\n"+
		"  --gateway HOST:%d --gateway-key %s\n", a.Port, publicKeyText(key))
	if a.IP.IsLoopback() {
		text += fmt.Sprintf("\nThe gateway listens on this machine alone; for other machines: --gateway-listen %s\n", at("0.0.0.0", a.Port))
	}
	return text
}

// missingFromPath lists the directories that PATH lacks, quoted for a shell: that
// of kubectl, and that of its plugin beside picolet.
func missingFromPath(kubectlDir string) (dirs []string) {
	if own, err := os.Executable(); err == nil && !inPath(pluginName) {
		plugin := filepath.Join(filepath.Dir(own), pluginName)
		if info, err := os.Stat(plugin); err == nil && info.Mode().IsRegular() {
			dirs = append(dirs, shellQuote(filepath.Dir(plugin)))
		}
	}
	if !inPath("kubectl") {
		dirs = append(dirs, shellQuote(kubectlDir))
	}
	return dirs
}

func inPath(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
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
