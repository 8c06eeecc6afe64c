// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * The chip's end of the gSPI bus: it takes a command with its data, answers with data and status, and keeps
 * the registers of function 0. It knows nothing of what a frame of function 2 holds.
 *
 * Sources: CYW43439 datasheet, section "gSPI Registers" (addresses, values after reset); cyw43_spi.c and
 * cyw43_ll.c of georgerobotics/cyw43-driver; bus.go of soypat/cyw43439.
 * @module
 */
import {
  BUS_REGISTER_BYTES,
  BusRegister,
  Control,
  F1_MAX_BYTES,
  F2_MAX_BYTES,
  Fn,
  Interrupt,
  Status,
  StatusEnable,
  TEST_PATTERN,
  decodeCommand,
  toBytes,
  toWords,
  wireOrder,
} from './gspi.js';

/** @typedef {import('./gspi.js').Command} Command */

const READ_ONLY = new Set([
  ...[0, 1, 2, 3].map((i) => BusRegister.STATUS + i),
  ...[0, 1, 2, 3].map((i) => BusRegister.F1_INFO + i),
  ...[0, 1, 2, 3].map((i) => BusRegister.TEST_READ_ONLY + i),
]);
const INFO_ENABLED = 0x01;
const INFO_READY = 0x02;

export class GspiBus {
  #registers = new Uint8Array(BUS_REGISTER_BYTES);
  #latched = 0;
  #backplane;
  #fifo;
  #hooks;

  /**
   * @param {object} parts
   * @param {import('./backplane.js').Backplane} parts.backplane Function 1.
   * @param {import('./packet-fifo.js').PacketFifo} parts.fifo Function 2, to the host.
   * @param {(bytes: Uint8Array) => void} parts.receive Function 2, from the host.
   * @param {() => boolean} parts.ready Function 2 works.
   * @param {(what: string) => void} parts.violation The host broke a rule of the bus.
   */
  constructor({ backplane, fifo, receive, ready, violation }) {
    this.#backplane = backplane;
    this.#fifo = fifo;
    this.#hooks = { receive, ready, violation };
    const view = new DataView(this.#registers.buffer);
    this.#registers[BusRegister.CONTROL] = Control.HIGH_SPEED | Control.INTERRUPT_POLARITY_HIGH;
    this.#registers[BusRegister.RESPONSE_DELAY] = 4;
    this.#registers[BusRegister.STATUS_ENABLE] = StatusEnable.STATUS;
    view.setUint16(BusRegister.INTERRUPT_ENABLE, 0xe0e7, true);
    view.setUint32(BusRegister.TEST_READ_ONLY, TEST_PATTERN, true);
    this.#registers[BusRegister.RESPONSE_DELAY_F1] = 4;
  }

  /** The order of bytes on the wire at present. */
  get order() {
    return wireOrder(this.#registers[BusRegister.CONTROL]);
  }

  /** The level of the interrupt line that the chip drives on DATA while it is not selected. */
  get hostWake() {
    const enable = new DataView(this.#registers.buffer).getUint16(BusRegister.INTERRUPT_ENABLE, true);
    const active = (this.#interrupts & enable) !== 0;
    return this.#registers[BusRegister.CONTROL] & Control.INTERRUPT_POLARITY_HIGH ? active : !active;
  }

  /**
   * One transfer.
   * @param {number[]} words What the host shifts out while the chip is selected, first bit in bit 31.
   * @returns {number[]} What the chip shifts out next; after that it shifts out zeros.
   */
  transact(words) {
    const { order } = this;
    const command = decodeCommand(order(words[0]));
    const out = command.write ? this.#write(command, words.slice(1).map(order)) : this.#read(command);
    if (this.#registers[BusRegister.STATUS_ENABLE] & StatusEnable.STATUS) out.push(this.#status);
    const late = command.write ? words.length - 1 - ((command.size + 3) >> 2) : 0;
    return out.slice(Math.max(0, late)).map(order);
  }

  get #interrupts() {
    return this.#latched | (this.#fifo.length ? Interrupt.F2_PACKET_AVAILABLE : 0);
  }

  get #status() {
    let status = this.#latched & (Status.DATA_NOT_AVAILABLE | Status.UNDERFLOW | Status.OVERFLOW);
    if (this.#latched & (Interrupt.COMMAND_ERROR | Interrupt.DATA_ERROR)) status |= Status.COMMAND_DATA_ERROR;
    if (this.#hooks.ready()) status |= Status.F2_RX_READY;
    const pending = this.#fifo.pendingBytes & Status.F2_PACKET_LENGTH_MASK;
    if (pending) status |= Status.F2_PACKET_AVAILABLE | (pending << Status.F2_PACKET_LENGTH_SHIFT);
    return status >>> 0;
  }

  /** @param {Command} command */
  #read(command) {
    const delay = this.#registers[BusRegister.RESPONSE_DELAY_F0 + command.fn];
    const data = this.#readFunction(command);
    const bytes = new Uint8Array(delay + ((data.length + 3) & ~3));
    bytes.set(data, delay);
    return toWords(bytes);
  }

  /** @param {Command} command */
  #readFunction({ fn, address, size, increment }) {
    if (fn === Fn.BUS) return this.#readRegisters(address, size);
    if (fn === Fn.BACKPLANE) {
      this.#checkBackplaneSize(size);
      return this.#backplane.read(address, size, increment);
    }
    if (fn !== Fn.WLAN) return this.#refuse(`read of function ${fn}`, size);
    if (this.#backplane.asleep) return this.#refuse('read of function 2 while the chip sleeps', size);
    if (!this.#fifo.length) this.#latched |= Interrupt.DATA_UNAVAILABLE;
    return this.#fifo.read(size);
  }

  /** @param {string} what @param {number} size */
  #refuse(what, size) {
    this.#hooks.violation(what);
    this.#latched |= Interrupt.COMMAND_ERROR;
    return new Uint8Array(size);
  }

  /** @param {number} size */
  #checkBackplaneSize(size) {
    if (size > F1_MAX_BYTES) this.#hooks.violation(`function 1 transfer of ${size} bytes`);
  }

  /** @param {number} address @param {number} size */
  #readRegisters(address, size) {
    const registers = this.#registers.slice();
    const view = new DataView(registers.buffer);
    const f2Ready = this.#hooks.ready() ? INFO_READY : 0;
    view.setUint16(BusRegister.INTERRUPT, this.#interrupts, true);
    view.setUint32(BusRegister.STATUS, this.#status, true);
    view.setUint16(BusRegister.F1_INFO, INFO_ENABLED | INFO_READY | (F1_MAX_BYTES << 2), true);
    view.setUint16(BusRegister.F2_INFO, INFO_ENABLED | f2Ready | (F2_MAX_BYTES << 2), true);
    return Uint8Array.from({ length: size }, (_, i) => registers[address + i] ?? 0);
  }

  /** @param {Command} command @param {number[]} words @returns {number[]} */
  #write({ fn, address, size, increment }, words) {
    const bytes = toBytes(words).subarray(0, size);
    if (bytes.length < size) {
      this.#hooks.violation(`write of ${size} bytes that carried ${bytes.length}`);
      this.#latched |= Interrupt.DATA_ERROR;
    }
    if (fn === Fn.BUS) bytes.forEach((value, i) => this.#writeRegister(address + i, value));
    else if (fn === Fn.BACKPLANE) {
      this.#checkBackplaneSize(size);
      this.#backplane.write(address, bytes, increment);
    } else if (fn !== Fn.WLAN) this.#refuse(`write to function ${fn}`, 0);
    else if (this.#backplane.asleep) this.#refuse('write to function 2 while the chip sleeps', 0);
    else this.#hooks.receive(bytes);
    return [];
  }

  /** @param {number} address @param {number} value */
  #writeRegister(address, value) {
    if (address >= BUS_REGISTER_BYTES || READ_ONLY.has(address)) return;
    if (address === BusRegister.INTERRUPT) this.#latched &= ~value;
    else if (address === BusRegister.INTERRUPT + 1) this.#latched &= ~(value << 8);
    else this.#registers[address] = value;
  }
}
