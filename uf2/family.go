// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package uf2

import "fmt"

// Family says which chip a block is for.
type Family uint32

// RP2040 is the family of the Raspberry Pi Pico W.
const RP2040 Family = 0xe48bff56

// families has the public names of chips: those of utils/uf2families.json of the
// specification, and those that boot/uf2.h of the Pico SDK adds for the RP2350.
var families = map[Family]string{
	RP2040:     "RP2040",
	0xe48bff57: "RP2xxx, absolute addresses",
	0xe48bff58: "RP2xxx, data",
	0xe48bff59: "RP2350, Arm, secure",
	0xe48bff5a: "RP2350, RISC-V",
	0xe48bff5b: "RP2350, Arm, non-secure",

	0x16573617: "ATmega32",
	0x1851780a: "SAML21",
	0x68ed2b88: "SAMD21",
	0x55114460: "SAMD51",
	0x1b57745f: "nRF52",
	0x621e937a: "nRF52833",
	0xada52840: "nRF52840",
	0x1c5f21b0: "ESP32",
	0x7eab61ed: "ESP8266",
	0xbfdd4eee: "ESP32-S2",
	0xc47e5767: "ESP32-S3",
	0x2b88d29c: "ESP32-C2",
	0xd42ba06c: "ESP32-C3",
	0x540ddf62: "ESP32-C6",
	0x332726f6: "ESP32-H2",
	0x3d308e94: "ESP32-P4",
	0x647824b6: "STM32F0",
	0x5ee21072: "STM32F1",
	0x5d1a0a2e: "STM32F2",
	0x6b846188: "STM32F3",
	0x57755a57: "STM32F4",
	0x6d0922fa: "STM32F407",
	0x8fb060fe: "STM32F407VG",
	0x53b80f00: "STM32F7",
	0x300f5633: "STM32G0",
	0x4c71240a: "STM32G4",
	0x6db66082: "STM32H7",
	0x202e3a91: "STM32L0",
	0x1e1f432d: "STM32L1",
	0x00ff6919: "STM32L4",
	0x04240bdf: "STM32L5",
	0x70d16653: "STM32WB",
	0x21460ff0: "STM32WL",
	0x2abc77ec: "LPC55",
	0x4fb2d5bd: "i.MX RT10xx",
	0x7f83e793: "KL32L2",
	0x31d228c6: "GD32F350",
	0x9af03e33: "GD32VF103",
	0x5a18069b: "Cypress FX2",
	0x4f6ace52: "CSK300x/400x",
	0x6e7348a8: "CSK60xx",
	0x11de784a: "BL702",
	0x4b684d71: "BL618",
	0x9517422f: "RZ/A1LU",
}

func (f Family) String() string {
	if f == 0 {
		return "no chip in particular"
	}
	if name, ok := families[f]; ok {
		return fmt.Sprintf("%s (%#08x)", name, uint32(f))
	}
	return fmt.Sprintf("%#08x", uint32(f))
}
