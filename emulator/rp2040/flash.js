// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * The board's flash chip, a W25Q16JV: NOR flash that is erased to ones in sectors and programmed to zeros in
 * pages, can lose its supply in the middle of either, and counts its wear. Reading it costs no time.
 *
 * Source: W25Q16JV datasheet, revision H (sizes, commands, typical times).
 * @module
 */
import { Random } from '../random.js';
import { PowerCut } from './fault.js';
import { FLASH_BYTES, parseImage } from './image.js';

export const SECTOR_BYTES = 4096;
export const BLOCK_BYTES = 65536;
export const PAGE_BYTES = 256;

const SECTOR_ERASE_NANOS = 45e6;
const BLOCK_ERASE_NANOS = 150e6;
const PAGE_PROGRAM_NANOS = 0.4e6;
const JEDEC_ID = [0xef, 0x40, 0x15];
const COMMAND = Object.freeze({ READ_STATUS: 0x05, UNIQUE_ID: 0x4b, JEDEC_ID: 0x9f });

/**
 * Where the supply fails.
 * @typedef {object} Cut
 * @property {number} operation Required. 1 for the next erase of a sector or block, or program of a page.
 * @property {'before' | 'during' | 'after'} [phase] Optional ["during"]. Nothing, part or all of it is done.
 * @property {number} [seed] Optional [1]. Which part.
 */

export class Flash {
  bytes = new Uint8Array(FLASH_BYTES).fill(0xff);
  /** Erases and programs since the chip was made, each sector, block and page one. */
  operations = 0;
  /** What is erased or programmed never ends, until the board is reset. */
  frozen = false;
  /** Erases of each sector. */
  wear = new Uint32Array(FLASH_BYTES / SECTOR_BYTES);
  /** @type {Required<Cut> | undefined} */
  #cut;
  #uniqueId;

  /** @param {Uint8Array} uniqueId Eight bytes. */
  constructor(uniqueId) {
    this.#uniqueId = uniqueId;
  }

  /**
   * Writes an image. A UF2 is written as the boot ROM does when it is dropped on the board: a sector is erased by
   * the first block of each 16, counted by their numbers (erratum RP2040-E14). Of others, which a debugger loads,
   * all sectors that they touch are erased.
   * @param {Uint8Array} image UF2, ELF or raw.
   * @throws {Error} The image is bad; nothing has been written.
   */
  load(image) {
    const erased = new Set();
    for (const { offset, bytes, number } of parseImage(image)) {
      for (const sector of sectorsOf(offset, bytes.length)) {
        const group = number === undefined ? sector : Math.floor((number * PAGE_BYTES) / SECTOR_BYTES);
        if (!erased.has(group)) this.bytes.fill(0xff, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
        erased.add(group);
      }
      this.bytes.set(bytes.map((byte, i) => byte & this.bytes[offset + i]), offset);
    }
  }

  /** @param {Cut | undefined} cut */
  cutPower(cut) {
    if (cut && !(Number.isInteger(cut.operation) && cut.operation > 0)) {
      throw new RangeError(`operation must be 1 or more, not ${cut.operation}`);
    }
    this.#cut = cut && { phase: 'during', seed: 1, ...cut, operation: this.operations + cut.operation };
  }

  /**
   * @param {number} offset A multiple of a sector.
   * @param {number} count A multiple of a sector.
   * @param {(nanos: number) => void} busy Called with the time of each operation.
   * @throws {PowerCut}
   */
  erase(offset, count, busy) {
    for (let at = offset; at < offset + count; ) {
      const block = at % BLOCK_BYTES === 0 && offset + count - at >= BLOCK_BYTES;
      const size = block ? BLOCK_BYTES : SECTOR_BYTES;
      for (const sector of sectorsOf(at, size)) this.wear[sector]++;
      const target = new Uint8Array(size).fill(0xff);
      this.#operate(at, target);
      busy(block ? BLOCK_ERASE_NANOS : SECTOR_ERASE_NANOS);
      at += size;
    }
  }

  /**
   * @param {number} offset A multiple of a page.
   * @param {Uint8Array} data A multiple of a page. Only ones can become zeros.
   * @param {(nanos: number) => void} busy Called with the time of each operation.
   * @throws {PowerCut}
   */
  program(offset, data, busy) {
    for (let at = 0; at < data.length; at += PAGE_BYTES) {
      const page = data.slice(at, at + PAGE_BYTES);
      this.#operate(offset + at, page.map((byte, i) => byte & this.bytes[offset + at + i]));
      busy(PAGE_PROGRAM_NANOS);
    }
  }

  /**
   * A command on the serial bus, below the boot ROM's functions. Only those that read are modelled.
   * @param {number} command
   * @param {number} index Of the byte after the command, from 0.
   * @returns {number} The byte that the chip answers.
   */
  answer(command, index) {
    if (command === COMMAND.UNIQUE_ID && index >= 4) return this.#uniqueId[(index - 4) % 8];
    if (command === COMMAND.JEDEC_ID) return JEDEC_ID[index] ?? 0;
    return 0; // READ_STATUS: not busy
  }

  /** @param {number} offset @param {Uint8Array} target What the bytes there become. */
  #operate(offset, target) {
    this.operations++;
    const cut = this.#cut;
    if (cut?.operation !== this.operations) {
      this.bytes.set(target, offset);
      return;
    }
    this.#cut = undefined;
    if (cut.phase === 'after') this.bytes.set(target, offset);
    if (cut.phase === 'during') this.#interrupt(offset, target, new Random(cut.seed));
    throw new PowerCut(`supply cut ${cut.phase} flash operation ${this.operations} at 0x${offset.toString(16)}`);
  }

  /**
   * Either the first bytes are done and the rest is not, or each bit that changes has changed or not.
   * @param {number} offset @param {Uint8Array} target @param {Random} random
   */
  #interrupt(offset, target, random) {
    const inOrder = random.chance(0.5);
    const done = Math.floor(random.fraction() * target.length);
    target.forEach((byte, i) => {
      const old = this.bytes[offset + i];
      const mask = inOrder ? (i < done ? 0xff : 0) : random.uint32() & 0xff;
      this.bytes[offset + i] = (old & ~mask) | (byte & mask);
    });
  }
}

/** @param {number} offset @param {number} count @returns {number[]} */
function sectorsOf(offset, count) {
  const first = Math.floor(offset / SECTOR_BYTES);
  return Array.from({ length: Math.ceil((offset + count) / SECTOR_BYTES) - first }, (_, i) => first + i);
}
