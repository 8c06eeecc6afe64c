// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE, SPIN, guest, image } from '../testing/guest.js';
import { BLOCK_BYTES, PAGE_BYTES, SECTOR_BYTES } from './flash.js';
import { FLASH_BYTES, isBootable, parseImage } from './image.js';
import { PicoW } from './pico-w.js';

const SRAM = 0x20000000;
const RETURN = SRAM + 0x1000;

/**
 * Calls a function of the boot ROM as firmware does, from RAM.
 * @param {PicoW} board @param {string} name @param {number[]} args @param {number} [returnTo]
 */
function callRom(board, name, args, returnTo = RETURN) {
  const { core } = board.mcu;
  const half = (/** @type {number} */ at) => board.mcu.readUint16(at);
  board.mcu.writeUint16(RETURN, SPIN);
  const enter = (/** @type {number} */ address, /** @type {number[]} */ values) => {
    values.forEach((value, i) => (core.registers[i] = value));
    core.LR = returnTo | 1;
    core.PC = address & ~1;
    return board.runFor(100);
  };
  enter(half(0x18), [half(0x14), name.charCodeAt(0) | (name.charCodeAt(1) << 8)]);
  const found = core.registers[0];
  if (!found) return { found: false, result: 0, run: undefined };
  const run = enter(found, args);
  return { found: true, result: core.registers[0], run };
}

const filled = (/** @type {number} */ value, /** @type {number} */ size) => new Uint8Array(size).fill(value);

test('the boot ROM erases and programs flash, which takes time and wears it', () => {
  const board = guest([SPIN]);
  board.flash.bytes.fill(0, 0x10000, 0x12000);
  const before = board.nanos;
  callRom(board, 'RE', [0x10000, SECTOR_BYTES, BLOCK_BYTES, 0xd8]);
  assert.ok(board.nanos - before >= 45e6);
  assert.equal(board.flash.bytes[0x10000], 0xff);
  assert.equal(board.flash.bytes[0x11000], 0);
  board.mcu.sram.fill(0x5a, 0, PAGE_BYTES);
  callRom(board, 'RP', [0x10100, SRAM, PAGE_BYTES]);
  assert.deepEqual(board.flash.bytes.slice(0x10100, 0x10200), filled(0x5a, PAGE_BYTES));
  board.mcu.sram.fill(0xa5, 0, PAGE_BYTES);
  callRom(board, 'RP', [0x10100, SRAM, PAGE_BYTES]);
  assert.deepEqual(board.flash.bytes.slice(0x10100, 0x10200), filled(0, PAGE_BYTES), 'ones do not come back');
  assert.deepEqual([board.flash.wear[16], board.flash.wear[17], board.flash.operations], [1, 0, 3]);
});

test('what a frozen flash is told never ends, until a reset; nothing is changed', () => {
  for (const [name, args] of /** @type {[string, number[]][]} */ ([
    ['RE', [0x10000, SECTOR_BYTES, BLOCK_BYTES, 0xd8]],
    ['RP', [0x10000, SRAM, PAGE_BYTES]],
  ])) {
    const board = guest([SPIN]);
    board.flash.bytes.fill(0x5a, 0x10000, 0x11000);
    board.freeze('flash');
    callRom(board, name, args);
    board.runFor(30e9);
    assert.ok(board.mcu.core.PC < SRAM, 'it is still in the boot ROM');
    assert.deepEqual([board.flash.operations, board.flash.bytes[0x10000]], [0, 0x5a]);
    board.pressReset();
    callRom(board, name, args);
    board.runFor(1000);
    assert.deepEqual([board.mcu.core.PC, board.flash.operations], [RETURN, 1]);
  }
});

test('a large erase goes by blocks where it can', () => {
  const board = guest([SPIN]);
  callRom(board, 'RE', [BLOCK_BYTES - SECTOR_BYTES, 2 * BLOCK_BYTES, BLOCK_BYTES, 0xd8]);
  assert.equal(board.flash.operations, 1 + 1 + 15);
});

for (const [what, name, args] of /** @type {[string, string, number[]][]} */ ([
  ['an erase in the middle of a sector', 'RE', [0x10010, SECTOR_BYTES]],
  ['an erase of half a sector', 'RE', [0x10000, 2048]],
  ['a program in the middle of a page', 'RP', [0x10010, SRAM, PAGE_BYTES]],
  ['an erase beyond the chip', 'RE', [FLASH_BYTES, SECTOR_BYTES]],
])) {
  test(`${what} ends the run`, () => {
    assert.equal(callRom(guest([SPIN]), name, args).run?.halt?.message.startsWith('flash: '), true);
  });
}

test('flash is not commanded from flash', () => {
  const call = (/** @type {boolean} */ strict) =>
    callRom(guest([SPIN], { strict }), 'RE', [0x10000, SECTOR_BYTES], CODE).run;
  assert.match(String(call(true)?.halt?.message), /returns to flash/);
  assert.equal(call(false)?.reason, 'time');
});

test('the boot ROM has bit and memory functions, and says what it has not', () => {
  const board = guest([SPIN]);
  const result = (/** @type {string} */ name, /** @type {number[]} */ ...args) => callRom(board, name, args).result;
  assert.equal(result('P3', 0xf00f0001), 9);
  assert.equal(result('R3', 0x80000001) >>> 0, 0x80000001);
  assert.equal(result('R3', 0x00000003) >>> 0, 0xc0000000);
  assert.deepEqual([result('L3', 1), result('L3', 0)], [31, 32]);
  assert.deepEqual([result('T3', 8), result('T3', 0), result('T3', 0x80000000)], [3, 32, 31]);
  assert.equal(result('MS', SRAM, 0x177, 5), SRAM);
  assert.equal(result('MC', SRAM + 8, SRAM, 4), SRAM + 8);
  assert.deepEqual([...board.mcu.sram.slice(8, 12)], [0x77, 0x77, 0x77, 0x77]);
  assert.equal(callRom(board, 'SF', []).found, false);
});

test('an image of a real boot ROM is used but for its flash functions', () => {
  const standIn = guest([SPIN]);
  const bootRom = new Uint8Array(standIn.mcu.bootrom.buffer.slice(0));
  const board = guest([SPIN], { bootRom });
  board.flash.bytes.fill(0, 0x10000, 0x11000);
  const replaced = board.mcu.readUint16(board.mcu.readUint16(0x14) + 2) & ~1;
  assert.equal(board.mcu.readUint16(replaced), 0xbe00);
  assert.throws(() => guest([SPIN], { bootRom: bootRom.subarray(1) }), /not 16384/);
  assert.throws(() => guest([SPIN], { bootRom: new Uint8Array(16384) }), /without function/);
});

for (const phase of /** @type {const} */ (['before', 'during', 'after'])) {
  test(`the supply is cut ${phase} the second operation`, () => {
    const board = guest([SPIN]);
    board.flash.bytes.fill(0, 0x10000, 0x13000);
    board.flash.cutPower({ operation: 2, phase });
    const { run } = callRom(board, 'RE', [0x10000, 3 * SECTOR_BYTES]);
    assert.equal(run?.halt?.name, 'PowerCut');
    assert.equal(board.wifi.powered, false);
    const [first, second, third] = [0, 1, 2].map((i) => new Set(board.flash.bytes.slice(0x10000 + i * 4096, 0x11000 + i * 4096)));
    assert.deepEqual([...first], [0xff]);
    assert.deepEqual([...third], [0]);
    if (phase === 'during') assert.ok(second.size > 1, 'some of it');
    else assert.deepEqual([...second], [phase === 'before' ? 0 : 0xff]);
    assert.equal(board.runFor(1000).reason, 'halt', 'it stays off');
    board.powerOn();
    assert.equal(board.runFor(1000).reason, 'time');
  });
}

test('an interrupted program leaves every bit old or new, as the seed says', () => {
  const interrupt = (/** @type {number} */ seed) => {
    const board = guest([SPIN]);
    board.mcu.sram.fill(0x3c, 0, PAGE_BYTES);
    board.flash.cutPower({ operation: 1, seed });
    callRom(board, 'RP', [0x10000, SRAM, PAGE_BYTES]);
    return board.flash.bytes.slice(0x10000, 0x10000 + PAGE_BYTES);
  };
  const states = Array.from({ length: 8 }, (_, seed) => interrupt(seed + 1));
  assert.ok(states.every((page) => page.every((byte) => (byte & 0x3c) === 0x3c)), 'no bit that was to stay');
  assert.deepEqual(interrupt(3), states[2]);
  assert.ok(new Set(states.map(String)).size > 4);
  assert.throws(() => new PicoW().flash.cutPower({ operation: 0 }), RangeError);
});

/** @param {Partial<Record<'flags' | 'address' | 'size' | 'number' | 'family' | 'blocks' | 'end', number>>} [fields] */
function uf2(fields = {}) {
  const { flags = 0x2000, address = 0x10001000, size = 256, family = 0xe48bff56 } = fields;
  const { number = 0, blocks = 1, end = 0x0ab16f30 } = fields;
  const block = Buffer.alloc(512, 0x42);
  const words = [0x0a324655, 0x9e5d5157, flags, address, size, number, blocks, family];
  words.forEach((value, i) => block.writeUInt32LE(value, 4 * i));
  block.writeUInt32LE(end, 508);
  return block;
}

test('a UF2 is written where it says, and what else is in its sectors is erased', () => {
  const board = guest([SPIN]);
  board.flash.bytes.fill(0, 0x1000, 0x3000);
  board.flash.load(uf2());
  assert.deepEqual([0x1000, 0x10ff, 0x1100, 0x2000].map((at) => board.flash.bytes[at]), [0x42, 0x42, 0xff, 0]);
  assert.ok(isBootable(board.flash.bytes));
});

test('blocks of a UF2 that are for other chips are skipped', () => {
  const board = new PicoW();
  board.flash.load(Buffer.concat([uf2({ family: 0xe48bff59, size: 476, blocks: 7 }), uf2({ address: 0x10003000 })]));
  assert.deepEqual([0x1000, 0x3000].map((at) => board.flash.bytes[at]), [0xff, 0x42]);
});

test('the boot ROM erases by the numbers of blocks, so sectors that share sixteen are written over what was there', () => {
  const board = new PicoW();
  board.flash.bytes.fill(0, 0x1000, 0x3000);
  board.flash.load(Buffer.concat([uf2({ blocks: 2 }), uf2({ blocks: 2, address: 0x10002000, number: 1 })]));
  assert.deepEqual([0x1000, 0x2000].map((address) => board.flash.bytes[address]), [0x42, 0]);
});

for (const [what, bytes, message] of /** @type {[string, Uint8Array, RegExp][]} */ ([
  ['of another family', uf2({ family: 0xada52840 }), /for family 0xada52840/],
  ['cut short', uf2().subarray(0, 500), /cut after 500/],
  ['with blocks missing', uf2({ blocks: 2 }), /2 blocks has 1/],
  ['damaged', uf2({ end: 0 }), /block 0: damaged/],
  ['for RAM', uf2({ address: 0x20000000 }), /not in the board's flash/],
  ['beyond flash', uf2({ address: 0x10200000 - 128 }), /not in the board's flash/],
  ['with another payload', uf2({ size: 476 }), /payload of 476/],
  ['of which a later block is bad', Buffer.concat([uf2({ blocks: 2 }), uf2({ blocks: 2, end: 1 })]), /block 1/],
])) {
  test(`a UF2 ${what} is refused, and nothing is written`, () => {
    const board = new PicoW();
    assert.throws(() => board.flash.load(bytes), message);
    assert.ok(board.flash.bytes.every((byte) => byte === 0xff));
  });
}

/** @param {number} machine */
function elf(machine) {
  const bytes = Buffer.alloc(52 + 2 * 32 + 4);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1]);
  bytes.writeUInt16LE(machine, 18);
  bytes.writeUInt32LE(52, 28);
  bytes.writeUInt16LE(32, 42);
  bytes.writeUInt16LE(2, 44);
  [0x10000800, 0x20000000].forEach((address, i) => {
    [1, 116, address, address, 4, 4].forEach((value, j) => bytes.writeUInt32LE(value, 52 + 32 * i + 4 * j));
  });
  bytes.set([1, 2, 3, 4], 116);
  return bytes;
}

test('an ELF gives its segments for flash', () => {
  assert.deepEqual(parseImage(elf(40)).map(({ offset, bytes }) => [offset, ...bytes]), [[0x800, 1, 2, 3, 4]]);
  assert.throws(() => parseImage(elf(62)), /32-bit Arm/);
  assert.throws(() => parseImage(elf(40).subarray(0, 118)), /cut/);
  assert.throws(() => parseImage(elf(40).subarray(0, 40)), /cut/);
});

test('a raw image begins with flash', () => {
  assert.equal(parseImage(image([SPIN]))[0].offset, 0);
  assert.throws(() => parseImage(new Uint8Array(FLASH_BYTES + 1)), /not in the board's flash/);
});
