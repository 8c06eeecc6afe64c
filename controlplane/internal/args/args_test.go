// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package args_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/picolet/picolet/controlplane/internal/args"
)

func config(address string) args.Config {
	return args.Config{PKI: "/d/pki", Dir: "/d", Address: netip.MustParseAddr(address), Port: 6443, Datastore: "unix:///d/kine.sock", Verbosity: 2}
}

// values returns what a command line gives for a flag.
func values(line []string, name string) []string {
	var found []string
	for _, a := range line {
		if v, ok := strings.CutPrefix(a, "--"+name+"="); ok {
			found = append(found, v)
		}
	}
	return found
}

func TestAPIServerIsConfined(t *testing.T) {
	t.Parallel()
	line := args.APIServer(config("127.0.0.1"), nil)
	for name, want := range map[string]string{
		"bind-address":                     "127.0.0.1",
		"secure-port":                      "6443",
		"anonymous-auth":                   "false",
		"authorization-mode":               "Node,RBAC",
		"enable-admission-plugins":         "NodeRestriction",
		"enable-bootstrap-token-auth":      "true",
		"etcd-servers":                     "unix:///d/kine.sock",
		"client-ca-file":                   "/d/pki/ca.crt",
		"kubelet-client-certificate":       "/d/pki/apiserver-kubelet-client.crt",
		"requestheader-client-ca-file":     "/d/pki/front-proxy-ca.crt",
		"requestheader-allowed-names":      "front-proxy-client",
		"service-account-signing-key-file": "/d/pki/sa.key",
		"endpoint-reconciler-type":         "none",
		"profiling":                        "false",
		"v":                                "2",
	} {
		if got := values(line, name); !slices.Equal(got, []string{want}) {
			t.Errorf("--%s is %q, want %q", name, got, want)
		}
	}
}

func TestComponentsUseTheirOwnIdentity(t *testing.T) {
	t.Parallel()
	manager := args.ControllerManager(config("127.0.0.1"), nil)
	for name, want := range map[string]string{
		"kubeconfig":                      "/d/controller-manager.kubeconfig",
		"controllers":                     "*,bootstrapsigner,tokencleaner",
		"use-service-account-credentials": "true",
		"cluster-signing-key-file":        "/d/pki/ca.key",
		"root-ca-file":                    "/d/pki/ca.crt",
		"allocate-node-cidrs":             "false",
		"leader-elect":                    "false",
		"flex-volume-plugin-dir":          "/d/flexvolume",
	} {
		if got := values(manager, name); !slices.Equal(got, []string{want}) {
			t.Errorf("kube-controller-manager --%s is %q, want %q", name, got, want)
		}
	}
	scheduler := args.Scheduler(config("127.0.0.1"), nil)
	for name, want := range map[string]string{"kubeconfig": "/d/scheduler.kubeconfig", "leader-elect": "false", "profiling": "false"} {
		if got := values(scheduler, name); !slices.Equal(got, []string{want}) {
			t.Errorf("kube-scheduler --%s is %q, want %q", name, got, want)
		}
	}
}

func TestNoFlagTwice(t *testing.T) {
	t.Parallel()
	c := config("127.0.0.1")
	for name, line := range map[string][]string{
		"kube-apiserver": args.APIServer(c, nil), "kube-controller-manager": args.ControllerManager(c, nil), "kube-scheduler": args.Scheduler(c, nil),
	} {
		seen := map[string]bool{}
		for _, a := range line {
			flag, _, ok := strings.Cut(a, "=")
			if !ok || !strings.HasPrefix(flag, "--") || seen[flag] {
				t.Errorf("%s: %q is malformed or given twice", name, a)
			}
			seen[flag] = true
		}
	}
}

func TestExtraReplacesDefaults(t *testing.T) {
	t.Parallel()
	extra, err := args.Parse([]string{"authorization-mode=AlwaysAllow", "--feature-gates=A=true", "feature-gates=B=false", "profiling"})
	if err != nil {
		t.Fatal(err)
	}
	for name, build := range map[string]func(args.Config, []string) []string{
		"kube-apiserver": args.APIServer, "kube-controller-manager": args.ControllerManager, "kube-scheduler": args.Scheduler,
	} {
		line := build(config("127.0.0.1"), extra)
		if got := values(line, "authorization-mode"); !slices.Equal(got, []string{"AlwaysAllow"}) {
			t.Errorf("%s: authorization modes %q", name, got)
		}
		if got := values(line, "feature-gates"); !slices.Equal(got, []string{"A=true", "B=false"}) {
			t.Errorf("%s: feature gates %q", name, got)
		}
		if slices.Contains(line, "--profiling=false") || !slices.Contains(line, "--profiling") {
			t.Errorf("%s: a flag without a value does not replace the default", name)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "--", "=x", "--=x", "a b=c", "a\nb"} {
		if got, err := args.Parse([]string{bad}); err == nil {
			t.Errorf("%q gave %q", bad, got)
		} else if !strings.Contains(err.Error(), "name=value") {
			t.Errorf("%q: error %q does not say what to write", bad, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ address, reachable, services, serviceIP string }{
		{"127.0.0.1", "127.0.0.1", "10.96.0.0/16", "10.96.0.1"},
		{"192.0.2.7", "192.0.2.7", "10.96.0.0/16", "10.96.0.1"},
		{"0.0.0.0", "127.0.0.1", "10.96.0.0/16", "10.96.0.1"},
		{"::1", "::1", "fd00:10:96::/112", "fd00:10:96::1"},
		{"::", "::1", "fd00:10:96::/112", "fd00:10:96::1"},
	} {
		a := netip.MustParseAddr(tt.address)
		if got := args.ReachableAddress(a).String(); got != tt.reachable {
			t.Errorf("%s is reached at %s, want %s", a, got, tt.reachable)
		}
		if got := args.ServiceRange(a).String(); got != tt.services {
			t.Errorf("services of %s are in %s, want %s", a, got, tt.services)
		}
		if got := args.ServiceIP(a).String(); got != tt.serviceIP {
			t.Errorf("first service of %s is %s, want %s", a, got, tt.serviceIP)
		}
		if got := values(args.APIServer(config(tt.address), nil), "advertise-address"); !slices.Equal(got, []string{tt.reachable}) {
			t.Errorf("%s advertises %q, want %s", a, got, tt.reachable)
		}
	}
}
