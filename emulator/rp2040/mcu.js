// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * rp2040js with what a Pico W needs and it lacks: mended exception entry, a small flash, its serial bus, ring
 * oscillator, reset causes, system reset; and, if wanted, a fault where a board would have one. One object is
 * the time between two resets.
 * @module
 */
import { RP2040 } from 'rp2040js';
import { GuestFault } from './fault.js';

const XIP_END = 0x14000000;
const SSI = 0x18000;
const IO_QSPI = 0x40018;
const WATCHDOG = 0x40058;
const PSM = 0x40010;
const RESETS = 0x4000c;
const ROSC = 0x40060;
const CHIP_RESET = 0x40064;

const SSI_STATUS = 0x28;
const SSI_DATA = 0x60;
const SSI_TX_READY = 0x06;
const SSI_RX_READY = 0x08;
const QSPI_SS_CTRL = 0x0c;
const OUTPUT_LOW = 2;
const ROSC_STATUS = 0x18;
const ROSC_STATUS_STABLE = 0x80001000;
const ROSC_RANDOM_BIT = 0x1c;
const CHIP_RESET_CAUSE = 0x08;
const ADC_CS = 0x00;
const ADC_START_ONCE = 0x04;
const AIRCR = 0xd0c;
const AIRCR_KEY = 0x05fa;
const AIRCR_RESET_REQUEST = 0x04;

/** Bits of CHIP_RESET, RP2040 datasheet 2.12.7. */
export const ResetCause = Object.freeze({ POWER_ON: 0x0000100, RUN_PIN: 0x0010000 });

/** @typedef {import('./flash.js').Flash} Flash */

/**
 * @typedef {object} McuConfig
 * @property {import('rp2040js').RP2040['clock']} clock Time since this reset.
 * @property {Flash} flash
 * @property {() => number} randomBit Of the ring oscillator.
 * @property {number} resetCause One of {@link ResetCause}.
 * @property {boolean} strict
 * @property {(cause: 'watchdog' | 'system') => void} onReset The guest asks for a reset.
 * @property {(line: string) => void} log
 */

/** @param {McuConfig} config @returns {RP2040} */
export function createMcu(config) {
  const mcu = new RP2040(config.clock);
  mcu.logger = logger(mcu, config);
  replaceFlash(mcu, config.flash);
  clearThumbBitOnExceptionEntry(mcu);
  mendOverflowWithCarry(mcu);
  clearStartOfConversion(mcu);
  modelRingOscillator(mcu, config.randomBit);
  modelFlashSerialBus(mcu, config.flash);
  modelResets(mcu, config);
  if (config.strict) faultOnMisuse(mcu);
  return mcu;
}

/**
 * rp2040js' watchdog.
 * @typedef {object} Watchdog
 * @property {number} reason
 * @property {Uint32Array} scratchData
 * @property {{enable: boolean}} alarm
 * @property {() => void} onWatchdogTrigger
 */

/** The watchdog keeps its scratch registers and its reason over every reset but that of the supply. */
export const watchdogOf = (/** @type {RP2040} */ mcu) =>
  /** @type {Watchdog} */ (/** @type {unknown} */ (mcu.peripherals[WATCHDOG]));

/** @param {RP2040} mcu @param {Flash} flash */
function replaceFlash(mcu, { bytes }) {
  const [flash16, flashView] = [new Uint16Array(bytes.buffer), new DataView(bytes.buffer)];
  Object.assign(mcu, { flash: bytes, flash16, flashView });
}

/**
 * rp2040js 1.4.1 leaves bit 0 of the vector in the program counter, so that `add rN, pc`, which jump tables
 * use, is off by one in handlers.
 * @param {RP2040} mcu
 */
function clearThumbBitOnExceptionEntry({ core }) {
  const enter = core.exceptionEntry.bind(core);
  core.exceptionEntry = (number) => {
    enter(number);
    core.PC &= ~1;
  };
}

const ADCS = 0b0100000101;
const SBCS = 0b0100000110;

/**
 * rp2040js 1.4.1 adds the carry to the second operand first, so that 0x7fffffff becomes negative and the
 * overflow flag wrong: a 64-bit number then seems no less than the largest one.
 * @param {RP2040} mcu
 */
function mendOverflowWithCarry({ core }) {
  const [add, subtract] = [core.addUpdateFlags.bind(core), core.substractUpdateFlags.bind(core)];
  const runs = (/** @type {number} */ opcode) => core.readUint16(core.PC - 2) >> 6 === opcode;
  core.addUpdateFlags = (a, b) => {
    const sum = add(a, b);
    if (b === 0x80000000 && runs(ADCS) && core.registers[core.readUint16(core.PC - 2) & 7] !== b) core.V = a >>> 31 === 0;
    return sum;
  };
  core.substractUpdateFlags = (a, b) => {
    const difference = subtract(a, b);
    if (b === 0x80000000 && runs(SBCS) && core.registers[(core.readUint16(core.PC - 2) >> 3) & 7] !== b) core.V = a >>> 31 === 1;
    return difference;
  };
}

/**
 * rp2040js keeps START_ONCE, so that the next change of CS, to select another channel, starts a conversion of the
 * old one. It clears itself: RP2040 datasheet 4.9.6.
 * @param {RP2040} mcu
 */
function clearStartOfConversion({ adc }) {
  const write = adc.writeUint32.bind(adc);
  adc.writeUint32 = (offset, value) => {
    write(offset, value);
    if (offset === ADC_CS) adc.cs &= ~ADC_START_ONCE;
  };
}

/** A peripheral that rp2040js does not model, whose registers hold what is written. */
function keepRegisters(/** @type {RP2040} */ mcu, /** @type {number} */ base) {
  const peripheral = mcu.peripherals[base];
  /** @type {Map<number, number>} */
  const registers = new Map();
  peripheral.readUint32 = (offset) => registers.get(offset & 0xfff) ?? 0;
  peripheral.writeUint32 = (offset, value) => void registers.set(offset & 0xfff, value);
  return registers;
}

/** @param {RP2040} mcu @param {() => number} randomBit */
function modelRingOscillator(mcu, randomBit) {
  const rosc = mcu.peripherals[ROSC];
  keepRegisters(mcu, ROSC);
  const read = rosc.readUint32;
  rosc.readUint32 = (offset) => {
    if (offset === ROSC_RANDOM_BIT) return randomBit();
    return offset === ROSC_STATUS ? ROSC_STATUS_STABLE : read(offset);
  };
}

/**
 * Firmware that holds the flash's select pin low talks to it directly, as for its unique id.
 * @param {RP2040} mcu @param {Flash} flash
 */
function modelFlashSerialBus(mcu, flash) {
  const ssi = mcu.peripherals[SSI];
  const pins = keepRegisters(mcu, IO_QSPI);
  const [read, write, writePins] = [ssi.readUint32, ssi.writeUint32, mcu.peripherals[IO_QSPI].writeUint32];
  /** @type {{command: number, sent: number, answers: number[]}} */
  let exchange = { command: 0, sent: 0, answers: [] };
  const selected = () => (((pins.get(QSPI_SS_CTRL) ?? 0) >> 8) & 3) === OUTPUT_LOW;
  mcu.peripherals[IO_QSPI].writeUint32 = (offset, value) => {
    writePins(offset, value);
    if (offset === QSPI_SS_CTRL) exchange = { command: 0, sent: 0, answers: [] };
  };
  ssi.writeUint32 = (offset, value) => {
    if (!selected() || offset !== SSI_DATA) return write.call(ssi, offset, value);
    if (exchange.sent === 0) exchange.command = value & 0xff;
    exchange.answers.push(exchange.sent === 0 ? 0 : flash.answer(exchange.command, exchange.sent - 1));
    exchange.sent++;
  };
  ssi.readUint32 = (offset) => {
    if (selected() && offset === SSI_STATUS) return SSI_TX_READY | (exchange.answers.length ? SSI_RX_READY : 0);
    if (selected() && offset === SSI_DATA) return exchange.answers.shift() ?? 0;
    return read.call(ssi, offset);
  };
}

/** @param {RP2040} mcu @param {McuConfig} config */
function modelResets(mcu, { resetCause, onReset, log }) {
  keepRegisters(mcu, CHIP_RESET).set(CHIP_RESET_CAUSE, resetCause);
  const watchdog = watchdogOf(mcu);
  watchdog.onWatchdogTrigger = () => {
    watchdog.alarm.enable = false; // else it fires again at the same time, for ever
    const selected = [PSM, RESETS].some((base) => selectedByWatchdog(mcu, base));
    if (selected) onReset('watchdog');
    else log('the watchdog fired, but nothing is selected for it to reset');
  };
  const write = mcu.ppb.writeUint32.bind(mcu.ppb);
  mcu.ppb.writeUint32 = (offset, value) => {
    if (offset !== AIRCR) return write(offset, value);
    if (value >>> 16 === AIRCR_KEY && value & AIRCR_RESET_REQUEST) onReset('system');
  };
}

/** @param {RP2040} mcu @param {number} base */
const selectedByWatchdog = (mcu, base) =>
  /** @type {{wdsel: number}} */ (/** @type {unknown} */ (mcu.peripherals[base])).wdsel !== 0;

/**
 * What ends in a hard fault on a board and passes unnoticed in rp2040js: unaligned access, and writes to ROM
 * and flash. (Breakpoints are told apart by who serves them.)
 * @param {RP2040} mcu
 */
function faultOnMisuse(mcu) {
  const { core } = mcu;
  const fault = (/** @type {string} */ kind, /** @type {string} */ what, /** @type {number} */ address) => {
    throw new GuestFault(kind, `${what} 0x${(address >>> 0).toString(16)}`, core);
  };
  const checkWrite = (/** @type {number} */ address) => {
    if (address >>> 0 < XIP_END) fault('bus', 'write to read-only memory at', address);
  };
  core.readUint32 = (address) => {
    if (address & 3) fault('unaligned', 'word read from', address);
    return mcu.readUint32(address);
  };
  core.readUint16 = (address) => {
    if (address & 1) fault('unaligned', 'halfword read from', address);
    return mcu.readUint16(address);
  };
  core.writeUint32 = (address, value) => {
    if (address & 3) fault('unaligned', 'word write to', address);
    checkWrite(address);
    mcu.writeUint32(address, value);
  };
  core.writeUint16 = (address, value) => {
    if (address & 1) fault('unaligned', 'halfword write to', address);
    checkWrite(address);
    mcu.writeUint16(address, value);
  };
  core.writeUint8 = (address, value) => {
    checkWrite(address);
    mcu.writeUint8(address, value);
  };
}

/** Access to nothing is a bus fault on a board; rp2040js only says so. */
function logger(/** @type {RP2040} */ mcu, /** @type {McuConfig} */ { strict, log }) {
  const line = (/** @type {string} */ component, /** @type {string} */ message) => log(`${component}: ${message}`);
  return {
    debug() {},
    info() {},
    warn(/** @type {string} */ component, /** @type {string} */ message) {
      if (strict && /invalid memory address|undefined address/.test(message)) {
        throw new GuestFault('bus', message, mcu.core);
      }
      line(component, message);
    },
    error: line,
  };
}
