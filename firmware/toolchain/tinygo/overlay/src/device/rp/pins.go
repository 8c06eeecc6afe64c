// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp && rp2040

package rp

import "runtime/volatile"

// IO_BANK0_Type is the multiplexer of the pins' functions.
type IO_BANK0_Type struct {
	_          [0x4]byte
	GPIO0_CTRL volatile.Register32 // 0x4
	_          [0x4]byte
	GPIO1_CTRL volatile.Register32 // 0xc
}

// Bits of IO_BANK0.
const (
	IO_BANK0_GPIO0_CTRL_FUNCSEL_Msk     = 0x1f
	IO_BANK0_GPIO0_CTRL_FUNCSEL_Pos     = 0
	IO_BANK0_GPIO0_CTRL_FUNCSEL_pwm_a_0 = 0x4
	IO_BANK0_GPIO0_CTRL_FUNCSEL_sio_0   = 0x5
	IO_BANK0_GPIO0_CTRL_FUNCSEL_null    = 0x1f
	IO_BANK0_GPIO0_CTRL_OEOVER_Msk      = 0x3000
	IO_BANK0_GPIO0_CTRL_OEOVER_DISABLE  = 0x2
	IO_BANK0_GPIO0_CTRL_OEOVER_Pos      = 12

	IO_BANK0_GPIO1_CTRL_INOVER_Msk  = 0x30000
	IO_BANK0_GPIO1_CTRL_INOVER_HIGH = 0x3
	IO_BANK0_GPIO1_CTRL_INOVER_Pos  = 16
)

// PADS_BANK0_Type is the pins' electrical settings.
type PADS_BANK0_Type struct {
	_     [0x4]byte
	GPIO0 volatile.Register32 // 0x4
}

// Bits of PADS_BANK0.
const (
	PADS_BANK0_GPIO0_SLEWFAST_Msk = 0x1
	PADS_BANK0_GPIO0_SLEWFAST_Pos = 0
	PADS_BANK0_GPIO0_SCHMITT_Msk  = 0x2
	PADS_BANK0_GPIO0_SCHMITT_Pos  = 1
	PADS_BANK0_GPIO0_PDE          = 0x4
	PADS_BANK0_GPIO0_PDE_Pos      = 2
	PADS_BANK0_GPIO0_PUE          = 0x8
	PADS_BANK0_GPIO0_PUE_Pos      = 3
	PADS_BANK0_GPIO0_DRIVE_Msk    = 0x30
	PADS_BANK0_GPIO0_DRIVE_12mA   = 0x3
	PADS_BANK0_GPIO0_DRIVE_Pos    = 4
	PADS_BANK0_GPIO0_IE_Msk       = 0x40
	PADS_BANK0_GPIO0_IE           = 0x40
	PADS_BANK0_GPIO0_OD_Msk       = 0x80
)

// ADC_Type is the analogue to digital converter.
type ADC_Type struct {
	CS     volatile.Register32 // 0x0
	RESULT volatile.Register32 // 0x4
}

// Bits of ADC.
const (
	ADC_CS_EN         = 0x1
	ADC_CS_TS_EN      = 0x2
	ADC_CS_START_ONCE = 0x4
	ADC_CS_READY      = 0x100
	ADC_CS_AINSEL_Msk = 0x7000
	ADC_CS_AINSEL_Pos = 12
)

// PWM_Type is the pulse width modulators.
type PWM_Type struct {
	CH0_CSR volatile.Register32 // 0x0
	CH0_DIV volatile.Register32 // 0x4
	_       [0x4]byte
	CH0_CC  volatile.Register32 // 0xc
	CH0_TOP volatile.Register32 // 0x10
	CH1_CSR volatile.Register32 // 0x14
}

// Bits of PWM.
const (
	PWM_CH0_CSR_EN             = 0x1
	PWM_CH0_CSR_EN_Msk         = 0x1
	PWM_CH0_CSR_EN_Pos         = 0
	PWM_CH0_CSR_PH_CORRECT_Msk = 0x2
	PWM_CH0_CSR_PH_CORRECT_Pos = 1
	PWM_CH0_CSR_A_INV_Msk      = 0x4
	PWM_CH0_CSR_A_INV_Pos      = 2
	PWM_CH0_CSR_B_INV_Msk      = 0x8
	PWM_CH0_CSR_B_INV_Pos      = 3
	PWM_CH0_CSR_DIVMODE_Msk    = 0x30
	PWM_CH0_CSR_DIVMODE_DIV    = 0x0
	PWM_CH0_CSR_DIVMODE_Pos    = 4

	PWM_CH0_DIV_FRAC_Msk = 0xf
	PWM_CH0_DIV_FRAC_Pos = 0
	PWM_CH0_DIV_INT_Msk  = 0xff0
	PWM_CH0_DIV_INT_Pos  = 4

	PWM_CH0_CTR_CH0_CTR_Msk = 0xffff
	PWM_CH0_CTR_CH0_CTR_Pos = 0

	PWM_CH0_CC_A_Msk = 0xffff
	PWM_CH0_CC_A_Pos = 0
	PWM_CH0_CC_B_Msk = 0xffff0000
	PWM_CH0_CC_B_Pos = 16

	PWM_CH0_TOP_CH0_TOP_Msk = 0xffff
	PWM_CH0_TOP_CH0_TOP_Pos = 0
)

// UART0_Type is a UART.
type UART0_Type struct {
	UARTDR    volatile.Register32 // 0x0
	_         [0x14]byte
	UARTFR    volatile.Register32 // 0x18
	_         [0x8]byte
	UARTIBRD  volatile.Register32 // 0x24
	UARTFBRD  volatile.Register32 // 0x28
	UARTLCR_H volatile.Register32 // 0x2c
	UARTCR    volatile.Register32 // 0x30
	_         [0x4]byte
	UARTIMSC  volatile.Register32 // 0x38
}

// Bits of UART0.
const (
	UART0_UARTFR_BUSY = 0x8
	UART0_UARTFR_RXFE = 0x10
	UART0_UARTFR_TXFF = 0x20

	UART0_UARTLCR_H_PEN      = 0x2
	UART0_UARTLCR_H_EPS      = 0x4
	UART0_UARTLCR_H_STP2_Pos = 3
	UART0_UARTLCR_H_FEN      = 0x10
	UART0_UARTLCR_H_WLEN_Pos = 5

	UART0_UARTCR_UARTEN = 0x1
	UART0_UARTCR_TXE    = 0x100
	UART0_UARTCR_RXE    = 0x200
	UART0_UARTCR_RTSEN  = 0x4000
	UART0_UARTCR_CTSEN  = 0x8000

	UART0_UARTIMSC_RXIM = 0x10
	UART0_UARTIMSC_RTIM = 0x40
)

// SPI0_Type is an SPI controller.
type SPI0_Type struct {
	SSPCR0   volatile.Register32 // 0x0
	SSPCR1   volatile.Register32 // 0x4
	SSPDR    volatile.Register32 // 0x8
	SSPSR    volatile.Register32 // 0xc
	SSPCPSR  volatile.Register32 // 0x10
	_        [0x4]byte
	SSPRIS   volatile.Register32 // 0x18
	_        [0x4]byte
	SSPICR   volatile.Register32 // 0x20
	SSPDMACR volatile.Register32 // 0x24
}

// Bits of SPI0.
const (
	SPI0_SSPCR0_DSS_Msk = 0xf
	SPI0_SSPCR0_DSS_Pos = 0
	SPI0_SSPCR0_FRF_Msk = 0x30
	SPI0_SSPCR0_SPO_Msk = 0x40
	SPI0_SSPCR0_SPO_Pos = 6
	SPI0_SSPCR0_SPH_Msk = 0x80
	SPI0_SSPCR0_SPH_Pos = 7
	SPI0_SSPCR0_SCR_Msk = 0xff00
	SPI0_SSPCR0_SCR_Pos = 8

	SPI0_SSPCR1_SSE = 0x2

	SPI0_SSPSR_TNF = 0x2
	SPI0_SSPSR_RNE = 0x4
	SPI0_SSPSR_BSY = 0x10

	SPI0_SSPICR_RORIC = 0x1

	SPI0_SSPDMACR_RXDMAE = 0x1
	SPI0_SSPDMACR_TXDMAE = 0x2
)
