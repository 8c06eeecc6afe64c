// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

/**
 * Numbers of the WLAN firmware's control interface, under the names that its drivers give them.
 *
 * Sources: cyw43_ll.c and cyw43_ll.h of georgerobotics/cyw43-driver; whd/whd.go of soypat/cyw43439.
 * @module
 */

/** Control commands. */
export const Wlc = Object.freeze({
  GET_BSSID: 23,
  GET_SSID: 25,
  SET_SSID: 26,
  DISASSOC: 52,
  GET_PM: 85,
  SET_PM: 86,
  GET_RSSI: 127,
  SET_WPA_AUTH: 165,
  GET_VAR: 262,
  SET_VAR: 263,
  SET_WSEC_PMK: 268,
});

/** Event types. */
export const EventType = Object.freeze({
  SET_SSID: 0,
  JOIN: 1,
  AUTH: 3,
  DEAUTH_IND: 6,
  DISASSOC: 11,
  LINK: 16,
  PSK_SUP: 46,
});

/** Status of most events. */
export const EventStatus = Object.freeze({ SUCCESS: 0, FAIL: 1, NO_NETWORKS: 3 });

/** Status and reason of PSK_SUP, which has numbers of its own. */
export const PskSup = Object.freeze({ KEYED: 6, KEY_EXCHANGE_WAIT_M3: 8, REASON_WRONG_KEY: 14 });

/** Reason of DEAUTH_IND: the previous authentication is no longer valid (IEEE 802.11, table 9-49). */
export const DEAUTH_REASON_AUTH_EXPIRED = 2;

/** Reasons and flag of LINK. */
export const Link = Object.freeze({ FLAG_UP: 1, REASON_OUT_OF_RANGE: 1, REASON_HOST_LEFT: 2 });

/** Status of a control answer. */
export const Bcme = Object.freeze({ OK: 0, BAD_ARGUMENT: -2, NOT_ASSOCIATED: -17, UNSUPPORTED: -23 });

/** Bits of WLC_SET_WPA_AUTH. */
export const WPA2_AUTH_PSK = 0x80;
export const WPA3_AUTH_SAE_PSK = 0x40000;

/** Reason of AUTH when the access point does not take a proof by SAE (runner.rs of embassy-rs/embassy, cyw43). */
export const AUTH_REASON_SAE = 16;
