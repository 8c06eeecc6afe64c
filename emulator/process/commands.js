// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * What a program can ask of the board. Each takes the session, its arguments and attached bytes, and returns what is
 * told to the program.
 * @module
 */

/** @typedef {import('./session.js').Session} Session */
/** @type {Record<string, (session: Session, args: any, bytes: Buffer) => object | Uint8Array | void>} */
export const commands = {
  create: (session, { config }) => session.create(config),
  powerOn: (session) => {
    session.board.powerOn();
    session.start();
  },
  powerOff: ({ board }) => board.powerOff(),
  pressReset: (session) => {
    session.board.pressReset();
    session.start();
  },
  cutPower: ({ board }, { cut }) => board.flash.cutPower(cut),
  pace: ({ board }, { pace }) => {
    board.pacer.pace = pace;
  },
  tellIn: (session, { nanos }) => session.tellIn(nanos),
  sendConsole: ({ board }, _, bytes) => board.console.sendBytes(bytes),
  drivePin: ({ board }, { pin, level }) => board.drivePin(pin, level),
  setAdc: ({ board }, { channel, value }) => {
    board.adc[channel] = value;
  },
  away: ({ accessPoint }, { away }) => {
    accessPoint.away = away;
  },
  passphrase: ({ accessPoint }, { passphrase }) => {
    accessPoint.passphrase = passphrase;
  },
  impair: ({ board }, { direction, impairment }) => board.wifi[/** @type {'uplink'} */ (direction)].impair(impairment),
  freeze: ({ board }, { part }) => board.freeze(part),
  loadFlash: ({ board }, _, bytes) => {
    if (!board.halted) throw new Error('the board runs: take its power away first, as for holding BOOTSEL');
    board.flash.load(bytes);
  },
  readFlash: ({ board }, { offset, length }) => board.flash.bytes.subarray(offset, offset + length),
  flashWear: ({ board }) => ({ wear: Array.from(board.flash.wear) }),
  touchedSram: ({ board }, { from, to }) => board.touchedSram(from, to),
  stats: ({ board, downlink }) => ({
    cycles: board.cycles,
    clockHertz: board.mcu.clkSys,
    flashOperations: board.flash.operations,
    wifi: { ...board.wifi.stats, framesDropped: board.wifi.stats.framesDropped + downlink.dropped },
    violations: board.wifi.violations,
  }),
};
