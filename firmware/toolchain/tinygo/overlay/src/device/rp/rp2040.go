// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp && rp2040

// Package rp describes the registers of the RP2040.
//
// It fills a gap of TinyGo as Go modules deliver it: releases of TinyGo bring a
// description of the whole chip, 65 000 lines made from the vendor's SVD file,
// the module does not. This one holds what TinyGo's packages machine and
// runtime, the PIO and Wi-Fi drivers and picolet's firmware use, under the same
// names, so that a release of TinyGo with its own description works too. The
// names, addresses and bits are those of the RP2040 datasheet and are checked
// against the SVD file by a test of the toolchain.
//
// A block without registers is one over which package machine lays a structure
// of its own; only its address and bits are asked for.
package rp

import "unsafe"

// Device is the name of the chip.
const Device = "RP2040"

// Numbers of interrupts. All are here, because packages name some by number, and
// one without a handler below would be lost: sleep, for example, never ends
// without TIMER_IRQ_3.
const (
	IRQ_TIMER_IRQ_0   = 0
	IRQ_TIMER_IRQ_1   = 1
	IRQ_TIMER_IRQ_2   = 2
	IRQ_TIMER_IRQ_3   = 3
	IRQ_PWM_IRQ_WRAP  = 4
	IRQ_USBCTRL_IRQ   = 5
	IRQ_XIP_IRQ       = 6
	IRQ_PIO0_IRQ_0    = 7
	IRQ_PIO0_IRQ_1    = 8
	IRQ_PIO1_IRQ_0    = 9
	IRQ_PIO1_IRQ_1    = 10
	IRQ_DMA_IRQ_0     = 11
	IRQ_DMA_IRQ_1     = 12
	IRQ_IO_IRQ_BANK0  = 13
	IRQ_IO_IRQ_QSPI   = 14
	IRQ_SIO_IRQ_PROC0 = 15
	IRQ_SIO_IRQ_PROC1 = 16
	IRQ_CLOCKS_IRQ    = 17
	IRQ_SPI0_IRQ      = 18
	IRQ_SPI1_IRQ      = 19
	IRQ_UART0_IRQ     = 20
	IRQ_UART1_IRQ     = 21
	IRQ_ADC_IRQ_FIFO  = 22
	IRQ_I2C0_IRQ      = 23
	IRQ_I2C1_IRQ      = 24
	IRQ_RTC_IRQ       = 25
)

// Peripherals, at their addresses.
var (
	CLOCKS              = (*CLOCKS_Type)(unsafe.Pointer(uintptr(0x40008000)))
	RESETS              = (*RESETS_Type)(unsafe.Pointer(uintptr(0x4000c000)))
	PSM                 = (*PSM_Type)(unsafe.Pointer(uintptr(0x40010000)))
	IO_BANK0            = (*IO_BANK0_Type)(unsafe.Pointer(uintptr(0x40014000)))
	PADS_BANK0          = (*PADS_BANK0_Type)(unsafe.Pointer(uintptr(0x4001c000)))
	XOSC                = (*XOSC_Type)(unsafe.Pointer(uintptr(0x40024000)))
	PLL_SYS             = (*PLL_SYS_Type)(unsafe.Pointer(uintptr(0x40028000)))
	PLL_USB             = (*PLL_SYS_Type)(unsafe.Pointer(uintptr(0x4002c000)))
	UART0               = (*UART0_Type)(unsafe.Pointer(uintptr(0x40034000)))
	UART1               = (*UART0_Type)(unsafe.Pointer(uintptr(0x40038000)))
	SPI0                = (*SPI0_Type)(unsafe.Pointer(uintptr(0x4003c000)))
	SPI1                = (*SPI0_Type)(unsafe.Pointer(uintptr(0x40040000)))
	I2C0                = (*I2C0_Type)(unsafe.Pointer(uintptr(0x40044000)))
	I2C1                = (*I2C0_Type)(unsafe.Pointer(uintptr(0x40048000)))
	ADC                 = (*ADC_Type)(unsafe.Pointer(uintptr(0x4004c000)))
	PWM                 = (*PWM_Type)(unsafe.Pointer(uintptr(0x40050000)))
	TIMER               = (*TIMER_Type)(unsafe.Pointer(uintptr(0x40054000)))
	WATCHDOG            = (*WATCHDOG_Type)(unsafe.Pointer(uintptr(0x40058000)))
	RTC                 = (*RTC_Type)(unsafe.Pointer(uintptr(0x4005c000)))
	ROSC                = (*ROSC_Type)(unsafe.Pointer(uintptr(0x40060000)))
	VREG_AND_CHIP_RESET = (*VREG_AND_CHIP_RESET_Type)(unsafe.Pointer(uintptr(0x40064000)))
	DMA                 = (*DMA_Type)(unsafe.Pointer(uintptr(0x50000000)))
	USBCTRL_REGS        = (*USBCTRL_REGS_Type)(unsafe.Pointer(uintptr(0x50110000)))
	PIO0                = (*PIO0_Type)(unsafe.Pointer(uintptr(0x50200000)))
	PIO1                = (*PIO0_Type)(unsafe.Pointer(uintptr(0x50300000)))
	SIO                 = (*SIO_Type)(unsafe.Pointer(uintptr(0xd0000000)))
	PPB                 = (*PPB_Type)(unsafe.Pointer(uintptr(0xe0000000)))
)

// callHandlers runs what interrupt.New registered for an interrupt. The compiler
// writes its body.
//
//go:linkname callHandlers runtime/interrupt.callHandlers
func callHandlers(num int)

//export TIMER_IRQ_0_IRQHandler
func interruptTIMERIRQ0() { callHandlers(IRQ_TIMER_IRQ_0) }

//export TIMER_IRQ_1_IRQHandler
func interruptTIMERIRQ1() { callHandlers(IRQ_TIMER_IRQ_1) }

//export TIMER_IRQ_2_IRQHandler
func interruptTIMERIRQ2() { callHandlers(IRQ_TIMER_IRQ_2) }

//export TIMER_IRQ_3_IRQHandler
func interruptTIMERIRQ3() { callHandlers(IRQ_TIMER_IRQ_3) }

//export PWM_IRQ_WRAP_IRQHandler
func interruptPWMIRQWRAP() { callHandlers(IRQ_PWM_IRQ_WRAP) }

//export USBCTRL_IRQ_IRQHandler
func interruptUSBCTRLIRQ() { callHandlers(IRQ_USBCTRL_IRQ) }

//export XIP_IRQ_IRQHandler
func interruptXIPIRQ() { callHandlers(IRQ_XIP_IRQ) }

//export PIO0_IRQ_0_IRQHandler
func interruptPIO0IRQ0() { callHandlers(IRQ_PIO0_IRQ_0) }

//export PIO0_IRQ_1_IRQHandler
func interruptPIO0IRQ1() { callHandlers(IRQ_PIO0_IRQ_1) }

//export PIO1_IRQ_0_IRQHandler
func interruptPIO1IRQ0() { callHandlers(IRQ_PIO1_IRQ_0) }

//export PIO1_IRQ_1_IRQHandler
func interruptPIO1IRQ1() { callHandlers(IRQ_PIO1_IRQ_1) }

//export DMA_IRQ_0_IRQHandler
func interruptDMAIRQ0() { callHandlers(IRQ_DMA_IRQ_0) }

//export DMA_IRQ_1_IRQHandler
func interruptDMAIRQ1() { callHandlers(IRQ_DMA_IRQ_1) }

//export IO_IRQ_BANK0_IRQHandler
func interruptIOIRQBANK0() { callHandlers(IRQ_IO_IRQ_BANK0) }

//export IO_IRQ_QSPI_IRQHandler
func interruptIOIRQQSPI() { callHandlers(IRQ_IO_IRQ_QSPI) }

//export SIO_IRQ_PROC0_IRQHandler
func interruptSIOIRQPROC0() { callHandlers(IRQ_SIO_IRQ_PROC0) }

//export SIO_IRQ_PROC1_IRQHandler
func interruptSIOIRQPROC1() { callHandlers(IRQ_SIO_IRQ_PROC1) }

//export CLOCKS_IRQ_IRQHandler
func interruptCLOCKSIRQ() { callHandlers(IRQ_CLOCKS_IRQ) }

//export SPI0_IRQ_IRQHandler
func interruptSPI0IRQ() { callHandlers(IRQ_SPI0_IRQ) }

//export SPI1_IRQ_IRQHandler
func interruptSPI1IRQ() { callHandlers(IRQ_SPI1_IRQ) }

//export UART0_IRQ_IRQHandler
func interruptUART0IRQ() { callHandlers(IRQ_UART0_IRQ) }

//export UART1_IRQ_IRQHandler
func interruptUART1IRQ() { callHandlers(IRQ_UART1_IRQ) }

//export ADC_IRQ_FIFO_IRQHandler
func interruptADCIRQFIFO() { callHandlers(IRQ_ADC_IRQ_FIFO) }

//export I2C0_IRQ_IRQHandler
func interruptI2C0IRQ() { callHandlers(IRQ_I2C0_IRQ) }

//export I2C1_IRQ_IRQHandler
func interruptI2C1IRQ() { callHandlers(IRQ_I2C1_IRQ) }

//export RTC_IRQ_IRQHandler
func interruptRTCIRQ() { callHandlers(IRQ_RTC_IRQ) }
