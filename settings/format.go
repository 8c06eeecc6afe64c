// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/picolet/picolet/board/flash"
	"github.com/picolet/picolet/kubelet"
)

// Version is that of the format. It is raised by a change that older firmware
// would misunderstand.
const Version = 1

// MaxSize is the most that settings take when written, in bytes.
const MaxSize = flash.MaxRecord

// NewerError is the version of settings that this code is too old to read.
type NewerError uint16

func (e NewerError) Error() string {
	return "settings: of format " + strconv.Itoa(int(e)) + ", this picolet knows " + strconv.Itoa(Version) +
		": use a newer one, for the board its firmware"
}

// Errors of Append and Parse.
var (
	ErrTooLarge = errors.New("settings: more than 4064 bytes: shorten tokens and labels")
	ErrDamaged  = errors.New("settings: damaged: provision the board again")
	// ErrUnknownField: a field that may not be skipped.
	ErrUnknownField = errors.New("settings: hold a field that this picolet does not know: use a newer one, for the board its firmware")
)

// Settings are written as the version, 2 bytes little-endian, and fields: a tag
// of a byte, the length of the value in 2 bytes little-endian, the value. What
// is empty or zero is left out. Labels and ConfigMaps have a field each.
//
// A tag from optional on may be skipped by who does not know it; another that
// is not known is refused. Tags are never used for anything else.
const (
	tagNodeName    = 1  // text
	tagSSID        = 2  // bytes
	tagPassphrase  = 3  // text
	tagCountry     = 4  // text
	tagGateway     = 5  // text
	tagToken       = 6  // text
	tagServerToken = 7  // text
	tagJoinToken   = 8  // text
	tagBoardKey    = 9  // 32 bytes
	tagGatewayKey  = 10 // 32 bytes
	tagLabel       = 11 // key=value
	tagConfigMap   = 12 // namespace/name
	tagNoTaint     = 13 // no value
	tagUpdate      = 14 // 8 bytes: nanoseconds, little-endian, as all durations
	tagReport      = 15 // 8 bytes
	tagLease       = 16 // 8 bytes
	tagProvisioned = 17 // 8 bytes: Unix seconds, little-endian
	tagWPA3        = 19 // no value

	optional   = 0x80
	tagNextKey = 0x80 // 32 bytes; firmware that does not know it goes on by GatewayKey
)

// texts are the fields from tagNodeName on.
func (s *Settings) texts() [8]*string {
	return [...]*string{
		&s.NodeName, &s.SSID, &s.Passphrase, &s.Country, &s.Gateway, &s.Token, &s.ServerToken, &s.JoinToken,
	}
}

// keys are the fields from tagBoardKey on.
func (s *Settings) keys() [2]*[KeySize]byte { return [...]*[KeySize]byte{&s.BoardKey, &s.GatewayKey} }

// numbers are the fields from tagUpdate on.
func (s *Settings) numbers() [4]*int64 {
	return [...]*int64{
		(*int64)(&s.NodeStatusUpdateFrequency), (*int64)(&s.NodeStatusReportFrequency),
		(*int64)(&s.LeaseDuration), &s.Provisioned,
	}
}

// Append appends the settings as Parse reads them, at most MaxSize bytes.
func (s *Settings) Append(b []byte) ([]byte, error) {
	begin := len(b)
	b = binary.LittleEndian.AppendUint16(b, Version)
	for i, text := range s.texts() {
		if *text != "" {
			b = append(appendHead(b, tagNodeName+i, len(*text)), *text...)
		}
	}
	for i, key := range s.keys() {
		if *key != [KeySize]byte{} {
			b = append(appendHead(b, tagBoardKey+i, KeySize), key[:]...)
		}
	}
	for i := range s.Labels {
		b = appendPair(b, tagLabel, s.Labels[i].Key, '=', s.Labels[i].Value)
	}
	for i := range s.ConfigMaps {
		b = appendPair(b, tagConfigMap, s.ConfigMaps[i].Namespace, '/', s.ConfigMaps[i].Name)
	}
	if s.NoTaint {
		b = appendHead(b, tagNoTaint, 0)
	}
	if s.WPA3 {
		b = appendHead(b, tagWPA3, 0)
	}
	for i, n := range s.numbers() {
		if *n != 0 {
			b = binary.LittleEndian.AppendUint64(appendHead(b, tagUpdate+i, 8), uint64(*n))
		}
	}
	if s.NextKey != [KeySize]byte{} {
		b = append(appendHead(b, tagNextKey, KeySize), s.NextKey[:]...)
	}
	if len(b)-begin > MaxSize { // also where a length did not fit its 2 bytes
		return b[:begin], ErrTooLarge
	}
	return b, nil
}

func appendHead(b []byte, tag, length int) []byte {
	return append(b, byte(tag), byte(length), byte(length>>8))
}

func appendPair(b []byte, tag int, first string, between byte, second string) []byte {
	b = appendHead(b, tag, len(first)+1+len(second))
	b = append(append(b, first...), between)
	return append(b, second...)
}

// Parse reads what Append wrote. It does not Validate. The strings share one
// copy of p.
func Parse(p []byte) (Settings, error) {
	if len(p) < 2 {
		return Settings{}, ErrDamaged
	}
	if v := binary.LittleEndian.Uint16(p); v > Version {
		return Settings{}, NewerError(v)
	} else if v != Version {
		return Settings{}, ErrDamaged
	}
	var s Settings
	var seen uint32
	for rest := string(p[2:]); len(rest) > 0; {
		if len(rest) < 3 {
			return Settings{}, ErrDamaged
		}
		tag, end := rest[0], 3+int(rest[1])+int(rest[2])<<8
		if len(rest) < end {
			return Settings{}, ErrDamaged
		}
		if err := s.set(tag, rest[3:end], &seen); err != nil {
			return Settings{}, err
		}
		rest = rest[end:]
	}
	return s, nil
}

// set reads one field; seen are those that were set before.
func (s *Settings) set(tag byte, value string, seen *uint32) error {
	if tag > tagNextKey {
		return nil
	}
	if tag == 0 || tag > tagProvisioned && tag != tagWPA3 && tag < optional {
		return ErrUnknownField
	}
	repeats := tag == tagLabel || tag == tagConfigMap
	bit := uint32(1) << (tag % optional)
	if *seen&bit != 0 && !repeats {
		return ErrDamaged
	}
	*seen |= bit
	switch {
	case tag == tagNextKey && len(value) == KeySize:
		copy(s.NextKey[:], value)
	case tag < tagBoardKey:
		*s.texts()[tag-tagNodeName] = value
	case tag < tagLabel && len(value) == KeySize:
		copy(s.keys()[tag-tagBoardKey][:], value)
	case tag == tagLabel:
		return s.addLabel(value)
	case tag == tagConfigMap:
		return s.addConfigMap(value)
	case tag == tagNoTaint && value == "":
		s.NoTaint = true
	case tag == tagWPA3 && value == "":
		s.WPA3 = true
	case tag >= tagUpdate && tag <= tagProvisioned && len(value) == 8:
		*s.numbers()[tag-tagUpdate] = int64(binary.LittleEndian.Uint64([]byte(value)))
	default:
		return ErrDamaged
	}
	return nil
}

func (s *Settings) addLabel(value string) error {
	key, val, ok := cut(value, '=')
	if !ok {
		return ErrDamaged
	}
	if len(s.Labels) == kubelet.MaxLabels {
		return kubelet.ErrLabels
	}
	if s.Labels == nil {
		s.Labels = make([]kubelet.Label, 0, kubelet.MaxLabels)
	}
	s.Labels = append(s.Labels, kubelet.Label{Key: key, Value: val})
	return nil
}

func (s *Settings) addConfigMap(value string) error {
	namespace, name, ok := cut(value, '/')
	if !ok {
		return ErrDamaged
	}
	if len(s.ConfigMaps) == kubelet.MaxConfigMaps {
		return kubelet.ErrConfigMaps
	}
	if s.ConfigMaps == nil {
		s.ConfigMaps = make([]kubelet.ObjectName, 0, kubelet.MaxConfigMaps)
	}
	s.ConfigMaps = append(s.ConfigMaps, kubelet.ObjectName{Namespace: namespace, Name: name})
	return nil
}

func cut(s string, sep byte) (before, after string, found bool) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
