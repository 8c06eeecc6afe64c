// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/node"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
)

// checkLink finds flags that do not go together. linked tells whether the node
// is to come by an encrypted link.
func (f *nodeFlags) checkLink() (overLink bool, err error) {
	switch {
	case f.gatewayKey == "" && (f.keyFile != "" || f.joinTokenFile != ""):
		return false, usagef("--key-file and --join-token-file go with --gateway-key")
	case f.gatewayKey == "":
		return false, nil
	case f.gateway == "":
		return false, usagef("--gateway-key goes with --gateway")
	case f.serverTokenFile != "":
		return false, usagef("--server-token-file does not go with --gateway-key: there is no open port then")
	}
	return true, nil
}

// linkConfig is that of a node over a link, but for the kubelet. The node's key is
// made at its first start.
func (f *nodeFlags) linkConfig(log *slog.Logger) (c linked.Config, err error) {
	if c.GatewayKey, err = parsePublicKey("gateway-key", f.gatewayKey); err != nil {
		return c, err
	}
	dir, err := f.storageDir()
	if err != nil {
		return c, err
	}
	path := cmp.Or(f.keyFile, filepath.Join(dir, "key"))
	key, made, err := keyFile(path)
	if err != nil {
		return c, fmt.Errorf("the node's key: %w", err)
	}
	if made {
		log.Info("Made the node's key: the gateway must let it in", "file", path)
	}
	log.Info("Node has a key", "publicKey", publicKeyText(key.Public), "device", gateway.Fingerprint(key.Public))
	c.Key, c.Random = key.Key, rand.Reader
	c.Hello = noise.Hello{NodeName: f.name, Version: node.RuntimeVersion}
	c.Hello.JoinToken, err = optionalSecret("join-token-file", f.joinTokenFile)
	return c, err
}

// overLink puts the kubelet of each boot over a link. What it learns of the gateway's
// keys is kept in dir.
func overLink(dir string, c linked.Config, config func(int) (kubelet.Config, error)) func(int) (fleet.Kubelet, error) {
	return func(boot int) (fleet.Kubelet, error) {
		own, err := config(boot)
		if err != nil {
			return nil, err
		}
		c := c
		c.Kubelet, c.Memory = new(kubelet.Kubelet), make([]byte, linkMemory)
		c.Hello.BoardID = own.Board.Facts.ID
		if err := keepGatewayKeys(&c, dir); err != nil {
			return nil, err
		}
		if err := c.Kubelet.Configure(own); err != nil {
			return nil, err
		}
		return linked.New(c)
	}
}

// linkMemory is what a host spends on what a link has received, in bytes.
const linkMemory = 12 << 10
