// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package tinygo

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	boardnet "github.com/picolet/picolet/firmware/toolchain/tinygo/overlay/src/net"
)

// The shim's connections and addresses can be used wherever Go's can.
var (
	_ interface {
		Read(b []byte) (n int, err error)
		Write(b []byte) (n int, err error)
		Close() error
	} = boardnet.Conn(nil)
	_ net.Addr      = (*boardnet.TCPAddr)(nil)
	_ boardnet.Addr = (*net.UDPAddr)(nil)
)

func TestAddressesReadAsGosOwn(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"10.42.0.1:6443", "[2001:db8::1]:80", "[fe80::1%wlan0]:5353", "[::ffff:192.0.2.1]:0", "0.0.0.0:65535"} {
		a := netip.MustParseAddrPort(text)
		tcp, wantTCP := boardnet.TCPAddrFromAddrPort(a), net.TCPAddrFromAddrPort(a)
		if tcp.String() != wantTCP.String() || tcp.Network() != wantTCP.Network() || tcp.IP.String() != wantTCP.IP.String() {
			t.Errorf("%s is %s %s, want %s %s", text, tcp.Network(), tcp, wantTCP.Network(), wantTCP)
		}
		udp, wantUDP := boardnet.UDPAddrFromAddrPort(a), net.UDPAddrFromAddrPort(a)
		if udp.String() != wantUDP.String() || udp.Network() != wantUDP.Network() {
			t.Errorf("%s is %s %s, want %s %s", text, udp.Network(), udp, wantUDP.Network(), wantUDP)
		}
	}
	for _, mac := range [][]byte{nil, {0}, {0x28, 0xcd, 0xc1, 0x00, 0x9f, 0xff}} {
		if got, want := boardnet.HardwareAddr(mac).String(), net.HardwareAddr(mac).String(); got != want {
			t.Errorf("%x is %s, want %s", mac, got, want)
		}
	}
	if got := boardnet.IP([]byte{1, 2, 3}).String(); got != "" {
		t.Errorf("an address of 3 bytes is %q", got)
	}
}

func TestCFunctionsDoAsTheSystems(t *testing.T) {
	t.Parallel()
	compiler, err := exec.LookPath("cc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no C compiler: install gcc")
		}
		t.Skip("no C compiler: the C library stays untested")
	}
	for name, functions := range map[string][]string{
		"memory": {"memcpy", "memmove", "memset", "memcmp"},
		"log":    {"log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			object, program := filepath.Join(dir, name+".o"), filepath.Join(dir, name)
			compile := []string{compiler, "-Wall", "-Werror", "-O2", "-ffreestanding", "-c", "-o", object, "overlay/lib/libc/" + name + ".c"}
			for _, f := range functions {
				compile = append(compile, "-D"+f+"=own_"+f)
			}
			for _, args := range [][]string{
				compile,
				{compiler, "-Wall", "-Werror", "-fno-builtin", "-o", program, "testdata/" + name + "_test.c", object, "-lm"},
				{program},
			} {
				if said, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, said)
				}
			}
		})
	}
}
