// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Repeatable randomness for faults: the same seed gives the same run.
 * @module
 */

/**
 * A 32-bit xorshift generator (Marsaglia, "Xorshift RNGs", 2003). Not for secrets.
 */
export class Random {
  #state;

  /** @param {number} seed Any integer. */
  constructor(seed) {
    this.#state = Math.imul(seed, 0x9e3779b1) >>> 0 || 1;
  }

  /** @returns {number} An integer of 32 bits, never 0. */
  uint32() {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /** @returns {number} From 0 to just under 1. */
  fraction() {
    return this.uint32() / 0x1_0000_0000;
  }

  /**
   * @param {number} probability From 0 to 1.
   * @returns {boolean}
   */
  chance(probability) {
    return probability > 0 && this.fraction() < probability;
  }
}
