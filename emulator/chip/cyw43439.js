// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * A CYW43439 Wi-Fi chip: gSPI on one side, Ethernet frames on the other, for a host driver to boot, join a
 * network with and lose it again. It is written from what drivers expect, not from silicon.
 * @module
 */
import { AccessPoint } from './access-point.js';
import { Air } from './air.js';
import { Backplane } from './backplane.js';
import { Control } from './control.js';
import { GspiBus } from './gspi-bus.js';
import { PacketFifo } from './packet-fifo.js';
import { Scheduler } from './scheduler.js';
import * as sdpcm from './sdpcm.js';
import { Station } from './station.js';

/** Sequence numbers that the host may be ahead of the chip. */
const CREDIT_WINDOW = 16;
/** Frames for the host that wait; what comes from the network beyond that is lost. */
const FIFO_FRAMES = 16;
/** Without the frame check sequence. */
const MIN_FRAME_BYTES = 14;
const MAX_FRAME_BYTES = 1514;
/** Time from the release of the processor to its high-throughput clock, as cyw43_ll_bus_init says. */
const CLOCK_NANOS = 29e6;
const MAX_VIOLATIONS = 100;

/**
 * @typedef {object} ChipConfig
 * @property {import('./scheduler.js').Clock} clock Required.
 * @property {Uint8Array} [mac] Optional [02:ca:fe:00:00:02]. Six bytes.
 * @property {AccessPoint} [accessPoint] Optional [a new one]. The only network in reach.
 * @property {number} [seed] Optional [1]. For the faults of the air.
 * @property {number} [minimumFirmwareBytes] Optional [100000]. Less than that in RAM does not start.
 */

export class Cyw43439 {
  /** Called with each Ethernet frame that the host sends to the network. @type {(frame: Uint8Array) => void} */
  onFrame = () => {};
  /** Called when the level of the interrupt line changes. @type {(level: boolean) => void} */
  onHostWake = () => {};
  /** Called when the chip's GPIO changes; bit 0 is the LED of a Pico W. @type {(outputs: number) => void} */
  onOutputs = () => {};
  /** Called with a line for people. @type {(line: string) => void} */
  onLog = () => {};

  /** Rules that the host broke since the beginning, the first ones of them. @type {string[]} */
  violations = [];
  /** Counters since the beginning. Frames and bytes are those of Ethernet. */
  stats = {
    transfers: 0,
    words: 0,
    controlRequests: 0,
    framesSent: 0,
    bytesSent: 0,
    framesReceived: 0,
    bytesReceived: 0,
    framesDropped: 0,
  };

  #config;
  #scheduler;
  #powered = false;
  /** @type {'bus' | 'wlan' | undefined} */
  #frozen;
  #startedAt = Infinity;
  #sequence = 0;
  /** First sequence number that the host may not use, and the one that it knows of or finds in the FIFO. */
  #credit = 0;
  #advertised = 0;
  #hostWake = false;
  /** @type {PacketFifo} */ #fifo;
  /** @type {Station} */ #station;
  /** @type {Control} */ #control;
  /** @type {Backplane} */ #backplane;
  /** @type {GspiBus} */ #bus;

  /** @param {ChipConfig} config */
  constructor(config) {
    const { clock, mac, accessPoint = new AccessPoint(), seed = 1, minimumFirmwareBytes = 100_000 } = config;
    this.#config = { mac: mac ?? Uint8Array.of(0x02, 0xca, 0xfe, 0, 0, 2), minimumFirmwareBytes };
    this.#scheduler = new Scheduler(clock);
    this.accessPoint = accessPoint;
    /** Frames on their way to the host. */
    this.downlink = new Air(this.#scheduler, seed, (frame) => this.#receive(frame));
    /** Frames on their way to the network. */
    this.uplink = new Air(this.#scheduler, seed + 1, (frame) => this.onFrame(frame));
    accessPoint.addStation(() => {
      if (this.#frozen !== 'wlan') this.#station.lose();
    });
    this.#reset();
  }

  /** Whether the station has joined the network. */
  get joined() {
    return this.#station.joined;
  }

  /** GPIO of the chip; bit 0 is the LED of a Pico W. */
  get outputs() {
    return this.#control.outputs;
  }

  /** The station's address. */
  get mac() {
    return this.#control.mac;
  }

  /** The level of the interrupt line, which shares the DATA wire while the chip is not selected. */
  get hostWake() {
    return this.#hostWake;
  }

  /** The order of bytes on the wire at present. */
  get order() {
    return this.#bus.order;
  }

  /** WL_REG_ON. Without power the chip forgets everything, also that it was frozen. */
  get powered() {
    return this.#powered;
  }

  set powered(on) {
    if (on === this.#powered) return;
    this.#powered = on;
    this.#reset();
  }

  /**
   * One transfer on the bus.
   * @param {number[]} words What the host shifts out, first bit in bit 31.
   * @returns {number[]} What the chip shifts out then; zeros follow.
   */
  transact(words) {
    if (!this.#powered || this.#frozen === 'bus' || !words.length) return [];
    const answer = this.#bus.transact(words);
    this.stats.transfers++;
    this.stats.words += words.length + answer.length;
    this.#updateHostWake();
    return answer;
  }

  /**
   * A frame from the network, on its way to the host.
   * @param {Uint8Array} frame From the destination address to the payload's end.
   */
  receiveFrame(frame) {
    this.downlink.carry(frame);
  }

  /**
   * A chip that hangs until it loses power: with `bus` it answers zeros, with `wlan` the bus still works, but
   * the processor behind it does nothing more.
   * @param {'bus' | 'wlan'} part
   */
  freeze(part) {
    this.#frozen = part;
    this.#updateHostWake();
  }

  #reset() {
    this.#scheduler.clear();
    this.#frozen = undefined;
    this.#startedAt = Infinity;
    this.#sequence = 0;
    this.#credit = CREDIT_WINDOW;
    this.#advertised = 1; // Drivers begin with the credit for one frame.
    this.#fifo = new PacketFifo();
    this.#station = new Station(this.accessPoint, (event) => this.#emit(event));
    const outputsChanged = (/** @type {number} */ outputs) => this.onOutputs(outputs);
    this.#control = new Control({ station: this.#station, mac: this.#config.mac, outputsChanged });
    this.#backplane = new Backplane({
      start: () => this.#start(),
      stop: () => this.#stop(),
      clockReady: () => this.#ready,
      terminateRead: () => this.#fifo.terminate(),
    });
    this.#bus = new GspiBus({
      backplane: this.#backplane,
      fifo: this.#fifo,
      receive: (bytes) => this.#fromHost(bytes),
      ready: () => this.#ready,
      violation: (what) => this.#violation(what),
    });
    this.onOutputs(0);
    this.#updateHostWake();
  }

  get #ready() {
    return this.#scheduler.now >= this.#startedAt + CLOCK_NANOS;
  }

  #start() {
    const { loadedBytes, hasSettings } = this.#backplane;
    if (loadedBytes < this.#config.minimumFirmwareBytes || !hasSettings) {
      this.#violation(`WLAN processor released with ${loadedBytes} bytes in RAM, settings ${hasSettings}`);
      return;
    }
    this.#startedAt = this.#scheduler.now;
    this.onLog(`WLAN firmware of ${loadedBytes} bytes started`);
  }

  #stop() {
    this.#startedAt = Infinity;
  }

  /** @param {string} what */
  #violation(what) {
    if (this.violations.length < MAX_VIOLATIONS) this.violations.push(what);
    this.onLog(`the host broke a rule: ${what}`);
  }

  #updateHostWake() {
    const level = this.#powered && this.#frozen !== 'bus' && this.#bus.hostWake;
    if (level === this.#hostWake) return;
    this.#hostWake = level;
    this.onHostWake(level);
  }

  /** @param {Uint8Array} bytes A write to function 2. */
  #fromHost(bytes) {
    if (!this.#ready || this.#frozen === 'wlan') return;
    const frame = sdpcm.decodeSdpcm(bytes);
    if (!frame) {
      this.#violation('SDPCM header that contradicts itself');
      return;
    }
    const ahead = (this.#credit - frame.sequence) & 0xff;
    if (ahead === 0 || ahead > CREDIT_WINDOW) {
      this.#violation(`SDPCM sequence ${frame.sequence} without credit`);
      return;
    }
    this.#credit = (frame.sequence + 1 + CREDIT_WINDOW) & 0xff;
    if (frame.channel === sdpcm.Channel.CONTROL) this.#request(frame.body);
    else if (frame.channel === sdpcm.Channel.DATA) this.#send(frame.body);
    else this.#violation(`SDPCM channel ${frame.channel}`);
    this.#grantCredit(frame.sequence);
  }

  /** @param {Uint8Array} body */
  #request(body) {
    const request = sdpcm.decodeControl(body);
    if (!request) {
      this.#violation('control request without a header');
      return;
    }
    this.stats.controlRequests++;
    const { status, data, nanos, then } = this.#control.answer(request);
    this.#scheduler.after(nanos, () => {
      this.#push(sdpcm.Channel.CONTROL, sdpcm.encodeControlAnswer(request, status, data));
      then?.();
    });
  }

  /** @param {Uint8Array} body */
  #send(body) {
    const frame = sdpcm.decodeData(body);
    if (!frame || frame.length < MIN_FRAME_BYTES || frame.length > MAX_FRAME_BYTES) {
      this.#violation(`Ethernet frame of ${frame?.length ?? 0} bytes`);
      return;
    }
    if (!this.#station.joined) return;
    this.stats.framesSent++;
    this.stats.bytesSent += frame.length;
    this.uplink.carry(frame);
  }

  /** @param {Uint8Array} frame */
  #receive(frame) {
    const works = this.#ready && this.#station.joined && this.#frozen === undefined;
    const fits = frame.length >= MIN_FRAME_BYTES && frame.length <= MAX_FRAME_BYTES;
    if (!works || !fits || !this.#control.accepts(frame.subarray(0, 6))) return;
    if (this.#fifo.length >= FIFO_FRAMES) {
      this.stats.framesDropped++;
      return;
    }
    this.stats.framesReceived++;
    this.stats.bytesReceived += frame.length;
    this.#push(sdpcm.Channel.DATA, sdpcm.encodeData(frame));
  }

  /** @param {sdpcm.Event} event */
  #emit(event) {
    if (!this.#control.wants(event.type)) return;
    this.#push(sdpcm.Channel.EVENT, sdpcm.encodeEvent(event, this.#control.mac));
  }

  /** @param {number} channel @param {Uint8Array} body */
  #push(channel, body) {
    if (this.#frozen === 'wlan') return;
    const sequence = this.#sequence++ & 0xff;
    this.#advertised = this.#credit;
    this.#fifo.push(sdpcm.encodeSdpcm({ channel, sequence, credit: this.#credit, body }));
    this.#updateHostWake();
  }

  /**
   * Every frame to the host carries credit, the last one that waits the newest. A host that used up what it
   * knows of, and to which nothing is on its way, gets a header without a body.
   * @param {number} sequence Of the host's last frame.
   */
  #grantCredit(sequence) {
    const { last } = this.#fifo;
    const spent = ((sequence + 1) & 0xff) === this.#advertised;
    if (last) {
      sdpcm.setCredit(last, this.#credit);
      this.#advertised = this.#credit;
    } else if (spent) this.#push(sdpcm.Channel.CONTROL, new Uint8Array());
  }
}
