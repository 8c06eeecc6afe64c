// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
)

func TestConfigureRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	for _, test := range []struct {
		name   string
		change func(c *Config)
		want   error
	}{
		{"defaults", func(*Config) {}, nil},
		{"no name", func(c *Config) { c.NodeName = "" }, ErrNodeName},
		{"capital letters", func(c *Config) { c.NodeName = "Pico" }, ErrNodeName},
		{"path in name", func(c *Config) { c.NodeName = "a/../b" }, ErrNodeName},
		{"long name", func(c *Config) { c.NodeName = long }, ErrNodeName},
		{"dots", func(c *Config) { c.NodeName = "pico-1.lab.example" }, nil},
		{"no host", func(c *Config) { c.Host = "" }, ErrHost},
		{"line break in host", func(c *Config) { c.Host = "a\r\nX: y" }, ErrHost},
		{"no version", func(c *Config) { c.Version = "" }, ErrVersion},
		{"no sensors", func(c *Config) { c.Board.Sensors = nil }, ErrBoard},
		{"no board ID", func(c *Config) { c.Board.Facts.ID = "" }, ErrBoard},
		{"odd board ID", func(c *Config) { c.Board.Facts.ID = "a b" }, ErrBoard},
		{"reset reason with a quote", func(c *Config) { c.Board.Facts.ResetReason = `a"b` }, ErrBoard},
		{"reset reason with a backslash", func(c *Config) { c.Board.Facts.ResetReason = `a\b` }, ErrBoard},
		{"reset reason of two lines", func(c *Config) { c.Board.Facts.ResetReason = "a\nb" }, ErrBoard},
		{"long fact", func(c *Config) { c.Board.Facts.OSImage = long + long + "x" }, ErrBoard},
		{"line break in token", func(c *Config) { c.Token = "a\nb" }, ErrToken},
		{"bad label key", func(c *Config) { c.Labels = []Label{{Key: "a b", Value: "c"}} }, ErrLabels},
		{"bad label value", func(c *Config) { c.Labels = []Label{{Key: "a", Value: "-"}} }, ErrLabels},
		{"nine labels", func(c *Config) { c.Labels = make([]Label, 9) }, ErrLabels},
		{"bad os", func(c *Config) { c.OS = "a b" }, ErrLabels},
		{"bad quantity", func(c *Config) { c.Memory = "lots" }, ErrQuantity},
		{"negative quantity", func(c *Config) { c.CPU = "-1" }, ErrQuantity},
		{"port", func(c *Config) { c.Port = 65536 }, ErrPort},
		{"five ConfigMaps", func(c *Config) { c.ConfigMaps = make([]ObjectName, 5) }, ErrConfigMaps},
		{"a ConfigMap twice", func(c *Config) { c.ConfigMaps = []ObjectName{{"default", "a"}, {"default", "b"}, {"default", "a"}} }, ErrConfigMaps},
		{"ConfigMap without name", func(c *Config) { c.ConfigMaps = []ObjectName{{"default", ""}} }, ErrConfigMaps},
		{"report too often", func(c *Config) { c.NodeStatusReportFrequency = 9 * time.Second }, ErrIntervals},
		{"report every 10 s", func(c *Config) { c.NodeStatusReportFrequency = 10 * time.Second }, nil},
		{"lease too short", func(c *Config) { c.LeaseDuration = time.Second }, ErrIntervals},
		{"no seed", func(c *Config) { c.Seed = 0 }, ErrSeed},
		{"address", func(c *Config) { c.Address = "pico.lab" }, ErrAddress},
		{"server token", func(c *Config) { c.ServerToken = "a b" }, nil},
	} {
		c := newTestBoard().config()
		test.change(&c)
		if err := c.Validate(); err != test.want {
			t.Errorf("%s: Validate says %v, want %v", test.name, err, test.want)
		}
		if test.want == nil {
			continue
		}
		if err := new(Kubelet).Configure(c); err != test.want {
			t.Errorf("%s: Configure says %v, want %v", test.name, err, test.want)
		}
	}
}

// A configuration at the limits of everything must still fit its buffers.
func TestLongestConfigurationWorks(t *testing.T) {
	t.Parallel()
	x := func(n int) string { return strings.Repeat("x", n) }
	r := newRig(t, func(c *Config) {
		c.NodeName = x(63)
		c.Host, c.Token, c.Version = x(255), x(4096), x(63)
		c.OS, c.Arch, c.InstanceType = x(63), x(63), x(63)
		c.CPU, c.Memory = strings.Repeat("9", 19), strings.Repeat("9", 18)+"Ki"
		for i := range MaxLabels {
			c.Labels = append(c.Labels, Label{Key: x(50) + "." + x(50) + "/" + x(17) + itoa(i), Value: x(63)})
		}
		f := &c.Board.Facts
		f.Model, f.ID, f.SystemUUID, f.BootID, f.KernelVersion = x(63), x(63), x(128), strings.Repeat("\xff", 128), x(128)
		f.OSImage, f.ResetReason = strings.Repeat("\x01", 128), x(128)
		c.ConfigMaps = []ObjectName{{x(63), strings.Repeat(x(63)+".", 3) + x(61)}}
		for i := range MaxConfigMaps - 1 {
			c.ConfigMaps = append(c.ConfigMaps, c.ConfigMaps[0])
			c.ConfigMaps[i+1].Namespace = x(62) + itoa(i)
		}
	})
	r.k.SetAddress(0, "1234:1234:1234:1234:1234:1234:255.255.255.255")
	r.board.readings = board.Readings{HeapUsed: 100, HeapTotal: 100, FlashUsed: 100, FlashTotal: 100} // the longer texts
	r.k.resetting, r.k.resetAt = true, never
	r.ready()
	r.open(StreamWatch)
	r.reply(StreamWatch, 200, `{"kind":"ConfigMapList","metadata":{"resourceVersion":"18446744073709551615"},"items":[]}`)
	if r.k.watchers[0].op != watchConfigMap {
		t.Errorf("no watch:\n%s", r.logText())
	}
	if log := r.logText(); strings.Contains(log, "does not fit") {
		t.Errorf("the log says\n%s", log)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	rand := random(1)
	var r retry
	now := time.Duration(0)
	for i, limit := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 7000, 7000} {
		r.fail(now, quickDelay, quickDelayMax, &rand)
		limit *= time.Millisecond
		if wait := r.at - now; wait < limit/2 || wait > limit {
			t.Errorf("failure %d: waits %v, want %v to %v", i+1, wait, limit/2, limit)
		}
		if r.ready(r.at-1) || !r.ready(r.at) {
			t.Errorf("failure %d: ready at the wrong time", i+1)
		}
		now = r.at
	}
	for range 100000 {
		r.fail(now, quickDelay, quickDelayMax, &rand) // must not overflow
	}
	if wait := r.at - now; wait < quickDelayMax/2 || wait > quickDelayMax {
		t.Errorf("after many failures it waits %v", wait)
	}
	if r.succeed(); !r.ready(0) {
		t.Error("not ready after a success")
	}
}

func TestLeaseJitter(t *testing.T) {
	t.Parallel()
	rand := random(7)
	low, high := time.Hour, time.Duration(0)
	for range 10000 {
		d := rand.around(10*time.Second, 40)
		low, high = min(low, d), max(high, d)
	}
	if low < 9600*time.Millisecond || high > 10400*time.Millisecond || high-low < 700*time.Millisecond {
		t.Errorf("renewals come every %v to %v, want 10s ±4%%", low, high)
	}
}
