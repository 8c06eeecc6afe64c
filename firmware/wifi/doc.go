// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package wifi keeps a Pico W in its Wi-Fi network: it starts the CYW43439 chip,
// joins, notices when the network is lost or has forgotten the board, tells a refused
// passphrase from a network that is not there, and tries again for ever, with a bounded backoff. A chip that stops
// answering loses its power and starts anew.
//
// The chip itself is driven by github.com/soypat/cyw43439. This package never
// waits for a network: joining takes half a second of the caller's time,
// its outcome comes with the chip's events. What the driver lacks or gets wrong is
// mended in one place, the bus between the two (see bus).
//
// It knows no IP and no time of its own, starts no goroutine, scans for no
// networks, is no access point and keeps no more than one network's settings.
//
// Images that use it are built with the tag cy43nopio: the driver then leaves the bus
// to its caller.
package wifi
