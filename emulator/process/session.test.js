// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { SPIN, image, store } from '../testing/guest.js';
import { pinState } from './pins.js';
import { Session } from './session.js';
import { COMMAND, FRAME, SETTLED, decodeBody, encodeBody } from './wire.js';

const UART0_DATA = 0x40034000;
const IO_BANK0 = 0x40014000;
const SIO = 0xd0000000;
const PWM = 0x40050000;

/** A session and what it says. */
function session() {
  /** @type {{kind: string, nanos: number, body: Buffer}[]} */
  const said = [];
  const it = new Session((message) => {
    said.push({ kind: message.toString('latin1', 4, 5), nanos: message.readDoubleBE(5), body: message.subarray(13) });
  });
  let id = 0;
  /** @param {object} command @param {Uint8Array} [bytes] @returns {any} */
  const ask = (command, bytes) => {
    it.receive({ kind: COMMAND, body: Buffer.concat(encodeBody(++id, command, bytes)) });
    const answer = said.findLast(({ kind }) => kind === 'a');
    return decodeBody(/** @type {{body: Buffer}} */ (answer).body).value;
  };
  const events = () => said.filter(({ kind }) => kind === 'e').map(({ body }) => JSON.parse(body.toString()));
  const config = {
    ssid: 'a', passphrase: 'b', link: 'word', pace: 'stopped', seed: 1,
    uniqueId: [1, 2, 3, 4, 5, 6, 7, 8], mac: [2, 0, 0, 0, 0, 9], network: true,
  };
  assert.deepEqual(ask({ name: 'create', config }), { told: {} });
  return { it, said, ask, events };
}

test('a board does what its guest says, and its program hears of it', async () => {
  const { it, said, ask, events } = session();
  const code = [...store(UART0_DATA, 0x4f), ...store(IO_BANK0 + 8 * 5 + 4, 5), ...store(SIO + 0x24, 32), ...store(SIO + 0x14, 32), SPIN];
  ask({ name: 'loadFlash' }, image(code));
  ask({ name: 'powerOn' });
  const { at } = ask({ name: 'tellIn', nanos: 3e6 }).told;
  assert.equal(at, 3e6);
  ask({ name: 'pace', pace: 'free' });
  while (!events().some(({ time }) => time === at)) await setImmediate();
  ask({ name: 'powerOff' });
  const told = events();
  assert.deepEqual(told[0].reset, { cause: 'power-on', nanos: 0 });
  assert.ok(told.some(({ pin, level }) => pin === 5 && level === 1));
  assert.equal(said.find(({ kind }) => kind === 'o')?.body.toString(), 'O');
  assert.equal(said.find(({ kind, body }) => kind === 'e' && body.includes('"time"'))?.nanos, 3e6);
  assert.ok(it.board.halted);
});

test('a board that halts says so once, and runs again after a reset', async () => {
  const { ask, events } = session();
  const halts = () => events().filter(({ halt }) => halt);
  const until = async (/** @type {number} */ n) => {
    while (halts().length < n) await setImmediate();
  };
  ask({ name: 'pace', pace: 'free' });
  ask({ name: 'loadFlash' }, image([0xbe07]));
  ask({ name: 'powerOn' });
  await until(1);
  assert.equal(halts()[0].kind, 'GuestFault');
  ask({ name: 'pressReset' });
  await until(2);
  for (let turn = 0; turn < 10; turn++) await setImmediate();
  assert.equal(halts().length, 2);
});

test('the network owes until it has dealt with every frame, and while it says so', () => {
  const { it, said } = session();
  const settle = (/** @type {number} */ frames, /** @type {number} */ owes) =>
    it.receive({ kind: SETTLED, body: Buffer.from([0, 0, 0, frames, owes]) });
  const { pacer, wifi } = it.board;
  assert.equal(pacer.owes(), false);
  wifi.onFrame(new Uint8Array(60));
  assert.equal(said.at(-1)?.kind, FRAME);
  assert.equal(pacer.owes(), true);
  settle(1, 1);
  assert.equal(pacer.owes(), true);
  settle(1, 0);
  assert.equal(pacer.owes(), false);
});

test('what cannot be done is answered', () => {
  const { it, ask } = session();
  assert.match(ask({ name: 'fly' }).error, /no such command: fly/);
  assert.match(ask({ name: 'toString' }).error, /no such command/);
  assert.match(ask({ name: 'create', config: {} }).error, /a board already/);
  assert.match(ask({ name: 'pace', pace: 'slow' }).error, /no such pace/);
  assert.throws(() => it.receive({ kind: 'x', body: Buffer.alloc(0) }), /unknown kind/);
});

test('a pin with PWM shows its duty cycle', () => {
  const { it, ask } = session();
  ask({ name: 'loadFlash' }, image([SPIN]));
  ask({ name: 'powerOn' });
  const { mcu } = it.board;
  mcu.writeUint32(0x4000f000, 0x1ffffff); // RESETS: all released
  mcu.writeUint32(PWM + 0x14 * 7 + 0x10, 999);
  mcu.writeUint32(PWM + 0x14 * 7 + 0x0c, 250 << 16);
  mcu.writeUint32(PWM + 0x14 * 7, 1);
  mcu.writeUint32(IO_BANK0 + 8 * 15 + 4, 4);
  assert.equal(pinState(it.board, 15), 2.25);
  assert.equal(pinState(it.board, 14), -1);
});
