// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package args writes the command lines of kube-apiserver, kube-controller-manager
// and kube-scheduler. It knows no Kubernetes code: the components themselves judge
// every flag, also those that a caller adds.
package args

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Config says where a control plane keeps its files and where it listens.
type Config struct {
	// PKI is the directory of keys and certificates. Required.
	PKI string
	// Dir is the directory of the components' kubeconfigs and other files. Required.
	Dir string
	// Address is what the API server listens on. Required.
	Address netip.Addr
	// Port is the API server's TCP port. Required.
	Port int
	// Datastore is the URL of the etcd API, for example unix:///run/kine.sock. Required.
	Datastore string
	// Verbosity is the log level of all components, as klog counts it. Optional [0].
	Verbosity int
}

// ServiceRange returns the range of Service addresses that goes with the family of
// address; the API server refuses a range of the other family.
func ServiceRange(address netip.Addr) netip.Prefix {
	if address.Unmap().Is4() {
		return netip.MustParsePrefix("10.96.0.0/16")
	}
	return netip.MustParsePrefix("fd00:10:96::/112")
}

// ServiceIP returns the address of the Service "kubernetes": the first of the range.
func ServiceIP(address netip.Addr) netip.Addr {
	return ServiceRange(address).Addr().Next()
}

// ReachableAddress returns the address that a client on this host dials: address
// itself, or the loopback address of its family when address means "all of them".
func ReachableAddress(address netip.Addr) netip.Addr {
	switch {
	case !address.IsUnspecified():
		return address
	case address.Is4():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		return netip.IPv6Loopback()
	}
}

// Parse checks arguments of the form name=value, as given to --apiserver-arg.
// Leading dashes are allowed; a name alone switches a boolean flag on.
func Parse(given []string) ([]string, error) {
	flags := make([]string, 0, len(given))
	for _, g := range given {
		flag := strings.TrimLeft(g, "-")
		name, _, _ := strings.Cut(flag, "=")
		if name == "" || strings.ContainsAny(name, " \t\n") {
			return nil, fmt.Errorf("%q is no component flag: write name=value, for example v=2", g)
		}
		flags = append(flags, "--"+flag)
	}
	return flags, nil
}

// APIServer returns the flags of kube-apiserver. A flag in extra, as Parse returns
// them, replaces each default of its name.
func APIServer(c Config, extra []string) []string {
	pki := func(name string) string { return filepath.Join(c.PKI, name) }
	return merge([]flag{
		{"bind-address", c.Address.String()},
		{"secure-port", strconv.Itoa(c.Port)},
		{"advertise-address", ReachableAddress(c.Address).String()},
		{"service-cluster-ip-range", ServiceRange(c.Address).String()},
		{"etcd-servers", c.Datastore},

		{"tls-cert-file", pki("apiserver.crt")},
		{"tls-private-key-file", pki("apiserver.key")},
		{"client-ca-file", pki("ca.crt")},
		{"kubelet-client-certificate", pki("apiserver-kubelet-client.crt")},
		{"kubelet-client-key", pki("apiserver-kubelet-client.key")},
		{"kubelet-preferred-address-types", "InternalIP,ExternalIP,Hostname"},

		{"anonymous-auth", "false"},
		{"authorization-mode", "Node,RBAC"},
		{"enable-admission-plugins", "NodeRestriction"},
		{"enable-bootstrap-token-auth", "true"},
		{"service-account-issuer", "https://kubernetes.default.svc.cluster.local"},
		{"service-account-key-file", pki("sa.pub")},
		{"service-account-signing-key-file", pki("sa.key")},
		{"allow-privileged", "true"},

		// The front proxy lets an extension API server know whom it serves. No
		// kube-proxy runs here, so its endpoints are dialled and not its cluster IP.
		{"requestheader-client-ca-file", pki("front-proxy-ca.crt")},
		{"requestheader-allowed-names", "front-proxy-client"},
		{"requestheader-username-headers", "X-Remote-User"},
		{"requestheader-uid-headers", "X-Remote-Uid"},
		{"requestheader-group-headers", "X-Remote-Group"},
		{"requestheader-extra-headers-prefix", "X-Remote-Extra-"},
		{"proxy-client-cert-file", pki("front-proxy-client.crt")},
		{"proxy-client-key-file", pki("front-proxy-client.key")},
		{"enable-aggregator-routing", "true"},

		// One API server, on a loopback address, needs no list of its peers.
		{"endpoint-reconciler-type", "none"},
		{"profiling", "false"},
		// At the end, watches are cut after 2 s; without this, after 60 s.
		{"shutdown-send-retry-after", "true"},
		{"v", strconv.Itoa(c.Verbosity)},
	}, extra)
}

// ControllerManager returns the flags of kube-controller-manager; extra as in APIServer.
func ControllerManager(c Config, extra []string) []string {
	pki := func(name string) string { return filepath.Join(c.PKI, name) }
	return merge([]flag{
		{"kubeconfig", filepath.Join(c.Dir, "controller-manager.kubeconfig")},
		{"controllers", "*,bootstrapsigner,tokencleaner"},
		{"use-service-account-credentials", "true"},
		{"service-account-private-key-file", pki("sa.key")},
		{"root-ca-file", pki("ca.crt")},
		{"cluster-signing-cert-file", pki("ca.crt")},
		{"cluster-signing-key-file", pki("ca.key")},
		{"allocate-node-cidrs", "false"},
		{"configure-cloud-routes", "false"},
		{"flex-volume-plugin-dir", filepath.Join(c.Dir, "flexvolume")}, // made where missing: not in /usr
		// Each of some 40 controllers asks for a token when it starts.
		{"kube-api-qps", "200"},
		{"kube-api-burst", "400"},
		{"leader-elect", "false"},
		{"profiling", "false"},
		{"tls-cert-file", pki("apiserver.crt")},
		{"tls-private-key-file", pki("apiserver.key")},
		{"v", strconv.Itoa(c.Verbosity)},
	}, extra)
}

// Scheduler returns the flags of kube-scheduler; extra as in APIServer.
func Scheduler(c Config, extra []string) []string {
	return merge([]flag{
		{"kubeconfig", filepath.Join(c.Dir, "scheduler.kubeconfig")},
		{"leader-elect", "false"},
		{"profiling", "false"},
		{"tls-cert-file", filepath.Join(c.PKI, "apiserver.crt")},
		{"tls-private-key-file", filepath.Join(c.PKI, "apiserver.key")},
		{"v", strconv.Itoa(c.Verbosity)},
	}, extra)
}

type flag struct{ name, value string }

func merge(defaults []flag, extra []string) []string {
	given := make(map[string]bool, len(extra))
	for _, e := range extra {
		name, _, _ := strings.Cut(strings.TrimLeft(e, "-"), "=")
		given[name] = true
	}
	merged := make([]string, 0, len(defaults)+len(extra))
	for _, d := range defaults {
		if !given[d.name] {
			merged = append(merged, "--"+d.name+"="+d.value)
		}
	}
	return append(merged, extra...)
}
