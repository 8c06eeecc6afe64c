// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/picolet/picolet/board/virtual"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link"
)

// nodeFlags are the flags of "picolet node".
type nodeFlags struct {
	name                   string
	gateway, server        string
	gatewayKey, keyFile    string
	joinTokenFile          string
	tokenFile, clientCert  string
	clientKey, caFile      string
	board, gpioChip, dir   string
	labels                 map[string]string
	os, arch, instanceType string
	configMaps             []string
	reportFrequency        time.Duration
	listen, nodeIP         string
	serverTokenFile        string
}

func (f *nodeFlags) register(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringVar(&f.name, "name", "", "`NAME` of the node, as attic or pico-1; required")
	fs.StringVar(&f.gateway, "gateway", "", "`HOST:PORT` of a picolet gateway, or of kubectl proxy (default port: "+strconv.Itoa(linkPort)+" with --gateway-key, else "+strconv.Itoa(plainPort)+")")
	fs.StringVar(&f.gatewayKey, "gateway-key", "", "public `KEY` of the gateway: reach it by an encrypted link, without an open port (default: plain HTTP)")
	fs.StringVar(&f.keyFile, "key-file", "", "`FILE` with the node's private key for --gateway-key, made if it is missing (default: key in --dir)")
	fs.StringVar(&f.joinTokenFile, "join-token-file", "", "`FILE` with the token that lets the node enrol at the gateway")
	fs.StringVar(&f.server, "server", "", "`URL` of the API server, as https://192.168.1.10:6443, instead of --gateway")
	fs.StringVar(&f.tokenFile, "token-file", "", "`FILE` with the node's bearer token for --server")
	fs.StringVar(&f.clientCert, "client-cert", "", "`FILE` with the node's certificate for --server, PEM, instead of --token-file")
	fs.StringVar(&f.clientKey, "client-key", "", "`FILE` with the key of --client-cert, PEM")
	fs.StringVar(&f.caFile, "ca-file", "", "`FILE` with the certificates that --server is trusted by, PEM (default: those of the system)")
	fs.StringVar(&f.board, "board", "linux", "`BOARD`: linux is this machine, virtual a Raspberry Pi Pico W in memory")
	fs.StringVar(&f.gpioChip, "gpiochip", "", "GPIO `DEVICE` whose lines are the node's pins, as /dev/gpiochip0 (default: no pins)")
	fs.StringVar(&f.dir, "dir", "", "`DIRECTORY` for the last good configuration (default: below ~/.local/state/picolet)")
	fs.StringToStringVar(&f.labels, "labels", nil, "more labels of the node, as `KEY=VALUE,…`; a gateway leaves them out: there the Device's labels count")
	fs.StringVar(&f.os, "os", "", "`VALUE` of label kubernetes.io/os (default: linux)")
	fs.StringVar(&f.arch, "arch", "", "`VALUE` of label kubernetes.io/arch (default: that of the machine, arm for a virtual board)")
	fs.StringVar(&f.instanceType, "instance-type", "", "`VALUE` of label node.kubernetes.io/instance-type (default: linux, or rp2040-pico)")
	fs.StringSliceVar(&f.configMaps, "configmap", nil, "ConfigMap `NAMESPACE/NAME` that configures the node; up to 4, each named by the Device too when the node uses a link (default: default/pico-config)")
	fs.DurationVar(&f.reportFrequency, "node-status-report-frequency", statusFrequency, "how often an unchanged status is sent, at least 10s")
	fs.StringVar(&f.listen, "listen", ":10250", "`ADDRESS` of the kubelet port (/healthz, /metrics, …; plain HTTP)")
	fs.StringVar(&f.nodeIP, "node-ip", "", "`IP` address to report (default: that of the link)")
	fs.StringVar(&f.serverTokenFile, "server-token-file", "", "`FILE` with the bearer token that clients of the kubelet port must bring (default: none)")
}

// upstream is the gateway or API server of a node.
type upstream struct {
	flag   string // that named it
	host   string // for the Host header
	dialer link.Dialer
}

func (f *nodeFlags) upstream() (*upstream, error) {
	switch {
	case (f.gateway == "") == (f.server == ""):
		return nil, usagef("say where the cluster is: either --gateway HOST or --server https://HOST:6443")
	case f.gateway != "":
		return f.gatewayUpstream()
	}
	return f.serverUpstream()
}

func (f *nodeFlags) gatewayUpstream() (*upstream, error) {
	if f.tokenFile+f.clientCert+f.clientKey+f.caFile != "" {
		return nil, usagef("--token-file, --client-cert, --client-key and --ca-file go with --server: a gateway is plain HTTP and takes no secret")
	}
	address := gatewayAddress(f.gateway, f.gatewayKey != "")
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return nil, usagef("--gateway %q: give HOST or HOST:PORT, as 192.168.1.10", f.gateway)
	}
	return &upstream{flag: "--gateway", host: address, dialer: link.TCP(address)}, nil
}

func (f *nodeFlags) serverUpstream() (*upstream, error) {
	u, err := url.Parse(f.server)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, usagef("--server %q: give a URL as https://192.168.1.10:6443 (for plain HTTP use --gateway)", f.server)
	}
	config, err := f.tlsConfig()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
	return &upstream{flag: "--server", host: u.Host, dialer: link.TLS(addr, config)}, nil
}

func (f *nodeFlags) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM form", f.caFile)
		}
	}
	switch {
	case (f.clientCert == "") != (f.clientKey == ""):
		return nil, usagef("--client-cert and --client-key go together")
	case (f.clientCert == "") == (f.tokenFile == ""):
		return nil, usagef("say who the node is: either --token-file or --client-cert with --client-key")
	case f.clientCert != "":
		pair, err := tls.LoadX509KeyPair(f.clientCert, f.clientKey)
		if err != nil {
			return nil, fmt.Errorf("--client-cert, --client-key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// kubeletConfig is the kubelet's configuration by the flags, without Board and
// Seed, which each boot has of its own.
func (f *nodeFlags) kubeletConfig(up *upstream) (kubelet.Config, error) {
	c := kubelet.Config{
		NodeName: f.name, Host: up.host, Version: kubelet.OldestVersion, Address: f.nodeIP,
		OS: f.os, Arch: f.arch, InstanceType: f.instanceType, NodeStatusReportFrequency: f.reportFrequency,
	}
	if f.board != "linux" && f.board != "virtual" {
		return c, usagef("--board %q: choose linux or virtual", f.board)
	}
	if f.board == "virtual" && f.gpioChip != "" {
		return c, usagef("--gpiochip goes with --board linux: a virtual board has pins of its own")
	}
	var err error
	if c.ConfigMaps, err = parseConfigMaps(f.configMaps); err != nil {
		return c, err
	}
	for key, value := range f.labels {
		c.Labels = append(c.Labels, kubelet.Label{Key: key, Value: value})
	}
	slices.SortFunc(c.Labels, func(a, b kubelet.Label) int { return cmp.Compare(a.Key, b.Key) })
	if c.Token, err = optionalSecret("token-file", f.tokenFile); err != nil {
		return c, err
	}
	if c.ServerToken, err = optionalSecret("server-token-file", f.serverTokenFile); err != nil {
		return c, err
	}
	return c, validate(c)
}

// validate checks what stands in flags, before anything is opened or written.
func validate(c kubelet.Config) error {
	whole, err := virtual.New(virtual.Options{})
	if err != nil {
		return err
	}
	c.Board, c.Seed = whole.Board(), 1
	return explain(c.Validate())
}

func optionalSecret(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return readSecret(flag, path)
}

func parseConfigMaps(names []string) ([]kubelet.ObjectName, error) {
	var parsed []kubelet.ObjectName
	for _, s := range names {
		namespace, name, ok := strings.Cut(s, "/")
		if !ok || namespace == "" || name == "" {
			return nil, usagef("--configmap %q: give NAMESPACE/NAME, as default/pico-config", s)
		}
		parsed = append(parsed, kubelet.ObjectName{Namespace: namespace, Name: name})
	}
	return parsed, nil
}

// flagOf names the flags behind what the kubelet can find wrong.
var flagOf = map[error]string{
	kubelet.ErrNodeName:   "--name",
	kubelet.ErrHost:       "--gateway or --server",
	kubelet.ErrToken:      "--token-file or --server-token-file",
	kubelet.ErrLabels:     "--labels, --os, --arch or --instance-type",
	kubelet.ErrPort:       "--listen",
	kubelet.ErrConfigMaps: "--configmap",
	kubelet.ErrIntervals:  "--node-status-report-frequency",
	kubelet.ErrAddress:    "--node-ip",
}

// explain says which flag an error of the kubelet's configuration came from.
func explain(err error) error {
	for cause, flag := range flagOf {
		if errors.Is(err, cause) {
			return usagef("%s: %v", flag, err)
		}
	}
	return err
}
