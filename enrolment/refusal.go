// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/api/v1alpha1"
)

// Reason is why a board may or may not be its node: the reason of conditions and
// Events, and a label of metrics.
type Reason string

// Reasons. Those up to NodeNotABoard are of the condition Enrolled too.
const (
	Approved      Reason = "Approved"
	Pending       Reason = "Pending"       // nobody decided yet
	Denied        Reason = "Denied"        // an administrator said no
	Revoked       Reason = "Revoked"       // an administrator said no, after it was enrolled
	KeyMismatch   Reason = "KeyMismatch"   // the Device's name is not that of its key
	NodeNameTaken Reason = "NodeNameTaken" // another Device is that node
	NodeNotABoard Reason = "NodeNotABoard" // the node runs something else

	NodeNameMismatch   Reason = "NodeNameMismatch"   // the board calls itself otherwise
	NodeNameRefused    Reason = "NodeNameRefused"    // no name that boards may take here
	KeyInUse           Reason = "KeyInUse"           // another board with that key is connected
	TakenOver          Reason = "TakenOver"          // the board came again, to this gateway or another
	Deleted            Reason = "Deleted"            // the Device is gone
	Changed            Reason = "Changed"            // the node's labels or zone did: the board comes again at once
	TooManyPending     Reason = "TooManyPending"     // as Config.MaxPending says
	RateLimited        Reason = "RateLimited"        // too many attempts
	JoinTokenInvalid   Reason = "JoinTokenInvalid"   // no such token
	JoinTokenExpired   Reason = "JoinTokenExpired"   // its time is over
	JoinTokenExhausted Reason = "JoinTokenExhausted" // its uses are over
	JoinTokenNodeName  Reason = "JoinTokenNodeName"  // it is for other node names
	BadHello           Reason = "BadHello"           // what the board says cannot be used
	Unavailable        Reason = "Unavailable"        // the API server does not answer
)

// Reasons of the condition Connected.
const (
	linkUp      Reason = "LinkUp"
	linkEnded   Reason = "LinkEnded"
	boardSilent Reason = "BoardSilent"
	gatewayGone Reason = "GatewayGone"
	neverSeen   Reason = "NotConnected"
)

// A Refusal is why a board is not let in, or no longer. Its text is one line of
// ASCII that a board can log: it names what the administrator can do.
type Refusal struct {
	Reason  Reason
	Device  string // name; empty where there is none
	Message string
	Cause   error // of Unavailable
}

func (r *Refusal) Error() string { return r.Message }

// Unwrap returns what the API server said, where that is the reason.
func (r *Refusal) Unwrap() error { return r.Cause }

func refuse(reason Reason, device, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Device: device, Message: fmt.Sprintf(format, args...)}
}

func unavailable(device string, err error) *Refusal {
	r := refuse(Unavailable, device, "the gateway cannot use the API server just now: try again in a minute")
	r.Cause = err
	return r
}

func pending(d *v1alpha1.Device) *Refusal {
	if d.Spec.NodeName == "" {
		return refuse(Pending, d.Name, "device %s waits for approval: kubectl pico approve %[1]s --node-name NAME", d.Name)
	}
	return refuse(Pending, d.Name, "device %s waits for approval as node %s: kubectl pico approve %[1]s", d.Name, d.Spec.NodeName)
}

func denied(d *v1alpha1.Device, reason Reason) *Refusal {
	word := map[Reason]string{Denied: "denied", Revoked: "revoked"}[reason]
	return refuse(reason, d.Name, "device %s was %s: kubectl pico approve %[1]s lets it in", d.Name, word)
}

func deleted(name string) *Refusal {
	return refuse(Deleted, name, "device %s was deleted: kubectl pico approve %[1]s, when it has asked again", name)
}

func relabelled(d *v1alpha1.Device) *Refusal {
	return refuse(Changed, d.Name, "device %s has other labels or room for pods now: the node gets them with the board's next link, which it makes by itself", d.Name)
}

func otherConfigMaps(d *v1alpha1.Device) *Refusal {
	return refuse(Changed, d.Name, "device %s has other ConfigMaps now: the board reads them over its next link, which it makes by itself", d.Name)
}

// loudness is how often the same refusal is logged and told as an Event.
const loudness = 10 * time.Minute

// tell counts a refusal, logs it, and makes an Event of it if there is a Device.
// The same refusal is logged once in a while only.
func (e *Enrolment) tell(ctx context.Context, r *Refusal, d *v1alpha1.Device, addr string) {
	e.metrics.decided(r.Reason)
	about := r.Device
	if d == nil {
		about = subnet(addr)
	}
	level := slog.LevelDebug
	if e.spoken.allow(string(r.Reason) + " " + about) {
		level = levelOf(r.Reason)
		if d != nil {
			e.events.Event(d, eventType(r.Reason), string(r.Reason), fromAddr(r.Message, addr))
		}
	}
	attrs := []slog.Attr{slog.String("device", r.Device), slog.String("addr", addr), slog.String("reason", string(r.Reason)), slog.String("message", r.Message)}
	if d != nil {
		attrs = append(attrs, slog.String("node", d.Spec.NodeName))
	}
	if r.Cause != nil {
		attrs = append(attrs, slog.Any("err", r.Cause))
	}
	e.log.LogAttrs(ctx, level, "Refused a board", attrs...)
}

// eventType is Warning for what an administrator does not expect.
func eventType(r Reason) string {
	switch r {
	case Approved, Pending, Denied, Revoked, Deleted, Changed:
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}

func levelOf(r Reason) slog.Level {
	if eventType(r) == corev1.EventTypeNormal {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func fromAddr(message, addr string) string {
	if addr == "" {
		return message
	}
	return message + " (board at " + addr + ")"
}

// printable keeps what a board said out of the way of terminals.
func printable(s string) string { return strings.Trim(strconv.QuoteToASCII(s), `"`) }
