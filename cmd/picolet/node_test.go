// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

func parseNodeFlags(t *testing.T, args ...string) *nodeFlags {
	t.Helper()
	f := &nodeFlags{}
	fs := pflag.NewFlagSet("node", pflag.ContinueOnError)
	f.register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNodeFlagsBecomeConfig(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(" s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want kubelet.Config
	}{
		"defaults": {
			args: []string{"--name", "attic", "--gateway", "box:6080"},
			want: kubelet.Config{
				NodeName: "attic", Host: "box:6080", Version: kubelet.OldestVersion, NodeStatusReportFrequency: 5 * time.Minute,
			},
		},
		"everything": {
			args: []string{
				"--name", "attic", "--server", "https://box:6443/", "--token-file", secret, "--server-token-file", secret,
				"--labels", "b=2,a=1", "--os", "linux", "--arch", "riscv64", "--instance-type", "visionfive",
				"--configmap", "ns/one,ns/two", "--configmap", "three/four", "--node-ip", "192.0.2.7",
				"--node-status-report-frequency", "10s",
			},
			want: kubelet.Config{
				NodeName: "attic", Host: "box:6443", Version: kubelet.OldestVersion, Token: "s3cret", ServerToken: "s3cret",
				OS: "linux", Arch: "riscv64", InstanceType: "visionfive",
				Labels:     []kubelet.Label{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}},
				ConfigMaps: []kubelet.ObjectName{{Namespace: "ns", Name: "one"}, {Namespace: "ns", Name: "two"}, {Namespace: "three", Name: "four"}},
				Address:    "192.0.2.7", NodeStatusReportFrequency: 10 * time.Second,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := parseNodeFlags(t, tt.args...)
			up, err := f.upstream()
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.kubeletConfig(up)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("config\n%+v, want\n%+v", got, tt.want)
			}
		})
	}
}

func TestMachineDefaultsLeaveFlagsAlone(t *testing.T) {
	t.Parallel()
	facts := board.Facts{MemoryBytes: 512 << 20}
	c := kubelet.Config{}
	machineDefaults(&c, facts)
	if c.OS != runtime.GOOS || c.Arch != runtime.GOARCH || c.InstanceType != "linux" || c.Memory != "524288Ki" || c.CPU == "" {
		t.Errorf("defaults %+v", c)
	}
	c = kubelet.Config{OS: "plan9", Arch: "arm", InstanceType: "router"}
	machineDefaults(&c, facts)
	if c.OS != "plan9" || c.Arch != "arm" || c.InstanceType != "router" {
		t.Errorf("flags were replaced: %+v", c)
	}
}

// Each boot has a seed of its own, and only later boots reset the board.
func TestHardwareResetsAtReboot(t *testing.T) {
	t.Parallel()
	resets := 0
	h := &hardware{facts: func() board.Board { return board.Board{} }, reset: func() { resets++ }}
	configure := h.configure(kubelet.Config{NodeName: "attic"})
	first, _ := configure(0)
	if resets != 0 {
		t.Error("the first boot reset the board")
	}
	second, _ := configure(1)
	if resets != 1 || first.NodeName != "attic" || first.Seed == 0 || second.Seed == first.Seed {
		t.Errorf("%d resets, seeds %d and %d", resets, first.Seed, second.Seed)
	}
}
