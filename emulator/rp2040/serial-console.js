// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * The other end of the board's UART0: what the guest says, and what it is told. Output takes no time; input
 * comes at 115200 baud.
 * @module
 */
const BYTE_NANOS = (10 / 115200) * 1e9;
const MAX_TEXT = 1 << 20;

export class SerialConsole {
  /** What the guest has said, the last MiB of it. */
  text = '';
  /** Called with each byte that the guest sends. @type {(byte: number) => void} */
  onByte = () => {};
  /** @type {number[]} */
  #input = [];
  #alarm;
  /** @type {(byte: number) => void} */
  #feed = () => {};

  /** @param {import('../clock.js').Clock} clock */
  constructor(clock) {
    this.#alarm = clock.createAlarm(() => this.#deliver());
  }

  /** @param {import('rp2040js').RP2040} mcu Just reset. Input that it has not taken is lost. */
  connect(mcu) {
    this.#input = [];
    this.#alarm.cancel();
    this.#feed = (byte) => mcu.uart[0].feedByte(byte);
    mcu.uart[0].onByte = (byte) => this.#receive(byte);
  }

  /** @param {string} text */
  send(text) {
    this.sendBytes(Buffer.from(text));
  }

  /** @param {Uint8Array} bytes */
  sendBytes(bytes) {
    if (!this.#input.length && bytes.length) this.#alarm.schedule(BYTE_NANOS);
    this.#input.push(...bytes);
  }

  #deliver() {
    const byte = this.#input.shift();
    if (byte !== undefined) this.#feed(byte);
    if (this.#input.length) this.#alarm.schedule(BYTE_NANOS);
  }

  /** @param {number} byte */
  #receive(byte) {
    this.text += String.fromCharCode(byte);
    if (this.text.length > 2 * MAX_TEXT) this.text = this.text.slice(-MAX_TEXT);
    this.onByte(byte);
  }
}
