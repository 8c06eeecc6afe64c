// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build rp && rp2040

package rp

import "runtime/volatile"

// I2C0_Type is an I2C controller.
type I2C0_Type struct {
	IC_CON            volatile.Register32 // 0x0
	IC_TAR            volatile.Register32 // 0x4
	IC_SAR            volatile.Register32 // 0x8
	_                 [0x4]byte
	IC_DATA_CMD       volatile.Register32 // 0x10
	_                 [0x8]byte
	IC_FS_SCL_HCNT    volatile.Register32 // 0x1c
	IC_FS_SCL_LCNT    volatile.Register32 // 0x20
	_                 [0x10]byte
	IC_RAW_INTR_STAT  volatile.Register32 // 0x34
	IC_RX_TL          volatile.Register32 // 0x38
	IC_TX_TL          volatile.Register32 // 0x3c
	_                 [0x10]byte
	IC_CLR_RD_REQ     volatile.Register32 // 0x50
	IC_CLR_TX_ABRT    volatile.Register32 // 0x54
	_                 [0x8]byte
	IC_CLR_STOP_DET   volatile.Register32 // 0x60
	IC_CLR_START_DET  volatile.Register32 // 0x64
	_                 [0x4]byte
	IC_ENABLE         volatile.Register32 // 0x6c
	_                 [0x4]byte
	IC_TXFLR          volatile.Register32 // 0x74
	IC_RXFLR          volatile.Register32 // 0x78
	IC_SDA_HOLD       volatile.Register32 // 0x7c
	IC_TX_ABRT_SOURCE volatile.Register32 // 0x80
	_                 [0x4]byte
	IC_DMA_CR         volatile.Register32 // 0x88
	_                 [0x10]byte
	IC_ENABLE_STATUS  volatile.Register32 // 0x9c
	IC_FS_SPKLEN      volatile.Register32 // 0xa0
}

// GetIC_CLR_TX_ABRT_CLR_TX_ABRT reads bit 0 of IC_CLR_TX_ABRT.
func (o *I2C0_Type) GetIC_CLR_TX_ABRT_CLR_TX_ABRT() uint32 { return o.IC_CLR_TX_ABRT.Get() & 0x1 }

// GetIC_RAW_INTR_STAT_TX_ABRT reads bit 6 of IC_RAW_INTR_STAT.
func (o *I2C0_Type) GetIC_RAW_INTR_STAT_TX_ABRT() uint32 { return o.IC_RAW_INTR_STAT.Get() >> 6 & 0x1 }

// GetIC_RAW_INTR_STAT_TX_EMPTY reads bit 4 of IC_RAW_INTR_STAT.
func (o *I2C0_Type) GetIC_RAW_INTR_STAT_TX_EMPTY() uint32 { return o.IC_RAW_INTR_STAT.Get() >> 4 & 0x1 }

// SetIC_DATA_CMD_DAT writes bits 7:0 of IC_DATA_CMD.
func (o *I2C0_Type) SetIC_DATA_CMD_DAT(value uint32) { o.IC_DATA_CMD.ReplaceBits(value, 0xff, 0) }

// Bits of I2C0.
const (
	I2C0_IC_CON_MASTER_MODE      = 0x1
	I2C0_IC_CON_SPEED_Msk        = 0x6
	I2C0_IC_CON_SPEED_FAST       = 0x2
	I2C0_IC_CON_SPEED_Pos        = 1
	I2C0_IC_CON_IC_RESTART_EN    = 0x20
	I2C0_IC_CON_IC_SLAVE_DISABLE = 0x40
	I2C0_IC_CON_TX_EMPTY_CTRL    = 0x100

	I2C0_IC_DATA_CMD_CMD         = 0x100
	I2C0_IC_DATA_CMD_STOP_Pos    = 9
	I2C0_IC_DATA_CMD_RESTART_Pos = 10

	I2C0_IC_FS_SCL_HCNT_IC_FS_SCL_HCNT_Msk = 0xffff

	I2C0_IC_FS_SCL_LCNT_IC_FS_SCL_LCNT_Msk = 0xffff

	I2C0_IC_INTR_MASK_M_RX_FULL   = 0x4
	I2C0_IC_INTR_MASK_M_RD_REQ    = 0x20
	I2C0_IC_INTR_MASK_M_TX_ABRT   = 0x40
	I2C0_IC_INTR_MASK_M_STOP_DET  = 0x200
	I2C0_IC_INTR_MASK_M_START_DET = 0x400

	I2C0_IC_RAW_INTR_STAT_TX_EMPTY = 0x10
	I2C0_IC_RAW_INTR_STAT_STOP_DET = 0x200

	I2C0_IC_ENABLE_ENABLE_Msk = 0x1
	I2C0_IC_ENABLE_ENABLE     = 0x1
	I2C0_IC_ENABLE_ENABLE_Pos = 0

	I2C0_IC_SDA_HOLD_IC_SDA_TX_HOLD_Msk = 0xffff
	I2C0_IC_SDA_HOLD_IC_SDA_TX_HOLD_Pos = 0

	I2C0_IC_TX_ABRT_SOURCE_ABRT_7B_ADDR_NOACK   = 0x1
	I2C0_IC_TX_ABRT_SOURCE_ABRT_10ADDR1_NOACK   = 0x2
	I2C0_IC_TX_ABRT_SOURCE_ABRT_10ADDR2_NOACK   = 0x4
	I2C0_IC_TX_ABRT_SOURCE_ABRT_TXDATA_NOACK    = 0x8
	I2C0_IC_TX_ABRT_SOURCE_ABRT_GCALL_NOACK     = 0x10
	I2C0_IC_TX_ABRT_SOURCE_ABRT_GCALL_READ      = 0x20
	I2C0_IC_TX_ABRT_SOURCE_ABRT_HS_ACKDET       = 0x40
	I2C0_IC_TX_ABRT_SOURCE_ABRT_SBYTE_ACKDET    = 0x80
	I2C0_IC_TX_ABRT_SOURCE_ABRT_HS_NORSTRT      = 0x100
	I2C0_IC_TX_ABRT_SOURCE_ABRT_SBYTE_NORSTRT   = 0x200
	I2C0_IC_TX_ABRT_SOURCE_ABRT_10B_RD_NORSTRT  = 0x400
	I2C0_IC_TX_ABRT_SOURCE_ABRT_MASTER_DIS      = 0x800
	I2C0_IC_TX_ABRT_SOURCE_ARB_LOST             = 0x1000
	I2C0_IC_TX_ABRT_SOURCE_ABRT_SLVFLUSH_TXFIFO = 0x2000
	I2C0_IC_TX_ABRT_SOURCE_ABRT_SLV_ARBLOST     = 0x4000
	I2C0_IC_TX_ABRT_SOURCE_ABRT_SLVRD_INTX      = 0x8000
	I2C0_IC_TX_ABRT_SOURCE_ABRT_USER_ABRT       = 0x10000

	I2C0_IC_DMA_CR_RDMAE = 0x1
	I2C0_IC_DMA_CR_TDMAE = 0x2

	I2C0_IC_COMP_PARAM_1_TX_BUFFER_DEPTH_Pos = 16
)
