// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func config(t *testing.T) Config {
	t.Helper()
	return Config{
		Dir:       filepath.Join(t.TempDir(), "pki"),
		Names:     []string{"localhost", "kubernetes"},
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")},
		Now:       start,
	}
}

func ensure(t *testing.T, c Config) {
	t.Helper()
	if err := Ensure(c); err != nil {
		t.Fatal(err)
	}
}

// snapshot returns the content of all files.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

// changed lists the files whose content differs.
func changed(before, after map[string]string) []string {
	var names []string
	for name, content := range after {
		if before[name] != content {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// verify checks everything in the directory as its users will.
func verify(t *testing.T, c Config) {
	t.Helper()
	for _, l := range c.leaves() {
		file := filepath.Join(c.Dir, l.file)
		pair, err := tls.LoadX509KeyPair(file+".crt", file+".key")
		if err != nil {
			t.Errorf("%s: %v", l.file, err)
			continue
		}
		roots := x509.NewCertPool()
		authority, err := os.ReadFile(filepath.Join(c.Dir, l.authority+".crt"))
		if err != nil || !roots.AppendCertsFromPEM(authority) {
			t.Errorf("authority %s: %v", l.authority, err)
		}
		options := x509.VerifyOptions{Roots: roots, CurrentTime: c.Now, KeyUsages: []x509.ExtKeyUsage{l.usage()}}
		if _, err := pair.Leaf.Verify(options); err != nil {
			t.Errorf("%s: %v", l.file, err)
		}
		for _, name := range l.names {
			if err := pair.Leaf.VerifyHostname(name); err != nil {
				t.Errorf("%s: %v", l.file, err)
			}
		}
		for _, a := range l.addresses {
			if err := pair.Leaf.VerifyHostname(a.String()); err != nil {
				t.Errorf("%s: %v", l.file, err)
			}
		}
	}
	checkServiceAccountKey(t, c.Dir)
}

func checkServiceAccountKey(t *testing.T, dir string) {
	t.Helper()
	private, err := readPEM(filepath.Join(dir, "sa.key"), "PRIVATE KEY")
	if err != nil {
		t.Error(err)
	}
	public, err := readPEM(filepath.Join(dir, "sa.pub"), "PUBLIC KEY")
	if err != nil {
		t.Error(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	half, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if signer, ok := key.(*ecdsa.PrivateKey); !ok || !signer.PublicKey.Equal(half) {
		t.Error("sa.pub does not belong to sa.key")
	}
}

func TestEnsureMakesAllAndReuses(t *testing.T) {
	t.Parallel()
	c := config(t)
	ensure(t, c)
	verify(t, c)
	before := snapshot(t, c.Dir)
	if len(before) != 2*(2+6)+2 {
		t.Errorf("%d files", len(before))
	}
	c.Now = c.Now.Add(24 * time.Hour)
	ensure(t, c)
	if diff := changed(before, snapshot(t, c.Dir)); len(diff) > 0 {
		t.Errorf("the second start changed %q", diff)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	c := config(t)
	ensure(t, c)
	if err := WriteKubeconfigs(c.Dir, filepath.Dir(c.Dir), "https://127.0.0.1:6443"); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(filepath.Dir(c.Dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == filepath.Dir(c.Dir) {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	c := config(t)
	ensure(t, c)
	for file, want := range map[string]string{
		"admin":                    "CN=kubernetes-admin,O=system:masters",
		"apiserver-kubelet-client": "CN=kube-apiserver-kubelet-client",
		"controller-manager":       "CN=system:kube-controller-manager",
		"scheduler":                "CN=system:kube-scheduler",
		"front-proxy-client":       "CN=front-proxy-client",
	} {
		p, err := readPair(c.Dir, file)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.cert.Subject.String(); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
		if !slices.Equal(p.cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || p.cert.IsCA {
			t.Errorf("%s is more than a client's certificate", file)
		}
	}
}

func TestLeavesAreMadeAnew(t *testing.T) {
	t.Parallel()
	serving := []string{"apiserver.crt", "apiserver.key"}
	var all []string
	for _, l := range (Config{}).leaves() {
		all = append(all, l.file+".crt", l.file+".key")
	}
	slices.Sort(all)
	for name, tt := range map[string]struct {
		change func(t *testing.T, c *Config)
		want   []string
	}{
		"other address":  {func(_ *testing.T, c *Config) { c.Addresses = append(c.Addresses, netip.MustParseAddr("192.0.2.1")) }, serving},
		"other name":     {func(_ *testing.T, c *Config) { c.Names = c.Names[:1] }, serving},
		"31 days left":   {func(_ *testing.T, c *Config) { c.Now = start.Add(leafLife - 31*24*time.Hour) }, nil},
		"29 days left":   {func(_ *testing.T, c *Config) { c.Now = start.Add(leafLife - 29*24*time.Hour) }, all},
		"key lost":       {func(t *testing.T, c *Config) { remove(t, c.Dir, "apiserver.key") }, serving},
		"cert lost":      {func(t *testing.T, c *Config) { remove(t, c.Dir, "apiserver.crt") }, serving},
		"cert cut":       {func(t *testing.T, c *Config) { cut(t, c.Dir, "apiserver.crt") }, serving},
		"key of another": {func(t *testing.T, c *Config) { copyFile(t, c.Dir, "admin.key", "apiserver.key") }, serving},
		"pair of another": {func(t *testing.T, c *Config) {
			copyFile(t, c.Dir, "admin.key", "apiserver.key")
			copyFile(t, c.Dir, "admin.crt", "apiserver.crt")
		}, serving},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			ensure(t, c)
			before := snapshot(t, c.Dir)
			tt.change(t, &c)
			ensure(t, c)
			verify(t, c)
			if got := changed(before, snapshot(t, c.Dir)); !slices.Equal(got, tt.want) {
				t.Errorf("changed %q, want %q", got, tt.want)
			}
		})
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Truncate(filepath.Join(dir, name), 100); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, dir, from, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, from))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, to), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAuthoritiesAreNeverMadeAnew(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, c *Config){
		"ca.crt lost":         func(t *testing.T, c *Config) { remove(t, c.Dir, "ca.crt") },
		"ca.key lost":         func(t *testing.T, c *Config) { remove(t, c.Dir, "ca.key") },
		"front-proxy-ca cut":  func(t *testing.T, c *Config) { cut(t, c.Dir, "front-proxy-ca.key") },
		"ca.key of another":   func(t *testing.T, c *Config) { copyFile(t, c.Dir, "admin.key", "ca.key") },
		"sa.key lost":         func(t *testing.T, c *Config) { remove(t, c.Dir, "sa.key") },
		"authority has ended": func(_ *testing.T, c *Config) { c.Now = start.Add(authorityLife + time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := config(t)
			ensure(t, c)
			change(t, &c)
			before := snapshot(t, c.Dir)
			err := Ensure(c)
			if err == nil || !strings.Contains(err.Error(), "remove "+c.Dir) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line that says what to do", err)
			}
			if got := changed(before, snapshot(t, c.Dir)); len(got) > 0 {
				t.Errorf("changed %q", got)
			}
		})
	}
}

func TestClockThatWentBack(t *testing.T) {
	t.Parallel()
	c := config(t)
	ensure(t, c)
	before := snapshot(t, c.Dir)
	c.Now = start.Add(-2 * time.Hour)
	if err := Ensure(c); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("error %v, want advice to set the clock", err)
	}
	if got := changed(before, snapshot(t, c.Dir)); len(got) > 0 {
		t.Errorf("changed %q", got)
	}
}

func TestLeavesEndWithTheirAuthority(t *testing.T) {
	t.Parallel()
	c := config(t)
	ensure(t, c)
	c.Now = start.Add(authorityLife - 48*time.Hour)
	ensure(t, c)
	verify(t, c)
	leaf, err := readPair(c.Dir, "apiserver")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := readPair(c.Dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	if !leaf.cert.NotAfter.Equal(authority.cert.NotAfter) {
		t.Errorf("ends on %v, its authority on %v", leaf.cert.NotAfter, authority.cert.NotAfter)
	}
}

// errCut stands for a crash: a panic that skips every explicit clean-up.
var errCut = errors.New("cut")

// ensureCutAt runs Ensure and ends it before its write number n. It tells whether it
// came that far.
func ensureCutAt(c Config, n int) (cut bool) {
	c.write = func(name string, data []byte) error {
		if n == 0 {
			panic(errCut)
		}
		n--
		return os.WriteFile(name, data, 0o600)
	}
	defer func() {
		if r := recover(); r != nil {
			cut = true
			if r != errCut {
				panic(r)
			}
		}
	}()
	if err := Ensure(c); err != nil {
		panic(err)
	}
	return false
}

func TestCutAtEachWrite(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, c *Config){
		"first start":      func(*testing.T, *Config) {},
		"all leaves anew":  func(t *testing.T, c *Config) { ensure(t, *c); c.Now = start.Add(leafLife) },
		"an address added": func(t *testing.T, c *Config) { ensure(t, *c); c.Addresses = c.Addresses[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				c := config(t)
				prepare(t, &c)
				_, statErr := os.Stat(c.Dir)
				if !ensureCutAt(c, n) {
					if n < 2 {
						t.Errorf("only %d writes", n)
					}
					return
				}
				if _, err := os.Stat(c.Dir); (err == nil) != (statErr == nil) {
					t.Errorf("cut at write %d: the directory exists half-made", n)
				}
				ensure(t, c)
				verify(t, c)
				if _, err := os.Stat(c.Dir + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("cut at write %d: the unfinished directory is still there", n)
				}
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for n := range 18 {
		c := config(t)
		left := n
		c.write = func(name string, data []byte) error {
			if left == 0 {
				return full
			}
			left--
			return os.WriteFile(name, data, 0o600)
		}
		if err := Ensure(c); !errors.Is(err, full) {
			t.Errorf("full at write %d: error %v", n, err)
		}
		if left, err := os.ReadDir(filepath.Dir(c.Dir)); err != nil || len(left) > 0 {
			t.Errorf("full at write %d: left %v, %v", n, left, err)
		}
	}
}

func TestKubeconfigs(t *testing.T) {
	t.Parallel()
	c := config(t)
	ensure(t, c)
	dir := filepath.Dir(c.Dir)
	for _, url := range []string{"https://127.0.0.1:6443", "https://[::1]:7443"} {
		if err := WriteKubeconfigs(c.Dir, dir, url); err != nil {
			t.Fatal(err)
		}
		for _, user := range Users {
			checkKubeconfig(t, c, filepath.Join(dir, user+".kubeconfig"), user, url)
		}
	}
}

func checkKubeconfig(t *testing.T, c Config, file, user, url string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte("server: "+url+"\n")) {
		t.Errorf("%s does not lead to %s", file, url)
	}
	for key, source := range map[string]string{"certificate-authority-data": "ca.crt", "client-certificate-data": user + ".crt", "client-key-data": user + ".key"} {
		m := regexp.MustCompile(key + `: (\S+)\n`).FindSubmatch(content)
		if m == nil {
			t.Fatalf("%s has no %s", file, key)
		}
		got, err := base64.StdEncoding.DecodeString(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join(c.Dir, source))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %s is not %s (%v)", file, key, source, err)
		}
		if block, _ := pem.Decode(got); block == nil {
			t.Errorf("%s: %s is no PEM", file, key)
		}
	}
}

func TestKubeconfigsAreLeftAlone(t *testing.T) {
	t.Parallel()
	c := config(t)
	ensure(t, c)
	dir := filepath.Dir(c.Dir)
	inode := func() os.FileInfo {
		if err := WriteKubeconfigs(c.Dir, dir, "https://127.0.0.1:6443"); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "admin.kubeconfig"))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if first, second := inode(), inode(); !os.SameFile(first, second) {
		t.Error("a kubeconfig that says the same was written again")
	}
}
