// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * A chip with a driver that has booted it, for tests.
 * @module
 */
import { AccessPoint } from '../chip/access-point.js';
import { Cyw43439 } from '../chip/cyw43439.js';
import { Clock } from '../clock.js';
import { HostDriver, SOYPAT } from './host-driver.js';

export const NETWORK = Object.freeze({ ssid: 'workshop', passphrase: 'correct horse' });
export const FIRMWARE_BYTES = 100_032;

/** @param {Cyw43439} chip @returns {(words: number[], reads: number) => number[]} */
export const directly = (chip) => (words, reads) => {
  const answer = chip.transact(words);
  return Array.from({ length: reads }, (_, i) => answer[i] ?? 0);
};

/** @param {{bus?: import('./host-driver.js').BusConfig, seed?: number}} [options] */
export function poweredChip({ bus = SOYPAT, seed = 1 } = {}) {
  const clock = new Clock();
  const chip = new Cyw43439({ clock, accessPoint: new AccessPoint(NETWORK), seed });
  chip.powered = true;
  return { clock, chip, host: new HostDriver(directly(chip), bus) };
}

/** @param {{bus?: import('./host-driver.js').BusConfig, seed?: number}} [options] */
export function bootedChip(options) {
  const parts = poweredChip(options);
  parts.host.configure();
  parts.host.loadFirmware(FIRMWARE_BYTES);
  parts.clock.tick(30e6);
  return parts;
}

/** @param {{bus?: import('./host-driver.js').BusConfig, seed?: number}} [options] */
export function joinedChip(options) {
  const parts = bootedChip(options);
  parts.host.joinNetwork(NETWORK);
  return parts;
}

/** @param {Uint8Array} destination @param {number} [tag] @returns {Uint8Array} An Ethernet frame. */
export function ethernetFrame(destination, tag = 0) {
  const frame = new Uint8Array(60);
  frame.set(destination);
  frame.set([2, 0, 0, 0, 0, 0xbb, 0x08, 0x00, tag], 6);
  return frame;
}
