// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * The control interface of the WLAN firmware: numbered commands, and named variables (iovars). A variable
 * that it does not know is kept and read back; a command that it does not know succeeds and does nothing; what
 * belongs to a mode that is not modelled (scan, access point) is refused.
 *
 * Sources: cyw43_ll.c of georgerobotics/cyw43-driver; ioctl.go and wifi.go of soypat/cyw43439.
 * @module
 */
import { Bcme, Wlc } from './wlc.js';

/** @typedef {import('./sdpcm.js').ControlRequest} ControlRequest */

/**
 * @typedef {object} ControlAnswer
 * @property {number} status One of {@link Bcme}.
 * @property {Uint8Array} data As long as the request's.
 * @property {number} nanos Time until the answer is there.
 * @property {() => void} [then] What happens after the answer.
 */

/** Time to change the country, as cyw43_ll_wifi_on says. */
const COUNTRY_NANOS = 32e6;
const NOT_MODELLED = new Set(['bss', 'escan', 'iscan']);
const MAX_KEY_BYTES = 64;
const MAX_SSID_BYTES = 32;

const littleEndian = (/** @type {number} */ value) => {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
};

/** @param {Uint8Array} bytes @param {number} offset */
const uint32 = (bytes, offset) =>
  bytes.length >= offset + 4 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true) : 0;

const text = (/** @type {Uint8Array} */ bytes) => Buffer.from(bytes).toString();

export class Control {
  /** GPIO of the chip, which the host sets; bit 0 is the LED of a Pico W. */
  outputs = 0;
  /** GPIO levels from outside; bit 2 is the USB supply of a Pico W. */
  inputs = 0x04;
  /** Power management mode. */
  powerManagement = 0;
  #station;
  #mac;
  /** @type {Map<string, Uint8Array>} */
  #variables = new Map();
  #outputsChanged;

  /**
   * @param {object} parts
   * @param {import('./station.js').Station} parts.station
   * @param {Uint8Array} parts.mac Six bytes.
   * @param {(outputs: number) => void} parts.outputsChanged
   */
  constructor({ station, mac, outputsChanged }) {
    this.#station = station;
    this.#mac = mac.slice();
    this.#outputsChanged = outputsChanged;
  }

  get mac() {
    return this.#mac;
  }

  /**
   * @param {number} event
   * @returns {boolean} The host wants to hear of such events. It hears all until it has chosen.
   */
  wants(event) {
    const mask = this.#variables.get('bsscfg:event_msgs')?.subarray(4) ?? this.#variables.get('event_msgs');
    return !mask || ((mask[event >> 3] ?? 0) & (1 << (event & 7))) !== 0;
  }

  /**
   * @param {Uint8Array} destination Six bytes.
   * @returns {boolean} A frame for that address passes the filter.
   */
  accepts(destination) {
    const address = Buffer.from(destination);
    if (!(address[0] & 1)) return address.equals(this.#mac);
    if (address.every((byte) => byte === 0xff)) return true;
    if (uint32(this.#variables.get('allmulti') ?? new Uint8Array(), 0)) return true;
    return this.#multicastList().some((entry) => address.equals(entry));
  }

  /** @param {ControlRequest} request @returns {ControlAnswer} */
  answer(request) {
    const data = new Uint8Array(request.data.length);
    const answer = { status: Bcme.OK, data, nanos: 0 };
    return { ...answer, ...this.#dispatch(request.command, request.data, data) };
  }

  #multicastList() {
    const list = this.#variables.get('mcast_list') ?? new Uint8Array();
    const count = Math.min(uint32(list, 0), Math.floor((list.length - 4) / 6));
    return Array.from({ length: Math.max(0, count) }, (_, i) => list.subarray(4 + 6 * i, 10 + 6 * i));
  }

  /**
   * @param {number} command
   * @param {Uint8Array} input
   * @param {Uint8Array} output Filled in.
   * @returns {Partial<ControlAnswer>} What differs from success.
   */
  #dispatch(command, input, output) {
    switch (command) {
      case Wlc.GET_VAR:
        return this.#getVariable(this.#split(input).name, output);
      case Wlc.SET_VAR:
        return this.#setVariable(this.#split(input));
      case Wlc.SET_SSID:
        return this.#join(input);
      case Wlc.DISASSOC:
        return { then: () => this.#station.disassociate() };
      case Wlc.SET_WSEC_PMK:
        return this.#setPassphrase(input);
      case Wlc.SET_WPA_AUTH:
        this.#station.wpaAuth = uint32(input, 0);
        return {};
      case Wlc.SET_PM:
        this.powerManagement = uint32(input, 0);
        return {};
      case Wlc.GET_PM:
        return this.#fill(output, littleEndian(this.powerManagement));
      default:
        return this.#askNetwork(command, output);
    }
  }

  /** @param {number} command @param {Uint8Array} output @returns {Partial<ControlAnswer>} */
  #askNetwork(command, output) {
    const { joined, ssid, accessPoint } = this.#station;
    /** @type {[number, () => Uint8Array][]} */
    const answers = [
      [Wlc.GET_RSSI, () => littleEndian(accessPoint.rssi)],
      [Wlc.GET_BSSID, () => accessPoint.bssid],
      [Wlc.GET_SSID, () => Buffer.concat([littleEndian(ssid.length), Buffer.from(ssid, 'latin1')])],
    ];
    const answer = answers.find(([asked]) => asked === command)?.[1];
    if (!answer) return {};
    return joined ? this.#fill(output, answer()) : { status: Bcme.NOT_ASSOCIATED };
  }

  /** @param {Uint8Array} output @param {Uint8Array} value @returns {Partial<ControlAnswer>} */
  #fill(output, value) {
    output.set(value.subarray(0, output.length));
    return {};
  }

  /** A variable's name ends with a zero byte; its value follows. */
  #split(/** @type {Uint8Array} */ input) {
    const end = input.indexOf(0);
    const length = end < 0 ? input.length : end;
    return { name: text(input.subarray(0, length)), value: input.slice(length + 1) };
  }

  /** @param {string} name @param {Uint8Array} output @returns {Partial<ControlAnswer>} */
  #getVariable(name, output) {
    if (NOT_MODELLED.has(name)) return { status: Bcme.UNSUPPORTED };
    if (name === 'cur_etheraddr') return this.#fill(output, this.#mac);
    if (name === 'ccgpioin') return this.#fill(output, littleEndian(this.outputs | this.inputs));
    return this.#fill(output, this.#variables.get(name) ?? new Uint8Array());
  }

  /** @param {{name: string, value: Uint8Array}} variable @returns {Partial<ControlAnswer>} */
  #setVariable({ name, value }) {
    if (NOT_MODELLED.has(name)) return { status: Bcme.UNSUPPORTED };
    if (name === 'clmload') return {};
    this.#variables.set(name, value);
    switch (name) {
      case 'bsscfg:sup_wpa':
        this.#station.supplicant = uint32(value, 4) === 1;
        return {};
      case 'sae_password':
        this.#station.saePassword = text(value.subarray(2, 2 + (value[0] | (value[1] << 8))));
        return {};
      case 'wpa_auth':
        this.#station.wpaAuth = uint32(value, 0);
        return {};
      case 'cur_etheraddr':
        return this.#setMac(value);
      case 'gpioout':
        return this.#setOutputs(uint32(value, 0), uint32(value, 4));
      case 'country':
        return { nanos: COUNTRY_NANOS };
      case 'join':
        return this.#join(value);
      default:
        return {};
    }
  }

  /** @param {Uint8Array} value @returns {Partial<ControlAnswer>} */
  #setMac(value) {
    if (value.length < 6) return { status: Bcme.BAD_ARGUMENT };
    this.#mac = value.slice(0, 6);
    return {};
  }

  /** @param {number} mask @param {number} value @returns {Partial<ControlAnswer>} */
  #setOutputs(mask, value) {
    this.outputs = ((this.outputs & ~mask) | (value & mask)) >>> 0;
    this.#outputsChanged(this.outputs);
    return {};
  }

  /** @param {Uint8Array} input Length, name. @returns {Partial<ControlAnswer>} */
  #join(input) {
    const length = uint32(input, 0);
    if (length > MAX_SSID_BYTES || input.length < 4 + length) return { status: Bcme.BAD_ARGUMENT };
    const ssid = Buffer.from(input.subarray(4, 4 + length)).toString('latin1');
    return { then: () => this.#station.join(ssid) };
  }

  /** @param {Uint8Array} input Length, flags, passphrase. @returns {Partial<ControlAnswer>} */
  #setPassphrase(input) {
    const length = input.length < 4 ? Infinity : input[0] | (input[1] << 8);
    if (length > MAX_KEY_BYTES || input.length < 4 + length) return { status: Bcme.BAD_ARGUMENT };
    this.#station.passphrase = text(input.subarray(4, 4 + length));
    return {};
  }
}
