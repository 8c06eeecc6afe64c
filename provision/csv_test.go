// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package provision_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/provision"
	"github.com/picolet/picolet/settings"
)

func TestReadCSV(t *testing.T) {
	t.Parallel()
	defaults := settings.Settings{SSID: "home", Passphrase: "secret default", Labels: []kubelet.Label{{Key: "a", Value: "b"}}}
	const text = "\ufeff# made by hand\r\n" +
		"Node-Name, gateway,passphrase,labels,configmap,no-taint,node-status-report-frequency,gateway-key\r\n" +
		"pico-1,gateway:1,,,,,,\r\n" +
		"\r\n" +
		"pico-2,\"10.0.0.1:2\",\" secret, quoted \",\"c=d, e=\",\"f/g,h/i\",true,1m," + "0000000000000000000000000000000000000000000000000000000000000001\r\n"
	first, second := defaults, defaults
	first.NodeName, first.Gateway = "pico-1", "gateway:1"
	second.NodeName, second.Gateway, second.Passphrase = "pico-2", "10.0.0.1:2", " secret, quoted "
	second.Labels = []kubelet.Label{{Key: "c", Value: "d"}, {Key: "e"}}
	second.ConfigMaps = []kubelet.ObjectName{{Namespace: "f", Name: "g"}, {Namespace: "h", Name: "i"}}
	second.NoTaint, second.NodeStatusReportFrequency, second.GatewayKey[31] = true, time.Minute, 1
	got, err := provision.ReadCSV(strings.NewReader(text), defaults, false)
	if err != nil || !reflect.DeepEqual(got, []settings.Settings{first, second}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestEveryFieldIsAColumn: a value in each column arrives, and the empty
// settings lack it.
func TestEveryFieldIsAColumn(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0f", 32)
	values := map[string]string{
		"node-name": "pico-1", "ssid": "home", "passphrase": "secret passphrase", "wpa3": "true", "country": "DE", "gateway": "a:1",
		"labels": "a=b", "configmap": "a/b", "no-taint": "true", "node-status-update-frequency": "11s",
		"node-status-report-frequency": "12s", "lease-duration": "13s", "server-token": "s", "token": "t",
		"join-token": "j", "gateway-key": hex, "board-key": hex,
	}
	var names, cells []string
	for _, f := range provision.Fields() {
		var s settings.Settings
		if err := f.Set(&s, values[f.Name]); err != nil || reflect.DeepEqual(s, settings.Settings{}) {
			t.Errorf("%s: %v, %v", f.Name, s, err)
		}
		names, cells = append(names, f.Name), append(cells, values[f.Name])
	}
	got, err := provision.ReadCSV(strings.NewReader(strings.Join(names, ",")+"\n"+strings.Join(cells, ",")), settings.Settings{}, false)
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	v := reflect.ValueOf(got[0])
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		byOthers := name == "Provisioned" || name == "NextKey" // the board learns it
		if v.Field(i).IsZero() && !byOthers {
			t.Errorf("no column sets %s", name)
		}
	}
}

// TestCSVProblems: each is named by line, column and reason, and no cell is
// repeated, whatever column a secret stands in.
func TestCSVProblems(t *testing.T) {
	t.Parallel()
	const head = "node-name,ssid,passphrase,gateway\n"
	const good = "good,home,secret123,a:1\n"
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"nothing":           {"", []string{"1: there is no board"}},
		"comments alone":    {"# a\n#b\n", []string{"1: there is no board"}},
		"header alone":      {head, []string{"1: there is no board"}},
		"no header":         {good, []string{"1:1: the first line must name the columns"}},
		"semicolons":        {"node-name;ssid;passphrase\na;b;secret123\n", []string{"1:1: the first line must name the columns, separated by commas"}},
		"unknown column":    {"node-name,sssid,colour\n" + good, []string{`1:11: there is no such column; there are node-name, ssid,`, `1:17: there is no such column`}},
		"column twice":      {"node-name,ssid,ssid\n" + good, []string{"1:16: ssid: stands there twice"}},
		"missing cell":      {head + good + "b,home\n", []string{"3:1: the line has not as many cells"}},
		"cell too many":     {head + "b,home,secret123,a:1,secret\n" + good, []string{"2:1: the line has not as many cells"}},
		"quote in the cell": {head + "b,ho\"me,secret123,a:1\n" + good, []string{`2:5: bare " in non-quoted-field`}},
		"quote in header":   {"node\"name,ssid\n" + good, []string{`1:5: bare "`}},
		"open quote":        {head + good + "b,\"home,secret123,a:1\n", []string{`extraneous or missing " in quoted-field`}},
		"node name twice":   {head + good + "\n" + good, []string{"4: node-name: is that of line 2"}},
		"no passphrase":     {head + "b,home,,a:1\n", []string{"2: passphrase: is missing; for an open network say so by --open"}},
		"nothing but name":  {head + "b,,,\n", []string{"2: ssid: is missing", "2: passphrase: is missing", "2: gateway: is missing"}},
		"wrong cells": {head + "Secret_1,home,secret\x01,secret:\n" + good + "b,a name of more than 32 bytes is secret,secret12,a:1\n", []string{
			"2:1: node-name: must be a DNS-1123", "2:15: passphrase: must be 8 to 63", "2:23: gateway: must be host:port",
			"4:3: ssid: must be 1 to 32 bytes",
		}},
		"after lines in quotes": {head + "a,\"ho\nme\",secret123,a:1\nb,home,secret,a:1\n", []string{"4:8: passphrase: must be"}},
		"wrong key":             {"node-name,board-key\na,secret\n", []string{"2:3: board-key: must be an X25519 key"}},
		"zero key":              {"node-name,board-key\na," + strings.Repeat("0", 64) + "\n", []string{"2:3: board-key: must be an X25519 key, 44 characters of base64 or 64 hex digits, and not all zeros"}},
		"wrong duration":        {"node-name,lease-duration\na,secret\n", []string{"2:3: lease-duration: must be a duration"}},
		"short duration":        {"node-name,lease-duration\na,1s\n", []string{"2:3: lease-duration: must be 4s to 1h"}},
		"zero duration":         {"node-name,node-status-update-frequency\na,0s\n", []string{"2:3: node-status-update-frequency: must be a duration"}},
		"WPA3 by key":           {"node-name,ssid,passphrase,wpa3,gateway\na,b," + strings.Repeat("0f", 32) + ",true,c\n", []string{"2: wpa3: needs a passphrase of 8 to 63 characters"}},
		"wrong taint":           {"node-name,no-taint\na,secret\n", []string{"2:3: no-taint: must be true or false"}},
		"wrong labels":          {"node-name,labels\na,secret\n", []string{"2:3: labels: must be KEY=VALUE"}},
		"wrong ConfigMaps":      {"node-name,configmap\na,secret\n", []string{"2:3: configmap: must be NAMESPACE/NAME"}},
		"invalid label":         {"node-name,labels\na,secret secret=a\n", []string{"2:3: labels: at most 8, each a valid Kubernetes label"}},
		"large tokens": {
			"node-name,ssid,passphrase,gateway,token,server-token\na,b,secret123,c:1," + strings.Repeat("t", 4000) + "," + strings.Repeat("t", 200),
			[]string{"2: more than 4064 bytes: shorten tokens and labels"},
		},
	} {
		got, err := provision.ReadCSV(strings.NewReader(tc.text), settings.Settings{}, false)
		var problems provision.Problems
		if !errors.As(err, &problems) || got != nil {
			t.Errorf("%s: %d boards, %v", name, len(got), err)
			continue
		}
		ok := len(problems) == len(tc.want)
		for i := 0; ok && i < len(tc.want); i++ {
			ok = strings.Contains(problems[i].Error(), tc.want[i])
		}
		if !ok {
			t.Errorf("%s: %q, want %q", name, err, tc.want)
		}
		if strings.Contains(strings.ToLower(err.Error()), "secret") {
			t.Errorf("%s: says what is secret: %v", name, err)
		}
	}
}

// TestCSVLineEnds: files of Excel for Mac end their lines with CR. No cell shows in
// an error, whatever the line ends are.
func TestCSVLineEnds(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"\n", "\r\n", "\r"} {
		lines := []string{"node-name,ssid,passphrase,gateway", "pico-1,home,secret-1,a:1", "", "pico-2,home,secret-2,a:1", ""}
		got, err := provision.ReadCSV(strings.NewReader(strings.Join(lines, end)), settings.Settings{}, false)
		if err != nil || len(got) != 2 || got[0].Passphrase != "secret-1" || got[1].NodeName != "pico-2" {
			t.Errorf("%q: %v, %v", end, got, err)
		}
		lines[3] = "Secret,home,secret,secret,secret"
		_, err = provision.ReadCSV(strings.NewReader(strings.Join(lines, end)), settings.Settings{}, false)
		if err == nil || !strings.HasPrefix(err.Error(), "4:1: the line has not as many cells") || strings.Contains(strings.ToLower(err.Error()), "secret") {
			t.Errorf("%q: %v", end, err)
		}
	}
}

// TestCSVHeaderRepeatsNothing: where lines run together, a secret is in the first
// one, in which columns are named.
func TestCSVHeaderRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"\v", "\f", "\u0085", "\u2028", ",", ";", "\t"} {
		text := "node-name,ssid,passphrase" + end + "pico-1,home,secret123" + end + "pico-2,home,secret456"
		_, err := provision.ReadCSV(strings.NewReader(text), settings.Settings{}, false)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", end, err)
		}
	}
}

// TestCSVEncodings: text that is not UTF-8 is refused with its place.
func TestCSVEncodings(t *testing.T) {
	t.Parallel()
	const text = "node-name,ssid,passphrase,gateway\r\npico-1,home,secret-1,a:1\r\n"
	utf16 := func(mark string, order func([]byte, uint16) []byte) string {
		b := []byte(mark)
		for _, c := range text {
			b = order(b, uint16(c))
		}
		return string(b)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"UTF-8":                {text, ""},
		"UTF-8 with mark":      {"\ufeff" + text, ""},
		"UTF-16LE with mark":   {utf16("\xff\xfe", binary.LittleEndian.AppendUint16), "1: the file is UTF-16"},
		"UTF-16BE with mark":   {utf16("\xfe\xff", binary.BigEndian.AppendUint16), "1: the file is UTF-16"},
		"UTF-16 without mark":  {utf16("", binary.LittleEndian.AppendUint16), "1:2: the file is UTF-16"},
		"Windows-1252":         {text + "pico-2,Caf\xe9,secret-2,a:1", "3:11: the file is not UTF-8 but, for example, Windows-1252: save it as \"CSV UTF-8\""},
		"Windows-1252, CR":     {strings.ReplaceAll(text, "\r\n", "\r") + "pico-2,Caf\xe9,secret-2,a:1", "3:11: the file is not UTF-8"},
		"replacement rune":     {text + "pico-2,Caf\ufffd,secret-2,a:1", ""},
		"cut within a rune":    {text + "pico-2,Caf\xc3", "3:11: the file is not UTF-8"},
		"Windows-1252, header": {"node-name,\xe9\n", "1:11: the file is not UTF-8"},
	} {
		got, err := provision.ReadCSV(strings.NewReader(tc.text), settings.Settings{}, false)
		switch {
		case tc.want == "":
			if err != nil || got[0].NodeName != "pico-1" {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		case err == nil || !strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: %v, %v, want %s", name, got, err, tc.want)
		}
	}
}

// TestCSVOfSpreadsheets: cells that nobody has written into are no boards and no
// columns, and what somebody has written is taken as it is.
func TestCSVOfSpreadsheets(t *testing.T) {
	t.Parallel()
	const head = ",,,,,\n,ssid,node-name,passphrase,gateway,, \n"
	for name, tc := range map[string]struct{ text, want string }{
		"empty rows":                {head + ",home,a,secret-1,b:1,,\n,,,,,,\n ,, ,,,,\n,home,c,secret-1,d:1,,\n", "a c"},
		"cells beyond the header":   {head + ",home,a,secret-1,b:1,,,,\n", "a"},
		"a first cell with #":       {"ssid,node-name,passphrase,gateway\n#home,a,secret-1,b:1\n#,c,secret-1,d:1\n", "a c"},
		"a column without a name":   {head + ",home,a,secret-1,b:1,secret,\n", "3:22: the cell is in a column without a name: name the column"},
		"content beyond the header": {head + ",home,a,secret-1,b:1,,,secret\n", "3:1: the line has not as many cells"},
		"a comment":                 {head + "# secret\n", "3:1: the line has not as many cells"},
	} {
		got, err := provision.ReadCSV(strings.NewReader(tc.text), settings.Settings{}, false)
		var names []string
		for _, s := range got {
			names = append(names, s.NodeName)
		}
		if text := strings.Join(names, " "); err == nil && text != tc.want {
			t.Errorf("%s: %q, want %q", name, text, tc.want)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), tc.want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// TestCSVBlanks: those of a passphrase and of an SSID count, as they do by flag and
// from a file; others do not.
func TestCSVBlanks(t *testing.T) {
	t.Parallel()
	got, err := provision.ReadCSV(strings.NewReader(
		"node-name, ssid, passphrase, gateway, labels\n pico-1 , home ,  secret 1 , a:1 , b=c \n"), settings.Settings{}, false)
	if err != nil || got[0].NodeName != "pico-1" || got[0].SSID != " home " || got[0].Passphrase != "  secret 1 " ||
		got[0].Gateway != "a:1" || got[0].Labels[0] != (kubelet.Label{Key: "b", Value: "c"}) {
		t.Errorf("%#v, %v", got, err)
	}
}

// TestCSVGatewayPort: the default port is that of the line's kind of connection,
// wherever host and key are from.
func TestCSVGatewayPort(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("0f", 32)
	text := "node-name,gateway,gateway-key\na,10.0.0.1,\nb,10.0.0.1," + key + "\nc,,\nd,," + key + "\ne,gateway.lan:1,\n"
	defaults := settings.Settings{SSID: "home", Gateway: "gateway.lan"}
	got, err := provision.ReadCSV(strings.NewReader(text), defaults, true)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"10.0.0.1:6080", "10.0.0.1:6079", "gateway.lan:6080", "gateway.lan:6079", "gateway.lan:1"} {
		if got[i].Gateway != want {
			t.Errorf("%s: %s, want %s", got[i].NodeName, got[i].Gateway, want)
		}
	}
}

func TestOpenNetworksAreAllowed(t *testing.T) {
	t.Parallel()
	got, err := provision.ReadCSV(strings.NewReader("node-name,ssid,gateway\na,b,c:1\n"), settings.Settings{}, true)
	if err != nil || len(got) != 1 || got[0].Passphrase != "" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCSVBounds(t *testing.T) {
	t.Parallel()
	many := &strings.Builder{}
	many.WriteString("node-name,ssid,gateway\n")
	for i := range 10_001 {
		if i == 10_000 {
			if got, err := provision.ReadCSV(strings.NewReader(many.String()), settings.Settings{}, true); err != nil || len(got) != 10_000 {
				t.Errorf("%d boards, %v", len(got), err)
			}
		}
		fmt.Fprintf(many, "pico-%d,b,c:1\n", i)
	}
	large := "node-name\n#" + strings.Repeat("a", 4<<20)
	endless := "node-name,ssid\na,\"" + strings.Repeat("a", 5<<20)
	for name, text := range map[string]string{"many boards": many.String(), "large comment": large, "endless cell": endless} {
		if got, err := provision.ReadCSV(strings.NewReader(text), settings.Settings{}, true); err != provision.ErrTooMany || got != nil {
			t.Errorf("%s: %d boards, %v", name, len(got), err)
		}
	}
	broken := errors.New("broken disk")
	if got, err := provision.ReadCSV(iotest.ErrReader(broken), settings.Settings{}, true); !errors.Is(err, broken) || got != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// FuzzReadCSV: whatever the text, boards can be made, or nothing is returned, and
// no error repeats a cell.
func FuzzReadCSV(f *testing.F) {
	f.Add("node-name,ssid,passphrase,gateway\na,b,12345678,c:1\n")
	f.Add("node-name,labels\r\n#\r\n\"a\nb\", c=d\r\n")
	f.Add("node-name,ssid\ra,hunter2\r,hunter2,\"hunter2\n")
	f.Add("hunter2,node-name,\xff,hunter2\r\nhunter2,a\x00\n")
	f.Fuzz(func(t *testing.T, text string) {
		boards, err := provision.ReadCSV(strings.NewReader(text), settings.Settings{}, true)
		if err != nil && boards != nil || err == nil && len(boards) == 0 {
			t.Fatalf("%d boards, %v", len(boards), err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Fatalf("a cell is in the error: %v", err)
		}
		for _, s := range boards {
			if _, err := provision.UF2(s); err != nil {
				t.Errorf("%v: %v", s, err)
			}
		}
	})
}
