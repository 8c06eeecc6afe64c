// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Clock } from '../clock.js';
import { Air } from './air.js';
import { Scheduler } from './scheduler.js';

/** @param {import('./air.js').Impairment} impairment @param {{seed?: number, frames?: number}} [options] */
function carry(impairment, { seed = 1, frames = 200 } = {}) {
  const clock = new Clock();
  /** @type {{tag: number, at: number}[]} */
  const arrived = [];
  const air = new Air(new Scheduler(clock), seed, ([tag]) => arrived.push({ tag, at: clock.nanos }));
  air.impair(impairment);
  for (let tag = 0; tag < frames; tag++) {
    air.carry(Uint8Array.of(tag));
    clock.tick(1e6);
  }
  clock.tick(1e9);
  return { tags: arrived.map(({ tag }) => tag), arrived, stats: air.stats };
}

const inOrder = Array.from({ length: 200 }, (_, i) => i);

test('a clear air carries every frame at once', () => {
  const { tags, arrived } = carry({});
  assert.deepEqual(tags, inOrder);
  assert.ok(arrived.every(({ tag, at }) => at === tag * 1e6));
});

test('loss', () => {
  const { tags, stats } = carry({ loss: 0.1 });
  assert.equal(tags.length, 200 - stats.lost);
  assert.ok(stats.lost > 5 && stats.lost < 40, `lost ${stats.lost}`);
  assert.equal(carry({ loss: 1 }).tags.length, 0);
});

test('duplication', () => {
  const { tags, stats } = carry({ duplicate: 0.1 });
  assert.equal(tags.length, 200 + stats.duplicated);
  assert.ok(stats.duplicated > 5);
  assert.deepEqual([...new Set(tags)], inOrder);
});

test('reordering delivers every frame, some after their successor', () => {
  const { tags, stats } = carry({ reorder: 0.1 });
  assert.deepEqual(tags.toSorted((a, b) => a - b), inOrder);
  assert.ok(stats.reordered > 5);
  assert.notDeepEqual(tags, inOrder);
});

test('a frame held back is not held for ever', () => {
  assert.deepEqual(carry({ reorder: 1 }, { frames: 1 }).arrived, [{ tag: 0, at: 10e6 }]);
});

test('delay keeps the order, jitter may not', () => {
  assert.deepEqual(carry({ delayNanos: 5e6 }).arrived[3], { tag: 3, at: 8e6 });
  assert.notDeepEqual(carry({ delayNanos: 5e6, jitterNanos: 5e6 }).tags, inOrder);
});

test('the same seed gives the same faults, another one others', () => {
  const faults = { loss: 0.1, duplicate: 0.1, reorder: 0.1, jitterNanos: 3e6 };
  assert.deepEqual(carry(faults), carry(faults));
  assert.notDeepEqual(carry(faults).tags, carry(faults, { seed: 2 }).tags);
});

test('nonsense is refused', () => {
  assert.throws(() => carry({ loss: 1.5 }), RangeError);
  assert.throws(() => carry({ delayNanos: NaN }), RangeError);
  assert.throws(() => carry(/** @type {any} */ ({ los: 0.1 })), TypeError);
});
