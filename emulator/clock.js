// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Emulated time. Alarms fire in the order of their time, and those of one time in the order in which they were
 * set, so that a run can be repeated.
 * @module
 */

/** @typedef {() => void} Callback */

/** Belongs to one clock. */
class Alarm {
  nanos = Infinity;
  /** @type {Alarm | undefined} */
  next;
  callback;
  #clock;

  /** @param {Clock} clock @param {Callback} callback */
  constructor(clock, callback) {
    this.#clock = clock;
    this.callback = callback;
  }

  /** @param {number} nanos From now. Replaces what was set before. */
  schedule(nanos) {
    this.#clock.unlink(this);
    this.nanos = this.#clock.nanos + nanos;
    this.#clock.link(this);
  }

  cancel() {
    this.#clock.unlink(this);
  }
}

export class Clock {
  /** Nanoseconds since the beginning. */
  nanos = 0;
  /** @type {Alarm | undefined} The one that fires first. */
  next;

  /** @param {Callback} callback */
  createAlarm(callback) {
    return new Alarm(this, callback);
  }

  /** @param {number} nanos */
  tick(nanos) {
    const target = this.nanos + nanos;
    while (this.next && this.next.nanos <= target) {
      const alarm = this.next;
      this.next = alarm.next;
      alarm.next = undefined;
      this.nanos = Math.max(this.nanos, alarm.nanos);
      alarm.callback();
    }
    if (this.nanos < target) this.nanos = target;
  }

  /** @param {Alarm} alarm */
  link(alarm) {
    let before = undefined;
    let after = this.next;
    while (after && after.nanos <= alarm.nanos) {
      before = after;
      after = after.next;
    }
    alarm.next = after;
    if (before) before.next = alarm;
    else this.next = alarm;
  }

  /** @param {Alarm} alarm */
  unlink(alarm) {
    if (this.next === alarm) this.next = alarm.next;
    else {
      let before = this.next;
      while (before && before.next !== alarm) before = before.next;
      if (before) before.next = alarm.next;
    }
    alarm.next = undefined;
  }
}

/** The time since a reset, for what that reset sets back to 0. It is a clock to rp2040js. */
export class ResetClock {
  #clock;
  #origin;
  /** @type {Alarm[]} */
  #alarms = [];

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
    this.#origin = clock.nanos;
  }

  get nanos() {
    return this.#clock.nanos - this.#origin;
  }

  get micros() {
    return this.nanos / 1000;
  }

  get nanosToNextAlarm() {
    return this.#clock.next ? Math.max(0, this.#clock.next.nanos - this.#clock.nanos) : 0;
  }

  /** @param {Callback} callback */
  createAlarm(callback) {
    const alarm = this.#clock.createAlarm(callback);
    this.#alarms.push(alarm);
    return alarm;
  }

  /** @param {number} nanos */
  tick(nanos) {
    this.#clock.tick(nanos);
  }

  /** Nothing that was created from this clock fires any more. */
  dispose() {
    for (const alarm of this.#alarms) alarm.cancel();
  }
}
