// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pacer } from './pacer.js';

const MS = 1e6;

/** @param {import('./pacer.js').Pace} pace */
function paced(pace) {
  const host = { now: 1e12 };
  const pacer = new Pacer(pace, () => host.now);
  pacer.limit(0);
  return { host, pacer };
}

test('free: there is no limit', () => {
  assert.equal(paced('free').pacer.limit(5), Infinity);
});

test('stopped: no time passes', () => {
  const { host, pacer } = paced('stopped');
  host.now += 100 * MS;
  assert.equal(pacer.limit(5), 5);
});

test('host: as much as has passed on the host', () => {
  const { host, pacer } = paced('host');
  assert.equal(pacer.limit(0), 0);
  host.now += 3 * MS;
  assert.equal(pacer.limit(0), 3 * MS);
  assert.equal(pacer.limit(3 * MS), 3 * MS);
  host.now += 2 * MS;
  assert.equal(pacer.limit(3 * MS), 5 * MS);
});

test('host: what a busy processor loses is not made up', () => {
  const { host, pacer } = paced('host');
  host.now += 1000 * MS;
  assert.equal(pacer.limit(400 * MS), 410 * MS);
});

test('host: time that ran ahead, as while flash is erased, is waited for', () => {
  const { host, pacer } = paced('host');
  assert.equal(pacer.limit(45 * MS), 45 * MS);
  host.now += 45 * MS;
  assert.equal(pacer.limit(45 * MS), 45 * MS);
  host.now += MS;
  assert.equal(pacer.limit(45 * MS), 46 * MS);
});

test('answered: free, but from the moment of a debt on no faster than the host', () => {
  const { host, pacer } = paced('answered');
  let owes = false;
  pacer.owes = () => owes;
  host.now += MS;
  assert.equal(pacer.limit(1e9), Infinity);
  assert.equal(pacer.limit(3600e9), Infinity);
  owes = true;
  assert.equal(pacer.limit(3600e9), 3600e9);
  host.now += MS;
  assert.equal(pacer.limit(3600e9), 3600e9 + MS);
  owes = false;
  assert.equal(pacer.limit(3600e9), Infinity);
});

test('a wait ends when something changes', async () => {
  const { pacer } = paced('stopped');
  const waited = pacer.wait();
  pacer.pace = 'free';
  await waited;
  assert.equal(pacer.limit(0), Infinity);
});

test('nonsense is refused', () => {
  assert.throws(() => new Pacer(/** @type {any} */ ('slow')), /no such pace/);
});
