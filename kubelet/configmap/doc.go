// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package configmap turns what the API server says of a ConfigMap into the
// configuration of a board, in constant memory: values are parsed while they
// stream in and are never kept as text.
//
// A Decoder reads the answer to a GET, a list or a watch and fills a Staged,
// Config.Apply merges that into the Config in force, and the Config is a
// record of 1.2 KB for the board's storage. These keys of data mean something:
//
//	memory_values: "0=0x42, 1=0x43"   # address=value, split by comma or newline
//	pin_7: "PWM:128"                  # HIGH, LOW or PWM:0-255; also in lower case
//	led: "HIGH"                       # the LED on the board: HIGH or LOW
//
// The LED takes the words of a pin because data holds strings: on, off, true and
// 1 are none in YAML unless they are quoted, and the API server refuses them.
//
// Numbers are decimal (leading zeros do not make them octal) or hexadecimal
// behind 0x; white space around them and empty entries do not matter, and of
// two entries for one address the last one wins. A wrong entry is skipped,
// counted and reported; the rest holds. So are a misspelled key, together with the
// nearest one (pin_2 for Pin_2), and one of these keys in binaryData; other keys are
// another program's. A ConfigMap of more than 64 keys or 16 KiB of values is refused
// as a whole.
//
// A pin and the LED are driven when the value of their entry changes, and after a
// restart. What a command sets (POST /pico/command, kubectl exec) therefore holds
// until that entry has another value or the board restarts: annotations, other
// entries, another list or poll, and the removal of the entry change nothing. Of two
// ConfigMaps that name the same pin or address the one that changed last wins.
//
// The package sends no request, drives no pin and keeps nothing: it does not
// know which pins a board has, nor when to list again.
package configmap
