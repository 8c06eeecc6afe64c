// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Boots an image on an emulated Pico W and joins its serial port to standard input and output, byte for byte, at the
 * pace of the host's clock. It ends with standard input, or when the board halts.
 *
 *     node serial.js IMAGE
 * @module
 */
import { readFileSync } from 'node:fs';
import { PicoW } from './index.js';

const SLICE_NANOS = 20e6;

const board = new PicoW({ pace: 'host' });
board.flash.load(readFileSync(process.argv[2]));
board.console.onByte = (byte) => process.stdout.write(Uint8Array.of(byte));
let ended = false;
process.stdin.on('data', (bytes) => board.console.sendBytes(bytes));
process.stdin.on('end', () => { ended = true; });

board.powerOn();
while (!ended) {
  const { reason, halt } = await board.run({ nanos: SLICE_NANOS });
  if (reason === 'halt') {
    console.error(`The board halted: ${halt}`);
    process.exit(1);
  }
}
process.exit(0);
