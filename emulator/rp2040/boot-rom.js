// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Stands in for the boot ROM: the tables in which firmware looks functions up, and behind each function a
 * breakpoint that is served here. Without an image of the real ROM there are flash, memory and bit functions;
 * floating point and what starts the second core are missing. With one, only the flash functions and the
 * reset to USB are replaced.
 *
 * Source: RP2040 datasheet 2.8.2 and 2.8.3 (layout, codes, arguments).
 * @module
 */
import { GuestFault, NotBootable } from './fault.js';
import { FLASH_BASE, FLASH_BYTES } from './image.js';
import { PAGE_BYTES, SECTOR_BYTES } from './flash.js';

export const ROM_BYTES = 16 * 1024;

const MAGIC_AT = 0x10;
const FUNCTION_TABLE_AT = 0x14;
const DATA_TABLE_AT = 0x16;
const LOOKUP_AT = 0x18;
const STUBS = 0x100;
const TABLE = 0x200;
const EMPTY_TABLE = 0x2fc;
const VERSION = 2;
const BKPT = 0xbe00;
const BX_LR = 0x4770;
const XIP_END = 0x14000000;
/** How often the ROM asks a flash chip that is busy for good: often enough for a watchdog, seldom enough for a host. */
const STATUS_POLL_NANOS = 1e6;

const code = (/** @type {string} */ name) => name.charCodeAt(0) | (name.charCodeAt(1) << 8);

/** @typedef {import('rp2040js').RP2040} RP2040 */

export class BootRom {
  #mcu;
  #flash;
  #strict;
  #busy;
  /** Return addresses of the breakpoints, and what they do. @type {Map<number, () => void>} */
  #traps = new Map();

  /**
   * @param {RP2040} mcu
   * @param {import('./flash.js').Flash} flash
   * @param {object} options
   * @param {boolean} options.strict
   * @param {(nanos: number) => void} options.busy Lets the time pass that the flash chip takes.
   * @param {Uint8Array} [options.image] Of a real ROM, 16 KiB.
   */
  constructor(mcu, flash, { strict, busy, image }) {
    this.#mcu = mcu;
    this.#flash = flash;
    this.#strict = strict;
    this.#busy = busy;
    const halves = new Uint16Array(mcu.bootrom.buffer);
    if (image) this.#patch(halves, image);
    else this.#build(halves);
  }

  /**
   * Serves a breakpoint.
   * @returns {boolean} It was one of the ROM's.
   */
  trap() {
    const serve = this.#traps.get(this.#mcu.core.PC);
    serve?.();
    return serve !== undefined;
  }

  /** @returns {Record<string, () => void>} */
  get #replaced() {
    return {
      IF: () => this.#leaveXip(),
      EX: () => this.#leaveXip(),
      RE: () => this.#erase(),
      RP: () => this.#program(),
      FC: () => {},
      CX: () => {},
      UB: () => {
        throw new NotBootable('the firmware reset to the USB boot loader');
      },
    };
  }

  /** @returns {Record<string, () => void>} */
  get #functions() {
    const r = this.#mcu.core.registers;
    return {
      ...this.#replaced,
      P3: () => this.#returns(popcount(r[0])),
      R3: () => this.#returns(reverse(r[0])),
      L3: () => this.#returns(Math.clz32(r[0])),
      T3: () => this.#returns(r[0] ? 31 - Math.clz32(r[0] & -r[0]) : 32),
      MS: () => this.#each((i) => this.#mcu.writeUint8(r[0] + i, r[1] & 0xff)),
      S4: () => this.#each((i) => this.#mcu.writeUint8(r[0] + i, r[1] & 0xff)),
      MC: () => this.#each((i) => this.#mcu.writeUint8(r[0] + i, this.#mcu.readUint8(r[1] + i))),
      C4: () => this.#each((i) => this.#mcu.writeUint8(r[0] + i, this.#mcu.readUint8(r[1] + i))),
    };
  }

  /** @param {Uint16Array} halves */
  #build(halves) {
    halves.fill(0);
    halves[MAGIC_AT >> 1] = code('Mu');
    halves[(MAGIC_AT >> 1) + 1] = 1 | (VERSION << 8);
    halves[FUNCTION_TABLE_AT >> 1] = TABLE;
    halves[DATA_TABLE_AT >> 1] = EMPTY_TABLE;
    halves[LOOKUP_AT >> 1] = STUBS | 1;
    this.#stub(halves, STUBS, () => this.#lookUp());
    Object.entries(this.#functions).forEach(([name, serve], i) => {
      const at = STUBS + 4 * (i + 1);
      this.#stub(halves, at, serve);
      halves[(TABLE >> 1) + 2 * i] = code(name);
      halves[(TABLE >> 1) + 2 * i + 1] = at | 1;
    });
  }

  /** @param {Uint16Array} halves @param {Uint8Array} image */
  #patch(halves, image) {
    if (image.length !== ROM_BYTES) throw new Error(`boot ROM image of ${image.length} bytes, not ${ROM_BYTES}`);
    new Uint8Array(halves.buffer).set(image);
    for (const [name, serve] of Object.entries(this.#replaced)) {
      const at = this.#find(halves[FUNCTION_TABLE_AT >> 1], code(name));
      if (!at) throw new Error(`boot ROM image without function ${name}`);
      this.#stub(halves, at & ~1, serve);
    }
  }

  /** @param {Uint16Array} halves @param {number} at @param {() => void} serve */
  #stub(halves, at, serve) {
    halves[at >> 1] = BKPT;
    halves[(at >> 1) + 1] = BX_LR;
    this.#traps.set(at + 2, serve);
  }

  #lookUp() {
    const [table, name] = this.#mcu.core.registers;
    this.#returns(this.#find(table, name & 0xffff));
  }

  /** @param {number} table @param {number} name @returns {number} 0 if it is not there. */
  #find(table, name) {
    for (let at = table; at + 4 <= ROM_BYTES && this.#mcu.readUint16(at); at += 4) {
      if (this.#mcu.readUint16(at) === name) return this.#mcu.readUint16(at + 2);
    }
    return 0;
  }

  /** @param {number} value */
  #returns(value) {
    this.#mcu.core.registers[0] = value;
  }

  /** @param {(i: number) => void} act For each of as many bytes as the third argument says. */
  #each(act) {
    const count = this.#mcu.core.registers[2];
    for (let i = 0; i < count; i++) act(i);
  }

  #leaveXip() {
    const { LR } = this.#mcu.core;
    if (this.#strict && LR >= FLASH_BASE && LR < XIP_END) this.#fault('call returns to flash, which is being commanded');
  }

  #erase() {
    const [offset, count] = this.#mcu.core.registers;
    this.#leaveXip();
    if (this.#hangs()) return;
    this.#check('erase', offset, count, SECTOR_BYTES);
    this.#flash.erase(offset, count, this.#busy);
  }

  #program() {
    const [offset, from, count] = this.#mcu.core.registers;
    this.#leaveXip();
    if (this.#hangs()) return;
    this.#check('program', offset, count, PAGE_BYTES);
    const data = Uint8Array.from({ length: count }, (_, i) => this.#mcu.readUint8(from + i));
    this.#flash.program(offset, data, this.#busy);
  }

  /** @returns {boolean} The flash chip stays busy: the function goes back to its beginning, for ever. */
  #hangs() {
    if (!this.#flash.frozen) return false;
    this.#busy(STATUS_POLL_NANOS);
    this.#mcu.core.PC -= 2;
    return true;
  }

  /** @param {string} what @param {number} offset @param {number} count @param {number} unit */
  #check(what, offset, count, unit) {
    if (offset % unit || count % unit) this.#fault(`${what} of ${count} bytes at ${offset}, not in units of ${unit}`);
    if (offset + count > FLASH_BYTES) this.#fault(`${what} of ${count} bytes at ${offset}, beyond the chip`);
  }

  /** @param {string} detail @returns {never} */
  #fault(detail) {
    throw new GuestFault('flash', detail, this.#mcu.core);
  }
}

/** @param {number} value */
function popcount(value) {
  let count = 0;
  for (let rest = value >>> 0; rest; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}

/** @param {number} value */
function reverse(value) {
  let result = 0;
  for (let bit = 0; bit < 32; bit++) result = (result << 1) | ((value >>> bit) & 1);
  return result >>> 0;
}
