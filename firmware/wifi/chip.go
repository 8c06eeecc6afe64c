// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package wifi

import (
	"time"

	"github.com/soypat/cyw43439"
	"github.com/soypat/cyw43439/whd"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/logring"
)

const (
	// framesAtOnce is how many frames one Poll reads, so that a flood leaves time for the rest.
	framesAtOnce = 8
	// probeInterval is how often the signal's strength is read, by which a chip that hangs shows.
	probeInterval = 10 * time.Second
	// probeRetry is the same after a failure.
	probeRetry = time.Second
	// maxVainWakes is how often in a row the chip may call for nothing.
	maxVainWakes = 1000
	// countrySettles is how long a chip is busy after a change of country, as its driver says.
	countrySettles = 100 * time.Millisecond
	// ledGPIO is the pin of the chip to which a Pico W's LED is connected.
	ledGPIO = 0
)

// Pins are the wires between the board and the chip.
type Pins struct {
	Wire     Wire        // Required
	Power    func(bool)  // Required: WL_REG_ON
	Select   func(bool)  // Required: the bus' chip select, true is not selected
	HostWake func() bool // Required: whether the chip calls for its frames to be read
}

// Log begins a record of a log, as kubelet.Kubelet.Record does.
type Log func(now time.Duration, level logring.Level, message string) *logring.Record

// Config is what a Chip needs.
type Config struct {
	Pins       Pins
	SSID       string               // Optional [join nothing: the chip runs for its LED alone]: the network's name, 1-32 bytes
	Passphrase string               // Optional [an open network]
	WPA3       bool                 // Optional [false, WPA2]: the network accepts WPA3 only
	Country    string               // Optional [worldwide]: two letters
	Clock      func() time.Duration // Required: time since boot
	Receive    func(frame []byte)   // Required: takes an Ethernet frame, during the call only
	Multicast  [][6]byte            // Optional: Ethernet addresses to listen to beside the board's own
	Log        Log                  // Required: begins a record of the board's log
	Seed       uint64               // Required: for the jitter of retries
}

// Chip is a CYW43439 and the way into its network. It is a board.LED too: that
// of a Pico W hangs on it.
type Chip struct {
	supervisor

	config     Config
	driver     *cyw43439.Device
	bus        bus
	failure    error // why the chip did not start, nil if it runs
	rssi       int16
	probeAt    time.Duration
	vainWakes  int
	framesSeen uint32 // of bus.frames
	mac        [6]byte
	led        bool
	ledShown   bool
	logged     board.NetworkState // state that was logged last
}

var _ board.LED = (*Chip)(nil)

// New claims the memory of a chip, 8 KB. The chip is powered by the first Poll.
func New(c Config) *Chip {
	chip := &Chip{config: c}
	chip.random = c.Seed
	chip.bus = bus{wire: c.Pins.Wire, tell: func(e Event) { chip.told(c.Clock(), e) }}
	chip.driver = cyw43439.New(c.Pins.Power, c.Pins.Select, &chip.bus)
	return chip
}

// Poll does what is due: it starts the chip (1.2 s), asks it to join (0.5 s) or
// reads the frames that wait. It returns when it wants to be called again, unless
// the chip calls before.
func (c *Chip) Poll() (wake time.Duration) {
	switch c.step(c.config.Clock()) {
	case powerUp:
		c.start()
	case join:
		c.askToJoin()
	}
	more, probeAt := false, never
	if c.phase != unpowered {
		more = c.receive()
		c.ShowLED()
		probeAt = c.probe()
	}
	c.tellChanges()
	if more {
		return 0
	}
	return min(c.wake(), probeAt)
}

// start powers the chip, loads its firmware and shows the LED.
func (c *Chip) start() {
	err := c.driver.Init(cyw43439.DefaultWifiConfig())
	if err == nil {
		err = c.configure()
	}
	if err != nil && c.failure == nil {
		c.log(logring.Error, "Wi-Fi chip does not start").Err(err).End()
	}
	c.failure, c.ledShown = err, false
	c.powered(c.config.Clock(), err)
	c.ShowLED()
	if err == nil && c.config.SSID == "" {
		c.at = never
	}
}

func (c *Chip) configure() (err error) {
	if c.mac, err = c.driver.HardwareAddr6(); err != nil {
		return err
	}
	c.driver.RecvEthHandle(c.take)
	if c.config.Country != "" {
		info := whd.CountryInfo(c.config.Country, 0)
		if err := setVariable(c.driver, "country", whd.IF_STA, info[:]); err != nil {
			return err
		}
		time.Sleep(countrySettles)
	}
	return c.driver.SetMulticastList(c.config.Multicast)
}

// askToJoin asks the chip to join. The outcome comes by events.
func (c *Chip) askToJoin() {
	c.bus.join = preparing
	err := c.driver.Join(c.config.SSID, cyw43439.JoinOptions{Passphrase: c.config.Passphrase, Auth: c.auth()})
	c.bus.join = notAsking
	if err == errAsked {
		err = nil
	}
	if err != nil {
		c.log(logring.Warn, "Wi-Fi chip cannot be asked to join").Err(err).End()
	}
	c.probeAt = c.config.Clock() + probeRetry
	c.asked(c.config.Clock(), err)
	c.checkLink(err)
}

// auth is how to prove the passphrase. The driver's JoinAuthWPA2WPA3 enables SAE only
// (Device.Join sets wpa_auth), so a network that accepts both is joined by WPA2.
func (c *Chip) auth() cyw43439.JoinAuth {
	switch {
	case c.config.WPA3:
		return cyw43439.JoinAuthWPA3
	case c.config.Passphrase != "":
		return cyw43439.JoinAuthWPA2
	}
	return cyw43439.JoinAuthOpen
}

// checkLink learns from the driver that the network has been joined. That it was lost it
// does not tell: see Event.
func (c *Chip) checkLink(err error) {
	if err == nil && c.driver.IsLinkUp() {
		c.up(c.config.Clock())
	}
}

// receive reads the frames that wait, and tells whether there may be more.
func (c *Chip) receive() (more bool) {
	for range framesAtOnce {
		calls := c.config.Pins.HostWake()
		if !calls && frameWaits(c.config.Pins.Wire.LastStatus()) == 0 {
			return false
		}
		before := c.bus.frames
		_, err := c.driver.PollOne()
		c.checkLink(err)
		switch {
		case err != nil || c.bus.frames != before:
			c.vainWakes = 0
		case c.vainWakes < maxVainWakes:
			c.vainWakes++
		default:
			err = errFrame
		}
		c.exchanged(err)
		if c.phase == unpowered {
			return false
		}
	}
	return true
}

// take passes a frame on. Only one for the board alone shows that the access point
// knows it: broadcasts get through without.
func (c *Chip) take(frame []byte) {
	if len(frame) > 0 && frame[0]&1 == 0 {
		c.received(c.config.Clock())
	}
	c.config.Receive(frame)
}

// Send sends an Ethernet frame. What cannot be sent is lost, as on any Ethernet.
func (c *Chip) Send(frame []byte) {
	if c.Joined() {
		c.exchanged(c.driver.SendEth(frame))
	}
}

// exchanged notes how an exchange with the chip went.
func (c *Chip) exchanged(err error) {
	if c.bus.frames != c.framesSeen {
		c.framesSeen = c.bus.frames
		c.heard()
	}
	if err != nil {
		c.exchangeFailed(c.config.Clock())
	}
}

// SetLED switches the LED. It shows by the next ShowLED or Poll: the chip cannot be
// asked from within Receive.
func (c *Chip) SetLED(on bool) { c.led = on }

// LED tells what SetLED was told.
func (c *Chip) LED() bool { return c.led }

// ShowLED does what SetLED asked for. It takes some 10 ms if that was a change.
func (c *Chip) ShowLED() {
	if c.led == c.ledShown || c.phase == unpowered {
		return
	}
	err := c.driver.GPIOSet(ledGPIO, c.led)
	if err == nil {
		c.ledShown = c.led
	}
	c.exchanged(err)
}

// probe reads the signal's strength now and then, and returns when it will.
func (c *Chip) probe() time.Duration {
	now := c.config.Clock()
	if !c.Joined() {
		c.rssi = 0
		return never
	}
	if now < c.probeAt {
		return c.probeAt
	}
	c.bus.askRSSI = true
	var answer [4]byte
	_, err := control(c.driver, whd.WLC_GET_PM, whd.IF_STA, answer[:])
	c.bus.askRSSI = false
	if err != nil {
		c.rssi, c.probeAt = 0, now+probeRetry
	} else {
		c.rssi, c.probeAt = int16(int8(answer[0])), now+probeInterval
	}
	c.exchanged(err)
	return c.probeAt
}

// RSSI is the strength of the signal in dBm, 0 if it is not known.
func (c *Chip) RSSI() int16 { return c.rssi }

// MAC is the chip's Ethernet address, zero before it ran for the first time.
func (c *Chip) MAC() [6]byte { return c.mac }

// tellChanges logs a new state, once.
func (c *Chip) tellChanges() {
	state := c.State()
	if state == c.logged {
		return
	}
	lost := c.logged == board.NetworkUp
	c.logged = state
	switch {
	case state == board.NetworkUp:
		c.log(logring.Info, "Wi-Fi joined").End()
	case state == board.NetworkWrongPassphrase:
		c.log(logring.Warn, "Wi-Fi passphrase refused; provision the board again if it has changed").End()
	case c.silent:
		c.log(logring.Warn, "Wi-Fi network is silent, joining again").End()
	case lost:
		c.log(logring.Warn, "Wi-Fi lost").End()
	case c.auth() == cyw43439.JoinAuthWPA2:
		c.log(logring.Warn, "Wi-Fi network cannot be found; if it accepts WPA3 only, provision the board again with --wpa3").End()
	default:
		c.log(logring.Warn, "Wi-Fi network cannot be found").End()
	}
}

func (c *Chip) log(level logring.Level, message string) *logring.Record {
	return c.config.Log(c.config.Clock(), level, message).Str("ssid", c.config.SSID)
}
