// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"

	"github.com/picolet/picolet/controlplane/internal/statedir"
)

// Users are the base names of the kubeconfigs that WriteKubeconfigs writes.
var Users = []string{"admin", "controller-manager", "scheduler"}

// WriteKubeconfigs writes one kubeconfig per user into dir, with certificate and key
// inside, for the API server at url. A file that says the same already is left alone.
func WriteKubeconfigs(pkiDir, dir, url string) error {
	for _, user := range Users {
		want, err := kubeconfig(pkiDir, user, url)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, user+".kubeconfig")
		if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, want) {
			continue
		}
		if err := statedir.WriteFile(name, want); err != nil {
			return err
		}
	}
	return nil
}

func kubeconfig(pkiDir, user, url string) ([]byte, error) {
	var data [3]string
	for i, file := range []string{clusterCA + ".crt", user + ".crt", user + ".key"} {
		b, err := os.ReadFile(filepath.Join(pkiDir, file))
		if err != nil {
			return nil, fmt.Errorf("kubeconfig of %s: %w", user, err)
		}
		data[i] = base64.StdEncoding.EncodeToString(b)
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: picolet
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: picolet
  context:
    cluster: picolet
    user: %s
current-context: picolet
`, url, data[0], user, data[1], data[2], user), nil
}
