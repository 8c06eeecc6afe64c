// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Images as a person would flash them: UF2, ELF or raw. An image is read as a whole, or refused as a whole.
 *
 * Sources: the UF2 specification (microsoft/uf2); ELF-32 (System V ABI); RP2040 datasheet 2.8.1.3.1.
 * @module
 */

export const FLASH_BASE = 0x10000000;
export const FLASH_BYTES = 2 * 1024 * 1024;

const UF2_BLOCK_BYTES = 512;
const UF2_MAGIC = Object.freeze({ START0: 0x0a324655, START1: 0x9e5d5157, END: 0x0ab16f30 });
const UF2_NOT_MAIN_FLASH = 0x00000001;
const UF2_FAMILY_PRESENT = 0x00002000;
const UF2_FAMILY_RP2040 = 0xe48bff56;
const UF2_PAYLOAD = 256;
const ELF_MAGIC = 0x7f454c46;
const ELF_MACHINE_ARM = 40;
const ELF_LOAD = 1;

/**
 * Bytes and where they go in flash.
 * @typedef {object} Segment
 * @property {number} offset From the beginning of flash.
 * @property {Uint8Array} bytes
 * @property {number} [number] Of the block in a UF2, by which the boot ROM erases.
 */

/**
 * @param {Uint8Array} image
 * @returns {Segment[]}
 * @throws {Error} It is damaged, for another chip, or does not fit.
 */
export function parseImage(image) {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.length);
  if (bytes.length >= 4 && bytes.readUInt32LE(0) === UF2_MAGIC.START0) return parseUf2(bytes);
  if (bytes.length >= 4 && bytes.readUInt32BE(0) === ELF_MAGIC) return parseElf(bytes);
  return [segment(FLASH_BASE, bytes, 'image')];
}

/** @param {number} address @param {Uint8Array} bytes @param {string} what */
function segment(address, bytes, what) {
  const offset = address - FLASH_BASE;
  if (offset < 0 || offset + bytes.length > FLASH_BYTES) {
    throw new Error(`${what}: ${bytes.length} bytes at 0x${address.toString(16)} are not in the board's flash`);
  }
  return { offset, bytes };
}

/** @param {Buffer} bytes */
function parseUf2(bytes) {
  if (bytes.length % UF2_BLOCK_BYTES) throw new Error(`UF2 cut after ${bytes.length} bytes: build or copy it again`);
  const blocks = [];
  for (let at = 0; at < bytes.length; at += UF2_BLOCK_BYTES) {
    blocks.push(parseUf2Block(bytes.subarray(at, at + UF2_BLOCK_BYTES), blocks.length));
  }
  const own = blocks.filter(({ family }) => family === UF2_FAMILY_RP2040);
  if (own.length === 0) throw new Error(`UF2 for family 0x${blocks[0].family.toString(16)}, not for an RP2040`);
  if (own[0].total !== own.length) throw new Error(`UF2 of ${own[0].total} blocks has ${own.length}: copy it again`);
  return own.map(({ what, address, payload, number }) => ({ ...segment(address, payload, what), number }));
}

/** @param {Buffer} block @param {number} index Blocks that are not for flash have family 0. */
function parseUf2Block(block, index) {
  const what = `UF2 block ${index}`;
  const magic = [block.readUInt32LE(0), block.readUInt32LE(4), block.readUInt32LE(508)];
  const expected = [UF2_MAGIC.START0, UF2_MAGIC.START1, UF2_MAGIC.END];
  if (magic.some((word, i) => word !== expected[i])) throw new Error(`${what}: damaged, copy the file again`);
  const [flags, address, size, number, total, named] = [8, 12, 16, 20, 24, 28].map((at) => block.readUInt32LE(at));
  const family = (flags & (UF2_FAMILY_PRESENT | UF2_NOT_MAIN_FLASH)) === UF2_FAMILY_PRESENT ? named : 0;
  if (family === UF2_FAMILY_RP2040 && size !== UF2_PAYLOAD) throw new Error(`${what}: payload of ${size} bytes`);
  return { what, address, number, total, family, payload: block.subarray(32, 32 + UF2_PAYLOAD) };
}

/** @param {Buffer} bytes @returns {Segment[]} */
function parseElf(bytes) {
  const cut = new Error(`ELF cut after ${bytes.length} bytes: build or copy it again`);
  if (bytes.length < 52) throw cut;
  if (bytes[4] !== 1 || bytes[5] !== 1 || bytes.readUInt16LE(18) !== ELF_MACHINE_ARM) {
    throw new Error('ELF is not for a 32-bit Arm');
  }
  const [table, size, count] = [bytes.readUInt32LE(28), bytes.readUInt16LE(42), bytes.readUInt16LE(44)];
  if (size < 32 || table + count * size > bytes.length) throw cut;
  const headers = Array.from({ length: count }, (_, i) => bytes.subarray(table + i * size));
  return headers.filter(isFlashLoad).map((header) => {
    const [from, address, length] = [4, 12, 16].map((at) => header.readUInt32LE(at));
    if (from + length > bytes.length) throw cut;
    return segment(address, bytes.subarray(from, from + length), 'ELF segment');
  });
}

/** Segments for RAM are in the file for debuggers: a board starts with what is in flash. */
function isFlashLoad(/** @type {Buffer} */ header) {
  const [type, address, length] = [0, 12, 16].map((at) => header.readUInt32LE(at));
  return type === ELF_LOAD && length > 0 && address >= FLASH_BASE && address < 0x20000000;
}

/**
 * The boot ROM starts flash only if its first 252 bytes match the checksum in the next 4.
 * @param {Uint8Array} stage2 252 bytes.
 * @returns {number} CRC-32 with polynomial 0x04c11db7, not reflected, not inverted at the end.
 */
export function secondStageChecksum(stage2) {
  let crc = 0xffffffff;
  for (const byte of stage2) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}

/** @param {Uint8Array} flash @returns {boolean} It begins with a second stage that the boot ROM would start. */
export function isBootable(flash) {
  const stored = new DataView(flash.buffer, flash.byteOffset).getUint32(252, true);
  return secondStageChecksum(flash.subarray(0, 252)) === stored;
}
