// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Carries gSPI transfers a word at a time, which is far quicker than by pins. It takes over from any state
 * machine whose side-set pin is the bus clock and whose program has the two loops that gSPI programs have: X
 * counts bits out, Y counts bits in. When as much time has passed as the bits would take, it hands the machine
 * back at the instruction after its last loop, to stall, wait or interrupt there as it would.
 *
 * Sources: cyw43_bus_pio_spi.pio of pico-sdk; piolib/spi3w.go of tinygo-org/pio; cyw43-pio of embassy.
 * @module
 */
import { divider } from './pio-scheduler.js';
import { WifiPins, drivesWifiClock } from './wifi-pins.js';

const CTRL = 0x00;
const CYCLES_PER_BIT = 2;
const ALL_ONES = 0xffffffff;

/** @typedef {import('rp2040js').StateMachine} StateMachine */
/** @typedef {import('rp2040js').RPPIO} RPPIO */

const jumpsWhileX = (/** @type {number} */ instruction) => (instruction & 0xe0e0) === 0x0040;
const jumpsWhileY = (/** @type {number} */ instruction) => (instruction & 0xe0e0) === 0x0080;
const setsPinDirections = (/** @type {number} */ instruction) => (instruction & 0xe0e0) === 0xe080;

/**
 * The shape of a program.
 * @typedef {object} Loops
 * @property {number} next Where it goes on after the last loop.
 * @property {boolean} reads It has a loop that reads.
 * @property {number | undefined} direction What it sets the direction of DATA to between the loops.
 */

/**
 * @param {StateMachine} machine
 * @returns {Loops | undefined} Nothing if it is not a gSPI program.
 */
function findLoops({ pio, wrapBottom, wrapTop }) {
  const program = Array.from(pio.instructions.slice(wrapBottom, wrapTop + 1));
  const out = program.findIndex(jumpsWhileX);
  if (out < 0) return undefined;
  const into = program.findIndex((instruction, i) => i > out && jumpsWhileY(instruction));
  const last = into < 0 ? out : into;
  const turn = program.slice(out, last).find(setsPinDirections);
  return {
    next: wrapBottom + ((last + 1) % program.length),
    reads: into >= 0,
    direction: turn === undefined ? undefined : turn & 0x1f,
  };
}

/** One machine's transfer. */
class Transfer {
  /** @type {number[]} */
  #sent = [];
  /** @type {number[]} */
  #answer = [];
  /** @type {Loops | undefined} */
  #loops;
  #toSend = 0;
  #toRead = 0;
  #active = false;
  #machine;
  #link;
  #alarm;

  /** @param {StateMachine} machine @param {WifiWordLink} link */
  constructor(machine, link) {
    this.#machine = machine;
    this.#link = link;
    this.#alarm = link.mcu.clock.createAlarm(() => this.#end());
    const [write, read] = [machine.writeFIFO.bind(machine), machine.readFIFO.bind(machine)];
    machine.writeFIFO = (value) => {
      write(value);
      this.#takeWords();
    };
    machine.readFIFO = () => {
      const value = read();
      this.#giveWords();
      return value;
    };
  }

  begin() {
    const { x, y } = this.#machine;
    this.#loops = findLoops(this.#machine);
    if (!this.#loops) return;
    this.#toSend = ((x >>> 0) + 1) >>> 5;
    this.#toRead = this.#loops.reads ? ((y >>> 0) + 1) >>> 5 : 0;
    this.#sent = [];
    this.#answer = [];
    this.#active = true;
    this.#link.scheduler.replace(this.#machine, true);
    this.#takeWords();
  }

  abort() {
    if (!this.#active) return;
    this.#active = false;
    this.#alarm.cancel();
    this.#link.scheduler.replace(this.#machine, false);
  }

  #takeWords() {
    const machine = this.#machine;
    if (!this.#active || this.#sent.length === this.#toSend) return;
    while (this.#sent.length < this.#toSend && !machine.txFIFO.empty) {
      this.#sent.push(machine.txFIFO.pull() >>> 0);
      machine['updateDMATx']();
    }
    if (this.#sent.length === this.#toSend) this.#alarm.schedule(this.#nanos);
  }

  /** The time that the bits of the transfer take. */
  get #nanos() {
    const cycles = (this.#toSend + this.#toRead) * 32 * CYCLES_PER_BIT * divider(this.#machine);
    return (cycles * 1e9) / this.#link.mcu.clkSys;
  }

  #end() {
    const machine = this.#machine;
    const answer = this.#link.transact(this.#sent);
    this.#answer = Array.from({ length: this.#toRead }, (_, i) => answer[i] ?? 0);
    this.#giveWords();
    this.#handBack(machine, /** @type {Loops} */ (this.#loops));
  }

  #giveWords() {
    const { rxFIFO } = this.#machine;
    while (this.#answer.length && !rxFIFO.full) rxFIFO.push(/** @type {number} */ (this.#answer.shift()));
    this.#machine['updateDMARx']();
  }

  /** @param {StateMachine} machine @param {Loops} loops */
  #handBack(machine, { next, direction }) {
    this.#active = false;
    if (direction !== undefined && this.#toRead) machine.setSetPinDirs(direction);
    machine.pc = next;
    machine.x = ALL_ONES;
    machine.y = ALL_ONES;
    machine.outputShiftCount = 32;
    this.#link.scheduler.replace(machine, false);
  }
}

export class WifiWordLink {
  #chip;
  #pins;

  /**
   * @param {import('rp2040js').RP2040} mcu Just reset.
   * @param {import('../chip/cyw43439.js').Cyw43439} chip
   * @param {import('./pio-scheduler.js').PioScheduler} scheduler
   */
  constructor(mcu, chip, scheduler) {
    this.mcu = mcu;
    this.scheduler = scheduler;
    this.#chip = chip;
    this.#pins = new WifiPins(mcu, chip);
    for (const pio of mcu.pio) this.#watch(pio);
  }

  /** @param {number[]} words @returns {number[]} Nothing if the chip is not selected. */
  transact(words) {
    return this.#pins.selected ? this.#chip.transact(words) : [];
  }

  /** @param {RPPIO} pio */
  #watch(pio) {
    const transfers = pio.machines.map((machine) => new Transfer(machine, this));
    const write = pio.writeUint32.bind(pio);
    pio.writeUint32 = (offset, value) => {
      const before = pio.machines.map(({ enabled }) => enabled);
      write(offset, value);
      if (offset !== CTRL) return;
      pio.machines.forEach((machine, i) => {
        if (machine.enabled && !before[i] && drivesWifiClock(machine)) transfers[i].begin();
        if (!machine.enabled && before[i]) transfers[i].abort();
      });
    };
  }
}
