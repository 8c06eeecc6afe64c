// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * A Wi-Fi network that stations join, and may lose. Several chips can share one.
 * @module
 */
import { pbkdf2Sync } from 'node:crypto';

/** @typedef {'wpa2' | 'wpa2-wpa3' | 'wpa3'} Security How a network with a passphrase lets stations in. */

export class AccessPoint {
  #away = false;
  /** @type {Set<() => void>} */
  #lost = new Set();

  /**
   * @param {object} [config]
   * @param {string} [config.ssid] Optional ["picolet"]. A character for each byte: a name is bytes of any kind.
   * @param {string} [config.passphrase] Optional ["emulated network"]. The empty string: an open network.
   * @param {Security} [config.security] Optional ["wpa2"]. Of a network with a passphrase.
   * @param {Uint8Array} [config.bssid] Optional [02:00:00:00:00:aa]. Six bytes.
   * @param {number} [config.rssi] Optional [-50]. Signal at the station, dBm.
   */
  constructor({
    ssid = 'picolet',
    passphrase = 'emulated network',
    security = 'wpa2',
    bssid = Uint8Array.of(2, 0, 0, 0, 0, 0xaa),
    rssi = -50,
  } = {}) {
    this.ssid = ssid;
    this.passphrase = passphrase;
    this.security = /** @type {Security} */ (security);
    this.bssid = bssid;
    this.rssi = rssi;
  }

  /**
   * How stations may prove the passphrase: nothing for an open network.
   * @returns {('psk' | 'sae')[]}
   */
  get proofs() {
    if (this.passphrase === '') return [];
    return { wpa2: ['psk'], 'wpa2-wpa3': ['psk', 'sae'], wpa3: ['sae'] }[this.security];
  }

  /**
   * @param {string} key A passphrase, or 64 hex digits of what IEEE 802.11-2020 (J.4) makes of one.
   * @returns {boolean} It is that of the network, by WPA2.
   */
  takesKey(key) {
    if (key.length !== 64) return key === this.passphrase;
    const name = Buffer.from(this.ssid, 'latin1');
    return pbkdf2Sync(this.passphrase, name, 4096, 32, 'sha1').toString('hex') === key.toLowerCase();
  }

  /** Whether stations hear it. Going away ends every association. */
  get away() {
    return this.#away;
  }

  set away(away) {
    if (away === this.#away) return;
    this.#away = away;
    if (away) for (const lost of this.#lost) lost();
  }

  /** @param {() => void} lost Called when the network goes away. */
  addStation(lost) {
    this.#lost.add(lost);
  }
}
