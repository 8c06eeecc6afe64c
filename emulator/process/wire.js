// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * The messages between an emulator's process and the program that started it: a length of 4 bytes, most significant
 * first, a letter that says what it is, and that many bytes. What the process says has the emulated time behind the
 * letter, nanoseconds as a 64-bit float.
 * @module
 */

/** From the program: a command; an Ethernet frame for the board; how far its own frames have been dealt with. */
export const COMMAND = 'c';
/** In both directions. */
export const FRAME = 'f';
export const SETTLED = 's';
/** From the process: the answer to a command; something that happened; what the console says; only the time. */
export const ANSWER = 'a';
export const EVENT = 'e';
export const CONSOLE = 'o';
export const TIME = 't';

/** Longer messages are refused: flash with room to spare. */
export const MAX_BYTES = 8 << 20;
const HEAD_BYTES = 5;

/** Takes a stream apart. */
export class MessageReader {
  #buffered = Buffer.alloc(0);

  /**
   * @param {Buffer} chunk
   * @returns {Generator<{kind: string, body: Buffer}>}
   * @throws {Error} A message is too long.
   */
  *read(chunk) {
    this.#buffered = this.#buffered.length ? Buffer.concat([this.#buffered, chunk]) : chunk;
    while (this.#buffered.length >= HEAD_BYTES) {
      const length = this.#buffered.readUInt32BE(0);
      if (length > MAX_BYTES) throw new Error(`message of ${length} bytes, at most ${MAX_BYTES} are taken`);
      if (this.#buffered.length < HEAD_BYTES + length) return;
      const kind = String.fromCharCode(this.#buffered[4]);
      const body = this.#buffered.subarray(HEAD_BYTES, HEAD_BYTES + length);
      this.#buffered = this.#buffered.subarray(HEAD_BYTES + length);
      yield { kind, body };
    }
  }
}

/**
 * @param {string} kind
 * @param {number} nanos Emulated time.
 * @param {Uint8Array[]} parts
 * @returns {Buffer}
 */
export function encodeMessage(kind, nanos, ...parts) {
  const length = 8 + parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.alloc(HEAD_BYTES + 8);
  head.writeUInt32BE(length);
  head.write(kind, 4, 'latin1');
  head.writeDoubleBE(nanos, HEAD_BYTES);
  return Buffer.concat([head, ...parts]);
}

/**
 * A number, then JSON with its length, then bytes: the body of a command and of an answer.
 * @param {number} id
 * @param {unknown} value
 * @param {Uint8Array} [bytes]
 * @returns {Uint8Array[]}
 */
export function encodeBody(id, value, bytes = new Uint8Array()) {
  const json = Buffer.from(JSON.stringify(value));
  const head = Buffer.alloc(8);
  head.writeUInt32BE(id);
  head.writeUInt32BE(json.length, 4);
  return [head, json, bytes];
}

/** @param {Buffer} body @returns {{id: number, value: any, bytes: Buffer}} */
export function decodeBody(body) {
  const end = 8 + body.readUInt32BE(4);
  if (end > body.length) throw new Error('command cut');
  return { id: body.readUInt32BE(0), value: JSON.parse(body.toString('utf8', 8, end)), bytes: body.subarray(end) };
}
