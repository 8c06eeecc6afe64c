// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * The access point's queue towards a board. A program on the host hands over many frames at one instant of emulated time;
 * on the air they come one after another.
 * @module
 */

/** Time on the air of any frame, and of its bits: a quiet 802.11n channel at 20 Mbit/s. An estimate. */
const FRAME_NANOS = 100e3;
const BIT_NANOS = 50;
/** What comes beyond that is lost. */
const MAX_FRAMES = 512;

export class DownlinkQueue {
  /** Frames lost since the beginning because the queue was full. */
  dropped = 0;
  /** @type {Uint8Array[]} */
  #frames = [];
  #alarm;
  #deliver;

  /**
   * @param {import('../clock.js').Clock} clock
   * @param {(frame: Uint8Array) => void} deliver
   */
  constructor(clock, deliver) {
    this.#alarm = clock.createAlarm(() => this.#next());
    this.#deliver = deliver;
  }

  /** @param {Uint8Array} frame */
  push(frame) {
    if (this.#frames.length >= MAX_FRAMES) this.dropped++;
    else if (this.#frames.push(frame) === 1) this.#arm();
  }

  #next() {
    const frame = this.#frames.shift();
    if (frame) this.#deliver(frame);
    if (this.#frames.length) this.#arm();
  }

  #arm() {
    this.#alarm.schedule(FRAME_NANOS + this.#frames[0].length * 8 * BIT_NANOS);
  }
}
