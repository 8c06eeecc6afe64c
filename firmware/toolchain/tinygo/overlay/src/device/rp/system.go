// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp && rp2040

package rp

import "runtime/volatile"

// CLOCKS_Type is the clock generators.
type CLOCKS_Type struct {
	_                  [0x78]byte
	CLK_SYS_RESUS_CTRL volatile.Register32 // 0x78
}

// SetCLK_SYS_RESUS_CTRL_CLEAR writes bit 16 of CLK_SYS_RESUS_CTRL.
func (o *CLOCKS_Type) SetCLK_SYS_RESUS_CTRL_CLEAR(value uint32) {
	o.CLK_SYS_RESUS_CTRL.ReplaceBits(value, 0x1, 16)
}

// Bits of CLOCKS.
const (
	CLOCKS_CLK_GPOUT0_CTRL_ENABLE_Msk = 0x800
	CLOCKS_CLK_GPOUT0_CTRL_ENABLE     = 0x800

	CLOCKS_CLK_REF_CTRL_SRC_Msk         = 0x3
	CLOCKS_CLK_REF_CTRL_SRC_Pos         = 0
	CLOCKS_CLK_REF_CTRL_SRC_XOSC_CLKSRC = 0x2

	CLOCKS_CLK_SYS_CTRL_SRC_Msk                = 0x1
	CLOCKS_CLK_SYS_CTRL_SRC_CLKSRC_CLK_SYS_AUX = 0x1
	CLOCKS_CLK_SYS_CTRL_AUXSRC_Msk             = 0xe0
	CLOCKS_CLK_SYS_CTRL_AUXSRC_CLKSRC_PLL_SYS  = 0x0
	CLOCKS_CLK_SYS_CTRL_AUXSRC_Pos             = 5

	CLOCKS_CLK_PERI_CTRL_AUXSRC_CLK_SYS = 0x0

	CLOCKS_CLK_USB_CTRL_AUXSRC_CLKSRC_PLL_USB = 0x0

	CLOCKS_CLK_ADC_CTRL_AUXSRC_CLKSRC_PLL_USB = 0x0

	CLOCKS_CLK_RTC_CTRL_AUXSRC_CLKSRC_PLL_USB = 0x0
)

// RESETS_Type is the reset controller.
type RESETS_Type struct {
	RESET      volatile.Register32 // 0x0
	_          [0x4]byte
	RESET_DONE volatile.Register32 // 0x8
}

// Bits of RESETS.
const (
	RESETS_RESET_ADC       = 0x1
	RESETS_RESET_I2C0      = 0x8
	RESETS_RESET_I2C1      = 0x10
	RESETS_RESET_IO_QSPI   = 0x40
	RESETS_RESET_PADS_QSPI = 0x200
	RESETS_RESET_PLL_SYS   = 0x1000
	RESETS_RESET_PLL_USB   = 0x2000
	RESETS_RESET_RTC       = 0x8000
	RESETS_RESET_SPI0      = 0x10000
	RESETS_RESET_SPI1      = 0x20000
	RESETS_RESET_SYSCFG    = 0x40000
	RESETS_RESET_UART0     = 0x400000
	RESETS_RESET_UART1     = 0x800000
	RESETS_RESET_USBCTRL   = 0x1000000
)

// PSM_Type is the power-on state machine.
type PSM_Type struct {
	_     [0x8]byte
	WDSEL volatile.Register32 // 0x8
}

// Bits of PSM.
const (
	PSM_WDSEL_ROSC = 0x1
	PSM_WDSEL_XOSC = 0x2
)

// PLL_SYS_Type is a phase-locked loop.
type PLL_SYS_Type struct{}

// Bits of PLL_SYS.
const (
	PLL_SYS_CS_REFDIV_Msk = 0x3f
	PLL_SYS_CS_LOCK       = 0x80000000

	PLL_SYS_PWR_PD        = 0x1
	PLL_SYS_PWR_POSTDIVPD = 0x8
	PLL_SYS_PWR_VCOPD     = 0x20

	PLL_SYS_FBDIV_INT_FBDIV_INT_Msk = 0xfff

	PLL_SYS_PRIM_POSTDIV2_Msk = 0x7000
	PLL_SYS_PRIM_POSTDIV2_Pos = 12
	PLL_SYS_PRIM_POSTDIV1_Msk = 0x70000
	PLL_SYS_PRIM_POSTDIV1_Pos = 16
)

// XOSC_Type is the crystal oscillator.
type XOSC_Type struct{}

// Bits of XOSC.
const (
	XOSC_CTRL_FREQ_RANGE_1_15MHZ = 0xaa0
	XOSC_CTRL_ENABLE_ENABLE      = 0xfab
	XOSC_CTRL_ENABLE_Pos         = 12

	XOSC_STATUS_STABLE = 0x80000000
)

// ROSC_Type is the ring oscillator.
type ROSC_Type struct {
	_         [0x1c]byte
	RANDOMBIT volatile.Register32 // 0x1c
}

// GetRANDOMBIT reads bit 0 of RANDOMBIT.
func (o *ROSC_Type) GetRANDOMBIT() uint32 { return o.RANDOMBIT.Get() & 0x1 }

// VREG_AND_CHIP_RESET_Type is the voltage regulator and the cause of the last reset.
type VREG_AND_CHIP_RESET_Type struct {
	VREG       volatile.Register32 // 0x0
	_          [0x4]byte
	CHIP_RESET volatile.Register32 // 0x8
}

// SetVREG_VSEL writes bits 7:4 of VREG.
func (o *VREG_AND_CHIP_RESET_Type) SetVREG_VSEL(value uint32) { o.VREG.ReplaceBits(value, 0xf, 4) }

// Bits of VREG_AND_CHIP_RESET.
const (
	VREG_AND_CHIP_RESET_CHIP_RESET_HAD_POR         = 0x100
	VREG_AND_CHIP_RESET_CHIP_RESET_HAD_RUN         = 0x10000
	VREG_AND_CHIP_RESET_CHIP_RESET_HAD_PSM_RESTART = 0x100000
)

// WATCHDOG_Type is the watchdog.
type WATCHDOG_Type struct {
	CTRL     volatile.Register32 // 0x0
	LOAD     volatile.Register32 // 0x4
	REASON   volatile.Register32 // 0x8
	SCRATCH0 volatile.Register32 // 0xc
	SCRATCH1 volatile.Register32 // 0x10
	_        [0x8]byte
	SCRATCH4 volatile.Register32 // 0x1c
	_        [0xc]byte
	TICK     volatile.Register32 // 0x2c
}

// Bits of WATCHDOG.
const (
	WATCHDOG_CTRL_PAUSE_JTAG = 0x1000000
	WATCHDOG_CTRL_PAUSE_DBG0 = 0x2000000
	WATCHDOG_CTRL_PAUSE_DBG1 = 0x4000000
	WATCHDOG_CTRL_ENABLE     = 0x40000000
	WATCHDOG_CTRL_TRIGGER    = 0x80000000

	WATCHDOG_LOAD_LOAD_Msk = 0xffffff

	WATCHDOG_REASON_TIMER = 0x1
	WATCHDOG_REASON_FORCE = 0x2

	WATCHDOG_TICK_ENABLE = 0x200
)

// TIMER_Type is the microsecond timer.
type TIMER_Type struct {
	_        [0x28]byte
	TIMERAWL volatile.Register32 // 0x28
}

// RTC_Type is the real time clock.
type RTC_Type struct {
	CLKDIV_M1   volatile.Register32 // 0x0
	SETUP_0     volatile.Register32 // 0x4
	SETUP_1     volatile.Register32 // 0x8
	CTRL        volatile.Register32 // 0xc
	IRQ_SETUP_0 volatile.Register32 // 0x10
	IRQ_SETUP_1 volatile.Register32 // 0x14
	_           [0xc]byte
	INTE        volatile.Register32 // 0x24
}

// Bits of RTC.
const (
	RTC_CLKDIV_M1_CLKDIV_M1_Msk = 0xffff

	RTC_SETUP_0_DAY_Pos   = 0
	RTC_SETUP_0_MONTH_Pos = 8
	RTC_SETUP_0_YEAR_Pos  = 12

	RTC_SETUP_1_SEC_Pos  = 0
	RTC_SETUP_1_MIN_Pos  = 8
	RTC_SETUP_1_HOUR_Pos = 16
	RTC_SETUP_1_DOTW_Pos = 24

	RTC_CTRL_RTC_ENABLE = 0x1
	RTC_CTRL_RTC_ACTIVE = 0x2
	RTC_CTRL_LOAD       = 0x10

	RTC_IRQ_SETUP_0_DAY_ENA      = 0x1000000
	RTC_IRQ_SETUP_0_MONTH_ENA    = 0x2000000
	RTC_IRQ_SETUP_0_YEAR_ENA     = 0x4000000
	RTC_IRQ_SETUP_0_MATCH_ENA    = 0x10000000
	RTC_IRQ_SETUP_0_MATCH_ACTIVE = 0x20000000

	RTC_IRQ_SETUP_1_SEC_ENA  = 0x10000000
	RTC_IRQ_SETUP_1_MIN_ENA  = 0x20000000
	RTC_IRQ_SETUP_1_HOUR_ENA = 0x40000000
	RTC_IRQ_SETUP_1_DOTW_ENA = 0x80000000

	RTC_INTE_RTC = 0x1
)

// SIO_Type is the processors' single-cycle I/O block.
type SIO_Type struct {
	CPUID           volatile.Register32 // 0x0
	GPIO_IN         volatile.Register32 // 0x4
	GPIO_HI_IN      volatile.Register32 // 0x8
	_               [0x4]byte
	GPIO_OUT        volatile.Register32 // 0x10
	GPIO_OUT_SET    volatile.Register32 // 0x14
	GPIO_OUT_CLR    volatile.Register32 // 0x18
	GPIO_OUT_XOR    volatile.Register32 // 0x1c
	GPIO_OE         volatile.Register32 // 0x20
	GPIO_OE_SET     volatile.Register32 // 0x24
	GPIO_OE_CLR     volatile.Register32 // 0x28
	_               [0x8]byte
	GPIO_HI_OUT_SET volatile.Register32 // 0x34
	GPIO_HI_OUT_CLR volatile.Register32 // 0x38
	GPIO_HI_OUT_XOR volatile.Register32 // 0x3c
	_               [0x8]byte
	GPIO_HI_OE_CLR  volatile.Register32 // 0x48
	_               [0x4]byte
	FIFO_ST         volatile.Register32 // 0x50
	FIFO_WR         volatile.Register32 // 0x54
	FIFO_RD         volatile.Register32 // 0x58
	_               [0xa4]byte
	SPINLOCK0       volatile.Register32 // 0x100
}

// Bits of SIO.
const (
	SIO_FIFO_ST_VLD = 0x1
	SIO_FIFO_ST_RDY = 0x2
	SIO_FIFO_ST_ROE = 0x8
)

// PPB_Type is the processor's private registers.
type PPB_Type struct {
	_         [0xe100]byte
	NVIC_ISER volatile.Register32 // 0xe100
	_         [0x7c]byte
	NVIC_ICER volatile.Register32 // 0xe180
	_         [0xfc]byte
	NVIC_ICPR volatile.Register32 // 0xe280
}
