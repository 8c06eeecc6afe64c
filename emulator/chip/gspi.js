// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * The gSPI wire of the CYW43439: its command word, the order of bytes on the wire and the names of the
 * registers of function 0. It holds no state.
 *
 * Sources: CYW43439 datasheet, section "gSPI"; cyw43_spi.h of georgerobotics/cyw43-driver.
 * @module
 */

/** Functions that a command addresses. */
export const Fn = Object.freeze({ BUS: 0, BACKPLANE: 1, WLAN: 2 });

/** Addresses of the registers of function 0. */
export const BusRegister = Object.freeze({
  CONTROL: 0x00,
  RESPONSE_DELAY: 0x01,
  STATUS_ENABLE: 0x02,
  INTERRUPT: 0x04,
  INTERRUPT_ENABLE: 0x06,
  STATUS: 0x08,
  F1_INFO: 0x0c,
  F2_INFO: 0x0e,
  TEST_READ_ONLY: 0x14,
  TEST_READ_WRITE: 0x18,
  RESPONSE_DELAY_F0: 0x1c,
  RESPONSE_DELAY_F1: 0x1d,
  RESPONSE_DELAY_F2: 0x1e,
});

/** Number of bytes of register space that function 0 has. */
export const BUS_REGISTER_BYTES = 0x20;

/** What TEST_READ_ONLY holds. */
export const TEST_PATTERN = 0xfeedbead;

/** Bits of BusRegister.CONTROL. */
export const Control = Object.freeze({
  WORD_LENGTH_32: 0x01,
  ENDIAN_BIG: 0x02,
  HIGH_SPEED: 0x10,
  INTERRUPT_POLARITY_HIGH: 0x20,
  WAKE_UP: 0x80,
});

/** Bits of BusRegister.STATUS_ENABLE. */
export const StatusEnable = Object.freeze({ STATUS: 0x01, INTERRUPT_WITH_STATUS: 0x02 });

/** Bits of BusRegister.INTERRUPT and BusRegister.INTERRUPT_ENABLE. */
export const Interrupt = Object.freeze({
  DATA_UNAVAILABLE: 0x0001,
  F2_READ_UNDERFLOW: 0x0002,
  F2_WRITE_OVERFLOW: 0x0004,
  COMMAND_ERROR: 0x0008,
  DATA_ERROR: 0x0010,
  F2_PACKET_AVAILABLE: 0x0020,
  F1_OVERFLOW: 0x0080,
});

/** Bits of BusRegister.STATUS, which is also the word that follows a transfer. */
export const Status = Object.freeze({
  DATA_NOT_AVAILABLE: 0x001,
  UNDERFLOW: 0x002,
  OVERFLOW: 0x004,
  F2_RX_READY: 0x020,
  COMMAND_DATA_ERROR: 0x080,
  F2_PACKET_AVAILABLE: 0x100,
  F2_PACKET_LENGTH_SHIFT: 9,
  F2_PACKET_LENGTH_MASK: 0x7ff,
});

/** Bytes that one transfer to or from function 1 may carry. */
export const F1_MAX_BYTES = 64;

/** Bytes that one transfer to or from function 2 may carry. */
export const F2_MAX_BYTES = 2048;

/**
 * A decoded command word.
 * @typedef {object} Command
 * @property {boolean} write The host writes.
 * @property {boolean} increment The address grows with each byte.
 * @property {number} fn One of {@link Fn}.
 * @property {number} address 17 bits.
 * @property {number} size Bytes, 1 to 2048.
 */

/**
 * @param {number} word
 * @returns {Command}
 */
export function decodeCommand(word) {
  return {
    write: word >>> 31 === 1,
    increment: ((word >>> 30) & 1) === 1,
    fn: (word >>> 28) & 3,
    address: (word >>> 11) & 0x1ffff,
    size: word & 0x7ff || F2_MAX_BYTES,
  };
}

/**
 * @param {Command} command
 * @returns {number}
 */
export function encodeCommand({ write, increment, fn, address, size }) {
  const flags = (write ? 2 : 0) | (increment ? 1 : 0);
  return ((flags << 30) | (fn << 28) | ((address & 0x1ffff) << 11) | (size & 0x7ff)) >>> 0;
}

const swapHalves = (/** @type {number} */ word) => ((word >>> 16) | (word << 16)) >>> 0;

const swapBytes = (/** @type {number} */ word) =>
  ((word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24)) >>> 0;

const keep = (/** @type {number} */ word) => word >>> 0;

/**
 * How a 32-bit value becomes the 32 bits on the wire, first bit in bit 31. Each order is its own inverse.
 * In 16-bit mode the lower half goes first; ENDIAN_BIG reverses the bytes of 32-bit mode.
 * @param {number} control The value of BusRegister.CONTROL.
 * @returns {(word: number) => number}
 */
export function wireOrder(control) {
  if (!(control & Control.WORD_LENGTH_32)) return swapHalves;
  return control & Control.ENDIAN_BIG ? swapBytes : keep;
}

/**
 * @param {Uint8Array} bytes
 * @returns {number[]} Little-endian words, the last one padded with zeros.
 */
export function toWords(bytes) {
  const padded = new Uint8Array((bytes.length + 3) & ~3);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return Array.from({ length: padded.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/**
 * @param {number[]} words
 * @returns {Uint8Array} The little-endian bytes of the words.
 */
export function toBytes(words) {
  const bytes = new Uint8Array(4 * words.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return bytes;
}
