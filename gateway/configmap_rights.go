// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"slices"
)

// serveConfigMap answers from the cache, if the board may read the ConfigMap.
func (g *Gateway) serveConfigMap(w http.ResponseWriter, r *http.Request, c *call) *refusal {
	if l := connOf(r.Context()).link; l != nil {
		if refused := l.admitted.mayRead(ConfigMapName{c.namespace, c.name}); refused != nil {
			return refused
		}
	}
	return g.cache.serve(w, r, c)
}

// mayRead refuses a ConfigMap that the board's Device does not name. It names those
// that the Device has with it: a merge patch replaces a list.
func (a *Admitted) mayRead(m ConfigMapName) *refusal {
	if a.ConfigMaps == nil || slices.Contains(a.ConfigMaps, m) {
		return nil
	}
	wanted := append(slices.Clone(a.ConfigMaps), m)
	return refuse(http.StatusForbidden, "configmap_not_named",
		`device %[1]s does not name ConfigMap %[2]s/%[3]s; allow it: kubectl patch device %[1]s --type merge -p '{"spec":{"configMaps":%[4]s}}'`,
		a.Device, m.Namespace, m.Name, encodeJSON(wanted))
}
