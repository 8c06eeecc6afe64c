// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Moves words over gSPI through a PIO state machine, register by register as a driver does it, on a board whose
 * processor spins.
 * @module
 */
import { SPIN, guest } from './guest.js';

const IO_BANK0 = 0x40014000;
const PADS = 0x4001c004;
const SIO = 0xd0000000;
const PIO = [0x50200000, 0x50300000];
const [SIO_SET, SIO_CLEAR, SIO_OUTPUT] = [0x14, 0x18, 0x24];
const [CTRL, FSTAT, FDEBUG, TXF, RXF, INSTRUCTIONS, MACHINE] = [0x00, 0x04, 0x08, 0x10, 0x20, 0x48, 0xc8];
const STEP_NANOS = 400;
const PATIENCE = 20_000;

/** Programs of the drivers in the field: their instructions, and where they wrap with and without reading. */
export const PROGRAMS = Object.freeze({
  picoSdk: { code: [0x6001, 0x1040, 0xe080, 0xb042, 0x4001, 0x1084], wrap: { reading: 5, writing: 1 } },
  piolib: {
    code: [0x6001, 0x1040, 0x0067, 0xe080, 0xa042, 0x5001, 0x0085, 0x20a0, 0xc000],
    wrap: { reading: 8, writing: 8 },
  },
});

export class PioHost {
  /** Processor cycles of a PIO cycle. */
  divider = 2;
  #base;
  #index;
  #program;

  /**
   * @param {object} options
   * @param {import('../rp2040/pico-w.js').PicoWConfig} options.config
   * @param {typeof PROGRAMS.picoSdk} options.program
   * @param {[number, number]} [options.machine] Optional [[0, 0]]. PIO block and state machine.
   */
  constructor({ config, program, machine: [block, index] = [0, 0] }) {
    this.board = guest([SPIN], config);
    this.#base = PIO[block];
    this.#index = index;
    this.#program = program;
    for (const pin of [24, 29]) this.#poke(IO_BANK0 + 8 * pin + 4, 6 + block);
    for (const pin of [23, 25]) this.#poke(IO_BANK0 + 8 * pin + 4, 5);
    this.#poke(PADS + 4 * 24, 0x52);
    this.#poke(SIO + SIO_SET, 1 << 25);
    this.#poke(SIO + SIO_OUTPUT, (1 << 23) | (1 << 25));
    this.#poke(SIO + SIO_SET, 1 << 23);
    program.code.forEach((instruction, i) => this.#poke(this.#base + INSTRUCTIONS + 4 * i, instruction));
    this.#machine(0x00, this.divider << 16);
    this.#machine(0x08, 3 << 16);
    this.#machine(0x14, (29 << 5) | (1 << 26));
    this.#execute(0xe081); // the clock is an output
    this.#machine(0x14, 24 | (24 << 5) | (29 << 10) | (24 << 15) | (1 << 20) | (1 << 26) | (1 << 29));
    this.#execute(0xe081);
  }

  /** Interrupt flags of the PIO block. */
  get flags() {
    return this.#peek(this.#base + 0x30);
  }

  /** @param {number[]} words @param {number} reads @returns {number[]} */
  transfer(words, reads) {
    this.#poke(SIO + SIO_CLEAR, 1 << 25);
    this.#begin(32 * words.length - 1, reads ? 32 * reads - 1 : 0);
    const answer = reads ? this.#exchange(words, reads) : this.#send(words);
    this.#poke(SIO + SIO_SET, 1 << 25);
    return answer;
  }

  /** @param {number} x @param {number} y */
  #begin(x, y) {
    const { wrap } = this.#program;
    this.#poke(this.#base + CTRL, 0);
    while (!this.#full(8)) this.#peek(this.#base + RXF + 4 * this.#index);
    this.#poke(this.#base + CTRL, 0x10 << this.#index);
    this.#machine(0x04, (y ? wrap.reading : wrap.writing) << 12);
    this.#put(x);
    this.#execute(0x6020);
    this.#put(y);
    this.#execute(0x6040);
    this.#execute(0xe081);
    this.#execute(0x0000);
    this.#poke(this.#base + CTRL, 1 << this.#index);
  }

  /** @param {number[]} words @param {number} reads */
  #exchange(words, reads) {
    const answer = [];
    for (const word of words) this.#putWhenReady(word);
    while (answer.length < reads) {
      this.#until('words to read', () => !this.#full(8));
      answer.push(this.#peek(this.#base + RXF + 4 * this.#index) >>> 0);
    }
    return answer;
  }

  /** @param {number[]} words @returns {number[]} */
  #send(words) {
    for (const word of words) this.#putWhenReady(word);
    if (this.#program.wrap.writing === 1) {
      this.#poke(this.#base + FDEBUG, 1 << (24 + this.#index));
      this.#until('TXSTALL', () => (this.#peek(this.#base + FDEBUG) & (1 << (24 + this.#index))) !== 0);
    } else this.board.runFor(words.length * 64 * this.divider * 8 + 1000);
    return [];
  }

  /** @param {number} word */
  #putWhenReady(word) {
    this.#until('room', () => !this.#full(16));
    this.#put(word);
  }

  /** @param {number} shift Of the FSTAT field: 8 for RX empty, 16 for TX full. */
  #full(shift) {
    return (this.#peek(this.#base + FSTAT) & (1 << (shift + this.#index))) !== 0;
  }

  /** @param {string} what @param {() => boolean} done */
  #until(what, done) {
    for (let i = 0; !done(); i++) {
      if (i > PATIENCE) throw new Error(`the transfer hangs waiting for ${what}`);
      this.board.runFor(STEP_NANOS);
    }
  }

  /** @param {number} word */
  #put(word) {
    this.#poke(this.#base + TXF + 4 * this.#index, word);
  }

  /** @param {number} instruction */
  #execute(instruction) {
    this.#machine(0x10, instruction);
    this.board.mcu.pio.forEach((pio) => pio.checkChangedPins());
  }

  /** @param {number} register @param {number} value */
  #machine(register, value) {
    this.#poke(this.#base + MACHINE + 0x18 * this.#index + register, value);
  }

  /** @param {number} address @param {number} value */
  #poke(address, value) {
    this.board.mcu.writeUint32(address, value);
  }

  /** @param {number} address */
  #peek(address) {
    return this.board.mcu.readUint32(address);
  }
}
