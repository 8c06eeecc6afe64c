// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from '../clock.js';
import { DownlinkQueue } from './downlink-queue.js';

function queue() {
  const clock = new Clock();
  /** @type {{tag: number, at: number}[]} */
  const arrived = [];
  return { clock, arrived, downlink: new DownlinkQueue(clock, ([tag]) => arrived.push({ tag, at: clock.nanos })) };
}

test('frames that come at one instant arrive one after another', () => {
  const { clock, arrived, downlink } = queue();
  for (const tag of [1, 2]) downlink.push(Uint8Array.from({ length: 1500 }, () => tag));
  clock.tick(1e9);
  downlink.push(Uint8Array.of(3));
  clock.tick(1e9);
  assert.deepEqual(arrived, [{ tag: 1, at: 700e3 }, { tag: 2, at: 1400e3 }, { tag: 3, at: 1e9 + 100.4e3 }]);
});

test('a queue that is full loses what comes', () => {
  const { clock, arrived, downlink } = queue();
  for (let i = 0; i < 600; i++) downlink.push(Uint8Array.of(i & 0xff));
  clock.tick(10e9);
  assert.equal(arrived.length, 512);
  assert.equal(downlink.dropped, 88);
});
