// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Why a run ended before its time.
 * @module
 */

const hex = (/** @type {number} */ value) => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;

/** Thrown inside an instruction to end the run at it. */
export class Halt extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** The guest did what a board answers with a hard fault, or what makes no sense on one. */
export class GuestFault extends Halt {
  /**
   * @param {string} kind `unaligned`, `breakpoint`, `bus` or `flash`.
   * @param {string} detail
   * @param {{PC: number, LR: number}} core
   */
  constructor(kind, detail, { PC, LR }) {
    // The core has already moved on by the two bytes of the instruction.
    super(`${kind}: ${detail}, pc ${hex(PC - 2)}, lr ${hex(LR)}`);
    this.kind = kind;
    this.pc = (PC - 2) >>> 0;
    this.lr = LR >>> 0;
  }
}

/** The supply was cut, as a test had ordered. */
export class PowerCut extends Halt {}

/** There is nothing to start in flash: the boot ROM would wait for a USB host. */
export class NotBootable extends Halt {}
