// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package netns gives a test binary a network of its own: the Linux network
// namespace that [Main] runs the tests in has a loopback interface and an address
// on it that is not a loopback address. An API server proxies to such a one only,
// and nothing that a test listens on can be reached from the machine's network.
//
// A namespace reaches no other network, so what a test must fetch, it must have
// fetched before Main. The package is for tests; it changes nothing outside of the
// namespace that it made.
package netns

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
)

// childEnv marks the process that runs in the namespace.
const childEnv = "PICOLET_NETNS"

var (
	// own is of the block TEST-NET-1, which no network uses (RFC 5737, section 3).
	own      = netip.MustParseAddr("192.0.2.10")
	loopback = netip.MustParseAddr("127.0.0.1")
)

// Main runs the tests in a namespace and returns the exit code, as in
//
//	func TestMain(m *testing.M) { os.Exit(netns.Main(m)) }
//
// Where the system allows no namespace, it runs them where it is; with CI=true it
// fails then.
func Main(m *testing.M) int {
	if inside() {
		if err := prepare(own); err != nil {
			return fail(fmt.Errorf("network of the tests: %w", err))
		}
		return m.Run()
	}
	code, err := runInside()
	switch {
	case err == nil:
		return code
	case os.Getenv("CI") == "true":
		return fail(fmt.Errorf("a network namespace for the tests: %w; run them as root, or allow user namespaces", err))
	}
	fmt.Fprintf(os.Stderr, "Tests run without a network of their own: %v\n", err)
	return m.Run()
}

// Address is one at which this process can be reached: that of the namespace, or
// 127.0.0.1 where there is none.
func Address() netip.Addr {
	if inside() {
		return own
	}
	return loopback
}

func inside() bool { return os.Getenv(childEnv) != "" }

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
