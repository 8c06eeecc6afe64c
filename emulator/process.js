// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Runs one board for the program that started this process: messages come on standard input and go to standard output, as
 * `process/wire.js` says. It ends with standard input. What else there is to say goes to standard error.
 * @module
 */
import { Console } from 'node:console';
import { Session } from './process/session.js';
import { MessageReader } from './process/wire.js';

globalThis.console = new Console(process.stderr, process.stderr);

const session = new Session((message) => void process.stdout.write(message));
const reader = new MessageReader();
process.stdin.on('data', (chunk) => {
  for (const message of reader.read(chunk)) session.receive(message);
});
process.stdin.on('end', () => process.exit(0));
process.stdout.on('error', () => process.exit(0));
