// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * A Wi-Fi network that stations join, and may lose. Several chips can share one.
 * @module
 */
export class AccessPoint {
  #away = false;
  /** @type {Set<() => void>} */
  #lost = new Set();

  /**
   * @param {object} [config]
   * @param {string} [config.ssid] Optional ["picolet"]. A character for each byte: a name is bytes of any kind.
   * @param {string} [config.passphrase] Optional ["emulated network"]. WPA2; the empty string: an open network.
   * @param {Uint8Array} [config.bssid] Optional [02:00:00:00:00:aa]. Six bytes.
   * @param {number} [config.rssi] Optional [-50]. Signal at the station, dBm.
   */
  constructor({
    ssid = 'picolet',
    passphrase = 'emulated network',
    bssid = Uint8Array.of(2, 0, 0, 0, 0, 0xaa),
    rssi = -50,
  } = {}) {
    this.ssid = ssid;
    this.passphrase = passphrase;
    this.bssid = bssid;
    this.rssi = rssi;
  }

  /** The network protects its frames with WPA2. */
  get secure() {
    return this.passphrase !== '';
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
