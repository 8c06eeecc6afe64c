// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp && rp2040

package rp

import "runtime/volatile"

// USBCTRL_REGS_Type is the USB controller.
type USBCTRL_REGS_Type struct {
	ADDR_ENDP              volatile.Register32 // 0x0
	_                      [0x3c]byte
	MAIN_CTRL              volatile.Register32 // 0x40
	_                      [0x8]byte
	SIE_CTRL               volatile.Register32 // 0x4c
	SIE_STATUS             volatile.Register32 // 0x50
	_                      [0x4]byte
	BUFF_STATUS            volatile.Register32 // 0x58
	_                      [0xc]byte
	EP_STALL_ARM           volatile.Register32 // 0x68
	_                      [0x8]byte
	USB_MUXING             volatile.Register32 // 0x74
	USB_PWR                volatile.Register32 // 0x78
	USBPHY_DIRECT          volatile.Register32 // 0x7c
	USBPHY_DIRECT_OVERRIDE volatile.Register32 // 0x80
	_                      [0xc]byte
	INTE                   volatile.Register32 // 0x90
	_                      [0x4]byte
	INTS                   volatile.Register32 // 0x98
}

// Bits of USBCTRL_REGS.
const (
	USBCTRL_REGS_ADDR_ENDP_ADDRESS_Msk = 0x7f

	USBCTRL_REGS_MAIN_CTRL_CONTROLLER_EN = 0x1

	USBCTRL_REGS_SIE_CTRL_PULLUP_EN    = 0x10000
	USBCTRL_REGS_SIE_CTRL_EP0_INT_1BUF = 0x20000000

	USBCTRL_REGS_SIE_STATUS_LINE_STATE_Msk = 0xc
	USBCTRL_REGS_SIE_STATUS_LINE_STATE_Pos = 2
	USBCTRL_REGS_SIE_STATUS_CONNECTED      = 0x10000
	USBCTRL_REGS_SIE_STATUS_SETUP_REC      = 0x20000
	USBCTRL_REGS_SIE_STATUS_BUS_RESET      = 0x80000
	USBCTRL_REGS_SIE_STATUS_ACK_REC        = 0x40000000

	USBCTRL_REGS_EP_STALL_ARM_EP0_IN = 0x1

	USBCTRL_REGS_USB_MUXING_TO_PHY         = 0x1
	USBCTRL_REGS_USB_MUXING_TO_DIGITAL_PAD = 0x4
	USBCTRL_REGS_USB_MUXING_SOFTCON        = 0x8

	USBCTRL_REGS_USB_PWR_VBUS_DETECT             = 0x4
	USBCTRL_REGS_USB_PWR_VBUS_DETECT_OVERRIDE_EN = 0x8

	USBCTRL_REGS_USBPHY_DIRECT_DP_PULLUP_EN = 0x2

	USBCTRL_REGS_USBPHY_DIRECT_OVERRIDE_DP_PULLUP_EN_OVERRIDE_EN = 0x4

	USBCTRL_REGS_INTE_BUFF_STATUS = 0x10
	USBCTRL_REGS_INTE_BUS_RESET   = 0x1000
	USBCTRL_REGS_INTE_SETUP_REQ   = 0x10000

	USBCTRL_REGS_INTS_BUFF_STATUS = 0x10
	USBCTRL_REGS_INTS_BUS_RESET   = 0x1000
	USBCTRL_REGS_INTS_SETUP_REQ   = 0x10000
)
