// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A person lets a board in: with the commands alone, by a second gateway of the
// cluster that "picolet up" runs, which says itself how boards reach it.
func TestABoardIsLetInByCommands(t *testing.T) {
	t.Parallel()
	requireBinary(t)
	dir := t.TempDir()
	up := start(t, "up", "--nodes=0", "--datastore=memory", "--dir="+dir, "--gateway-listen="+anyPort, "--address=127.0.0.1", "--kubernetes="+line(t))
	up.waitOutput(t, "Ctrl-C ends all of it")
	admin, _ := up.client(t)
	person := shell(t, admin)

	own := gatewayKubeconfig(t, admin, filepath.Join(dir, "gateway.token"))
	second := start(t, "gateway", "--name=second", "--kubeconfig="+own, "--listen="+anyPort, "--admin-listen="+anyPort, "--address=127.0.0.1")
	told := second.waitLog(t, regexp.MustCompile(`picolet provision --gateway-key (\S+) --gateway HOST:([0-9]+)`))
	if key := person.does(t, "picolet gateway key"); key != told[1]+"\n" {
		t.Errorf("picolet gateway key prints %q, the gateway logs %q", key, told[1])
	}

	board := start(t, "node", "--name=attic", "--board=virtual", "--dir="+t.TempDir(), "--gateway=127.0.0.1:"+told[2], "--gateway-key="+told[1])
	board.waitLog(t, regexp.MustCompile(`waits for approval as node attic: kubectl pico approve [0-9a-f]{16}`))
	if said := person.does(t, "kubectl pico approve attic"); !strings.Contains(said, "approved as node attic") {
		t.Errorf("kubectl pico approve says %q", said)
	}
	person.does(t, "kubectl wait --for=create --timeout=60s node/attic")
	person.does(t, "kubectl wait --for=condition=Ready --timeout=60s node/attic")
	person.does(t, "kubectl wait --for=create --timeout=60s -n kube-system pod/picolet-attic")
	person.does(t, "kubectl wait --for=condition=Ready --timeout=60s -n kube-system pod/picolet-attic")
	if said := person.does(t, "kubectl logs -n kube-system picolet-attic"); !strings.Contains(said, `msg="Node registered" node=attic`) {
		t.Errorf("kubectl logs says %q", said)
	}
	if said := person.does(t, "kubectl exec -n kube-system picolet-attic -- status"); !strings.Contains(said, `"name": "attic"`) {
		t.Errorf("kubectl exec says %q", said)
	}

	person.does(t, "kubectl pico revoke attic")
	board.waitLog(t, regexp.MustCompile(`was revoked: kubectl pico approve [0-9a-f]{16} lets it in`))
	board.interrupt(t)
	second.interrupt(t)
	up.interrupt(t)
}

// waitLog waits until picolet logged what matches, and returns the submatches.
func (p *process) waitLog(t *testing.T, want *regexp.Regexp) (found []string) {
	t.Helper()
	eventually(t, time.Minute, func(context.Context) error {
		select {
		case <-p.ended:
			t.Fatalf("picolet ended, %v", p.ProcessState)
		default:
		}
		if found = want.FindStringSubmatch(p.stderr.String()); found == nil {
			return fmt.Errorf("picolet did not log %q", want)
		}
		return nil
	})
	return found
}

// gatewayKubeconfig writes a kubeconfig of the gateway's ServiceAccount.
func gatewayKubeconfig(t *testing.T, admin, tokenFile string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(admin)
	must(t, err)
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{TokenFile: tokenFile}
	}
	path := filepath.Join(t.TempDir(), "gateway.kubeconfig")
	must(t, clientcmd.WriteToFile(*config, path))
	return path
}

// person runs commands as the administrator who follows the README.
type person []string // environment

func shell(t *testing.T, kubeconfig string) person {
	t.Helper()
	path, err := picolet()
	must(t, err)
	return append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+t.TempDir(),
		"PATH="+filepath.Dir(path)+":"+filepath.Dir(requireBinary(t).Path)+":"+os.Getenv("PATH"))
}

// does runs a command that must succeed, and returns what it prints.
func (p person) does(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "-c", command)
	c.Env = p
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
