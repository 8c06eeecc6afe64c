// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Small guests for tests, put together from Thumb instructions.
 * @module
 */
import { secondStageChecksum } from '../rp2040/image.js';
import { PicoW } from '../rp2040/pico-w.js';

export const CODE = 0x10000200;
const STACK = 0x20041000;
const VECTORS = 48;

/** Branch to itself. */
export const SPIN = 0xe7fe;
export const WFI = 0xbf30;

/** @param {number} register 0 to 7. @param {number} value 32 bits. @returns {number[]} */
export function load(register, value) {
  const shift = 0x0200 | (register << 3) | register;
  const add = (/** @type {number} */ at) => 0x3000 | (register << 8) | ((value >>> at) & 0xff);
  return [0x2000 | (register << 8) | (value >>> 24), shift, add(16), shift, add(8), shift, add(0)];
}

/** @param {number} address @param {number} value @returns {number[]} Stores a word; uses registers 0 and 1. */
export const store = (address, value) => [...load(0, address), ...load(1, value), 0x6001];

/**
 * @param {number[]} code Halfwords.
 * @param {Record<number, number>} [vectors] Addresses of handlers by exception number.
 * @returns {Uint8Array} A raw image.
 */
export function image(code, vectors = {}) {
  const bytes = new Uint8Array(CODE - 0x10000000 + 2 * code.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(252, secondStageChecksum(bytes.subarray(0, 252)), true);
  for (let number = 0; number < VECTORS; number++) {
    view.setUint32(0x100 + 4 * number, (vectors[number] ?? CODE) | 1, true);
  }
  view.setUint32(0x100, STACK, true);
  code.forEach((half, i) => view.setUint16(CODE - 0x10000000 + 2 * i, half, true));
  return bytes;
}

/**
 * @param {number[]} code Halfwords.
 * @param {import('../rp2040/pico-w.js').PicoWConfig} [config]
 * @param {Record<number, number>} [vectors]
 */
export function guest(code, config, vectors) {
  const board = new PicoW(config);
  board.flash.load(image(code, vectors));
  board.powerOn();
  return board;
}
