// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Transfers through PIO state machines. With chip/second-driver.test.js it holds what running a second driver
 * taught about the chip.
 * @module
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AccessPoint } from '../chip/access-point.js';
import { BusRegister, TEST_PATTERN } from '../chip/gspi.js';
import { Wlc } from '../chip/wlc.js';
import { NETWORK } from '../testing/booted-chip.js';
import { HostDriver, PICO_SDK, SOYPAT, le32 } from '../testing/host-driver.js';
import { PROGRAMS, PioHost } from '../testing/pio-host.js';

/**
 * @param {'word' | 'pin'} wifiLink
 * @param {'picoSdk' | 'piolib'} program
 * @param {[number, number]} [machine]
 */
function driver(wifiLink, program, machine) {
  const wifi = { accessPoint: new AccessPoint(NETWORK), minimumFirmwareBytes: 64 };
  const pio = new PioHost({ config: { wifi, wifiLink }, program: PROGRAMS[program], machine });
  const bus = program === 'picoSdk' ? PICO_SDK : SOYPAT;
  const host = new HostDriver((words, reads) => pio.transfer(words, reads), bus);
  return { pio, host, board: pio.board, chip: pio.board.wifi };
}

for (const link of /** @type {const} */ (['word', 'pin'])) {
  for (const program of /** @type {const} */ (['picoSdk', 'piolib'])) {
    test(`${program}'s program boots the chip and joins a network, by ${link}`, () => {
      const { host, board, chip } = driver(link, program);
      assert.equal(host.register(BusRegister.TEST_READ_ONLY, 4), TEST_PATTERN);
      host.configure();
      host.loadFirmware(64);
      board.runFor(30e6);
      assert.equal(host.joinNetwork(NETWORK).at(-1), '46/6/0/0');
      host.setVariable('gpioout', le32(1, 1));
      assert.equal(board.led, true);
      assert.deepEqual(chip.violations, []);
    });
  }
}

test('any state machine whose side-set pin is the clock reaches the chip', () => {
  for (const machine of /** @type {[number, number][]} */ ([[0, 0], [0, 3], [1, 2]])) {
    const { host } = driver('word', 'picoSdk', machine);
    assert.equal(host.register(BusRegister.TEST_READ_ONLY, 4), TEST_PATTERN, `PIO${machine[0]} SM${machine[1]}`);
  }
});

test('TXSTALL is set at the end of a write, which takes the time of its bits', () => {
  for (const divider of [2, 8]) {
    const { host, board, pio } = driver('word', 'picoSdk');
    board.mcu.pio[0].machines[0].clockDivInt = divider;
    const before = board.nanos;
    host.write(0, BusRegister.TEST_READ_WRITE, new Uint8Array(4));
    const expected = 2 * 32 * 2 * divider * 8;
    const took = board.nanos - before;
    assert.ok(took >= expected && took <= expected + 1000, `${took} ns, not ${expected}`);
    assert.ok(pio.board.mcu.pio[0].fdebug & (1 << 24));
  }
});

test('by pins a write takes the same time', () => {
  const { host, board } = driver('pin', 'picoSdk');
  const before = board.nanos;
  host.write(0, BusRegister.TEST_READ_WRITE, new Uint8Array(4));
  const expected = 2 * 32 * 2 * 2 * 8;
  const took = board.nanos - before;
  assert.ok(took >= expected && took <= expected + 1500, `${took} ns, not ${expected}`);
});

test('DATA is the interrupt line while the chip is not selected', () => {
  for (const link of /** @type {const} */ (['word', 'pin'])) {
    const { host, board } = driver(link, 'picoSdk');
    host.configure();
    host.loadFirmware(64);
    board.runFor(30e6);
    const data = () => board.mcu.gpio[24].inputValue;
    assert.equal(data(), false);
    host.request(Wlc.GET_PM, le32(0), false);
    assert.equal(data(), true);
    board.mcu.writeUint32(0xd0000018, 1 << 25);
    assert.equal(data(), false, 'selected');
    board.mcu.writeUint32(0xd0000014, 1 << 25);
    assert.equal(data(), true, 'no longer');
    host.receiveAll();
    assert.equal(data(), false);
  }
});

test('a program that waits for the interrupt line and raises a flag does so', () => {
  const { host, board, pio } = driver('word', 'piolib');
  host.configure();
  host.loadFirmware(64);
  board.runFor(30e6);
  assert.equal(pio.flags & 1, 0);
  host.request(Wlc.GET_PM, le32(0), false);
  board.runFor(1000);
  assert.equal(pio.flags & 1, 1);
});

test('a chip that is not selected hears nothing', () => {
  const { host, board, pio } = driver('word', 'picoSdk');
  board.mcu.writeUint32(0x40014000 + 8 * 25 + 4, 0x1f);
  assert.equal(host.register(BusRegister.TEST_READ_ONLY, 4), 0);
  assert.equal(pio.board.wifi.stats.transfers, 0);
});
