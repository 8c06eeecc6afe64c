// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"errors"
	"time"

	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/httpserver"
	"github.com/picolet/picolet/kubelet/node"
)

// Errors of Configure. Each names the field and what it takes.
var (
	ErrNodeName   = errors.New("kubelet: NodeName: must be a DNS-1123 subdomain of at most 63 bytes, as pico-1")
	ErrHost       = errors.New("kubelet: Host: must be host or host:port of the API server or gateway, at most 255 bytes")
	ErrVersion    = errors.New("kubelet: Version: must be a Kubernetes version, as v1.37.2, at most 63 bytes")
	ErrBoard      = errors.New("kubelet: Board: Facts.Model, Facts.ID (1-64 of A-Z a-z 0-9 . _ -) and Sensors are required; facts are at most 128 bytes, ResetReason printable ASCII without quotes")
	ErrToken      = errors.New("kubelet: Token: must be printable ASCII without blanks, at most 4096 bytes")
	ErrLabels     = errors.New("kubelet: Labels: at most 8, each a valid Kubernetes label of at most 120 + 63 bytes")
	ErrQuantity   = errors.New("kubelet: CPU and Memory: must be Kubernetes quantities, as 1 and 256Ki")
	ErrPort       = errors.New("kubelet: Port: must be 1 to 65535")
	ErrConfigMaps = errors.New("kubelet: ConfigMaps: at most 4, each once, a namespace and a name of DNS-1123 form")
	ErrIntervals  = errors.New("kubelet: NodeStatusUpdateFrequency and NodeStatusReportFrequency must be at least 10s, LeaseDuration 4s to 1h")
	ErrSeed       = errors.New("kubelet: Seed: must not be 0: take it from the board's entropy")
	ErrTooLong    = errors.New("kubelet: the Node object would be longer than 10 KB: shorten the labels and facts")
	ErrAddress    = errors.New("kubelet: Address: must be an IP address")
)

// minHead is the most that the head of a request takes, beside names of the
// configuration: method, fixed parts of path and query, header names.
const minHead = 448

// bodySlack is how much longer the Node object can become than it was at
// Configure: other texts in its conditions, an address.
const bodySlack = 256

// Configure makes the kubelet ready to start and claims all its memory.
func (k *Kubelet) Configure(c Config) error {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return err
	}
	*k = Kubelet{config: c, random: random(c.Seed)}
	k.userAgent = "picolet/" + c.Version + " (" + c.Board.Facts.Model + ")"
	if c.Token != "" {
		k.authorization = "Bearer " + c.Token
	}
	k.log.Configure(k.logBuffer[:])
	if c.Board.Storage != nil {
		k.record = make([]byte, 0, configmap.RecordSize)
	}
	k.node.Spec = c.nodeSpec()
	k.node.SetAddress(c.Address)
	memory := make([]byte, httpserver.MemorySize)
	body := k.nodeSize(memory)
	if body == 0 {
		return ErrTooLong
	}
	k.client.configure(StreamAPI, c.headSpace(), body+bodySlack)
	k.watchers = make([]watcher, len(c.ConfigMaps))
	for i := range k.watchers {
		w := &k.watchers[i]
		w.name, w.op = c.ConfigMaps[i], listConfigMap
		w.configure(StreamWatch+Stream(i), c.headSpace(), 0)
	}
	k.routeTable = k.routes()
	return k.server.Configure(httpserver.Config{
		Routes:   k.routeTable,
		Memory:   memory,
		Token:    c.ServerToken,
		UnixTime: k.unixTime,
	})
}

// nodeSize is the length of the Node object, the largest body of a request,
// tried out in scratch; 0 if it is longer than that.
func (k *Kubelet) nodeSize(scratch []byte) int {
	w := &k.client.writer
	w.Reset(scratch[:0])
	k.node.WriteNode(w, 0)
	if w.Err() != nil {
		return 0
	}
	return w.Len()
}

func (x *exchange) configure(s Stream, head, body int) {
	x.stream, x.headSpace = s, head
	x.buf = make([]byte, head+body)
}

// headSpace is the most that the head of a request takes.
func (c *Config) headSpace() int {
	longest := 0
	for _, m := range c.ConfigMaps {
		longest = max(longest, len(m.Namespace)+2*len(m.Name))
	}
	return minHead + len(c.Host) + len(c.Token) + len(c.Version) + len(c.Board.Facts.Model) +
		len(c.Board.Facts.ID) + 3*len(c.NodeName) + longest
}

func (k *Kubelet) unixTime(now time.Duration) int64 { return k.clock.Micros(now) / 1e6 }

func (c *Config) nodeSpec() node.Spec {
	return node.Spec{
		Name: c.NodeName, OS: c.OS, Arch: c.Arch, InstanceType: c.InstanceType,
		CPU: c.CPU, Memory: c.Memory, NoTaint: c.NoTaint, Port: c.Port,
		Version: c.Version, Facts: c.Board.Facts, Labels: c.Labels,
	}
}

func (c *Config) setDefaults() {
	orString(&c.OS, "linux")
	orString(&c.Arch, "arm")
	orString(&c.InstanceType, "rp2040-pico")
	orString(&c.CPU, "1")
	orString(&c.Memory, "256Ki")
	orDuration(&c.NodeStatusUpdateFrequency, 10*time.Second)
	orDuration(&c.NodeStatusReportFrequency, 5*time.Minute)
	orDuration(&c.LeaseDuration, 40*time.Second)
	if c.Port == 0 {
		c.Port = 10250
	}
	if c.ConfigMaps == nil {
		c.ConfigMaps = []ObjectName{{Namespace: "default", Name: "pico-config"}}
	}
}

func orString(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

// Validate tells what is wrong with a configuration, without defaults filled in.
func (c Config) Validate() error {
	c.setDefaults()
	return c.validate()
}

func (c *Config) validate() error {
	switch {
	case !isSubdomain(c.NodeName, 63):
		return ErrNodeName
	case !isToken(c.Host, 1, 255):
		return ErrHost
	case !isToken(c.Version, 1, 63):
		return ErrVersion
	case !c.boardValid():
		return ErrBoard
	case !isToken(c.Token, 0, 4096):
		return ErrToken
	case !c.labelsValid():
		return ErrLabels
	case !isQuantity(c.CPU) || !isQuantity(c.Memory):
		return ErrQuantity
	case c.Port < 1 || c.Port > 65535:
		return ErrPort
	case !c.configMapsValid():
		return ErrConfigMaps
	case c.NodeStatusUpdateFrequency < 10*time.Second || c.NodeStatusReportFrequency < 10*time.Second ||
		c.LeaseDuration < 4*time.Second || c.LeaseDuration > time.Hour:
		return ErrIntervals
	case c.Seed == 0:
		return ErrSeed
	case c.Address != "" && !isAddress(c.Address):
		return ErrAddress
	}
	return nil
}

func (c *Config) boardValid() bool {
	f := &c.Board.Facts
	for _, s := range [...]string{f.SystemUUID, f.BootID, f.KernelVersion, f.OSImage, f.ResetReason} {
		if len(s) > 128 {
			return false
		}
	}
	return c.Board.Sensors != nil && isQuotable(f.ResetReason) && isLabelValue(f.Model) && f.Model != "" && isToken(f.ID, 1, 64) && isLabelValue(f.ID)
}

func (c *Config) labelsValid() bool {
	for _, l := range c.Labels {
		if !isLabelKey(l.Key) || !isLabelValue(l.Value) {
			return false
		}
	}
	return len(c.Labels) <= MaxLabels && isLabelValue(c.OS) && isLabelValue(c.Arch) && isLabelValue(c.InstanceType)
}

func (c *Config) configMapsValid() bool {
	if len(c.ConfigMaps) > MaxConfigMaps {
		return false
	}
	for i, m := range c.ConfigMaps {
		if !isSubdomain(m.Namespace, 63) || !isSubdomain(m.Name, 253) {
			return false
		}
		for _, before := range c.ConfigMaps[:i] {
			if m == before {
				return false
			}
		}
	}
	return true
}
