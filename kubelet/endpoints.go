// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"strconv"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/httpserver"
	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/wallclock"
)

const (
	contentJSON    = "application/json"
	contentMetrics = "text/plain; version=0.0.4; charset=utf-8"
)

// routes is what the kubelet port serves. Paths without "pico" are those of
// pkg/kubelet/server; /spec is the one it had from cAdvisor once.
func (k *Kubelet) routes() []httpserver.Route {
	get := func(path, contentType string, f httpserver.HandlerFunc) httpserver.Route {
		return httpserver.Route{Path: path, ContentType: contentType, Get: f}
	}
	return []httpserver.Route{
		get("/healthz", "", k.serveHealth),
		get("/healthz/ping", "", serveOK),
		get("/healthz/log", "", serveOK),
		get("/healthz/syncloop", "", serveOK),
		get("/livez", "", k.serveHealth),
		get("/readyz", "", k.serveReady),
		get("/pods", contentJSON, servePods),
		get("/runningpods/", contentJSON, servePods),
		get("/metrics", contentMetrics, k.serveMetrics),
		get("/metrics/resource", contentMetrics, k.serveResourceMetrics),
		get("/stats/summary", contentJSON, k.serveStats),
		get("/spec", contentJSON, k.serveSpec),
		get("/configz", contentJSON, k.serveConfigz),
		get("/logs", "", k.serveLogs),
		get("/pico/status", contentJSON, k.serveStatus),
		get("/pico/memory", contentJSON, k.serveMemory),
		get("/pico/gpio", contentJSON, k.serveGPIO),
		{Path: "/pico/command", ContentType: contentJSON, Post: httpserver.ActionFunc(k.runCommand)},
	}
}

func serveOK(_ time.Duration, _ *httpserver.Request, _ int, w *httpserver.Response) bool {
	w.String("ok")
	return false
}

// check is one line of a verbose health answer.
type check struct {
	name string
	ok   bool
	why  string
}

// serveHealth answers /healthz and /livez: the kubelet answers, so it is alive.
func (k *Kubelet) serveHealth(_ time.Duration, r *httpserver.Request, _ int, w *httpserver.Response) bool {
	writeChecks(r, w, [...]check{{name: "ping", ok: true}, {name: "log", ok: true}, {name: "syncloop", ok: true}})
	return false
}

// serveReady answers /readyz: ready is a node whose heartbeats arrive.
func (k *Kubelet) serveReady(now time.Duration, r *httpserver.Request, _ int, w *httpserver.Response) bool {
	writeChecks(r, w, [...]check{
		{"link", k.linkUp(now), "no stream to the API server is open"},
		{"registered", k.registered == done, "the node is not registered"},
		{"heartbeat", k.heartbeats > 0 && now-k.heartbeatAt < k.config.LeaseDuration, "no heartbeat has arrived for as long as the lease lasts"},
	})
	return false
}

// writeChecks answers as k8s.io/apiserver/pkg/server/healthz does, but with 503
// where that says 500: the board is well, it just cannot do its work.
func writeChecks(r *httpserver.Request, w *httpserver.Response, checks [3]check) {
	_, verbose := r.QueryValue("verbose")
	ok := checks[0].ok && checks[1].ok && checks[2].ok
	if ok && !verbose {
		w.String("ok")
		return
	}
	for _, c := range checks {
		if c.ok {
			w.String("[+]")
			w.String(c.name)
			w.String(" ok\n")
			continue
		}
		w.String("[-]")
		w.String(c.name)
		w.String(" failed: ")
		w.String(c.why)
		w.String("\n")
	}
	if ok {
		w.String("healthz check passed\n")
		return
	}
	w.Status = 503
	w.String("healthz check failed\n")
}

// servePods answers /pods and /runningpods/: a board runs none.
func servePods(_ time.Duration, _ *httpserver.Request, _ int, w *httpserver.Response) bool {
	w.String(`{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}`)
	return false
}

// serveStats answers /stats/summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1).
func (k *Kubelet) serveStats(now time.Duration, _ *httpserver.Request, _ int, w *httpserver.Response) bool {
	k.readSensors(now)
	r, micros := &k.readings, k.clock.Micros(now)
	j := w.JSON()
	j.BeginObject()
	j.Key("node")
	j.BeginObject()
	j.StringMember("nodeName", k.config.NodeName)
	timeMember(j, "startTime", k.startMicros(now))
	if r.HasCPUTime {
		beginTimed(j, "cpu", micros)
		j.UintMember("usageCoreNanoSeconds", uint64(r.CPUTime))
		j.EndObject()
	}
	if r.HeapTotal > 0 {
		beginTimed(j, "memory", micros)
		j.UintMember("availableBytes", r.HeapTotal-min(r.HeapUsed, r.HeapTotal))
		j.UintMember("usageBytes", r.HeapUsed)
		j.UintMember("workingSetBytes", r.HeapUsed)
		j.EndObject()
	}
	if r.FlashTotal > 0 {
		beginTimed(j, "fs", micros)
		j.UintMember("availableBytes", r.FlashTotal-min(r.FlashUsed, r.FlashTotal))
		j.UintMember("capacityBytes", r.FlashTotal)
		j.UintMember("usedBytes", r.FlashUsed)
		j.EndObject()
	}
	j.EndObject()
	j.Key("pods")
	j.BeginArray()
	j.EndArray()
	j.EndObject()
	return false
}

// beginTimed begins an object whose first member is the time of measurement.
func beginTimed(j *jsonstream.Writer, key string, micros int64) {
	j.Key(key)
	j.BeginObject()
	timeMember(j, "time", micros)
}

// timeMember writes a Time, null while the time of day is not known.
func timeMember(j *jsonstream.Writer, key string, micros int64) {
	if micros <= 0 {
		j.Key(key)
		j.Null()
		return
	}
	j.BytesMember(key, wallclock.AppendTime(j.Scratch(), micros))
}

// startMicros is when the board booted, 0 while the time of day is not known.
func (k *Kubelet) startMicros(now time.Duration) int64 {
	if !k.clock.Known() {
		return 0
	}
	return k.clock.Micros(now) - now.Microseconds()
}

// serveSpec answers /spec: MachineInfo of cAdvisor (info/v1/machine.go), as
// far as a board knows it.
func (k *Kubelet) serveSpec(_ time.Duration, _ *httpserver.Request, _ int, w *httpserver.Response) bool {
	f := &k.config.Board.Facts
	j := w.JSON()
	j.BeginObject()
	uintKnown(j, "num_cores", uint64(f.Cores))
	uintKnown(j, "cpu_frequency_khz", uint64(f.ClockKHz))
	uintKnown(j, "memory_capacity", f.MemoryBytes)
	stringKnown(j, "machine_id", f.ID)
	stringKnown(j, "system_uuid", f.SystemUUID)
	stringKnown(j, "boot_id", f.BootID)
	j.EndObject()
	return false
}

func uintKnown(j *jsonstream.Writer, key string, v uint64) {
	if v != 0 {
		j.UintMember(key, v)
	}
}

func stringKnown(j *jsonstream.Writer, key, v string) {
	if v != "" {
		j.StringMember(key, v)
	}
}

// serveConfigz answers /configz: a KubeletConfiguration with what holds here.
func (k *Kubelet) serveConfigz(_ time.Duration, _ *httpserver.Request, _ int, w *httpserver.Response) bool {
	c := &k.config
	j := w.JSON()
	j.BeginObject()
	j.Key("kubeletconfig")
	j.BeginObject()
	j.StringMember("kind", "KubeletConfiguration")
	j.StringMember("apiVersion", "kubelet.config.k8s.io/v1beta1")
	j.IntMember("port", int64(c.Port))
	secondsMember(j, "nodeStatusUpdateFrequency", c.NodeStatusUpdateFrequency)
	secondsMember(j, "nodeStatusReportFrequency", c.NodeStatusReportFrequency)
	j.IntMember("nodeLeaseDurationSeconds", int64(c.LeaseDuration/time.Second))
	j.IntMember("maxPods", 0)
	j.BoolMember("registerNode", true)
	j.EndObject()
	j.EndObject()
	return false
}

// secondsMember writes a metav1.Duration in whole seconds.
func secondsMember(j *jsonstream.Writer, key string, d time.Duration) {
	j.BytesMember(key, append(strconv.AppendInt(j.Scratch(), int64(d/time.Second), 10), 's'))
}

// logPrefix is the most that stands before the text of a record, and the line
// feed: its number, time and level.
const logPrefix = len("18446744073709551615 2026-02-28T23:59:50.000000Z ERROR \n")

// serveLogs answers /logs: the log ring, oldest record first; ?since=N begins
// after record N.
func (k *Kubelet) serveLogs(_ time.Duration, r *httpserver.Request, part int, w *httpserver.Response) bool {
	if part == 0 {
		since, ok := queryInt(r, "since", 0)
		if !ok {
			refuse(w, "since must be the number of a record")
			return false
		}
		r.State[0] = uint64(since)
	}
	e, ok := k.log.Next(r.State[0])
	if !ok {
		return false
	}
	r.State[0] = e.Seq
	if !w.Reserve(len(e.Text) + logPrefix) {
		return true
	}
	w.Uint(e.Seq)
	w.Byte(' ')
	w.Extend(e.AppendText(w.Rest()))
	w.Byte('\n')
	return true
}

// serveMemory answers /pico/memory?offset=0&length=1024: the memory region in
// hexadecimal, 64 bytes a part.
func (k *Kubelet) serveMemory(_ time.Duration, r *httpserver.Request, part int, w *httpserver.Response) bool {
	if part == 0 && !memoryRange(r, w) {
		return false
	}
	next, end := int(r.State[0]), int(r.State[1])
	if part == 0 {
		w.String(`{"size":`)
		w.Int(configmap.RegionSize)
		w.String(`,"offset":`)
		w.Int(int64(next))
		w.String(`,"length":`)
		w.Int(int64(end - next))
		w.String(`,"hex":"`)
	}
	stop := min(next+64, end)
	for _, b := range k.applied.Memory[next:stop] {
		w.Byte("0123456789abcdef"[b>>4])
		w.Byte("0123456789abcdef"[b&15])
	}
	r.State[0] = uint64(stop)
	if stop == end {
		w.String("\"}\n")
	}
	return stop < end
}

// memoryRange reads the range asked for into r.State: from and to.
func memoryRange(r *httpserver.Request, w *httpserver.Response) bool {
	offset, ok := queryInt(r, "offset", 0)
	length, okLength := queryInt(r, "length", configmap.RegionSize-offset)
	if !ok || !okLength || offset > configmap.RegionSize || length > configmap.RegionSize-offset {
		refuse(w, "offset and length must lie within the 1024 bytes of the region")
		return false
	}
	r.State = [2]uint64{uint64(offset), uint64(offset + length)}
	return true
}

// queryInt reads a number of at most nine digits from the query.
func queryInt(r *httpserver.Request, name string, def int) (v int, ok bool) {
	text, given := r.QueryValue(name)
	if !given {
		return def, true
	}
	ok = number(jsonstream.Token{Kind: jsonstream.Number, Text: text}, &v)
	return v, ok && len(text) > 0
}

// serveGPIO answers /pico/gpio: every pin that the board leads out, a part each;
// then the voltages at its analog inputs and the LED. With ?pin=15 it reads that pin
// alone.
func (k *Kubelet) serveGPIO(_ time.Duration, r *httpserver.Request, part int, w *httpserver.Response) bool {
	pins := k.config.Board.Pins
	if part == 0 {
		pin, ok := queryInt(r, "pin", -1)
		if !ok {
			refuse(w, "pin must be a number")
			return false
		}
		if pin >= 0 {
			k.servePin(pin, w)
			return false
		}
		w.String(`{"pins":{`)
	}
	if pins != nil && part < pins.Count() {
		if state, err := pins.Pin(part); err == nil {
			if r.State[0] > 0 {
				w.Byte(',')
			}
			r.State[0]++
			writePin(w, part, state)
		}
		return true
	}
	w.Byte('}')
	k.writeMillivolts(w)
	if led := k.config.Board.LED; led != nil {
		w.String(`,"led":`)
		w.String(strconv.FormatBool(led.LED()))
	}
	w.String("}\n")
	return false
}

// servePin answers with one pin.
func (k *Kubelet) servePin(pin int, w *httpserver.Response) {
	err := board.ErrNoPin
	var state board.PinState
	if pins := k.config.Board.Pins; pins != nil && pin < pins.Count() {
		state, err = pins.Pin(pin)
	}
	if err != nil {
		refuse(w, err.Error())
		return
	}
	w.String(`{"pins":{`)
	writePin(w, pin, state)
	w.String("}}\n")
}

func writePin(w *httpserver.Response, pin int, state board.PinState) {
	w.Byte('"')
	w.Int(int64(pin))
	w.String(`":"`)
	w.Extend(state.AppendText(w.Rest()))
	w.Byte('"')
}

// writeMillivolts writes the voltages at the analog inputs, if the board has any.
func (k *Kubelet) writeMillivolts(w *httpserver.Response) {
	if k.config.Board.Analog == nil {
		return
	}
	w.String(`,"millivolts":{`)
	first := true
	for pin := range configmap.MaxPins {
		v, err := k.config.Board.Analog.Millivolts(pin)
		if err != nil {
			continue
		}
		if !first {
			w.Byte(',')
		}
		first = false
		w.Byte('"')
		w.Int(int64(pin))
		w.String(`":`)
		w.Uint(uint64(v))
	}
	w.Byte('}')
}

// readSensors takes a look at the sensors.
func (k *Kubelet) readSensors(now time.Duration) {
	k.readings = board.Readings{}
	k.config.Board.Sensors.Read(now, &k.readings)
}
