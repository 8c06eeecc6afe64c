// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/replica"
)

// Environment variables by which a pod's manifest tells who it is.
const (
	podName = "POD_NAME"
	podIP   = "POD_IP"
)

// identities are the values of --identity.
var identities = []gateway.IdentityMode{gateway.IdentityAuto, gateway.IdentityConstrained, gateway.IdentityPlain, gateway.IdentityCertificates}

// gatewayFlags are the flags of "picolet gateway".
type gatewayFlags struct {
	kubeconfig, namespace, name   string
	listen, insecureListen, admin string
	insecureBoards                []string
	addresses                     []string
	kubeletPorts                  string
	identity                      string
	nodeNames                     []string
	nodes                         gateway.NodeSettings
	drainTimeout                  time.Duration
	allowClusterAdmin             bool
	limits                        limitFlags
	log                           *logFlag
}

func (f *gatewayFlags) register(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig `FILE` of the gateway's own identity (default: that of the pod it runs in)")
	fs.StringVar(&f.namespace, "namespace", enrolment.DefaultNamespace, "`NAMESPACE` of the gateway's Secrets and Leases")
	fs.StringVar(&f.name, "name", "", "`NAME` of this gateway among several, a DNS label (default: $"+podName+", else the host's name)")
	fs.StringVar(&f.listen, "listen", at("", linkPort), "`ADDRESS` for encrypted links of boards; empty for none")
	fs.StringSliceVar(&f.nodeNames, "node-names", nil, "`PATTERNS` of node names that boards may take, for example pico-*; required where the cluster has other nodes (default: any)")
	fs.StringVar(&f.nodes.OS, "node-os", "", "`VALUE` of label kubernetes.io/os of all boards' nodes, for example picolet, which keeps DaemonSets for linux off them (default: as each board reports)")
	fs.StringVar(&f.nodes.Zone, "node-zone", "", "`VALUE` of label topology.kubernetes.io/zone of boards' nodes whose Device names none (default: no zone)")
	fs.BoolVar(&f.nodes.NoHostnameLabel, "no-hostname-label", false, "leave out label kubernetes.io/hostname of boards' nodes, so that they are no domain of topology spread")
	fs.BoolVar(&f.nodes.NoHostnameAddress, "no-hostname-address", false, "leave out the address of type Hostname of boards' nodes; needed where the API server prefers it (--kubelet-preferred-address-types)")
	fs.StringArrayVar(&f.addresses, "address", nil, "`IP` address at which the API server, metrics-server and Prometheus reach kubelet ports; may be repeated (default: $"+podIP+", else that of this machine towards the API server)")
	fs.StringVar(&f.kubeletPorts, "kubelet-ports", "20000-29999", "`FIRST-LAST`, the TCP ports of which each node gets one as its kubelet port; empty for none")
	fs.StringVar(&f.identity, "identity", string(gateway.IdentityAuto), "`HOW` to act for a node: constrained impersonation, plain impersonation, certificates of each node; auto is constrained, but plain where its manifest is applied")
	fs.StringVar(&f.insecureListen, "insecure-listen", "", "`ADDRESS` for boards by plain HTTP, as "+at("", plainPort)+"; only on networks that you trust (default: none)")
	fs.StringArrayVar(&f.insecureBoards, "insecure-board", nil, "`NAME=IP`, the node and address of a board that may come by --insecure-listen; may be repeated (default: any board)")
	fs.DurationVar(&f.drainTimeout, "drain-timeout", 20*time.Second, "how long the ends of links are spread when the gateway stops, less with few boards; 0 for all at once")
	fs.StringVar(&f.admin, "admin-listen", at(loopback, adminPort), "`ADDRESS` of the gateway's own /healthz, /readyz and /metrics")
	f.limits.register(fs)
	fs.BoolVar(&f.allowClusterAdmin, "allow-cluster-admin", false, "run even with the rights of a cluster administrator; never do that on a cluster of worth")
}

// check finds flags that do not go together.
func (f *gatewayFlags) check() error {
	switch {
	case f.listen == "" && f.insecureListen == "":
		return usagef("no board could reach the gateway: give --listen or --insecure-listen")
	case len(f.insecureBoards) > 0 && f.insecureListen == "":
		return usagef("--insecure-board goes with --insecure-listen")
	case len(f.addresses) > 0 && (f.listen == "" || f.kubeletPorts == ""):
		return usagef("--address is for kubelet ports, which need --listen and --kubelet-ports")
	case f.nodes.Validate() != nil:
		return usagef("--node-os or --node-zone: %v", f.nodes.Validate())
	case f.drainTimeout < 0:
		return usagef("--drain-timeout %v: give a positive duration, for example 20s, or 0", f.drainTimeout)
	case f.admin == "":
		return usagef("--admin-listen is empty: give an address, as %s", at(loopback, adminPort))
	case !slices.Contains(identities, gateway.IdentityMode(f.identity)):
		return usagef("--identity %q: choose one of %v", f.identity, identities)
	}
	return f.limits.check()
}

// config is the configuration by the flags, without a Logger.
func (f *gatewayFlags) config(kubernetes *rest.Config) (c replica.Config, err error) {
	c = replica.Config{
		Kubernetes: kubernetes, Namespace: f.namespace, NodeNames: f.nodeNames, AllowClusterAdmin: f.allowClusterAdmin,
		Identity: gateway.IdentityMode(f.identity), Nodes: f.nodes, NoLinks: f.listen == "", DrainTimeout: f.drainTimeout,
		Limits: f.limits.Limits,
	}
	if c.Name, err = replicaName(f.name); err != nil {
		return c, err
	}
	if c.InsecureBoards, err = parseInsecureBoards(f.insecureBoards); err != nil {
		return c, err
	}
	if f.listen == "" || f.kubeletPorts == "" {
		return c, nil
	}
	if c.FirstPort, c.LastPort, err = parsePorts(f.kubeletPorts); err != nil {
		return c, err
	}
	if c.Addresses, err = parseAddresses(f.addresses); err != nil {
		return c, err
	}
	if len(c.Addresses) == 0 {
		if c.Addresses, err = ownAddresses(kubernetes.Host); err != nil {
			return c, err
		}
	}
	c.ListenHost = onlyHere(c.Addresses)
	return c, nil
}

// open opens the doors of the flags; after an error, some of them.
func (f *gatewayFlags) open() (d doors, err error) {
	if d.links, err = listenOptional("listen", f.listen); err != nil {
		return d, err
	}
	if d.insecure, err = listenOptional("insecure-listen", f.insecureListen); err != nil {
		return d, err
	}
	d.admin, err = listen("admin-listen", f.admin)
	return d, err
}

// replicaName is the name of --name, or what the surroundings call this gateway.
func replicaName(name string) (string, error) {
	if name == "" {
		name = os.Getenv(podName)
	}
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", errors.New("this machine has no name: name the gateway by --name")
		}
		host, _, _ = strings.Cut(host, ".")
		name = strings.ToLower(host)
	}
	if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 || len(name) > enrolment.MaxReplicaName {
		return "", usagef("--name %q: must be a DNS label of at most %d bytes, for example gateway-1", name, enrolment.MaxReplicaName)
	}
	return name, nil
}

func parseInsecureBoards(flags []string) (map[string]netip.Addr, error) {
	if len(flags) == 0 {
		return nil, nil
	}
	boards := make(map[string]netip.Addr, len(flags))
	for _, s := range flags {
		name, text, _ := strings.Cut(s, "=")
		address, err := netip.ParseAddr(text)
		if err != nil || len(validation.IsDNS1123Subdomain(name)) > 0 {
			return nil, usagef("--insecure-board %q: give NAME=IP, as pico-1=192.168.1.20", s)
		}
		if _, twice := boards[name]; twice {
			return nil, usagef("--insecure-board %q: %s has an address already", s, name)
		}
		boards[name] = address.Unmap()
	}
	return boards, nil
}

// parsePorts reads FIRST-LAST.
func parsePorts(s string) (first, last int, err error) {
	a, b, _ := strings.Cut(s, "-")
	first, errFirst := strconv.Atoi(a)
	last, errLast := strconv.Atoi(b)
	if cmp.Or(errFirst, errLast) != nil || first < 1 || last > 65535 || first > last {
		return 0, 0, usagef("--kubelet-ports %q: give FIRST-LAST, as 20000-29999", s)
	}
	return first, last, nil
}

func parseAddresses(flags []string) (addresses []netip.Addr, err error) {
	for _, s := range flags {
		a, err := netip.ParseAddr(s)
		if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
			return nil, usagef("--address %q: give an IP address at which the API server reaches this machine", s)
		}
		addresses = append(addresses, a.Unmap())
	}
	return addresses, nil
}
