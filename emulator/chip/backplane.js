// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Function 1 of the gSPI bus: the registers of the SDIO core, and a 32 KiB window on the chip's backplane with
 * its RAM, its processor and that processor's reset. It boots nothing: it says when the host has loaded a
 * firmware and released the processor.
 *
 * Sources: cyw43_ll.c of georgerobotics/cyw43-driver (addresses and bits).
 * @module
 */

/** Addresses of the SDIO core's registers in function 1. */
export const SdioRegister = Object.freeze({
  F2_WATERMARK: 0x10008,
  WINDOW_LOW: 0x1000a,
  WINDOW_MID: 0x1000b,
  WINDOW_HIGH: 0x1000c,
  FRAME_CONTROL: 0x1000d,
  CHIP_CLOCK_CSR: 0x1000e,
  PULL_UP: 0x1000f,
  WAKEUP_CTRL: 0x1001e,
  SLEEP_CSR: 0x1001f,
});

/** Bits of SdioRegister.CHIP_CLOCK_CSR. */
export const ClockCsr = Object.freeze({
  FORCE_ALP: 0x01,
  FORCE_HT: 0x02,
  ALP_REQUEST: 0x08,
  HT_REQUEST: 0x10,
  ALP_AVAILABLE: 0x40,
  HT_AVAILABLE: 0x80,
});

/** Bits of SdioRegister.SLEEP_CSR. */
export const SleepCsr = Object.freeze({ KEEP_SDIO_ON: 0x01, DEVICE_ON: 0x02 });

/** Bit of SdioRegister.FRAME_CONTROL that throws away the rest of the frame being read. */
export const READ_FRAME_TERMINATE = 0x01;

/** Bytes of RAM, which begins at backplane address 0. */
export const RAM_BYTES = 512 * 1024;

/** Backplane addresses. */
export const Core = Object.freeze({
  CHIP_ID: 0x18000000,
  WLAN_IO_CONTROL: 0x18103408,
  WLAN_RESET_CONTROL: 0x18103800,
  SOCRAM_RESET_CONTROL: 0x18104800,
});

const CHIP_ID = 43439;
const RESET = 0x01;
const CPU_HALT = 0x20;
const SDIO_REGISTERS = 0x10000;
const WINDOW_MASK = 0x7fff;

export class Backplane {
  ram = new Uint8Array(RAM_BYTES);
  /** Bytes that the host has written to RAM. */
  loadedBytes = 0;
  #window = 0;
  /** @type {Map<number, number>} */
  #sdio = new Map();
  /** @type {Map<number, number>} */
  #registers = new Map([
    [Core.CHIP_ID, CHIP_ID & 0xff],
    [Core.CHIP_ID + 1, CHIP_ID >>> 8],
    [Core.WLAN_RESET_CONTROL, RESET],
    [Core.SOCRAM_RESET_CONTROL, RESET],
  ]);
  #everAwake = false;
  #hooks;

  /**
   * @param {object} hooks
   * @param {() => void} hooks.start The host has released the processor from reset.
   * @param {() => void} hooks.stop The host has put the processor into reset.
   * @param {() => boolean} hooks.clockReady The high-throughput clock of a running processor is up.
   * @param {() => void} hooks.terminateRead The host throws away the frame that it was reading.
   */
  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** The host has let the bus core sleep: function 2 does not answer until it is woken. */
  get asleep() {
    return this.#everAwake && !(this.#sleepCsr() & SleepCsr.KEEP_SDIO_ON);
  }

  /** @param {number} address @param {number} size @param {boolean} increment */
  read(address, size, increment) {
    return Uint8Array.from({ length: size }, (_, i) => this.#readByte(increment ? address + i : address));
  }

  /** @param {number} address @param {Uint8Array} bytes @param {boolean} increment */
  write(address, bytes, increment) {
    const target = this.#translate(address);
    if (address < SDIO_REGISTERS && increment && target + bytes.length <= RAM_BYTES) {
      this.ram.set(bytes, target);
      this.loadedBytes += bytes.length;
      return;
    }
    bytes.forEach((value, i) => this.#writeByte(increment ? address + i : address, value));
  }

  /**
   * The last word of RAM tells how many words of settings (NVRAM) stand before it, and holds its own complement.
   */
  get hasSettings() {
    const word = new DataView(this.ram.buffer).getUint32(RAM_BYTES - 4, true);
    const words = word & 0xffff;
    return words > 0 && (~words & 0xffff) === word >>> 16;
  }

  /** @param {number} address */
  #translate(address) {
    return (this.#window | (address & WINDOW_MASK)) >>> 0;
  }

  #sleepCsr() {
    return this.#sdio.get(SdioRegister.SLEEP_CSR) ?? 0;
  }

  /** @param {number} address */
  #readByte(address) {
    if (address >= SDIO_REGISTERS) return this.#readSdio(address);
    const target = this.#translate(address);
    return target < RAM_BYTES ? this.ram[target] : (this.#registers.get(target) ?? 0);
  }

  /** @param {number} address */
  #readSdio(address) {
    const value = this.#sdio.get(address) ?? 0;
    if (address === SdioRegister.CHIP_CLOCK_CSR) return value | this.#clocksAvailable(value);
    if (address === SdioRegister.SLEEP_CSR && value & SleepCsr.KEEP_SDIO_ON) return value | SleepCsr.DEVICE_ON;
    return value;
  }

  /** @param {number} requested */
  #clocksAvailable(requested) {
    if (this.#hooks.clockReady() || requested & (ClockCsr.HT_REQUEST | ClockCsr.FORCE_HT)) {
      return ClockCsr.ALP_AVAILABLE | ClockCsr.HT_AVAILABLE;
    }
    return requested & (ClockCsr.ALP_REQUEST | ClockCsr.FORCE_ALP) ? ClockCsr.ALP_AVAILABLE : 0;
  }

  /** @param {number} address @param {number} value */
  #writeByte(address, value) {
    if (address >= SDIO_REGISTERS) {
      this.#writeSdio(address, value);
      return;
    }
    const target = this.#translate(address);
    if (target < RAM_BYTES) {
      this.ram[target] = value;
      this.loadedBytes++;
    } else this.#writeRegister(target, value);
  }

  /** @param {number} address @param {number} value */
  #writeSdio(address, value) {
    this.#sdio.set(address, value);
    switch (address) {
      case SdioRegister.WINDOW_LOW:
        this.#window = ((this.#window & 0xffff0000) | ((value & 0x80) << 8)) >>> 0;
        break;
      case SdioRegister.WINDOW_MID:
        this.#window = ((this.#window & 0xff00ffff) | (value << 16)) >>> 0;
        break;
      case SdioRegister.WINDOW_HIGH:
        this.#window = ((this.#window & 0x00ffffff) | (value << 24)) >>> 0;
        break;
      case SdioRegister.FRAME_CONTROL:
        if (value & READ_FRAME_TERMINATE) this.#hooks.terminateRead();
        break;
      case SdioRegister.SLEEP_CSR:
        if (value & SleepCsr.KEEP_SDIO_ON) this.#everAwake = true;
        break;
    }
  }

  /** @param {number} target @param {number} value */
  #writeRegister(target, value) {
    const wasInReset = ((this.#registers.get(target) ?? 0) & RESET) !== 0;
    if (target < Core.CHIP_ID || target > Core.CHIP_ID + 1) this.#registers.set(target, value);
    if (target !== Core.WLAN_RESET_CONTROL) return;
    const halted = ((this.#registers.get(Core.WLAN_IO_CONTROL) ?? 0) & CPU_HALT) !== 0;
    if (wasInReset && !(value & RESET) && !halted) this.#hooks.start();
    if (!wasInReset && value & RESET) this.#hooks.stop();
  }
}
