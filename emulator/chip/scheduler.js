// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Work to be done at a later emulated time, in the order of its time and then of its arrival. One alarm of
 * the host's clock carries all of it.
 * @module
 */

/**
 * The clock of the machine that the chip sits in. rp2040js' SimulationClock is one.
 * @typedef {object} Clock
 * @property {number} nanos Nanoseconds since power-on.
 * @property {(callback: () => void) => {schedule(nanos: number): void, cancel(): void}} createAlarm
 */

export class Scheduler {
  #clock;
  #alarm;
  /** @type {{at: number, task: () => void}[]} */
  #queue = [];

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
    this.#alarm = clock.createAlarm(() => this.#runDue());
  }

  /** Nanoseconds since power-on. */
  get now() {
    return this.#clock.nanos;
  }

  /**
   * Does the task now if the delay is 0, else after it.
   * @param {number} nanos
   * @param {() => void} task
   */
  after(nanos, task) {
    if (nanos <= 0) {
      task();
      return;
    }
    const at = this.now + nanos;
    const later = this.#queue.findIndex((entry) => entry.at > at);
    this.#queue.splice(later < 0 ? this.#queue.length : later, 0, { at, task });
    this.#arm();
  }

  /** Forgets everything that is still to be done. */
  clear() {
    this.#queue = [];
    this.#alarm.cancel();
  }

  #arm() {
    const [first] = this.#queue;
    if (first) this.#alarm.schedule(Math.max(0, first.at - this.now));
  }

  #runDue() {
    while (this.#queue.length && this.#queue[0].at <= this.now) {
      const [{ task }] = this.#queue.splice(0, 1);
      task();
    }
    this.#arm();
  }
}
