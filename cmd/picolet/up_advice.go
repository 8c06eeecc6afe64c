// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// pluginName is the plugin of kubectl that `make build` makes beside picolet.
const pluginName = "kubectl-pico"

// advice says by which commands Devices are decided on: those of the plugin if it is
// there, else plain kubectl.
type advice struct{ plugin bool }

// newAdvice looks for the plugin; dir is where it is, if PATH lacks that.
func newAdvice() (a advice, dir string) {
	if inPath(pluginName) {
		return advice{plugin: true}, ""
	}
	own, err := os.Executable()
	if err != nil {
		return advice{}, ""
	}
	info, err := os.Stat(filepath.Join(filepath.Dir(own), pluginName))
	if err != nil || !info.Mode().IsRegular() {
		return advice{}, ""
	}
	return advice{plugin: true}, filepath.Dir(own)
}

// approve lets a Device in; node is its new name, empty for the one it has.
func (a advice) approve(device, node string) string {
	switch {
	case a.plugin && node == "":
		return "kubectl pico approve " + device
	case a.plugin:
		return fmt.Sprintf("kubectl pico approve %s --node-name %s", device, node)
	case node == "":
		return plainDecision(device, `"approved":true`)
	}
	return plainDecision(device, fmt.Sprintf(`"approved":true,"nodeName":%q`, node))
}

// revoke keeps a Device out.
func (a advice) revoke(device string) string {
	if a.plugin {
		return "kubectl pico revoke " + device
	}
	return plainDecision(device, `"approved":false`)
}

func plainDecision(device, spec string) string {
	return fmt.Sprintf(`kubectl patch device %s --type merge -p '{"spec":{%s}}'`, device, spec)
}

func inPath(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}
