// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * The station side of the chip: what the host has configured, whether it is joined, and the events that tell.
 * It joins networks by WPA2-PSK and by WPA3-SAE, and open ones; it does not scan, roam, or come back by itself. SAE is
 * a comparison of passphrases here, without its frames.
 *
 * Sources: cyw43_cb_process_async_event in cyw43_ctrl.c of georgerobotics/cyw43-driver and rxEvent in ioctl.go
 * of soypat/cyw43439, which say what each event means to the host.
 * @module
 */
import * as wlc from './wlc.js';
import { EventStatus, EventType, Link, PskSup } from './wlc.js';

/** @typedef {import('./sdpcm.js').Event} Event */

export class Station {
  /** Set by bsscfg:sup_wpa: the chip does the key exchange. */
  supplicant = false;
  /** Set by WLC_SET_WPA_AUTH: a set of bits, none for an open network. */
  wpaAuth = 0;
  /** Set by WLC_SET_WSEC_PMK. */
  passphrase = '';
  /** Set by sae_password. */
  saePassword = '';
  /** Name of the network while joined. */
  ssid = '';
  joined = false;
  #accessPoint;
  #emit;

  /**
   * @param {import('./access-point.js').AccessPoint} accessPoint
   * @param {(event: Event) => void} emit
   */
  constructor(accessPoint, emit) {
    this.#accessPoint = accessPoint;
    this.#emit = emit;
  }

  get accessPoint() {
    return this.#accessPoint;
  }

  /** @param {string} ssid */
  join(ssid) {
    this.joined = false;
    if (!this.#finds(ssid)) {
      this.#emit({ type: EventType.SET_SSID, status: EventStatus.NO_NETWORKS });
      return;
    }
    const proof = this.#proof;
    if (proof === 'sae' && !this.#proveBySae()) return;
    this.#associate();
    if (proof && !this.#exchangeKeys(proof)) return;
    this.ssid = ssid;
    this.joined = true;
  }

  /** The host leaves. */
  disassociate() {
    if (!this.joined) return;
    this.joined = false;
    this.#emit({ type: EventType.DISASSOC, status: EventStatus.SUCCESS });
    this.#linkDown(Link.REASON_HOST_LEFT);
  }

  /** The network has gone. */
  lose() {
    if (!this.joined) return;
    this.joined = false;
    this.#linkDown(Link.REASON_OUT_OF_RANGE);
  }

  /** A network of that name is in reach, and is as open or protected as the host wants it. */
  #finds(/** @type {string} */ ssid) {
    const { away, ssid: name, proofs } = this.#accessPoint;
    const proof = this.#proof;
    return !away && ssid === name && (proof ? proofs.includes(proof) : proofs.length === 0);
  }

  /** How the host wants the passphrase to be proven; nothing for an open network. */
  get #proof() {
    if (!this.supplicant) return undefined;
    if (this.wpaAuth & wlc.WPA3_AUTH_SAE_PSK) return 'sae';
    return this.wpaAuth & wlc.WPA2_AUTH_PSK ? 'psk' : undefined;
  }

  /** @returns {boolean} The access point has taken the proof, before it lets the station associate. */
  #proveBySae() {
    if (this.saePassword === this.#accessPoint.passphrase) return true;
    const status = EventStatus.FAIL;
    this.#emit({ type: EventType.AUTH, status, reason: wlc.AUTH_REASON_SAE });
    this.#emit({ type: EventType.SET_SSID, status });
    return false;
  }

  #associate() {
    const status = EventStatus.SUCCESS;
    this.#emit({ type: EventType.AUTH, status });
    this.#emit({ type: EventType.LINK, status, flags: Link.FLAG_UP });
    this.#emit({ type: EventType.JOIN, status });
    this.#emit({ type: EventType.SET_SSID, status });
  }

  /** @returns {boolean} The passphrase was right. A wrong one ends in the access point's deauthentication. */
  #exchangeKeys(/** @type {'psk' | 'sae'} */ proof) {
    if (proof === 'sae' || this.#accessPoint.takesKey(this.passphrase)) {
      this.#emit({ type: EventType.PSK_SUP, status: PskSup.KEYED });
      return true;
    }
    const { KEY_EXCHANGE_WAIT_M3: status, REASON_WRONG_KEY: reason } = PskSup;
    this.#emit({ type: EventType.PSK_SUP, status, reason });
    this.#emit({ type: EventType.DEAUTH_IND, status: EventStatus.SUCCESS, reason: wlc.DEAUTH_REASON_AUTH_EXPIRED });
    return false;
  }

  /** @param {number} reason */
  #linkDown(reason) {
    this.#emit({ type: EventType.LINK, status: EventStatus.SUCCESS, reason, flags: 0 });
  }
}
