// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * What happens to Ethernet frames between the chip and the network: nothing, unless told otherwise. It does not
 * model radio time, rates or retries of 802.11.
 * @module
 */
import { Random } from '../random.js';

/** A frame held back for reordering goes on at the latest after this time. */
const HELD_NANOS = 10e6;

/**
 * @typedef {object} Impairment
 * @property {number} [loss] Optional [0]. Probability that a frame is lost.
 * @property {number} [duplicate] Optional [0]. Probability that a frame arrives twice.
 * @property {number} [reorder] Optional [0]. Probability that a frame arrives after its successor.
 * @property {number} [delayNanos] Optional [0]. Time on the way.
 * @property {number} [jitterNanos] Optional [0]. At most that much more, evenly spread; frames may overtake.
 */

/** @typedef {(frame: Uint8Array) => void} Deliver */

/** @type {Required<Impairment>} */
const CLEAR = { loss: 0, duplicate: 0, reorder: 0, delayNanos: 0, jitterNanos: 0 };

/** One direction. */
export class Air {
  /** Counters since the beginning. */
  stats = { carried: 0, lost: 0, duplicated: 0, reordered: 0 };
  #impairment = { ...CLEAR };
  /** @type {{frame: Uint8Array} | undefined} */
  #held;
  #scheduler;
  #random;
  #deliver;

  /**
   * @param {import('./scheduler.js').Scheduler} scheduler
   * @param {number} seed
   * @param {Deliver} deliver
   */
  constructor(scheduler, seed, deliver) {
    this.#scheduler = scheduler;
    this.#random = new Random(seed);
    this.#deliver = deliver;
  }

  /** @param {Impairment} impairment Replaces what was set before; {} is a clear air. */
  impair(impairment) {
    for (const [name, value] of Object.entries(impairment)) {
      if (!(name in CLEAR)) throw new TypeError(`no such impairment: ${name}`);
      const limit = name.endsWith('Nanos') ? Infinity : 1;
      if (!(value >= 0 && value <= limit)) throw new RangeError(`${name} must be from 0 to ${limit}, not ${value}`);
    }
    this.#impairment = { ...CLEAR, ...impairment };
  }

  /** @param {Uint8Array} frame */
  carry(frame) {
    const { loss, duplicate, reorder } = this.#impairment;
    this.stats.carried++;
    if (this.#random.chance(loss)) {
      this.stats.lost++;
      return;
    }
    if (!this.#held && this.#random.chance(reorder)) {
      this.#hold(frame);
      return;
    }
    this.#send(frame);
    if (this.#random.chance(duplicate)) {
      this.stats.duplicated++;
      this.#send(frame);
    }
    this.#release(this.#held);
  }

  /** @param {Uint8Array} frame */
  #send(frame) {
    const { delayNanos, jitterNanos } = this.#impairment;
    const nanos = delayNanos + (jitterNanos ? this.#random.fraction() * jitterNanos : 0);
    this.#scheduler.after(nanos, () => this.#deliver(frame));
  }

  /** @param {Uint8Array} frame */
  #hold(frame) {
    this.stats.reordered++;
    const held = { frame };
    this.#held = held;
    this.#scheduler.after(HELD_NANOS, () => this.#release(held));
  }

  /** @param {{frame: Uint8Array} | undefined} held */
  #release(held) {
    if (!held || this.#held !== held) return;
    this.#held = undefined;
    this.#send(held.frame);
  }
}
