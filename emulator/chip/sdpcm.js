// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Frames of function 2: an SDPCM header, and in it a CDC control request, a BDC event or a BDC Ethernet frame.
 * Pure functions; all numbers are little-endian but for those of an event.
 *
 * Sources: struct sdpcm_header_t, ioctl_header_t and sdpcm_bdc_header_t in cyw43_ll.c of
 * georgerobotics/cyw43-driver; whd/protocol.go of soypat/cyw43439.
 * @module
 */

/** SDPCM channels. */
export const Channel = Object.freeze({ CONTROL: 0, EVENT: 1, DATA: 2 });

const SDPCM_BYTES = 12;
const CDC_BYTES = 16;
const BDC_BYTES = 4;
const BDC_VERSION = 0x20;
const CDC_ERROR = 0x01;
const CDC_SET = 0x02;

/**
 * Events and Ethernet frames stand two bytes further than control answers: a driver aligns them by that.
 * @param {number} channel
 */
const headerBytes = (channel) => (channel === Channel.CONTROL ? SDPCM_BYTES : SDPCM_BYTES + 2);

/**
 * @typedef {object} Sdpcm
 * @property {number} channel
 * @property {number} sequence
 * @property {number} credit First sequence number that the peer may not use; only the chip gives one.
 * @property {Uint8Array} body
 */

/**
 * A frame from the chip. With an empty body it is the header alone, which carries credit.
 * @param {Sdpcm} frame
 */
export function encodeSdpcm({ channel, sequence, credit, body }) {
  const header = body.length ? headerBytes(channel) : SDPCM_BYTES;
  const bytes = new Uint8Array(header + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.length, true);
  view.setUint16(2, ~bytes.length & 0xffff, true);
  bytes[4] = sequence;
  bytes[5] = channel;
  bytes[7] = header;
  setCredit(bytes, credit);
  bytes.set(body, header);
  return bytes;
}

/** @param {Uint8Array} frame @param {number} credit Replaces the frame's. */
export function setCredit(frame, credit) {
  frame[9] = credit;
}

/**
 * @param {Uint8Array} bytes A whole transfer, which may be padded at its end.
 * @returns {Sdpcm | undefined} Nothing if the header contradicts itself or the transfer.
 */
export function decodeSdpcm(bytes) {
  if (bytes.length < SDPCM_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = view.getUint16(0, true);
  const offset = bytes[7];
  const whole = size === (~view.getUint16(2, true) & 0xffff) && size <= bytes.length;
  if (!whole || offset < SDPCM_BYTES || offset > size) return undefined;
  return { channel: bytes[5] & 0x0f, sequence: bytes[4], credit: bytes[9], body: bytes.slice(offset, size) };
}

/**
 * A control request.
 * @typedef {object} ControlRequest
 * @property {number} command
 * @property {boolean} set
 * @property {Uint8Array} header As received; the answer repeats it.
 * @property {Uint8Array} data
 */

/**
 * @param {Uint8Array} body
 * @returns {ControlRequest | undefined} Nothing if the body is too short.
 */
export function decodeControl(body) {
  if (body.length < CDC_BYTES) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  return {
    command: view.getUint32(0, true),
    set: (view.getUint16(8, true) & CDC_SET) !== 0,
    header: body.slice(0, CDC_BYTES),
    data: body.slice(CDC_BYTES, CDC_BYTES + view.getUint16(4, true)),
  };
}

/**
 * @param {ControlRequest} request
 * @param {number} status 0, or a negative error number.
 * @param {Uint8Array} data As long as the request's.
 */
export function encodeControlAnswer(request, status, data) {
  const body = new Uint8Array(CDC_BYTES + data.length);
  body.set(request.header);
  body.set(data, CDC_BYTES);
  const view = new DataView(body.buffer);
  view.setInt32(12, status, true);
  if (status) view.setUint16(8, view.getUint16(8, true) | CDC_ERROR, true);
  return body;
}

/**
 * @typedef {object} Event
 * @property {number} type
 * @property {number} status
 * @property {number} [reason]
 * @property {number} [flags]
 */

/**
 * An event travels as an Ethernet frame of type 0x886c with Broadcom's OUI.
 * @param {Event} event
 * @param {Uint8Array} mac Of the station.
 */
export function encodeEvent({ type, status, reason = 0, flags = 0 }, mac) {
  const body = new Uint8Array(BDC_BYTES + 14 + 10 + 48);
  const view = new DataView(body.buffer);
  body[0] = BDC_VERSION;
  body.set(mac, 4);
  body.set(mac, 10);
  view.setUint16(16, 0x886c);
  view.setUint16(18, 0x8001);
  view.setUint16(20, 48);
  body.set([0x00, 0x00, 0x10, 0x18], 22);
  view.setUint16(26, 1);
  view.setUint16(28, 2);
  view.setUint16(30, flags);
  view.setUint32(32, type);
  view.setUint32(36, status);
  view.setUint32(40, reason);
  return body;
}

/** @param {Uint8Array} frame An Ethernet frame. */
export function encodeData(frame) {
  const body = new Uint8Array(BDC_BYTES + frame.length);
  body[0] = BDC_VERSION;
  body.set(frame, BDC_BYTES);
  return body;
}

/**
 * @param {Uint8Array} body
 * @returns {Uint8Array | undefined} The Ethernet frame; nothing if the body is too short.
 */
export function decodeData(body) {
  if (body.length < BDC_BYTES) return undefined;
  const start = BDC_BYTES + 4 * body[3];
  return start <= body.length ? body.slice(start) : undefined;
}
