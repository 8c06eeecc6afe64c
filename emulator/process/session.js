// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * One board, run for a program on the host: it carries out the program's commands between two slices of emulated time,
 * and tells what happens, in the order in which it happens.
 * @module
 */
import { AccessPoint } from '../chip/access-point.js';
import { PicoW } from '../rp2040/pico-w.js';
import { commands } from './commands.js';
import { DownlinkQueue } from './downlink-queue.js';
import { PINS, pinState } from './pins.js';
import { ANSWER, COMMAND, CONSOLE, EVENT, FRAME, SETTLED, TIME, decodeBody, encodeBody, encodeMessage } from './wire.js';

/** The time is told after that much of the host's time, even if nothing happens. */
const TELL_MILLIS = 50;

/**
 * @typedef {object} BoardConfig
 * @property {string} ssid In base64: a name is bytes of any kind.
 * @property {string} passphrase
 * @property {'word' | 'pin'} link
 * @property {import('../pacer.js').Pace} pace
 * @property {number} seed
 * @property {number[]} uniqueId
 * @property {number[]} mac
 * @property {boolean} network Frames go to the program, which says by `settled` that it has dealt with them.
 */

export class Session {
  /** @type {PicoW} */ board;
  /** @type {AccessPoint} */ accessPoint;
  /** @type {DownlinkQueue} */ downlink;
  #send;
  /** @type {number[]} */
  #console = [];
  #levels = new Array(PINS).fill(-1);
  #joined = false;
  #resets = 0;
  #toldNanos = 0;
  #network = false;
  #framesSent = 0;
  #framesSettled = 0;
  #owes = false;
  /** @type {(() => void) | undefined} */
  #started;
  #driven = false;

  /** @param {(message: Buffer) => void} send Called with each message for the program. */
  constructor(send) {
    this.#send = send;
  }

  /** @param {BoardConfig} config */
  create({ ssid, passphrase, security, link, pace, seed, uniqueId, mac, network }) {
    if (this.board) throw new Error('there is a board already');
    this.accessPoint = new AccessPoint({ ssid: Buffer.from(ssid, 'base64').toString('latin1'), passphrase, security });
    const wifi = { accessPoint: this.accessPoint, mac: Uint8Array.from(mac) };
    const board = new PicoW({ wifi, wifiLink: link, pace, seed, uniqueId: Uint8Array.from(uniqueId) });
    board.console.onByte = (byte) => this.#console.push(byte);
    board.onLog = (line) => this.#event({ log: line });
    board.wifi.onLog = (line) => this.#event({ log: `Wi-Fi chip: ${line}` });
    board.wifi.onOutputs = () => this.#event({ led: board.led });
    board.wifi.onFrame = (frame) => this.#frame(frame);
    board.pacer.owes = () => this.#framesSent !== this.#framesSettled || this.#owes;
    this.#network = network;
    this.downlink = new DownlinkQueue(board.clock, (frame) => board.wifi.receiveFrame(frame));
    this.board = board;
    setInterval(() => this.#tellTime(), TELL_MILLIS).unref();
  }

  /** Power has come on, or the RUN pin was let go: what halted runs again. */
  start() {
    this.#look();
    if (this.#driven) this.#started?.();
    else void this.#drive();
  }

  /**
   * @param {number} nanos Of emulated time; the program is told when they have passed.
   * @returns {{at: number}} When that is.
   */
  tellIn(nanos) {
    const at = Math.floor(this.board.nanos) + nanos;
    this.board.clock.createAlarm(() => this.#event({ time: at })).schedule(at - this.board.nanos);
    return { at };
  }

  /** @param {{kind: string, body: Buffer}} message From the program. */
  receive({ kind, body }) {
    if (kind === COMMAND) this.#obey(decodeBody(body));
    else if (kind === FRAME) this.downlink.push(Uint8Array.from(body));
    else if (kind === SETTLED) this.#settle(body.readUInt32BE(0), body[4] === 1);
    else throw new Error(`message of unknown kind ${kind}`);
  }

  /** @param {{id: number, value: any, bytes: Buffer}} command */
  #obey({ id, value, bytes }) {
    try {
      if (!Object.hasOwn(commands, value.name)) throw new Error(`no such command: ${value.name}`);
      const answer = commands[value.name](this, value, bytes);
      const [told, attached] = answer instanceof Uint8Array ? [{}, answer] : [answer ?? {}, undefined];
      this.#flush();
      this.#message(ANSWER, ...encodeBody(id, { told }, attached));
    } catch (error) {
      this.#message(ANSWER, ...encodeBody(id, { error: String(/** @type {any} */ (error)?.message ?? error) }));
    }
  }

  /** @param {number} frames Of the board, dealt with. @param {boolean} owes */
  #settle(frames, owes) {
    this.#framesSettled = frames;
    this.#owes = owes;
    this.board.pacer.wake();
  }

  /** Runs the board for good; a halted one until it is started again. */
  async #drive() {
    this.#driven = true;
    for (;;) {
      const { halt } = await this.board.run({ nanos: Infinity, until: () => this.#look() });
      this.#look();
      this.#event({ halt: halt?.message, kind: halt?.name });
      await new Promise((resolve) => (this.#started = () => resolve(undefined)));
    }
  }

  /** Tells what has changed in the last slice. */
  #look() {
    const { board } = this;
    this.#flush();
    for (; this.#resets < board.resets.length; this.#resets++) this.#event({ reset: board.resets[this.#resets] });
    if (board.wifi.joined !== this.#joined) this.#event({ joined: (this.#joined = board.wifi.joined) });
    for (let pin = 0; pin < PINS; pin++) {
      const level = pinState(board, pin);
      if (level !== this.#levels[pin]) this.#event({ pin, level: (this.#levels[pin] = level) });
    }
    return false;
  }

  /** @param {Uint8Array} frame */
  #frame(frame) {
    if (!this.#network) return;
    this.#framesSent++;
    this.#message(FRAME, frame);
  }

  #flush() {
    if (!this.#console.length) return;
    this.#message(CONSOLE, Uint8Array.from(this.#console));
    this.#console = [];
  }

  #tellTime() {
    if (this.board.nanos !== this.#toldNanos) this.#message(TIME);
  }

  /** @param {object} event */
  #event(event) {
    this.#message(EVENT, Buffer.from(JSON.stringify(event)));
  }

  /** @param {string} kind @param {Uint8Array[]} parts */
  #message(kind, ...parts) {
    this.#toldNanos = this.board?.nanos ?? 0;
    this.#send(encodeMessage(kind, this.#toldNanos, ...parts));
  }
}
