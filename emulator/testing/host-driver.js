// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * A small host driver for tests: it boots the chip and speaks to it as the drivers in the field do, in the bus
 * configuration of either of them.
 * @module
 */
import { BusRegister, Control, Fn, StatusEnable, encodeCommand, toBytes, toWords, wireOrder } from '../chip/gspi.js';
import { Core, RAM_BYTES, SdioRegister } from '../chip/backplane.js';
import { Wlc } from '../chip/wlc.js';

const CONTROL = Control.WORD_LENGTH_32 | Control.HIGH_SPEED | Control.INTERRUPT_POLARITY_HIGH | Control.WAKE_UP;

/** @typedef {{control: number, delay: number, status: number}} BusConfig */

/** How soypat/cyw43439 configures the bus. @type {BusConfig} */
export const SOYPAT = { control: CONTROL, delay: 4, status: StatusEnable.STATUS };

/** How cyw43-driver does. @type {BusConfig} */
export const PICO_SDK = { control: CONTROL | Control.ENDIAN_BIG, delay: 16, status: 0 };

export const bytesOf = (/** @type {string} */ text) => Uint8Array.from(Buffer.from(text));

export const le32 = (/** @type {number[]} */ ...values) => toBytes(values.map((value) => value >>> 0));

/** @param {Uint8Array[]} parts */
export const join = (...parts) => Uint8Array.from(Buffer.concat(parts));

/**
 * @typedef {object} HostFrame
 * @property {number} channel
 * @property {number} sequence
 * @property {number} credit
 * @property {number} header Where the body begins.
 * @property {Uint8Array} body
 */

export class HostDriver {
  /** Credit that the chip has given. */
  credit = 1;
  sequence = 0;
  #transfer;
  #bus;
  #control = 0;
  #window = -1;

  /**
   * @param {(words: number[], reads: number) => number[]} transfer Shifts words out, then that many in.
   * @param {{control: number, delay: number, status: number}} bus
   */
  constructor(transfer, bus = SOYPAT) {
    this.#transfer = transfer;
    this.#bus = bus;
  }

  /** @param {number} fn @param {number} address @param {number} size */
  read(fn, address, size) {
    const order = wireOrder(this.#control);
    const delay = fn === Fn.BACKPLANE && this.#control ? this.#bus.delay : 0;
    const command = encodeCommand({ write: false, increment: true, fn, address, size });
    const words = this.#transfer([order(command)], (delay + size + 3) >> 2);
    return toBytes(words.map(order)).slice(delay, delay + size);
  }

  /** @param {number} fn @param {number} address @param {Uint8Array} bytes */
  write(fn, address, bytes) {
    const order = wireOrder(this.#control);
    const command = encodeCommand({ write: true, increment: true, fn, address, size: bytes.length });
    this.#transfer([command, ...toWords(bytes)].map(order), 0);
  }

  /** @param {number} address @param {number} [size] */
  register(address, size = 1) {
    const bytes = this.read(Fn.BUS, address, size);
    return bytes.reduce((value, byte, i) => value + byte * 2 ** (8 * i), 0);
  }

  /** Leaves 16-bit mode, as the first thing after power-on. */
  configure() {
    const { control, delay, status } = this.#bus;
    this.write(Fn.BUS, BusRegister.CONTROL, Uint8Array.of(control, 4, status, 0));
    this.#control = control;
    this.write(Fn.BUS, BusRegister.RESPONSE_DELAY_F1, Uint8Array.of(delay));
    this.write(Fn.BUS, BusRegister.INTERRUPT_ENABLE, Uint8Array.of(0x20, 0));
  }

  /** @param {number} address On the backplane. @param {Uint8Array} bytes */
  writeBackplane(address, bytes) {
    for (let at = 0; at < bytes.length; at += 64) {
      this.#moveWindow(address + at);
      this.write(Fn.BACKPLANE, ((address + at) & 0x7fff) | 0x8000, bytes.subarray(at, at + 64));
    }
  }

  /** @param {number} address On the backplane. @param {number} size */
  readBackplane(address, size) {
    this.#moveWindow(address);
    return this.read(Fn.BACKPLANE, (address & 0x7fff) | 0x8000, size);
  }

  /** @param {number} firmwareBytes A multiple of 64. */
  loadFirmware(firmwareBytes) {
    this.writeBackplane(0, new Uint8Array(firmwareBytes).fill(0x5a));
    this.writeBackplane(RAM_BYTES - 4, le32((~16 << 16) | 16));
    this.writeBackplane(Core.WLAN_RESET_CONTROL, Uint8Array.of(0));
  }

  /** @param {number} command @param {Uint8Array} data @param {boolean} [set] */
  request(command, data, set = true) {
    const body = join(le32(command, data.length, (set ? 2 : 0) | (this.sequence << 16), 0), data);
    this.send(0, 12, body);
  }

  /** @param {string} name @param {Uint8Array} value */
  setVariable(name, value) {
    this.request(Wlc.SET_VAR, join(bytesOf(`${name}\0`), value));
  }

  /** @param {Uint8Array} frame An Ethernet frame. */
  sendFrame(frame) {
    this.send(2, 14, join(Uint8Array.of(0x20, 0, 0, 0), frame));
  }

  /** @param {number} channel @param {number} header Where the body begins. @param {Uint8Array} body */
  send(channel, header, body) {
    const frame = new Uint8Array((header + body.length + 3) & ~3);
    const size = header + body.length;
    frame.set([size & 0xff, size >> 8, ~size & 0xff, (~size >> 8) & 0xff, this.sequence++ & 0xff, channel, 0, header]);
    frame.set(body, header);
    this.write(Fn.WLAN, 0, frame);
  }

  /** @returns {HostFrame | undefined} The next frame, if there is one. */
  receive() {
    const status = this.register(BusRegister.STATUS, 4);
    if (!(status & 0x100)) return undefined;
    const bytes = this.read(Fn.WLAN, 0, (status >> 9) & 0x7ff);
    this.credit = bytes[9];
    return { channel: bytes[5], sequence: bytes[4], credit: bytes[9], header: bytes[7], body: bytes.slice(bytes[7]) };
  }

  receiveAll() {
    /** @type {HostFrame[]} */
    const frames = [];
    for (let frame = this.receive(); frame; frame = this.receive()) frames.push(frame);
    return frames;
  }

  /** @param {number} command @param {Uint8Array} data @returns {{status: number, data: Uint8Array}} */
  ask(command, data) {
    this.receiveAll();
    this.request(command, data, false);
    const { body } = /** @type {HostFrame} */ (this.receiveAll().find(({ channel }) => channel === 0));
    return { status: new DataView(body.buffer).getInt32(12, true), data: body.slice(16) };
  }

  /** @param {string} name @param {number} size */
  getVariable(name, size) {
    return this.ask(Wlc.GET_VAR, join(bytesOf(`${name}\0`), new Uint8Array(size))).data.slice(0, size);
  }

  /** @param {{ssid: string, passphrase: string, sae?: boolean}} network An empty passphrase: an open one. */
  joinNetwork({ ssid, passphrase, sae = false }) {
    const secure = passphrase !== '';
    this.setVariable('bsscfg:sup_wpa', le32(0, secure ? 1 : 0));
    this.request(Wlc.SET_WPA_AUTH, le32(sae ? 0x40000 : secure ? 0x80 : 0));
    if (sae) this.setVariable('sae_password', join(Uint8Array.of(passphrase.length, 0), bytesOf(passphrase)));
    const key = new Uint8Array(68);
    key.set([passphrase.length, 0, 1, 0]);
    key.set(bytesOf(passphrase), 4);
    this.request(Wlc.SET_WSEC_PMK, key);
    this.receiveAll();
    const name = new Uint8Array(36);
    name.set([ssid.length]);
    name.set(bytesOf(ssid), 4);
    this.request(Wlc.SET_SSID, name);
    return this.events();
  }

  /** @returns {string[]} What has happened, as `type/status/reason/flags`. */
  events() {
    const events = this.receiveAll().filter(({ channel }) => channel === 1);
    return events.map(({ body }) => {
      const view = new DataView(body.buffer);
      return [view.getUint32(32), view.getUint32(36), view.getUint32(40), view.getUint16(30)].join('/');
    });
  }

  /** @param {number} address */
  #moveWindow(address) {
    const window = address & ~0x7fff;
    if (window === this.#window) return;
    this.#window = window;
    const { WINDOW_LOW, WINDOW_MID, WINDOW_HIGH } = SdioRegister;
    [WINDOW_LOW, WINDOW_MID, WINDOW_HIGH].forEach((at, i) =>
      this.write(Fn.BACKPLANE, at, Uint8Array.of((window >>> (8 * (i + 1))) & 0xff)),
    );
  }
}
