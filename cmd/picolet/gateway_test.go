// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/replica"
)

func TestGatewayFlagsBecomeConfig(t *testing.T) {
	here := []netip.Addr{netip.MustParseAddr(loopback)}
	tests := map[string]struct {
		env  map[string]string
		args []string
		want replica.Config
	}{
		"in a pod": {
			env: map[string]string{podName: "gateway-0", podIP: "192.0.2.7"},
			want: replica.Config{
				Name: "gateway-0", Namespace: "picolet-system", Identity: gateway.IdentityAuto,
				Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")}, FirstPort: 20000, LastPort: 29999,
			},
		},
		"on a machine": {
			args: []string{"--name", "left", "--address", "127.0.0.1", "--node-names", "pico-*,attic", "--identity", "plain", "--namespace", "boards", "--kubelet-ports", "7-9", "--drain-timeout", "5s"},
			want: replica.Config{
				Name: "left", Namespace: "boards", Identity: gateway.IdentityPlain, NodeNames: []string{"pico-*", "attic"}, DrainTimeout: 5 * time.Second,
				Addresses: here, ListenHost: loopback, FirstPort: 7, LastPort: 9,
			},
		},
		"with other limits": {
			args: []string{"--name", "left", "--kubelet-ports", "", "--max-boards", "7", "--max-pending", "8", "--max-configmaps", "9"},
			want: replica.Config{
				Name: "left", Namespace: "picolet-system", Identity: gateway.IdentityAuto,
				Limits: replica.Limits{Boards: 7, Pending: 8, ConfigMaps: 9},
			},
		},
		"behind two addresses": {
			args: []string{"--name", "left", "--address", "127.0.0.1", "--address", "2001:db8::7"},
			want: replica.Config{
				Name: "left", Namespace: "picolet-system", Identity: gateway.IdentityAuto,
				Addresses: append(here[:1:1], netip.MustParseAddr("2001:db8::7")), FirstPort: 20000, LastPort: 29999,
			},
		},
		"without kubelet ports": {
			args: []string{"--name", "left", "--kubelet-ports", ""},
			want: replica.Config{Name: "left", Namespace: "picolet-system", Identity: gateway.IdentityAuto},
		},
		"plain HTTP alone": {
			args: []string{"--name", "left", "--listen", "", "--insecure-listen", ":6080", "--insecure-board", "pico-1=192.0.2.1", "--insecure-board", "pico-2=::ffff:192.0.2.2", "--allow-cluster-admin"},
			want: replica.Config{
				Name: "left", Namespace: "picolet-system", Identity: gateway.IdentityAuto, AllowClusterAdmin: true, NoLinks: true,
				InsecureBoards: map[string]netip.Addr{"pico-1": netip.MustParseAddr("192.0.2.1"), "pico-2": netip.MustParseAddr("192.0.2.2")},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv(podName, tt.env[podName])
			t.Setenv(podIP, tt.env[podIP])
			var f gatewayFlags
			fs := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
			f.register(fs)
			if err := fs.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			if err := f.check(); err != nil {
				t.Fatal(err)
			}
			if tt.want.Limits == (replica.Limits{}) {
				tt.want.Limits = replica.DefaultLimits
			}
			tt.want.DrainTimeout = cmp.Or(tt.want.DrainTimeout, 20*time.Second)
			tt.want.Kubernetes = &rest.Config{Host: "https://192.0.2.1:6443"}
			got, err := f.config(tt.want.Kubernetes)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("config\n%+v, want\n%+v", got, tt.want)
			}
		})
	}
}

// The API server proxies to no loopback address, so a gateway beside it takes
// another one, if the machine has one.
func TestOwnAddresses(t *testing.T) {
	t.Setenv(podIP, "")
	for _, server := range []string{"https://127.0.0.1:6443", "https://[::1]:6443", "127.0.0.1"} {
		got, err := ownAddresses(server)
		if want := []netip.Addr{machineAddress()}; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v, want %v", server, got, err, want)
		}
	}
	if a := machineAddress(); !isHere(a) || a.IsLinkLocalUnicast() || onlyHere([]netip.Addr{a}) != a.String() {
		t.Errorf("%v is no address of this machine", a)
	}
	if a := netip.MustParseAddr("192.0.2.1"); isHere(a) || onlyHere([]netip.Addr{a}) != "" {
		t.Errorf("%v is taken for an address of this machine", a)
	}
}

func TestGatewayAddress(t *testing.T) {
	t.Parallel()
	for named, want := range map[string][2]string{ // by plain HTTP, by link
		"box":               {"box:6080", "box:6079"},
		"box:1":             {"box:1", "box:1"},
		"192.0.2.1":         {"192.0.2.1:6080", "192.0.2.1:6079"},
		"2001:db8::1":       {"[2001:db8::1]:6080", "[2001:db8::1]:6079"},
		"[2001:db8::1]:443": {"[2001:db8::1]:443", "[2001:db8::1]:443"},
		"box:":              {"box:", "box:"},
		"":                  {"", ""},
		"[box":              {"[box", "[box"},
	} {
		if got := [2]string{gatewayAddress(named, false), gatewayAddress(named, true)}; got != want {
			t.Errorf("%q becomes %q, want %q", named, got, want)
		}
	}
}
