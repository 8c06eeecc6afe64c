// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK, bootedChip, ethernetFrame, joinedChip, poweredChip } from '../testing/booted-chip.js';
import { bytesOf, join, le32 } from '../testing/host-driver.js';
import { SdioRegister } from './backplane.js';
import { BusRegister, Fn } from './gspi.js';
import { Wlc } from './wlc.js';

const BROADCAST = new Uint8Array(6).fill(0xff);
const MDNS = Uint8Array.of(0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb);

/** @param {ReturnType<typeof joinedChip>} parts @returns {number[]} Tags of the frames that the host gets. */
const tags = ({ host }) => host.receiveAll().filter((f) => f.channel === 2).map(({ body }) => body[4 + 14]);

test('without power the chip answers zeros, and forgets', () => {
  const { chip, host } = joinedChip();
  chip.powered = false;
  assert.equal(host.register(BusRegister.TEST_READ_ONLY, 4), 0);
  chip.powered = true;
  assert.equal(chip.joined, false);
  assert.equal(chip.outputs, 0);
});

test('the processor starts only with a firmware and its settings', () => {
  const { chip, clock, host } = poweredChip();
  host.configure();
  host.loadFirmware(64);
  clock.tick(30e6);
  assert.equal(host.register(BusRegister.STATUS, 4) & 0x20, 0);
  assert.equal(chip.violations.length, 1);
});

test('the clock of the processor takes 29 ms', () => {
  const { clock, host } = poweredChip();
  host.configure();
  host.loadFirmware(100_032);
  clock.tick(28e6);
  assert.equal(host.read(Fn.BACKPLANE, SdioRegister.CHIP_CLOCK_CSR, 1)[0] & 0x80, 0);
  clock.tick(1e6);
  assert.equal(host.read(Fn.BACKPLANE, SdioRegister.CHIP_CLOCK_CSR, 1)[0] & 0x80, 0x80);
});

test('reading function 2 with nothing there raises DATA_UNAVAILABLE until it is cleared', () => {
  const { host } = bootedChip();
  host.read(Fn.WLAN, 0, 16);
  assert.equal(host.register(BusRegister.INTERRUPT, 2) & 1, 1);
  host.write(Fn.BUS, BusRegister.INTERRUPT, Uint8Array.of(1));
  assert.equal(host.register(BusRegister.INTERRUPT, 2) & 1, 0);
});

test('a frame can be read in pieces, or its rest thrown away', () => {
  const parts = joinedChip();
  const { chip, host } = parts;
  chip.receiveFrame(ethernetFrame(chip.mac, 1));
  chip.receiveFrame(ethernetFrame(chip.mac, 2));
  const [size] = host.read(Fn.WLAN, 0, 4);
  assert.equal(host.read(Fn.WLAN, 0, size - 4)[14 + 4 + 14 - 4], 1);
  host.read(Fn.WLAN, 0, 4);
  host.write(Fn.BACKPLANE, SdioRegister.FRAME_CONTROL, Uint8Array.of(1));
  assert.deepEqual(tags(parts), []);
});

test('a network that is away, or protected otherwise, is not found', () => {
  const { chip, host } = bootedChip();
  assert.deepEqual(host.joinNetwork({ ...NETWORK, passphrase: '' }), ['0/3/0/0']);
  assert.deepEqual(host.joinNetwork({ ...NETWORK, ssid: 'other' }), ['0/3/0/0']);
  chip.accessPoint.away = true;
  assert.deepEqual(host.joinNetwork(NETWORK), ['0/3/0/0']);
  chip.accessPoint.away = false;
  assert.equal(host.joinNetwork(NETWORK).at(-1), '46/6/0/0');
});

test('an open network is joined without keys', () => {
  const { chip, host } = bootedChip();
  chip.accessPoint.passphrase = '';
  assert.equal(host.joinNetwork({ ...NETWORK, passphrase: '' }).at(-1), '0/0/0/0');
  assert.equal(chip.joined, true);
});

for (const [security, sae, outcome] of /** @type {[any, boolean, string][]} */ ([
  ['wpa2', false, '46/6/0/0'],
  ['wpa2', true, '0/3/0/0'],
  ['wpa2-wpa3', false, '46/6/0/0'],
  ['wpa2-wpa3', true, '46/6/0/0'],
  ['wpa3', false, '0/3/0/0'],
  ['wpa3', true, '46/6/0/0'],
])) {
  test(`a ${security} network is asked for ${sae ? 'SAE' : 'a pre-shared key'}: ${outcome}`, () => {
    const { chip, host } = bootedChip();
    chip.accessPoint.security = security;
    assert.equal(host.joinNetwork({ ...NETWORK, sae }).at(-1), outcome);
    assert.equal(chip.joined, outcome === '46/6/0/0');
  });
}

test('a wrong passphrase is refused by SAE before the station associates', () => {
  const { chip, host } = bootedChip();
  chip.accessPoint.security = 'wpa3';
  assert.deepEqual(host.joinNetwork({ ...NETWORK, passphrase: 'wrong horse', sae: true }), ['3/1/16/0', '0/1/0/0']);
});

test('a key of 64 hex digits is as good as its passphrase (IEEE 802.11-2020, J.4.2, test vector 1)', () => {
  const { chip, host } = bootedChip();
  Object.assign(chip.accessPoint, { ssid: 'IEEE', passphrase: 'password' });
  const key = 'f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e';
  assert.equal(host.joinNetwork({ ssid: 'IEEE', passphrase: key }).at(-1), '46/6/0/0');
});

test('when the network goes away the link goes down, and frames are lost until the host joins again', () => {
  const parts = joinedChip();
  const { chip, host } = parts;
  chip.accessPoint.away = true;
  assert.deepEqual(host.events(), ['16/0/1/0']);
  chip.accessPoint.away = false;
  chip.receiveFrame(ethernetFrame(chip.mac, 1));
  assert.deepEqual(tags(parts), []);
  assert.equal(host.ask(Wlc.GET_RSSI, le32(0)).status, -17);
  host.joinNetwork(NETWORK);
  chip.receiveFrame(ethernetFrame(chip.mac, 2));
  assert.deepEqual(tags(parts), [2]);
});

test('events that the host does not want are not raised', () => {
  const { host } = bootedChip();
  const mask = new Uint8Array(24).fill(0xff);
  mask[0] &= ~(1 << 3);
  host.setVariable('bsscfg:event_msgs', join(le32(0), mask));
  assert.deepEqual(host.joinNetwork(NETWORK), ['16/0/0/1', '1/0/0/0', '0/0/0/0', '46/6/0/0']);
});

test('frames for others, and multicast that nobody asked for, are filtered', () => {
  const parts = joinedChip();
  const { chip, host } = parts;
  const send = () => {
    [BROADCAST, MDNS, Uint8Array.of(2, 9, 9, 9, 9, 9)].forEach((to, i) => chip.receiveFrame(ethernetFrame(to, i)));
    return tags(parts);
  };
  assert.deepEqual(send(), [0]);
  host.setVariable('mcast_list', join(le32(1), MDNS));
  assert.deepEqual(send(), [0, 1]);
});

test('frames that do not fit in the queue are lost and counted', () => {
  const parts = joinedChip();
  for (let i = 0; i < 20; i++) parts.chip.receiveFrame(ethernetFrame(parts.chip.mac, i));
  assert.deepEqual(tags(parts), Array.from({ length: 16 }, (_, i) => i));
  assert.equal(parts.chip.stats.framesDropped, 4);
});

test('a host that has used its credit up gets more, and one that takes more than it has breaks a rule', () => {
  const { chip, host } = joinedChip();
  const frame = ethernetFrame(BROADCAST);
  for (let i = 0; i < 100; i++) {
    if (host.sequence % 256 === host.credit) host.receiveAll();
    assert.notEqual(host.sequence % 256, host.credit, 'credit came');
    host.sendFrame(frame);
  }
  assert.equal(chip.stats.framesSent, 100);
  assert.deepEqual(chip.violations, []);
  host.sequence = (host.credit + 40) % 256;
  host.sendFrame(frame);
  assert.match(chip.violations[0], /without credit/);
  assert.equal(chip.stats.framesSent, 100);
});

test('while the bus sleeps, function 2 takes and gives nothing', () => {
  const { chip, host } = joinedChip();
  for (const value of [1, 0]) host.write(Fn.BACKPLANE, SdioRegister.SLEEP_CSR, Uint8Array.of(value));
  host.sendFrame(ethernetFrame(BROADCAST));
  assert.equal(chip.stats.framesSent, 0);
  assert.match(chip.violations[0], /sleeps/);
});

test('damaged frames from the host are refused and recorded', () => {
  const { chip, host } = joinedChip();
  const cases = [
    [Uint8Array.of(20, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0), /contradicts/],
    [Uint8Array.of(12, 0), /contradicts/],
    [Uint8Array.of(16, 0, 0xef, 0xff, host.sequence, 0, 0, 12, 0, 0, 0, 0, 1, 2, 3, 4), /without a header/],
    [Uint8Array.of(16, 0, 0xef, 0xff, host.sequence + 1, 2, 0, 200, 0, 0, 0, 0, 1, 2, 3, 4), /contradicts/],
    [Uint8Array.of(16, 0, 0xef, 0xff, host.sequence + 1, 2, 0, 12, 0, 0, 0, 0, 0, 0, 0, 99), /Ethernet frame/],
  ];
  for (const [bytes, expected] of /** @type {[Uint8Array, RegExp][]} */ (cases)) {
    host.write(Fn.WLAN, 0, bytes);
    assert.match(/** @type {string} */ (chip.violations.at(-1)), expected);
  }
  assert.equal(chip.violations.length, cases.length);
});

test('bad arguments and modes that are not modelled are refused', () => {
  const { host } = bootedChip();
  const status = (/** @type {number} */ command, /** @type {Uint8Array} */ data) => host.ask(command, data).status;
  assert.equal(status(Wlc.SET_SSID, le32(33, 0, 0, 0, 0, 0, 0, 0, 0, 0)), -2);
  assert.equal(status(Wlc.SET_WSEC_PMK, Uint8Array.of(65, 0, 1, 0)), -2);
  assert.equal(status(Wlc.SET_VAR, bytesOf('cur_etheraddr\0ab')), -2);
  assert.equal(status(Wlc.SET_VAR, bytesOf('escan\0')), -23);
});

test('the answer to a change of country takes 32 ms', () => {
  const { clock, host } = bootedChip();
  host.setVariable('country', new Uint8Array(12));
  clock.tick(31e6);
  assert.deepEqual(host.receiveAll().filter(({ body }) => body.length), []);
  clock.tick(1e6);
  assert.equal(host.receiveAll().length, 1);
});

test('a frozen processor leaves the bus alive, a frozen bus answers zeros; power heals both', () => {
  for (const part of /** @type {const} */ (['wlan', 'bus'])) {
    const { chip, host } = joinedChip();
    chip.freeze(part);
    chip.receiveFrame(ethernetFrame(chip.mac));
    host.request(Wlc.GET_PM, le32(0), false);
    assert.deepEqual(host.receiveAll(), []);
    assert.equal(host.register(BusRegister.TEST_READ_WRITE - 4, 4), part === 'wlan' ? 0xfeedbead : 0);
    chip.powered = false;
    chip.powered = true;
    assert.equal(chip.transact([0x4000a004 >>> 0]).length > 0, true);
  }
});

test('the LED is output 0', () => {
  const { chip, host } = bootedChip();
  /** @type {number[]} */
  const seen = [];
  chip.onOutputs = (outputs) => seen.push(outputs);
  host.setVariable('gpioout', le32(1, 1));
  host.setVariable('gpioout', le32(3, 2));
  assert.deepEqual(seen, [1, 2]);
});
