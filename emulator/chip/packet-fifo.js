// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Function 2 towards the host: frames that wait to be read, one at a time, in as many pieces as the host likes.
 * @module
 */
export class PacketFifo {
  /** @type {Uint8Array[]} */
  #frames = [];
  #offset = 0;

  /** Frames that wait. */
  get length() {
    return this.#frames.length;
  }

  /** Bytes of the first frame that are still to be read; 0 if there is none. */
  get pendingBytes() {
    return this.length ? this.#frames[0].length - this.#offset : 0;
  }

  /** The frame that will be read last. */
  get last() {
    return this.#frames.at(-1);
  }

  /** @param {Uint8Array} frame */
  push(frame) {
    this.#frames.push(frame);
  }

  /**
   * @param {number} size
   * @returns {Uint8Array} That many bytes: of the first frame, then zeros.
   */
  read(size) {
    const bytes = new Uint8Array(size);
    if (!this.length) return bytes;
    bytes.set(this.#frames[0].subarray(this.#offset, this.#offset + size));
    this.#offset += size;
    if (this.#offset >= this.#frames[0].length) this.terminate();
    return bytes;
  }

  /** Throws away what is left of the first frame. */
  terminate() {
    this.#frames.shift();
    this.#offset = 0;
  }
}
