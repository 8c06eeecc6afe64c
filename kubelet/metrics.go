// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"strconv"
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/httpserver"
	"github.com/picolet/picolet/kubelet/logring"
)

// family is one metric family. Its sample i is written by sample, which
// returns how many samples there are; one that has no value writes nothing.
type family struct {
	name, kind, help string
	sample           func(k *Kubelet, now time.Duration, i int, m *sampleWriter) (count int)
}

// sampleWriter writes samples of one family, and its head before the first.
type sampleWriter struct {
	w                *httpserver.Response
	name, kind, help string // of the family
	headed           bool
}

// begin writes the name of a sample.
func (m *sampleWriter) begin() {
	if !m.headed {
		m.headed = true
		m.head("# HELP ", m.help)
		m.head("# TYPE ", m.kind)
	}
	m.w.String(m.name)
}

func (m *sampleWriter) head(mark, text string) {
	m.w.String(mark)
	m.w.String(m.name)
	m.w.Byte(' ')
	m.w.String(text)
	m.w.Byte('\n')
}

// uint writes a sample without labels.
func (m *sampleWriter) uint(v uint64) {
	m.begin()
	m.value(v)
}

// value ends a sample begun by labels.
func (m *sampleWriter) value(v uint64) {
	m.w.Byte(' ')
	m.w.Uint(v)
	m.w.Byte('\n')
}

// decimal writes a sample counted in 1/10^places.
func (m *sampleWriter) decimal(v int64, places int) {
	m.begin()
	m.decimalValue(v, places)
}

// decimalValue ends a sample begun by labels, counted in 1/10^places.
func (m *sampleWriter) decimalValue(v int64, places int) {
	m.w.Byte(' ')
	m.w.Decimal(v, places)
	m.w.Byte('\n')
}

// labels begins a sample with label pairs. Values come from the program or
// were validated: none needs escaping.
func (m *sampleWriter) labels(pairs ...string) {
	m.begin()
	m.pairs("", pairs...)
}

// pairs ends the name of a sample by a suffix and writes its label pairs.
func (m *sampleWriter) pairs(suffix string, pairs ...string) {
	m.w.String(suffix)
	if len(pairs) == 0 {
		return
	}
	sep := byte('{')
	for i := 0; i+1 < len(pairs); i += 2 {
		m.w.Byte(sep)
		m.w.String(pairs[i])
		m.w.String(`="`)
		m.w.String(pairs[i+1])
		m.w.Byte('"')
		sep = ','
	}
	m.w.Byte('}')
}

// single makes a family of one sample.
func single(f func(k *Kubelet, now time.Duration, m *sampleWriter)) func(*Kubelet, time.Duration, int, *sampleWriter) int {
	return func(k *Kubelet, now time.Duration, _ int, m *sampleWriter) int {
		f(k, now, m)
		return 1
	}
}

// counter makes a family of one count.
func counter(f func(k *Kubelet) uint64) func(*Kubelet, time.Duration, int, *sampleWriter) int {
	return func(k *Kubelet, _ time.Duration, _ int, m *sampleWriter) int {
		m.uint(f(k))
		return 1
	}
}

// families is what /metrics shows, sorted by name.
var families = [...]family{
	{"picolet_adc_volts", "gauge", "Voltage at an analog input.", analogVolts},
	{"picolet_api_request_duration_seconds", "summary", "Time from the first byte of a request to the API server to the last of its answer, by operation; without watches.", apiDurations},
	{"picolet_api_requests_total", "counter", "Requests to the API server, by operation and outcome.", apiRequests},
	{"picolet_board_reset_info", "gauge", "Why the board was reset last.", single(resetInfo)},
	{"picolet_build_info", "gauge", "Version of the kubelet and model of the board.", single(buildInfo)},
	{"picolet_clock_steps_total", "counter", "Times the clock was found wrong and set anew.",
		counter(func(k *Kubelet) uint64 { return uint64(k.clock.Steps()) })},
	{"picolet_config_applied_total", "counter", "ConfigMap versions put in force.",
		counter(func(k *Kubelet) uint64 { return uint64(k.configsApplied) })},
	{"picolet_config_entries_rejected_total", "counter", "Wrong ConfigMap entries that were skipped.",
		counter(func(k *Kubelet) uint64 { return uint64(k.entriesRejected) })},
	{"picolet_config_generation", "gauge", "Generation of the configuration in force, kept over restarts.",
		counter(func(k *Kubelet) uint64 { return uint64(k.applied.Generation) })},
	{"picolet_config_rejected_total", "counter", "ConfigMap versions refused as a whole.",
		counter(func(k *Kubelet) uint64 { return uint64(k.configsRejected) })},
	{"picolet_config_resource_version", "gauge", "resourceVersion of each ConfigMap in force.", configVersions},
	{"picolet_cpu_seconds_total", "counter", "CPU time used.", single(cpuSeconds)},
	{"picolet_events_dropped_total", "counter", "Events lost because too many waited.",
		counter(func(k *Kubelet) uint64 { return uint64(k.events.dropped) })},
	{"picolet_flash_size_bytes", "gauge", "Size of the flash or disk.", single(flashSize)},
	{"picolet_flash_used_bytes", "gauge", "Used part of the flash or disk.", single(flashUsed)},
	{"picolet_heap_peak_bytes", "gauge", "Most of the heap that was seen in use.", single(heapPeak)},
	{"picolet_heap_size_bytes", "gauge", "Size of the heap.", single(heapSize)},
	{"picolet_heap_used_bytes", "gauge", "Used part of the heap.", single(heapUsed)},
	{"picolet_heartbeat_timestamp_seconds", "gauge", "Time of the last heartbeat that arrived.", single(heartbeatTime)},
	{"picolet_heartbeats_total", "counter", "Status reports and lease renewals that arrived.",
		counter(func(k *Kubelet) uint64 { return uint64(k.heartbeats) })},
	{"picolet_http_connections", "gauge", "Open connections to the kubelet port.",
		counter(func(k *Kubelet) uint64 { return uint64(k.server.Stats().InUse) })},
	{"picolet_http_connections_total", "counter", "Connections to the kubelet port, by what became of them.", connections},
	{"picolet_http_received_bytes_total", "counter", "Bytes received on the kubelet port.",
		counter(func(k *Kubelet) uint64 { return k.server.Stats().BytesIn })},
	{"picolet_http_requests_total", "counter", "Requests to the kubelet port, by path and code.", servedRequests},
	{"picolet_http_sent_bytes_total", "counter", "Bytes sent on the kubelet port.",
		counter(func(k *Kubelet) uint64 { return k.server.Stats().BytesOut })},
	{"picolet_lease_conflicts_total", "counter", "Lease writes that lost to another writer.",
		counter(func(k *Kubelet) uint64 { return uint64(k.leaseConflicts) })},
	{"picolet_link_up", "gauge", "Whether the link to the API server is up.", single(linkUpSample)},
	{"picolet_log_records_total", "counter", "Log records, by level.", logRecords},
	{"picolet_network_received_bytes_total", "counter", "Bytes of Ethernet frames received.",
		single(func(k *Kubelet, _ time.Duration, m *sampleWriter) { m.network(k, k.network.Received) })},
	{"picolet_network_sent_bytes_total", "counter", "Bytes of Ethernet frames sent.",
		single(func(k *Kubelet, _ time.Duration, m *sampleWriter) { m.network(k, k.network.Sent) })},
	{"picolet_network_state", "gauge", "Whether the way to the API server is in this state.", networkStates},
	{"picolet_network_state_begun_total", "counter", "How often each state of the way to the API server began.", networkStatesBegun},
	{"picolet_stack_unused_bytes", "gauge", "Part of the stack that was never used.", single(stackUnused)},
	{"picolet_temperature_celsius", "gauge", "Temperature of the board.", single(temperature)},
	{"picolet_uptime_seconds", "gauge", "Time since the board booted.",
		single(func(_ *Kubelet, now time.Duration, m *sampleWriter) { m.decimal(now.Milliseconds(), 3) })},
	{"picolet_wifi_rssi_dbm", "gauge", "Strength of the received Wi-Fi signal.", single(rssi)},
}

// resourceFamilies is what /metrics/resource shows (pkg/kubelet/metrics/collectors/resource_metrics.go).
var resourceFamilies = [...]family{
	{"node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds", single(cpuSeconds)},
	{"node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes", single(heapUsed)},
	{"resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise",
		counter(func(*Kubelet) uint64 { return 0 })},
}

func (k *Kubelet) serveMetrics(now time.Duration, r *httpserver.Request, _ int, w *httpserver.Response) bool {
	return k.serveFamily(now, families[familyAt(r)], len(families), r, w)
}

func (k *Kubelet) serveResourceMetrics(now time.Duration, r *httpserver.Request, _ int, w *httpserver.Response) bool {
	return k.serveFamily(now, resourceFamilies[familyAt(r)], len(resourceFamilies), r, w)
}

// familyAt is the family whose turn it is. r.State holds it and whether its head
// was written, and the sample.
func familyAt(r *httpserver.Request) int { return int(r.State[0] >> 1) }

// serveFamily writes one sample a part. It takes the family by value: a table
// whose address nobody takes costs a board no RAM.
func (k *Kubelet) serveFamily(now time.Duration, f family, families int, r *httpserver.Request, w *httpserver.Response) bool {
	i, sample := familyAt(r), int(r.State[1])
	if i == 0 && sample == 0 {
		k.readSensors(now)
		if k.config.Board.Network != nil {
			k.readNetwork(now)
		}
	}
	m := &k.sample // not on the stack: a function value takes it
	*m = sampleWriter{w: w, name: f.name, kind: f.kind, help: f.help, headed: r.State[0]&1 != 0}
	count := f.sample(k, now, sample, m)
	if sample+1 >= count {
		r.State = [2]uint64{uint64(i+1) << 1, 0}
		return i+1 < families
	}
	r.State[1]++
	if m.headed {
		r.State[0] |= 1
	}
	return true
}

func analogVolts(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	analog := k.config.Board.Analog
	if analog == nil {
		return 1
	}
	if v, err := analog.Millivolts(i); err == nil {
		m.labels("pin", strconv.Itoa(i)) // has the texts of numbers below 100
		m.decimalValue(int64(v), 3)
	}
	return configmap.MaxPins
}

// apiDurations writes a summary without quantiles for each operation: its sum,
// then its count.
func apiDurations(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	op := operation(i/2) + 1
	switch count := k.durations.count[op]; {
	case count == 0:
	case i%2 == 0:
		m.begin()
		m.pairs("_sum", "operation", op.String())
		m.decimalValue(int64(k.durations.micros[op]), 6)
	default:
		m.begin()
		m.pairs("_count", "operation", op.String())
		m.value(uint64(count))
	}
	return 2 * int(numOperations-1)
}

func apiRequests(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	op, o := operation(i/int(numOutcomes))+1, outcome(i%int(numOutcomes))
	if n := k.answers[op][o]; n > 0 {
		m.labels("operation", op.String(), "outcome", outcomeNames[o])
		m.value(uint64(n))
	}
	return int(numOperations-1) * int(numOutcomes)
}

// resetInfo has the kind of a reset apart from its detail, so that a rule can ask
// for the kind alone.
func resetInfo(k *Kubelet, _ time.Duration, m *sampleWriter) {
	kind, detail, _ := cut(k.config.Board.Facts.ResetReason, ':')
	for detail != "" && detail[0] == ' ' {
		detail = detail[1:]
	}
	switch {
	case kind == "":
		return
	case detail == "":
		m.labels("reason", kind)
	default:
		m.labels("reason", kind, "detail", detail)
	}
	m.value(1)
}

func buildInfo(k *Kubelet, _ time.Duration, m *sampleWriter) {
	m.labels("version", k.config.Version, "board", k.config.Board.Facts.Model)
	m.value(1)
}

func configVersions(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	if i < len(k.watchers) {
		name := &k.watchers[i].name
		if v, ok := k.applied.Version(name.Namespace, name.Name); ok {
			m.labels("namespace", name.Namespace, "name", name.Name)
			m.value(v.ResourceVersion)
		}
	}
	return len(k.watchers)
}

func cpuSeconds(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.HasCPUTime {
		m.decimal(int64(k.readings.CPUTime), 9)
	}
}

func heapUsed(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.HeapTotal > 0 {
		m.uint(k.readings.HeapUsed)
	}
}

func heapPeak(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.HeapPeak > 0 {
		m.uint(k.readings.HeapPeak)
	}
}

func stackUnused(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.StackUnused > 0 {
		m.uint(uint64(k.readings.StackUnused))
	}
}

func heapSize(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.HeapTotal > 0 {
		m.uint(k.readings.HeapTotal)
	}
}

func flashUsed(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.FlashTotal > 0 {
		m.uint(k.readings.FlashUsed)
	}
}

func flashSize(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.FlashTotal > 0 {
		m.uint(k.readings.FlashTotal)
	}
}

func heartbeatTime(k *Kubelet, now time.Duration, m *sampleWriter) {
	if k.heartbeats > 0 && k.clock.Known() {
		m.decimal(k.clock.Micros(k.heartbeatAt)/1000, 3)
	}
}

func linkUpSample(k *Kubelet, now time.Duration, m *sampleWriter) {
	v := uint64(0)
	if k.linkUp(now) {
		v = 1
	}
	m.uint(v)
}

// network writes a sample of what only a board with a network tells.
func (m *sampleWriter) network(k *Kubelet, v uint64, labels ...string) {
	if k.config.Board.Network == nil {
		return
	}
	m.labels(labels...)
	m.value(v)
}

func networkStates(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	s, v := board.NetworkState(i), uint64(0)
	if s == k.network.State {
		v = 1
	}
	m.network(k, v, "state", s.String())
	return board.NumNetworkStates
}

func networkStatesBegun(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	m.network(k, uint64(k.network.Begun[i]), "state", board.NetworkState(i).String())
	return board.NumNetworkStates
}

func temperature(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.HasTemperature {
		m.decimal(int64(k.readings.TemperatureMilli), 3)
	}
}

func rssi(k *Kubelet, _ time.Duration, m *sampleWriter) {
	if k.readings.HasRSSI {
		m.decimal(int64(k.readings.RSSI), 0)
	}
}

func connections(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	s := k.server.Stats()
	list := [...]struct {
		result string
		n      uint32
	}{{"accepted", s.Accepted}, {"refused", s.Refused}, {"evicted", s.Evicted}, {"expired", s.Expired}, {"cut", s.Cut}}
	m.labels("result", list[i].result)
	m.value(uint64(list[i].n))
	return len(list)
}

func servedRequests(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	route, code := i/httpserver.NumCodes-1, httpserver.Codes[i%httpserver.NumCodes]
	if n := k.server.Count(route, code); n > 0 {
		path := "other"
		if route >= 0 {
			path = k.routeTable[route].Path
		}
		m.labels("path", path, "code", codeNames[i%httpserver.NumCodes])
		m.value(uint64(n))
	}
	return (len(k.routeTable) + 1) * httpserver.NumCodes
}

// codeNames are httpserver.Codes as label values.
var codeNames = [httpserver.NumCodes]string{"200", "400", "401", "404", "405", "408", "413", "429", "431", "500", "503", "other"}

func logRecords(k *Kubelet, _ time.Duration, i int, m *sampleWriter) int {
	counts := k.log.Counts()
	m.labels("level", logring.Level(i).String())
	m.value(counts[i])
	return len(counts)
}
