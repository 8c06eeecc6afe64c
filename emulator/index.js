// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * A Raspberry Pi Pico W, emulated, for tests.
 * @module
 */
export { AccessPoint } from './chip/access-point.js';
export { Cyw43439 } from './chip/cyw43439.js';
export { Clock } from './clock.js';
export { GuestFault, Halt, NotBootable, PowerCut } from './rp2040/fault.js';
export { parseImage } from './rp2040/image.js';
export { PicoW } from './rp2040/pico-w.js';
