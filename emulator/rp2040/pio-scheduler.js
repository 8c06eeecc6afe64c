// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Runs PIO state machines in step with the processor. rp2040js lets them run free, driven by the host's timers,
 * which makes no run repeatable.
 * @module
 */

/** @typedef {import('rp2040js').RP2040} RP2040 */
/** @typedef {import('rp2040js').StateMachine} StateMachine */

const CTRL = 0x00;

/** @param {StateMachine} machine @returns {number} Processor cycles of one PIO cycle. */
export const divider = (machine) => (machine.clockDivInt || 65536) + machine.clockDivFrac / 256;

export class PioScheduler {
  /** Machines that run at present: enabled, not waiting, not stood in for. @type {StateMachine[]} */
  running = [];
  #mcu;
  /** @type {Map<StateMachine, number>} */
  #credit = new Map();
  /** @type {Set<StateMachine>} */
  #replaced = new Set();

  /** @param {RP2040} mcu */
  constructor(mcu) {
    this.#mcu = mcu;
    for (const pio of mcu.pio) {
      pio.run = () => {};
      const write = pio.writeUint32.bind(pio);
      pio.writeUint32 = (offset, value) => {
        write(offset, value);
        if (offset === CTRL) this.update();
      };
      for (const machine of pio.machines) this.#watchWaits(machine);
    }
  }

  /** Finds anew which machines run. */
  update() {
    const machines = this.#mcu.pio.flatMap((pio) => pio.machines);
    this.running = machines.filter((m) => m.enabled && !m.waiting && !this.#replaced.has(m));
  }

  /**
   * @param {StateMachine} machine
   * @param {boolean} replaced Something else does the machine's work.
   */
  replace(machine, replaced) {
    if (replaced) this.#replaced.add(machine);
    else this.#replaced.delete(machine);
    this.update();
  }

  /** @param {number} cycles Of the processor. */
  advance(cycles) {
    for (const machine of this.running) this.#advance(machine, cycles);
  }

  /** @param {StateMachine} machine @param {number} cycles */
  #advance(machine, cycles) {
    const cost = divider(machine);
    let credit = (this.#credit.get(machine) ?? 0) + cycles;
    while (credit >= cost && !machine.waiting) {
      const before = machine.cycles;
      machine.step();
      machine.pio.checkChangedPins();
      credit -= cost * Math.max(1, machine.cycles - before);
    }
    this.#credit.set(machine, machine.waiting ? 0 : credit);
    if (machine.waiting) this.update();
  }

  /** @param {StateMachine} machine */
  #watchWaits(machine) {
    const check = machine.checkWait.bind(machine);
    machine.checkWait = () => {
      const { waiting } = machine;
      check();
      if (waiting && !machine.waiting) this.update();
    };
  }
}
