// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wifi

import (
	"encoding/binary"

	"github.com/soypat/cyw43439/whd"
)

// Event is what the chip tells of the network.
type Event struct {
	Type   whd.AsyncEventType
	Status uint32
	Reason uint32
	Flags  uint16
}

// Numbers in events, from cyw43_cb_process_async_event in cyw43_ctrl.c of
// georgerobotics/cyw43-driver.
const (
	statusNoNetworks   = 3  // of EvSET_SSID
	statusKeyed        = 6  // of EvPSK_SUP: keys have been exchanged
	reasonTimeout      = 15 // of EvPSK_SUP: the access point fell silent, as it does at the edge of its reach
	flagLinkUp         = 1  // of EvLINK
	statusFailed       = 1  // of EvAUTH
	reasonSAE          = 16 // of EvAUTH: the access point did not take the proof; runner.rs of embassy-rs/embassy, cyw43
	reasonNoLongerAuth = 2  // of EvDEAUTH_IND, IEEE 802.11-2020 table 9-49
	reasonKeyTimeout   = 15 // of EvDEAUTH_IND: the 4-way handshake timed out
)

// meaning is what an Event says about the network.
type meaning uint8

const (
	nothing    meaning = iota
	notFound           // no network of that name is in reach
	refused            // the access point took the name, but not the passphrase
	notJoined          // joining failed for another reason
	linkIsGone         // the network that was joined is lost
)

// whileJoining reads an event that comes while joining.
func (e Event) whileJoining() meaning {
	switch e.Type {
	case whd.EvSET_SSID:
		switch e.Status {
		case 0:
			return nothing
		case statusNoNetworks:
			return notFound
		}
		return notJoined
	case whd.EvAUTH:
		if e.Status == statusFailed && e.Reason == reasonSAE {
			return refused
		}
	case whd.EvPSK_SUP:
		switch {
		case e.Status == statusKeyed:
			return nothing
		case e.Reason == reasonTimeout:
			return notJoined
		}
		return refused
	case whd.EvDEAUTH_IND:
		if e.Reason == reasonNoLongerAuth || e.Reason == reasonKeyTimeout {
			return refused
		}
		return notJoined
	case whd.EvDEAUTH, whd.EvDISASSOC_IND:
		return notJoined
	}
	return nothing
}

// onceJoined reads an event that comes in a network. A failed exchange of keys is
// none there: it is sent when the chip roams.
func (e Event) onceJoined() meaning {
	switch e.Type {
	case whd.EvLINK:
		if e.Flags&flagLinkUp == 0 {
			return linkIsGone
		}
	case whd.EvDEAUTH, whd.EvDEAUTH_IND, whd.EvDISASSOC, whd.EvDISASSOC_IND:
		return linkIsGone
	}
	return nothing
}

// parseEvent reads the body of an event frame: a BDC header, and behind it an
// Ethernet frame of Broadcom's.
func parseEvent(body []byte) (Event, bool) {
	if len(body) < whd.BDC_HEADER_LEN {
		return Event{}, false
	}
	start := whd.BDC_HEADER_LEN + 4*int(body[3])
	if start > len(body) {
		return Event{}, false
	}
	p, err := whd.DecodeEventPacket(binary.BigEndian, body[start:])
	if err != nil {
		return Event{}, false
	}
	return Event{Type: p.Message.EventType, Status: p.Message.Status, Reason: p.Message.Reason, Flags: p.Message.Flags}, true
}
