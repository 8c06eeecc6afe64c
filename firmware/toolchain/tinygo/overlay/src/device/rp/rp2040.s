@ Copyright The picolet Authors.
@ SPDX-License-Identifier: Apache-2.0
@
@ The vector table of the RP2040, which TinyGo's runtime expects device/rp to
@ bring. A handler that no package defines waits for a debugger or the watchdog.

.syntax unified

.section .text.Default_Handler, "ax", %progbits
.global Default_Handler
.type   Default_Handler, %function
Default_Handler:
    wfe
    b   Default_Handler
.size Default_Handler, . - Default_Handler

@ A vector whose handler may be missing.
.macro vector name
    .weak \name
    .set  \name, Default_Handler
    .long \name
.endm

.section .isr_vector, "a", %progbits
.global __isr_vector
__isr_vector:
    @ Armv6-M Architecture Reference Manual, B1.5.3
    .long  _stack_top
    .long  Reset_Handler
    vector NMI_Handler
    vector HardFault_Handler
    .fill  7, 4, 0
    vector SVC_Handler
    .fill  2, 4, 0
    vector PendSV_Handler
    vector SysTick_Handler

    @ RP2040 Datasheet, 2.3.2
    vector TIMER_IRQ_0_IRQHandler
    vector TIMER_IRQ_1_IRQHandler
    vector TIMER_IRQ_2_IRQHandler
    vector TIMER_IRQ_3_IRQHandler
    vector PWM_IRQ_WRAP_IRQHandler
    vector USBCTRL_IRQ_IRQHandler
    vector XIP_IRQ_IRQHandler
    vector PIO0_IRQ_0_IRQHandler
    vector PIO0_IRQ_1_IRQHandler
    vector PIO1_IRQ_0_IRQHandler
    vector PIO1_IRQ_1_IRQHandler
    vector DMA_IRQ_0_IRQHandler
    vector DMA_IRQ_1_IRQHandler
    vector IO_IRQ_BANK0_IRQHandler
    vector IO_IRQ_QSPI_IRQHandler
    vector SIO_IRQ_PROC0_IRQHandler
    vector SIO_IRQ_PROC1_IRQHandler
    vector CLOCKS_IRQ_IRQHandler
    vector SPI0_IRQ_IRQHandler
    vector SPI1_IRQ_IRQHandler
    vector UART0_IRQ_IRQHandler
    vector UART1_IRQ_IRQHandler
    vector ADC_IRQ_FIFO_IRQHandler
    vector I2C0_IRQ_IRQHandler
    vector I2C1_IRQ_IRQHandler
    vector RTC_IRQ_IRQHandler
.size __isr_vector, . - __isr_vector
