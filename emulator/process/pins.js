// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * What the guest makes of its pins.
 * @module
 */
export const PINS = 30;

const FUNCTION_PWM = 4;
const PWM = 0x40050000;
const PWM_SLICE_BYTES = 0x14;
const PWM_COMPARE = 0x0c;
const PWM_TOP = 0x10;

/** @typedef {import('../rp2040/pico-w.js').PicoW} PicoW */

/**
 * @param {PicoW} board
 * @param {number} pin
 * @returns {number} -1 if the guest does not drive it; 0 or 1; 2 and the part of the time that it is high for PWM.
 */
export function pinState(board, pin) {
  const gpio = board.mcu.gpio[pin];
  if (!gpio.outputEnable) return -1;
  if (gpio.functionSelect !== FUNCTION_PWM) return Number(gpio.outputValue);
  return 2 + dutyCycle(board, pin);
}

/** @param {PicoW} board @param {number} pin */
function dutyCycle({ mcu }, pin) {
  const slice = PWM + PWM_SLICE_BYTES * ((pin >> 1) & 7);
  const compare = mcu.readUint32(slice + PWM_COMPARE) >>> (pin & 1 ? 16 : 0);
  const top = mcu.readUint32(slice + PWM_TOP) & 0xffff;
  return Math.min(1, (compare & 0xffff) / (top + 1));
}
