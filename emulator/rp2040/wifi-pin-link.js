// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Carries gSPI transfers bit by bit: the chip samples DATA at the rising edge of CLOCK and drives it at the
 * falling edge. It works with any program that clocks, and takes the time that it takes.
 * @module
 */
import { GPIOPinState } from 'rp2040js';
import { decodeCommand } from '../chip/gspi.js';
import { WifiGpio, WifiPins } from './wifi-pins.js';

export class WifiPinLink {
  #mcu;
  #chip;
  #pins;
  /** @type {number[]} */
  #received = [];
  #word = 0;
  #bits = 0;
  /** @type {number[] | undefined} Set once the chip answers. */
  #answer;
  #sent = 0;

  /**
   * @param {import('rp2040js').RP2040} mcu Just reset.
   * @param {import('../chip/cyw43439.js').Cyw43439} chip
   */
  constructor(mcu, chip) {
    this.#mcu = mcu;
    this.#chip = chip;
    this.#pins = new WifiPins(mcu, chip);
    this.#pins.onSelect = () => this.#begin();
    mcu.gpio[WifiGpio.CLOCK].addListener((state) => this.#clock(state === GPIOPinState.High));
  }

  #begin() {
    this.#received = [];
    this.#word = 0;
    this.#bits = 0;
    this.#answer = undefined;
    this.#sent = 0;
  }

  /** @param {boolean} rising */
  #clock(rising) {
    if (!this.#pins.selected) return;
    if (rising && !this.#answer) this.#sample();
    else if (!rising && this.#answer) this.#drive(this.#answer);
  }

  #sample() {
    const bit = this.#mcu.gpio[WifiGpio.DATA].outputValue ? 1 : 0;
    this.#word = ((this.#word << 1) | bit) >>> 0;
    this.#bits++;
    if (this.#bits % 32) return;
    this.#received.push(this.#word);
    this.#word = 0;
    if (this.#complete) this.#answer = this.#chip.transact(this.#received);
  }

  /** The command and, of a write, its data are there. */
  get #complete() {
    const { write, size } = decodeCommand(this.#chip.order(this.#received[0]));
    return this.#received.length === 1 + (write ? (size + 3) >> 2 : 0);
  }

  /** @param {number[]} answer */
  #drive(answer) {
    const word = answer[this.#sent >> 5] ?? 0;
    this.#pins.driveData(((word >>> (31 - (this.#sent & 31))) & 1) === 1);
    this.#sent++;
  }
}
