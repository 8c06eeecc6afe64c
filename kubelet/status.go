// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/httpserver"
	"github.com/picolet/picolet/kubelet/jsonstream"
)

// serveStatus answers /pico/status, a section a part.
func (k *Kubelet) serveStatus(now time.Duration, _ *httpserver.Request, part int, w *httpserver.Response) bool {
	switch part {
	case 0:
		w.String(`{"node":`)
		k.writeNodeSection(now, w.JSON())
	case 1:
		w.String(`,"board":`)
		k.writeBoardSection(w.JSON())
	case 2:
		w.String(`,"sensors":`)
		k.writeSensorSection(now, w.JSON())
	case 3:
		if k.config.Board.Network != nil {
			w.String(`,"network":`)
			k.writeNetworkSection(now, w.JSON())
		}
	default:
		w.String(`,"config":`)
		k.writeConfigSection(w.JSON())
		w.String("}\n")
		return false
	}
	return true
}

func (k *Kubelet) writeNodeSection(now time.Duration, j *jsonstream.Writer) {
	j.BeginObject()
	j.StringMember("name", k.config.NodeName)
	j.StringMember("version", k.config.Version)
	j.BoolMember("registered", k.registered == done)
	j.BoolMember("linkUp", k.linkUp(now))
	j.BytesMember("address", k.node.Address())
	j.UintMember("heartbeats", uint64(k.heartbeats))
	j.IntMember("heartbeatAgeMs", (now - k.heartbeatAt).Milliseconds())
	j.IntMember("uptimeMs", now.Milliseconds())
	timeMember(j, "time", k.clock.Micros(now))
	j.EndObject()
}

func (k *Kubelet) writeBoardSection(j *jsonstream.Writer) {
	f := &k.config.Board.Facts
	j.BeginObject()
	j.StringMember("model", f.Model)
	j.StringMember("id", f.ID)
	stringKnown(j, "bootID", f.BootID)
	stringKnown(j, "osImage", f.OSImage)
	stringKnown(j, "kernelVersion", f.KernelVersion)
	stringKnown(j, "resetReason", f.ResetReason)
	uintKnown(j, "memoryBytes", f.MemoryBytes)
	uintKnown(j, "flashBytes", f.FlashBytes)
	j.EndObject()
}

func (k *Kubelet) writeSensorSection(now time.Duration, j *jsonstream.Writer) {
	k.readSensors(now)
	r := &k.readings
	j.BeginObject()
	if r.HeapTotal > 0 {
		j.UintMember("heapUsedBytes", r.HeapUsed)
		j.UintMember("heapTotalBytes", r.HeapTotal)
	}
	if r.FlashTotal > 0 {
		j.UintMember("flashUsedBytes", r.FlashUsed)
		j.UintMember("flashTotalBytes", r.FlashTotal)
	}
	if r.HasTemperature {
		j.IntMember("temperatureMilliCelsius", int64(r.TemperatureMilli))
	}
	if r.HasRSSI {
		j.IntMember("rssiDBm", int64(r.RSSI))
	}
	j.EndObject()
}

func (k *Kubelet) writeNetworkSection(now time.Duration, j *jsonstream.Writer) {
	k.readNetwork(now)
	r := &k.network
	j.BeginObject()
	j.StringMember("state", r.State.String())
	j.IntMember("stateAgeMs", (now - r.Since).Milliseconds())
	j.Key("begun")
	j.BeginObject()
	for s, n := range r.Begun {
		j.UintMember(board.NetworkState(s).String(), uint64(n))
	}
	j.EndObject()
	j.UintMember("sentBytes", r.Sent)
	j.UintMember("receivedBytes", r.Received)
	j.EndObject()
}

func (k *Kubelet) writeConfigSection(j *jsonstream.Writer) {
	j.BeginObject()
	j.UintMember("generation", uint64(k.applied.Generation))
	j.BoolMember("stored", !k.storing.failed && !k.storing.due)
	j.Key("configMaps")
	j.BeginArray()
	for i := range k.watchers {
		name := &k.watchers[i].name
		j.BeginObject()
		j.StringMember("namespace", name.Namespace)
		j.StringMember("name", name.Name)
		if v, ok := k.applied.Version(name.Namespace, name.Name); ok {
			j.UintMember("resourceVersion", v.ResourceVersion)
		}
		j.BoolMember("polling", k.watchers[i].polling)
		j.EndObject()
	}
	j.EndArray()
	j.EndObject()
}
