// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import "github.com/picolet/picolet/kubelet"

var _ Kubelet = (*kubelet.Kubelet)(nil)

// Machine returns a function for Options.Boot that makes a kubelet by the
// configuration of each boot, 0 for the first. config is where a board is
// reset, and its facts read again.
func Machine(config func(boot int) (kubelet.Config, error)) func(boot int) (Kubelet, error) {
	return func(boot int) (Kubelet, error) {
		c, err := config(boot)
		if err != nil {
			return nil, err
		}
		k := new(kubelet.Kubelet)
		if err := k.Configure(c); err != nil {
			return nil, err
		}
		return k, nil
	}
}
