// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki makes and keeps the keys, certificates and kubeconfigs of a control
// plane. The authorities and the service account key are made once and never touched
// again; certificates that no longer fit, or end soon, are re-made from them. A start
// that is cut at any moment leaves a directory from which the next one goes on. It
// does not rotate authorities.
package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/picolet/picolet/controlplane/internal/statedir"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is re-made.
	renewBefore = 30 * 24 * time.Hour

	clusterCA    = "ca"
	frontProxyCA = "front-proxy-ca"
	// ServiceAccountKey is the base name of the key that signs service account tokens.
	ServiceAccountKey = "sa"
	// KubeletClient is the user as which the API server calls kubelets.
	KubeletClient = "kube-apiserver-kubelet-client"
)

// Config says what the certificates are for.
type Config struct {
	// Dir is the directory that holds, or is to hold, the files. Its parent must
	// exist. Required.
	Dir string
	// Addresses and Names are what the API server is called by. Required.
	Addresses []netip.Addr
	Names     []string
	// Now is the time to judge certificates by. Required.
	Now time.Time

	write func(name string, data []byte) error // statedir.WriteFile, or a test's
}

// Ensure makes what is missing in c.Dir and re-makes certificates that no longer fit.
func Ensure(c Config) error {
	if c.write == nil {
		c.write = statedir.WriteFile
	}
	unfinished := c.Dir + ".tmp"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("remove what an earlier start left: %w", err)
	}
	_, err := os.Stat(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return c.create(unfinished)
	}
	if err != nil {
		return fmt.Errorf("keys and certificates: %w", err)
	}
	return c.ensureLeaves(c.Dir)
}

// create makes everything under another name, so that c.Dir is whole once it exists.
func (c Config) create(unfinished string) error {
	if err := c.createIn(unfinished); err != nil {
		os.RemoveAll(unfinished)
		return err
	}
	if err := os.Rename(unfinished, c.Dir); err != nil {
		return fmt.Errorf("keys and certificates: %w", err)
	}
	return statedir.SyncDir(filepath.Dir(c.Dir))
}

func (c Config) createIn(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("keys and certificates: %w", err)
	}
	for _, name := range []string{clusterCA, frontProxyCA} {
		made, err := newAuthority("picolet-"+name, c.Now)
		if err != nil {
			return err
		}
		if err := c.writePair(dir, name, made); err != nil {
			return err
		}
	}
	private, public, err := newServiceAccountKey()
	if err != nil {
		return err
	}
	if err := c.write(filepath.Join(dir, ServiceAccountKey+".key"), private); err != nil {
		return err
	}
	if err := c.write(filepath.Join(dir, ServiceAccountKey+".pub"), public); err != nil {
		return err
	}
	return c.ensureLeaves(dir)
}

func (c Config) ensureLeaves(dir string) error {
	authorities := make(map[string]*pair, 2)
	for _, name := range []string{clusterCA, frontProxyCA} {
		p, err := c.readAuthority(dir, name)
		if err != nil {
			return err
		}
		authorities[name] = p
	}
	for _, ext := range []string{".key", ".pub"} {
		if _, err := os.Stat(filepath.Join(dir, ServiceAccountKey+ext)); err != nil {
			return fmt.Errorf("the service account key: %w; restore it, or remove %s to begin with new keys", err, c.Dir)
		}
	}
	for _, l := range c.leaves() {
		if err := c.ensureLeaf(dir, l, authorities[l.authority]); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) readAuthority(dir, name string) (*pair, error) {
	p, err := readPair(dir, name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w; it cannot be made again: restore it, or remove %s to begin with new keys (old kubeconfigs and tokens end)", err, c.Dir)
	case c.Now.Before(p.cert.NotBefore):
		return nil, fmt.Errorf("the clock says %s, but the authority %s was made on %s: set the clock",
			c.Now.Format(time.RFC3339), name, p.cert.NotBefore.Format(time.RFC3339))
	case c.Now.After(p.cert.NotAfter):
		return nil, fmt.Errorf("the authority %s ended on %s: remove %s to begin with a new one (old kubeconfigs and tokens end)",
			name, p.cert.NotAfter.Format(time.DateOnly), c.Dir)
	}
	return p, nil
}

func (c Config) ensureLeaf(dir string, l leaf, authority *pair) error {
	if old, err := readPair(dir, l.file); err == nil && l.fits(old.cert, authority.cert, c.Now) {
		return nil
	}
	made, err := l.issue(authority, c.Now)
	if err != nil {
		return err
	}
	return c.writePair(dir, l.file, made)
}

// writePair writes the key before the certificate. A cut between the two leaves a
// pair that does not match, which readPair refuses and ensureLeaf makes anew.
func (c Config) writePair(dir, name string, p *pair) error {
	key, err := p.keyPEM()
	if err != nil {
		return err
	}
	if err := c.write(filepath.Join(dir, name+".key"), key); err != nil {
		return err
	}
	return c.write(filepath.Join(dir, name+".crt"), p.certPEM())
}

// leaves lists the certificates of a control plane; users and groups are those that
// Kubernetes' default roles are bound to.
func (c Config) leaves() []leaf {
	return []leaf{
		{file: "apiserver", authority: clusterCA, commonName: "kube-apiserver", server: true, addresses: c.Addresses, names: c.Names},
		{file: "apiserver-kubelet-client", authority: clusterCA, commonName: KubeletClient},
		{file: "front-proxy-client", authority: frontProxyCA, commonName: "front-proxy-client"},
		{file: "admin", authority: clusterCA, commonName: "kubernetes-admin", organization: "system:masters"},
		{file: "controller-manager", authority: clusterCA, commonName: "system:kube-controller-manager"},
		{file: "scheduler", authority: clusterCA, commonName: "system:kube-scheduler"},
	}
}
