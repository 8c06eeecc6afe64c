// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * A Pico W: RP2040, flash, Wi-Fi chip, pins and serial console. It boots an image without the boot ROM, runs it
 * for a while, and can be reset and lose its supply. It has no second core and no USB host.
 * @module
 */
import { setImmediate } from 'node:timers/promises';
import { GPIOPinState } from 'rp2040js';
import { Cyw43439 } from '../chip/cyw43439.js';
import { Clock, ResetClock } from '../clock.js';
import { Pacer } from '../pacer.js';
import { Random } from '../random.js';
import { BootRom } from './boot-rom.js';
import { GuestFault, Halt, NotBootable, PowerCut } from './fault.js';
import { Flash } from './flash.js';
import { FLASH_BASE, isBootable } from './image.js';
import { ResetCause, createMcu, watchdogOf } from './mcu.js';
import { PioScheduler } from './pio-scheduler.js';
import { SerialConsole } from './serial-console.js';
import { WifiPinLink } from './wifi-pin-link.js';
import { WifiWordLink } from './wifi-word-link.js';

/** The second stage sets the vector table behind itself. */
const VECTORS = FLASH_BASE + 0x100;
const SRAM_BASE = 0x20000000;
/** A run looks at its conditions after that much emulated time. */
const SLICE_NANOS = 1e6;
/** It gives way to the host's other work after that much of the host's time, at the end of a slice. */
const YIELD_MILLIS = 0.2;
/** A sleeping processor lets PIO run in steps of that many cycles. */
const SLEEP_CYCLES = 16;
/** Temperature sensor at 27 degrees: 0.706 V of 3.3 V, RP2040 datasheet 4.9.5. */
const TEMPERATURE_27 = 876;

/** @typedef {import('rp2040js').RP2040} RP2040 */

/**
 * @typedef {object} PicoWConfig
 * @property {Omit<import('../chip/cyw43439.js').ChipConfig, 'clock' | 'seed'>} [wifi] Optional [defaults].
 * @property {'word' | 'pin'} [wifiLink] Optional ["word"]. How gSPI transfers are carried.
 * @property {import('../pacer.js').Pace} [pace] Optional ["free"]. How emulated time goes with the host's.
 * @property {boolean} [strict] Optional [true]. End the run where a board would have a hard fault.
 * @property {number} [seed] Optional [1]. For all that is random: RAM after power-on, the ring oscillator, the air.
 * @property {Uint8Array} [uniqueId] Optional. Eight bytes, of the flash chip.
 * @property {Uint8Array} [bootRom] Optional. Image of a real boot ROM, 16 KiB.
 */

/**
 * @typedef {object} RunResult
 * @property {'time' | 'until' | 'halt'} reason
 * @property {Halt} [halt] Set if the reason is `halt`.
 */

/** @typedef {'power-on' | 'run-pin' | 'watchdog' | 'system'} Cause */

export class PicoW {
  clock = new Clock();
  console = new SerialConsole(this.clock);
  /** Readings of the five ADC channels, 12 bits; the last is the temperature sensor. */
  adc = [0, 0, 0, 0, TEMPERATURE_27];
  /** Every reset so far. @type {{cause: Cause, nanos: number}[]} */
  resets = [];
  /** Cycles that the processor has run, or slept through while PIO ran. */
  cycles = 0;
  /** Called with a line for people. @type {(line: string) => void} */
  onLog = () => {};

  #config;
  #random;
  /** @type {RP2040 | undefined} */
  #mcu;
  /** @type {ResetClock | undefined} */
  #resetClock;
  /** @type {PioScheduler | undefined} */
  #pio;
  #sramAtPowerOn = new Uint8Array();
  #oscillates = true;
  /** @type {Map<number, boolean>} */
  #driven = new Map();
  /** @type {Halt | undefined} */
  #halt = new Halt('the board has no power');
  /** @type {Cause | undefined} */
  #pendingReset;

  /** @param {PicoWConfig} [config] */
  constructor(config = {}) {
    const uniqueId = config.uniqueId ?? Uint8Array.of(0xe6, 0x61, 1, 2, 3, 4, 5, 6);
    this.#config = { wifiLink: 'word', pace: 'free', strict: true, seed: 1, ...config, uniqueId };
    if (!['word', 'pin'].includes(this.#config.wifiLink)) throw new TypeError(`no such link: ${config.wifiLink}`);
    if (uniqueId.length !== 8) throw new RangeError(`unique id of ${uniqueId.length} bytes, not 8`);
    /** May be changed at any time. */
    this.pacer = new Pacer(this.#config.pace);
    this.#random = new Random(this.#config.seed);
    this.flash = new Flash(uniqueId);
    this.wifi = new Cyw43439({ ...this.#config.wifi, clock: this.clock, seed: this.#config.seed });
  }

  /** Nanoseconds since the board was made. */
  get nanos() {
    return this.clock.nanos;
  }

  /** Why the board does not run, if it does not. */
  get halted() {
    return this.#halt;
  }

  /** The processor and its peripherals, until the next reset. */
  get mcu() {
    if (!this.#mcu) throw new Error('the board has never had power: call powerOn');
    return this.#mcu;
  }

  /** The on-board LED, which hangs on the Wi-Fi chip. */
  get led() {
    return (this.wifi.outputs & 1) === 1;
  }

  /** Power comes on: RAM is random, then what is in flash starts. */
  powerOn() {
    this.#sramAtPowerOn = Uint8Array.from({ length: 264 * 1024 }, () => this.#random.uint32() >>> 24);
    this.#reset('power-on');
  }

  powerOff() {
    this.wifi.powered = false;
    this.#oscillates = true;
    this.#halt = new Halt('the board has no power');
    this.pacer.wake();
  }

  /**
   * A part that hangs. The Wi-Fi chip does until it loses power: its `bus`, or the processor behind it (`wlan`). Until
   * the next reset, an erase or program of the `flash`, or a conversion of the `adc`, does not end. The ring
   * oscillator (`rosc`) stands still until the board loses power: no reset but that reaches it.
   * @param {'bus' | 'wlan' | 'flash' | 'adc' | 'rosc'} part
   */
  freeze(part) {
    if (part === 'rosc') this.#oscillates = false;
    else if (part === 'flash') this.flash.frozen = true;
    else if (part === 'adc') this.mcu.adc.onADCRead = () => {};
    else if (part === 'wlan' || part === 'bus') this.wifi.freeze(part);
    else throw new Error(`no such part: ${part}`);
  }

  /** The RUN pin is pulled low and let go. */
  pressReset() {
    this.#reset('run-pin');
  }

  /**
   * @param {number} pin GPIO number.
   * @returns {boolean | undefined} The level that the guest drives; nothing if it does not drive it.
   */
  pin(pin) {
    const { value } = this.mcu.gpio[pin];
    return value > GPIOPinState.High ? undefined : value === GPIOPinState.High;
  }

  /**
   * Drives an input from outside, over resets.
   * @param {number} pin GPIO number.
   * @param {boolean} level
   */
  drivePin(pin, level) {
    this.#driven.set(pin, level);
    this.#mcu?.gpio[pin].setInputValue(level);
  }

  /**
   * How far RAM has been used since power-on.
   * @param {number} from Address.
   * @param {number} to Address behind the last.
   * @returns {{lowest: number, highest: number} | undefined} Addresses of bytes that have changed.
   */
  touchedSram(from, to) {
    const changed = (/** @type {number} */ at) => this.mcu.sram[at] !== this.#sramAtPowerOn[at];
    let [lowest, highest] = [from - SRAM_BASE, to - SRAM_BASE - 1];
    while (lowest <= highest && !changed(lowest)) lowest++;
    while (highest >= lowest && !changed(highest)) highest--;
    return lowest > highest ? undefined : { lowest: lowest + SRAM_BASE, highest: highest + SRAM_BASE };
  }

  /**
   * Runs, and lets the host's other work go on in between.
   * @param {object} limits
   * @param {number} limits.nanos At most that much emulated time.
   * @param {() => boolean} [limits.until] Asked about every emulated millisecond.
   * @returns {Promise<RunResult>}
   */
  async run({ nanos, until = () => false }) {
    const deadline = this.nanos + nanos;
    let yielded = performance.now();
    while (!this.#halt && this.nanos < deadline) {
      if (until()) return { reason: 'until' };
      const limit = this.pacer.limit(this.nanos);
      if (this.nanos >= limit) await this.pacer.wait();
      else this.#slice(Math.min(deadline, limit, this.nanos + SLICE_NANOS));
      if (performance.now() - yielded < YIELD_MILLIS) continue;
      await setImmediate();
      yielded = performance.now();
    }
    if (this.#halt) return { reason: 'halt', halt: this.#halt };
    return { reason: until() ? 'until' : 'time' };
  }

  /**
   * Runs at free pace without letting anything else go on.
   * @param {number} nanos Emulated time.
   * @returns {RunResult}
   */
  runFor(nanos) {
    const deadline = this.nanos + nanos;
    while (!this.#halt && this.nanos < deadline) this.#slice(deadline);
    return this.#halt ? { reason: 'halt', halt: this.#halt } : { reason: 'time' };
  }

  /** @param {Cause} cause */
  #reset(cause) {
    const before = this.#mcu;
    this.#resetClock?.dispose();
    this.#pendingReset = undefined;
    this.#halt = undefined;
    this.flash.frozen = false;
    this.resets.push({ cause, nanos: this.nanos });
    const mcu = this.#createMcu(cause);
    mcu.sram.set(cause === 'power-on' || !before ? this.#sramAtPowerOn : before.sram);
    if (before && cause !== 'power-on') keepWatchdog(before, mcu, cause);
    this.#mcu = mcu;
    this.#connect(mcu);
    this.#boot(mcu);
  }

  /** @param {Cause} cause @returns {RP2040} */
  #createMcu(cause) {
    this.#resetClock = new ResetClock(this.clock);
    return createMcu({
      clock: /** @type {any} */ (this.#resetClock),
      flash: this.flash,
      randomBit: () => (this.#oscillates ? (this.#random.uint32() >>> 11) & 1 : 1),
      resetCause: cause === 'run-pin' ? ResetCause.RUN_PIN : ResetCause.POWER_ON,
      strict: this.#config.strict,
      onReset: (asked) => (this.#pendingReset = asked),
      log: (line) => this.onLog(line),
    });
  }

  /** @param {RP2040} mcu */
  #connect(mcu) {
    const { strict, bootRom, wifiLink } = this.#config;
    const rom = new BootRom(mcu, this.flash, {
      strict,
      busy: (nanos) => this.clock.tick(nanos),
      image: bootRom,
    });
    mcu.onBreak = (number) => {
      if (!rom.trap() && strict) throw new GuestFault('breakpoint', `number ${number}`, mcu.core);
    };
    Object.assign(mcu.adc, { channelValues: this.adc });
    this.console.connect(mcu);
    this.#pio = new PioScheduler(mcu);
    if (wifiLink === 'pin') new WifiPinLink(mcu, this.wifi);
    else new WifiWordLink(mcu, this.wifi, this.#pio);
    for (const [pin, level] of this.#driven) mcu.gpio[pin].setInputValue(level);
  }

  /** What the boot ROM and the second stage do. @param {RP2040} mcu */
  #boot(mcu) {
    if (!isBootable(this.flash.bytes)) {
      this.#halt = new NotBootable('flash does not begin with a second stage that the boot ROM would start');
      return;
    }
    mcu.core.VTOR = VECTORS;
    mcu.core.SP = mcu.readUint32(VECTORS);
    mcu.core.PC = mcu.readUint32(VECTORS + 4) & ~1;
  }

  /** @param {number} limit Emulated time at which it ends. */
  #slice(limit) {
    try {
      this.#execute(limit);
    } catch (error) {
      if (!(error instanceof Halt)) throw error;
      if (error instanceof PowerCut) this.wifi.powered = false;
      this.#halt = error;
    }
    if (this.#pendingReset) this.#reset(this.#pendingReset);
  }

  /** @param {number} limit */
  #execute(limit) {
    const { clock } = this;
    const mcu = this.mcu;
    const { core } = mcu;
    const pio = /** @type {PioScheduler} */ (this.#pio);
    while (clock.nanos < limit && !this.#pendingReset) {
      if (core.waiting && !pio.running.length) {
        clock.tick(Math.max(0, Math.min(limit, clock.next?.nanos ?? Infinity) - clock.nanos));
        continue;
      }
      const cycles = core.waiting ? SLEEP_CYCLES : core.executeInstruction();
      this.cycles += cycles;
      clock.tick((cycles * 1e9) / mcu.clkSys);
      if (pio.running.length) pio.advance(cycles);
    }
  }
}

/** @param {RP2040} before @param {RP2040} after @param {Cause} cause */
function keepWatchdog(before, after, cause) {
  const [old, fresh] = [watchdogOf(before), watchdogOf(after)];
  fresh.scratchData.set(old.scratchData);
  fresh.reason = cause === 'run-pin' ? 0 : old.reason;
}
