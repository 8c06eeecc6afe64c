// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * How emulated time goes with the host's.
 * @module
 */
import { setTimeout } from 'node:timers/promises';

/**
 * - `free`: as fast as the host can; sleep is skipped. A time-out of the guest can pass before a peer on the host has
 *   answered.
 * - `host`: never faster than the host's time. Time that a busy processor loses is not made up.
 * - `answered`: like `free`, but like `host` while the network owes the guest something, as `owes` tells.
 * - `stopped`: no time passes.
 * @typedef {'free' | 'host' | 'answered' | 'stopped'} Pace
 */

export const PACES = Object.freeze(['free', 'host', 'answered', 'stopped']);

/** Host time that may be saved up: as much as the host's timers are late. */
const SAVED_NANOS = 10e6;

export class Pacer {
  /** Whether the network owes the guest something. @type {() => boolean} */
  owes = () => false;
  /** @type {Pace} */
  #pace = 'free';
  /** Emulated time that may pass. */
  #allowance = 0;
  #last = { emulated: 0, host: 0 };
  #hostNanos;
  #wake = () => {};

  /**
   * @param {Pace} pace
   * @param {() => number} [hostNanos] Optional [a monotonic clock of the host].
   */
  constructor(pace, hostNanos = () => performance.now() * 1e6) {
    this.#hostNanos = hostNanos;
    this.#last.host = hostNanos();
    this.pace = pace;
  }

  get pace() {
    return this.#pace;
  }

  set pace(pace) {
    if (!PACES.includes(pace)) throw new TypeError(`no such pace: ${pace}`);
    this.#pace = pace;
    this.wake();
  }

  /**
   * @param {number} emulated Time now.
   * @returns {number} How far emulated time may go before this is asked again.
   */
  limit(emulated) {
    const host = this.#hostNanos();
    const passed = host - this.#last.host - (emulated - this.#last.emulated);
    this.#last = { emulated, host };
    if (this.#pace === 'stopped') return emulated;
    if (this.#isFree) {
      this.#allowance = 0;
      return Infinity;
    }
    this.#allowance = Math.min(SAVED_NANOS, this.#allowance + passed);
    return emulated + Math.max(0, this.#allowance);
  }

  /** Waits until time may pass again, or until it is woken. */
  async wait() {
    const woken = new Promise((resolve) => (this.#wake = () => resolve(undefined)));
    if (this.#pace === 'stopped') return woken;
    const timer = new AbortController();
    const late = setTimeout(1 + Math.max(0, -this.#allowance) / 1e6, undefined, { signal: timer.signal });
    await Promise.race([late.catch(() => {}), woken]);
    timer.abort();
  }

  /** Something has changed: ends a wait. */
  wake() {
    this.#wake();
  }

  get #isFree() {
    return this.#pace === 'free' || (this.#pace === 'answered' && !this.owes());
  }
}
