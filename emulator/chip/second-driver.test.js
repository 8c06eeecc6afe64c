// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * What running a second driver taught about the chip, one test for each lesson that shows on its bus. The
 * lessons about state machines are in rp2040/wifi-link.test.js.
 * @module
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NETWORK, bootedChip, ethernetFrame, joinedChip, poweredChip } from '../testing/booted-chip.js';
import { PICO_SDK, SOYPAT, le32 } from '../testing/host-driver.js';
import { Core, SdioRegister, SleepCsr } from './backplane.js';
import { BusRegister, Control, Fn, TEST_PATTERN, encodeCommand } from './gspi.js';
import { Wlc } from './wlc.js';

const read = (/** @type {number} */ fn, /** @type {number} */ address, /** @type {number} */ size) =>
  encodeCommand({ write: false, increment: true, fn, address, size });

test('ENDIAN_BIG swaps the bytes of 32-bit words on the wire', () => {
  const wire = { [SOYPAT.control]: 0xfeedbead, [PICO_SDK.control]: 0xadbeedfe };
  for (const bus of [SOYPAT, PICO_SDK]) {
    const { chip, host } = poweredChip({ bus });
    assert.equal(host.register(BusRegister.TEST_READ_ONLY, 4), TEST_PATTERN, '16-bit mode');
    host.configure();
    assert.equal(host.register(BusRegister.TEST_READ_ONLY, 4), TEST_PATTERN);
    assert.equal(chip.transact([chip.order(read(Fn.BUS, BusRegister.TEST_READ_ONLY, 4))])[0], wire[bus.control]);
  }
});

test('function 1 answers after as many bytes as its response delay register says', () => {
  for (const delay of [4, 8, 16]) {
    const { host, chip } = poweredChip({ bus: { ...SOYPAT, delay } });
    host.configure();
    assert.equal(host.readBackplane(Core.CHIP_ID, 2)[0] | (host.readBackplane(Core.CHIP_ID, 2)[1] << 8), 43439);
    const answer = chip.transact([read(Fn.BACKPLANE, 0x8000, 4)]);
    assert.equal(answer.findIndex((word) => (word & 0xffff) === 43439), delay / 4);
  }
});

test('the host-wake line follows status and enable, in the polarity of the control register', () => {
  for (const high of [true, false]) {
    const control = high ? SOYPAT.control : SOYPAT.control & ~Control.INTERRUPT_POLARITY_HIGH;
    const { chip, host } = bootedChip({ bus: { ...SOYPAT, control } });
    /** @type {boolean[]} */
    const levels = [];
    chip.onHostWake = (level) => levels.push(level);
    assert.equal(chip.hostWake, !high, 'idle');
    host.request(Wlc.GET_PM, le32(0), false);
    assert.equal(chip.hostWake, high, 'a frame waits');
    host.write(Fn.BUS, BusRegister.INTERRUPT_ENABLE, Uint8Array.of(0, 0));
    assert.equal(chip.hostWake, !high, 'disabled');
    host.write(Fn.BUS, BusRegister.INTERRUPT_ENABLE, Uint8Array.of(0x20, 0));
    host.receiveAll();
    assert.equal(chip.hostWake, !high, 'read');
    assert.deepEqual(levels, [high, !high, high, !high]);
  }
});

test('events and data begin at byte 14, control answers at byte 12', () => {
  const { chip, host } = joinedChip();
  chip.receiveFrame(ethernetFrame(chip.mac));
  host.request(Wlc.DISASSOC, new Uint8Array());
  const headers = host.receiveAll().map(({ channel, header }) => [channel, header]);
  assert.deepEqual(headers, [[2, 14], [0, 12], [1, 14], [1, 14]]);
});

test('the status word follows a transfer only if it is enabled', () => {
  for (const [status, words] of [[1, 2], [0, 1]]) {
    const { chip, host } = poweredChip({ bus: { ...SOYPAT, status } });
    host.configure();
    assert.equal(chip.transact([read(Fn.BUS, BusRegister.TEST_READ_ONLY, 4)]).length, words);
  }
});

test('the status word gives the length of the frame that waits', () => {
  const { chip } = joinedChip();
  chip.receiveFrame(ethernetFrame(chip.mac));
  const [, status] = chip.transact([read(Fn.BUS, BusRegister.TEST_READ_ONLY, 4)]);
  assert.equal(status, 0x20 | 0x100 | ((14 + 4 + 60) << 9));
});

test('a host that asks to keep the bus awake sees the device on at once', () => {
  const { host } = bootedChip();
  const csr = () => host.read(Fn.BACKPLANE, SdioRegister.SLEEP_CSR, 1)[0];
  assert.equal(csr(), 0);
  host.write(Fn.BACKPLANE, SdioRegister.SLEEP_CSR, Uint8Array.of(SleepCsr.KEEP_SDIO_ON));
  assert.equal(csr(), SleepCsr.KEEP_SDIO_ON | SleepCsr.DEVICE_ON);
  host.write(Fn.BACKPLANE, SdioRegister.SLEEP_CSR, Uint8Array.of(0));
  assert.equal(csr(), 0);
});

test('function 0 ends at 0x1f: 0xf0 is not 0x10', () => {
  const { host } = bootedChip();
  host.write(Fn.BUS, 0xf8, Uint8Array.of(0x77));
  host.write(Fn.BUS, 0x18, le32(0x12345678));
  host.write(Fn.BUS, 0xf0, Uint8Array.of(0x08));
  host.write(Fn.BUS, 0x38, le32(0));
  assert.equal(host.register(0x18, 4), 0x12345678);
  assert.equal(host.register(0x10), 0);
  assert.equal(host.register(0xf8), 0);
});

test('leaving a network raises DISASSOC and LINK down', () => {
  const { host, chip } = joinedChip();
  host.request(Wlc.DISASSOC, new Uint8Array());
  assert.deepEqual(host.events(), ['11/0/0/0', '16/0/2/0']);
  assert.equal(chip.joined, false);
  host.request(Wlc.DISASSOC, new Uint8Array());
  assert.deepEqual(host.events(), [], 'nothing to leave');
});

test('a wrong passphrase ends in PSK_SUP 8/14 and DEAUTH_IND with reason 2', () => {
  const { host, chip } = bootedChip();
  const events = host.joinNetwork({ ...NETWORK, passphrase: 'wrong donkey' });
  assert.deepEqual(events.slice(-2), ['46/8/14/0', '6/0/2/0']);
  assert.equal(chip.joined, false);
  assert.deepEqual(host.joinNetwork(NETWORK).slice(-1), ['46/6/0/0'], 'then the right one');
  assert.equal(chip.joined, true);
});

test('what both drivers ask for is answered', () => {
  const { chip, host } = joinedChip();
  host.request(Wlc.SET_PM, le32(2));
  host.receiveAll();
  assert.deepEqual(host.ask(Wlc.GET_PM, le32(0)).data, le32(2));
  assert.deepEqual(host.ask(Wlc.GET_RSSI, le32(0)).data, le32(-50));
  assert.deepEqual(host.ask(Wlc.GET_BSSID, new Uint8Array(6)).data, chip.accessPoint.bssid);
  host.setVariable('gpioout', le32(1, 1));
  assert.deepEqual(host.getVariable('ccgpioin', 4), le32(1 | 4), 'LED, and USB supply');
  const mac = Uint8Array.of(2, 1, 2, 3, 4, 5);
  host.setVariable('cur_etheraddr', mac);
  assert.deepEqual(host.getVariable('cur_etheraddr', 6), mac);
  chip.receiveFrame(ethernetFrame(mac));
  assert.equal(host.receiveAll().filter(({ channel }) => channel === 2).length, 1, 'frames for the new address');
});

test('both drivers boot, join and exchange frames in their bus configuration', () => {
  for (const bus of [SOYPAT, PICO_SDK]) {
    const { chip, host } = bootedChip({ bus });
    assert.deepEqual(host.joinNetwork(NETWORK), ['3/0/0/0', '16/0/0/1', '1/0/0/0', '0/0/0/0', '46/6/0/0']);
    /** @type {Uint8Array[]} */
    const sent = [];
    chip.onFrame = (frame) => sent.push(frame);
    host.sendFrame(ethernetFrame(chip.accessPoint.bssid, 7));
    assert.deepEqual(sent, [ethernetFrame(chip.accessPoint.bssid, 7)]);
    chip.receiveFrame(ethernetFrame(chip.mac, 9));
    const [{ body }] = host.receiveAll();
    assert.deepEqual(body.slice(4, 64), ethernetFrame(chip.mac, 9));
    assert.deepEqual(chip.violations, []);
  }
});

