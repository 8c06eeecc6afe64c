// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"encoding/hex"
	"time"
	"unicode/utf8"

	"github.com/picolet/picolet/settings"
)

// Summary is what programs may see of settings: of secrets only whether they
// are set.
type Summary struct {
	NodeName                  string            `json:"nodeName"`
	SSID                      string            `json:"ssid"`
	SSIDHex                   string            `json:"ssidHex,omitempty"` // where it is not UTF-8, as names may be
	PassphraseSet             bool              `json:"passphraseSet"`
	WPA3                      bool              `json:"wpa3,omitempty"`
	Country                   string            `json:"country,omitempty"`
	Gateway                   string            `json:"gateway"`
	GatewayKey                string            `json:"gatewayKey,omitempty"` // hex
	BoardKeySet               bool              `json:"boardKeySet"`
	JoinTokenSet              bool              `json:"joinTokenSet"`
	TokenSet                  bool              `json:"tokenSet"`
	ServerTokenSet            bool              `json:"serverTokenSet"`
	Labels                    map[string]string `json:"labels,omitempty"`
	ConfigMaps                []string          `json:"configMaps,omitempty"` // namespace/name
	NoTaint                   bool              `json:"noTaint"`
	NodeStatusUpdateFrequency string            `json:"nodeStatusUpdateFrequency,omitempty"`
	NodeStatusReportFrequency string            `json:"nodeStatusReportFrequency,omitempty"`
	LeaseDuration             string            `json:"leaseDuration,omitempty"`
	Provisioned               time.Time         `json:"provisioned"`
}

// Summarize returns the summary of settings.
func Summarize(s settings.Settings) Summary {
	v := Summary{
		NodeName: s.NodeName, SSID: s.SSID, PassphraseSet: s.Passphrase != "", WPA3: s.WPA3, Country: s.Country, Gateway: s.Gateway,
		BoardKeySet:  s.BoardKey != [settings.KeySize]byte{},
		JoinTokenSet: s.JoinToken != "", TokenSet: s.Token != "", ServerTokenSet: s.ServerToken != "",
		NoTaint:                   s.NoTaint,
		NodeStatusUpdateFrequency: durationText(s.NodeStatusUpdateFrequency),
		NodeStatusReportFrequency: durationText(s.NodeStatusReportFrequency),
		LeaseDuration:             durationText(s.LeaseDuration),
		Provisioned:               time.Unix(s.Provisioned, 0).UTC(),
	}
	if s.GatewayKey != [settings.KeySize]byte{} {
		v.GatewayKey = hex.EncodeToString(s.GatewayKey[:])
	}
	if !utf8.ValidString(s.SSID) {
		v.SSIDHex = hex.EncodeToString([]byte(s.SSID))
	}
	for _, l := range s.Labels {
		if v.Labels == nil {
			v.Labels = map[string]string{}
		}
		v.Labels[l.Key] = l.Value
	}
	for _, m := range s.ConfigMaps {
		v.ConfigMaps = append(v.ConfigMaps, m.Namespace+"/"+m.Name)
	}
	return v
}

func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
