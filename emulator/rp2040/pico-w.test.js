// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE, SPIN, WFI, guest, load, store } from '../testing/guest.js';
import { PicoW } from './pico-w.js';

const UART0_DATA = 0x40034000;
const ICSR = 0xe000ed04;
const AIRCR = 0xe000ed0c;
const SRAM = 0x20000000;
const MS = 1e6;

/** @param {PicoW} board @param {number} address */
const word = (board, address) => board.mcu.readUint32(address) >>> 0;

test('a guest speaks on the serial console', () => {
  const board = guest([...store(UART0_DATA, 0x4f), ...store(UART0_DATA, 0x4b), SPIN]);
  assert.equal(board.runFor(MS).reason, 'time');
  assert.equal(board.console.text, 'OK');
  assert.equal(board.nanos, MS);
});

test('a guest is spoken to on the serial console, at its speed', () => {
  const board = guest([SPIN]);
  board.console.send('hi');
  board.runFor(0.05 * MS);
  const flags = () => word(board, UART0_DATA + 0x18);
  assert.equal(flags() & 0x10, 0x10, 'not yet');
  board.runFor(0.2 * MS);
  assert.equal(String.fromCharCode(word(board, UART0_DATA), word(board, UART0_DATA)), 'hi');
});

test('the program counter of a handler has no Thumb bit', () => {
  const main = [...store(ICSR, 1 << 28), SPIN];
  const handler = CODE + 2 * (main.length + (main.length & 1));
  const pad = main.length & 1 ? [SPIN] : [];
  // mov r2, pc; then store r2
  const board = guest([...main, ...pad, 0x467a, ...load(0, SRAM), 0x6002, SPIN], {}, { 14: handler });
  board.runFor(MS);
  assert.equal(word(board, SRAM), handler + 4);
});

for (const [what, code, want] of /** @type {[string, number[], boolean][]} */ ([
  // The flags of 2 - 0x7fffffff with a borrow, and of 2 + 0x7fffffff with a carry.
  ['SBCS compares a high word with the largest', [...load(0, 2), ...load(1, 0x7fffffff), 0x4240, 0x2002, 0x4188], true],
  ['ADCS overflows', [...load(0, 0x7fffffff), ...load(1, 2), ...load(2, 0), 0x43d2, 0x1892, 0x4148], false],
  ['SBCS of the least high word', [...load(0, 2), ...load(1, 0x80000000), 0x2200, 0x4252, 0x2002, 0x4188], false],
])) {
  test(`${what}: the sign is that of the 64-bit number`, () => {
    // r3 stays 1 if `blt` skips what clears it
    const board = guest([0x2301, ...code, 0xdb00, 0x2300, ...load(0, SRAM), 0x6003, SPIN]);
    board.runFor(MS);
    assert.equal(word(board, SRAM), want ? 1 : 0);
  });
}

for (const [what, code, kind, at] of /** @type {[string, number[], string, number][]} */ ([
  ['reading an unaligned word', [...load(0, SRAM + 1), 0x6801], 'unaligned', 14],
  ['reading an unaligned halfword', [...load(0, SRAM + 1), 0x8801], 'unaligned', 14],
  ['writing an unaligned word', [...load(0, SRAM + 2), 0x6001], 'unaligned', 14],
  ['writing an unaligned halfword', [...load(0, SRAM + 1), 0x8001], 'unaligned', 14],
  ['writing to the boot ROM', [...load(0, 0), 0x6001], 'bus', 14],
  ['writing to flash', [...load(0, 0x10001000), 0x7001], 'bus', 14],
  ['reading where nothing is', [...load(0, 0x30000000), 0x6801], 'bus', 14],
  ['a breakpoint', [0xbe01], 'breakpoint', 0],
])) {
  test(`${what} ends the run at that instruction; not so if the board is not strict`, () => {
    const { reason, halt } = guest([...code, SPIN]).runFor(MS);
    assert.equal(reason, 'halt');
    const fault = /** @type {import('./fault.js').GuestFault} */ (halt);
    assert.deepEqual([fault.kind, fault.pc], [kind, CODE + at]);
    assert.match(fault.message, new RegExp(`pc 0x${(CODE + at).toString(16)}`));
    assert.equal(guest([...code, SPIN], { strict: false }).runFor(MS).reason, 'time');
  });
}

test('flash without a good second stage does not start', () => {
  const board = guest([SPIN]);
  board.flash.bytes[0] ^= 1;
  board.pressReset();
  assert.match(String(board.runFor(MS).halt?.message), /second stage/);
  const empty = new PicoW();
  assert.match(String(empty.runFor(MS).halt?.message), /no power/);
  assert.throws(() => empty.mcu, /powerOn/);
});

test('the watchdog resets a guest that hangs: RAM, scratch and the reason stay, the timer begins anew', () => {
  const arm = [...store(0x40010008, 0x1ffff), ...store(0x40058004, 2 * 5000), ...store(0x40058000, 1 << 30)];
  const board = guest([...arm, SPIN]);
  board.mcu.writeUint32(0x4005800c, 0x1234);
  board.mcu.writeUint32(SRAM + 0x100, 0x5678);
  assert.equal(word(board, 0x40058008), 0, 'no reason after power-on');
  board.runFor(6 * MS);
  assert.deepEqual(board.resets.map(({ cause }) => cause), ['power-on', 'watchdog']);
  assert.ok(Math.abs(board.resets[1].nanos - 5 * MS) < 0.01 * MS, `${board.resets[1].nanos}`);
  assert.equal(word(board, 0x40058008), 1);
  assert.equal(word(board, 0x4005800c), 0x1234);
  assert.equal(word(board, SRAM + 0x100), 0x5678);
  assert.ok(word(board, 0x40054028) < 1100, 'microseconds since the reset');
  board.pressReset();
  assert.equal(word(board, 0x40058008), 0, 'the RUN pin clears the reason');
  assert.equal(word(board, 0x40064008), 0x10000);
});

test('a frozen converter does not end what it begins, until a reset', () => {
  const ADC_CS = 0x4004c000;
  const convert = [...store(ADC_CS, 0x1), ...store(ADC_CS, 0x5), SPIN];
  const board = guest(convert);
  const ready = () => (word(board, ADC_CS) & 0x100) !== 0;
  board.freeze('adc');
  board.runFor(MS);
  assert.equal(ready(), false);
  board.pressReset();
  board.runFor(MS);
  assert.equal(ready(), true);
});

test('a watchdog for which nothing is selected resets nothing', () => {
  const board = guest([...store(0x40058004, 2000), ...store(0x40058000, 1 << 30), SPIN]);
  board.runFor(5 * MS);
  assert.equal(board.resets.length, 1);
});

test('a guest resets itself', () => {
  const board = guest([...store(AIRCR, 0x05fa0004), SPIN]);
  board.runFor(0.0005 * MS);
  assert.equal(board.resets[1].cause, 'system');
});

test('power-on makes RAM random, repeatably', () => {
  const sram = (/** @type {number} */ seed) => guest([SPIN], { seed }).mcu.sram;
  assert.deepEqual(sram(1), sram(1));
  assert.notDeepEqual(sram(1), sram(2));
});

test('how much RAM was used shows', () => {
  const board = guest([...store(SRAM + 0x400, 0x01020304), ...store(SRAM + 0x800, 0x05060708), SPIN]);
  assert.equal(board.touchedSram(SRAM, SRAM + 0x1000), undefined);
  board.runFor(MS);
  const touched = board.touchedSram(SRAM, SRAM + 0x1000);
  assert.ok(touched && touched.lowest - SRAM - 0x400 < 4 && touched.highest - SRAM - 0x800 < 4);
});

test('pins are read and driven', () => {
  const [bank, pads, sio] = [0x40014000, 0x4001c004, 0xd0000000];
  const board = guest([...store(bank + 8 * 5 + 4, 5), ...store(sio + 0x24, 1 << 5), ...store(sio + 0x14, 1 << 5), SPIN]);
  assert.equal(board.pin(5), undefined);
  board.runFor(MS);
  assert.equal(board.pin(5), true);
  board.drivePin(7, true);
  board.mcu.writeUint32(pads + 4 * 7, 0x52);
  assert.equal(word(board, sio + 4) & (1 << 7), 1 << 7);
  board.pressReset();
  assert.equal(board.pin(5), undefined);
  board.mcu.writeUint32(pads + 4 * 7, 0x52);
  assert.equal(word(board, sio + 4) & (1 << 7), 1 << 7, 'still driven');
});

test('the ADC converts the channel that is selected when it starts, once', () => {
  const [cs, result] = [0x4004c000, 0x4004c004];
  const board = guest([SPIN]);
  board.adc[0] = 1000;
  const write = (/** @type {number} */ value) => board.mcu.writeUint32(cs, value);
  write(0x5); // EN, START_ONCE of channel 0
  board.runFor(0.01 * MS);
  assert.equal(word(board, cs) & 0x104, 0x100, 'ready, and START_ONCE is clear');
  assert.equal(word(board, result), 1000);
  write(word(board, cs) | 0x2); // TS_EN, as TinyGo sets it
  write(word(board, cs) | (4 << 12)); // select the temperature sensor
  write(word(board, cs) | 0x4);
  board.runFor(0.01 * MS);
  assert.equal(word(board, result), 876);
});

test('a ring oscillator that stands still does so over resets, until the power goes', () => {
  const board = guest([SPIN]);
  const ones = () => Array.from({ length: 64 }, () => board.mcu.readUint32(0x4006001c)).every((bit) => bit === 1);
  board.powerOn();
  assert.ok(!ones());
  board.freeze('rosc');
  board.pressReset();
  assert.ok(ones());
  board.powerOff();
  board.powerOn();
  assert.ok(!ones());
});

test('the random bit of the ring oscillator is repeatable', () => {
  const bits = (/** @type {number} */ seed) => {
    const board = guest([SPIN], { seed });
    return Array.from({ length: 64 }, () => word(board, 0x4006001c)).join('');
  };
  assert.equal(bits(1), bits(1));
  assert.notEqual(bits(1), bits(2));
  assert.match(bits(1), /01|10/);
});

test('the flash chip tells its unique id', () => {
  const board = guest([SPIN], { uniqueId: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) });
  board.mcu.writeUint32(0x4001800c, 2 << 8);
  const bytes = [0x4b, ...new Array(12).fill(0)].map((byte) => {
    board.mcu.writeUint32(0x18000060, byte);
    return word(board, 0x18000060);
  });
  assert.deepEqual(bytes.slice(5), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('a reset takes the power of the Wi-Fi chip away', () => {
  const [bank, sio] = [0x40014000, 0xd0000000];
  const board = guest([SPIN]);
  board.mcu.writeUint32(bank + 8 * 23 + 4, 5);
  board.mcu.writeUint32(sio + 0x24, 1 << 23);
  assert.equal(board.wifi.powered, false);
  board.mcu.writeUint32(sio + 0x14, 1 << 23);
  assert.equal(board.wifi.powered, true);
  board.pressReset();
  assert.equal(board.wifi.powered, false);
});

test('a run ends when its condition holds, and a sleeping guest costs nothing', async () => {
  const board = guest([...store(UART0_DATA, 0x2a), WFI, SPIN]);
  const result = await board.run({ nanos: 1e9, until: () => board.console.text === '*' });
  assert.equal(result.reason, 'until');
  assert.equal((await board.run({ nanos: 100 * MS })).reason, 'time');
  assert.ok(board.cycles < 1000, `${board.cycles} cycles`);
});

test('at pace host, emulated time does not run ahead of the host', async () => {
  const board = guest([WFI, SPIN], { pace: 'host' });
  const before = process.hrtime.bigint();
  await board.run({ nanos: 50 * MS });
  assert.ok(Number(process.hrtime.bigint() - before) >= 35 * MS, 'not even with the 10 ms that it may save up');
});

test('nonsense is refused', () => {
  assert.throws(() => new PicoW(/** @type {any} */ ({ pace: 'slow' })), /no such pace/);
  assert.throws(() => new PicoW(/** @type {any} */ ({ wifiLink: 'usb' })), /no such link/);
  assert.throws(() => new PicoW({ uniqueId: new Uint8Array(7) }), /not 8/);
});
