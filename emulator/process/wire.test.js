// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMAND, FRAME, MessageReader, decodeBody, encodeBody, encodeMessage } from './wire.js';

/** @param {string} kind @param {Uint8Array[]} parts A message as the program sends it: without a time. */
function fromProgram(kind, ...parts) {
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length);
  head.write(kind, 4);
  return Buffer.concat([head, body]);
}

test('messages are found however a stream is cut', () => {
  const stream = Buffer.concat([
    fromProgram(COMMAND, ...encodeBody(7, { name: 'stats' }, Uint8Array.of(1, 2))),
    fromProgram(FRAME),
    fromProgram(FRAME, Uint8Array.of(9)),
  ]);
  for (let cut = 1; cut <= stream.length; cut++) {
    const reader = new MessageReader();
    const found = [];
    for (let at = 0; at < stream.length; at += cut) found.push(...reader.read(stream.subarray(at, at + cut)));
    assert.deepEqual(found.map(({ kind, body }) => [kind, body.length]), [['c', 8 + 16 + 2], ['f', 0], ['f', 1]]);
    const { id, value, bytes } = decodeBody(found[0].body);
    assert.deepEqual([id, value.name, [...bytes]], [7, 'stats', [1, 2]]);
  }
});

test('a message that is too long is refused before it is read', () => {
  assert.throws(() => [...new MessageReader().read(Buffer.from([255, 0, 0, 0, 0x63]))], /at most/);
});

test('a command that is cut is refused', () => {
  assert.throws(() => decodeBody(Buffer.from([0, 0, 0, 1, 0, 0, 0, 9, 0x7b])), /cut/);
});

test('what the process says has the time', () => {
  const message = encodeMessage('t', 1.5e9, Uint8Array.of(7));
  assert.deepEqual([message.readUInt32BE(0), message.readDoubleBE(5), message[13]], [9, 1.5e9, 7]);
});
