// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * How a Pico W wires its Wi-Fi chip, whatever carries the transfers: supply, select, and the interrupt line
 * that shares the DATA wire while the chip is not selected.
 *
 * Source: Raspberry Pi Pico W datasheet, appendix B (schematic).
 * @module
 */
import { GPIOPinState } from 'rp2040js';

export const WifiGpio = Object.freeze({ REG_ON: 23, DATA: 24, SELECT: 25, CLOCK: 29 });

/** @typedef {import('rp2040js').RP2040} RP2040 */
/** @typedef {import('../chip/cyw43439.js').Cyw43439} Cyw43439 */

export class WifiPins {
  /** Called when the chip becomes selected or is no longer. @type {(selected: boolean) => void} */
  onSelect = () => {};
  #mcu;
  #chip;

  /** @param {RP2040} mcu Just reset. @param {Cyw43439} chip */
  constructor(mcu, chip) {
    this.#mcu = mcu;
    this.#chip = chip;
    chip.powered = false;
    chip.onHostWake = () => this.#driveInterrupt();
    mcu.gpio[WifiGpio.REG_ON].addListener((state) => (chip.powered = state === GPIOPinState.High));
    mcu.gpio[WifiGpio.SELECT].addListener(() => {
      this.#driveInterrupt();
      this.onSelect(this.selected);
    });
    this.#driveInterrupt();
  }

  /** The chip listens to the bus. */
  get selected() {
    return this.#mcu.gpio[WifiGpio.SELECT].value === GPIOPinState.Low;
  }

  /** @param {boolean} level */
  driveData(level) {
    this.#mcu.gpio[WifiGpio.DATA].setInputValue(level);
  }

  #driveInterrupt() {
    this.driveData(!this.selected && this.#chip.hostWake);
  }
}

/**
 * @param {import('rp2040js').StateMachine} machine
 * @returns {boolean} Its side-set pin is the bus clock: it runs a gSPI program.
 */
export function drivesWifiClock({ pinCtrl, sidesetBase }) {
  return sidesetBase === WifiGpio.CLOCK && pinCtrl >>> 29 > 0;
}
