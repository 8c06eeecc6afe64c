// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package kubelet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/picolet/picolet/board"
)

var update = flag.Bool("update", false, "write golden files anew")

// ask sends a request to the kubelet port and reads the answer.
func (r *rig) ask(raw string) (*http.Response, []byte) {
	r.t.Helper()
	s, ok := r.k.Accept(r.now)
	if !ok {
		r.t.Fatal("the kubelet port accepts nobody")
	}
	r.k.Receive(r.now, s, []byte(raw)) // what follows a refused request is not taken
	var got []byte
	for p := r.k.Pending(s); len(p) > 0; p = r.k.Pending(s) {
		n := (len(p) + 1) / 2 // writes go through by halves
		got = append(got, p[:n]...)
		r.k.Sent(r.now, s, n)
	}
	r.k.Closed(r.now, s, nil)
	r.out = r.k.Output()
	method, _, _ := strings.Cut(raw, " ")
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got)), &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("%q: no HTTP answer: %v\n%s", raw, err, got)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%q: %v\n%s", raw, err, got)
	}
	return resp, body
}

func (r *rig) get(path string) (*http.Response, []byte) {
	r.t.Helper()
	r.now += 100 * time.Millisecond // keeps within the rate limit
	return r.ask("GET " + path + " HTTP/1.1\r\nHost: pico-1\r\n\r\n")
}

func (r *rig) post(path, body string) (*http.Response, []byte) {
	r.t.Helper()
	r.now += 100 * time.Millisecond
	return r.ask("POST " + path + " HTTP/1.1\r\nHost: pico-1\r\nContent-Type: application/json\r\nContent-Length: " +
		itoa(len(body)) + "\r\n\r\n" + body)
}

// readyRig is a rig with a configuration in force.
func readyRig(t *testing.T) *rig {
	r := newRig(t, nil)
	r.ready()
	r.open(StreamWatch)
	r.reply(StreamWatch, 200, `{"kind":"ConfigMapList","metadata":{"resourceVersion":"100"},"items":[{"metadata":{"name":"pico-config",`+
		`"namespace":"default","resourceVersion":"90"},"data":{"memory_values":"0=0x42,1=0x43,1023=7","pin_2":"HIGH","pin_3":"PWM:128"}}]}`)
	r.reply(StreamAPI, 201, `{}`)
	return r
}

// Every document against its golden file: what a reader of the endpoint sees.
func TestEndpointsGolden(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"healthz": "/healthz", "healthz_verbose": "/healthz?verbose=1", "livez": "/livez", "readyz": "/readyz",
		"readyz_verbose": "/readyz?verbose", "pods": "/pods", "runningpods": "/runningpods/", "metrics": "/metrics",
		"metrics_resource": "/metrics/resource", "stats_summary": "/stats/summary", "spec": "/spec", "configz": "/configz",
		"logs": "/logs", "pico_status": "/pico/status", "pico_memory": "/pico/memory?offset=0&length=8", "pico_gpio": "/pico/gpio", "pico_gpio_one": "/pico/gpio?pin=2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := readyRig(t)
			resp, body := r.get(path)
			got := resp.Status + "\n" + resp.Header.Get("Content-Type") + "\n\n" + string(body)
			file := "testdata/endpoints/" + name + ".txt"
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v: go test -run %s -update writes it", err, t.Name())
			}
			if got != string(want) {
				t.Errorf("GET %s: got\n%s\nwant\n%s", path, got, want)
			}
		})
	}
}

// Clients of Kubernetes decode these with the types below.
func TestEndpointsDecodeAsKubernetesTypes(t *testing.T) {
	t.Parallel()
	r := readyRig(t)
	strict := func(path string, into any) {
		t.Helper()
		_, body := r.get(path)
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(into); err != nil {
			t.Errorf("GET %s: %v\n%s", path, err, body)
		}
	}
	var pods corev1.PodList
	strict("/pods", &pods)
	var stats statsapi.Summary
	strict("/stats/summary", &stats)
	if stats.Node.NodeName != "pico-1" || *stats.Node.Memory.UsageBytes != 60<<10 || !stats.Node.StartTime.Time.Equal(startOfTests) {
		t.Errorf("stats are %+v", stats.Node)
	}
	if pods.Kind != "PodList" || len(pods.Items) != 0 {
		t.Errorf("pods are %+v", pods)
	}
}

func TestMetricsPassPromlint(t *testing.T) {
	t.Parallel()
	r := readyRig(t)
	r.get("/nothing-here")
	for _, path := range []string{"/metrics", "/metrics/resource"} {
		_, body := r.get(path)
		problems, err := promlint.New(bytes.NewReader(body)).Lint()
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, p := range problems {
			if !strings.HasPrefix(p.Metric, "node_") { // the names of metrics/resource are Kubernetes'
				t.Errorf("%s: %s: %s", path, p.Metric, p.Text)
			}
		}
	}
	_, body := r.get("/metrics")
	for _, want := range []string{
		`picolet_http_requests_total{path="other",code="404"} 1`,
		`picolet_http_requests_total{path="/metrics",code="200"} 2`,
		`picolet_temperature_celsius 27.125`,
		`picolet_wifi_rssi_dbm -61`,
		`picolet_adc_volts{pin="26"} 0.805`,
		`picolet_config_resource_version{namespace="default",name="pico-config"} 90`,
	} {
		if !strings.Contains(string(body), want+"\n") {
			t.Errorf("metrics lack %s:\n%s", want, body)
		}
	}
}

// What a board cannot read is left out, never invented.
func TestUnknownReadingsAreLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.board.readings = board.Readings{}
	for _, path := range []string{"/metrics", "/metrics/resource", "/stats/summary", "/pico/status"} {
		_, body := r.get(path)
		for _, word := range []string{"temperature", "rssi", "heap", "flash_", "cpu", "memory\"", "fs\""} {
			if strings.Contains(strings.ReplaceAll(string(body), "flashBytes", ""), word) {
				t.Errorf("%s speaks of %s:\n%s", path, word, body)
			}
		}
	}
}

// A rule asks for the kind of a reset; what hung is beside it. Not known is left out.
func TestResetReasonIsAMetric(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"power-on":               "\npicolet_board_reset_info{reason=\"power-on\"} 1\n",
		"watchdog":               "\npicolet_board_reset_info{reason=\"watchdog\"} 1\n",
		"watchdog: hang in wifi": "\npicolet_board_reset_info{reason=\"watchdog\",detail=\"hang in wifi\"} 1\n",
		"software:":              "\npicolet_board_reset_info{reason=\"software\"} 1\n",
		"":                       "",
	} {
		r := newRig(t, func(c *Config) { c.Board.Facts.ResetReason = reason })
		_, body := r.get("/metrics")
		if said := strings.Contains(string(body), "picolet_board_reset_info"); said != (want != "") || !strings.Contains(string(body), want) {
			t.Errorf("after %q /metrics lacks %q:\n%s", reason, want, body)
		}
	}
}

func TestReadyzFollowsTheLink(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	status := func(want int, words string) {
		t.Helper()
		if resp, body := r.get("/readyz"); resp.StatusCode != want || !strings.Contains(string(body), words) {
			t.Errorf("%v: /readyz is %d %q, want %d with %q", r.now, resp.StatusCode, body, want, words)
		}
	}
	status(503, "[-]link failed")
	r.ready()
	status(200, "ok")
	r.k.Closed(r.now, StreamAPI, io.EOF)
	r.act()
	r.advance(5*time.Second, false)
	status(200, "ok") // a moment without a stream is nothing
	r.advance(6*time.Second, false)
	status(503, "[-]link failed")
	r.advance(30*time.Second, false)
	status(503, "[-]heartbeat failed")
	if resp, _ := r.get("/healthz"); resp.StatusCode != 200 {
		t.Errorf("/healthz is %d without a link: the kubelet itself is well", resp.StatusCode)
	}
}

func TestErrorsAreStatusObjects(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		raw    string
		code   int
		reason metav1.StatusReason
	}{
		{"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404, metav1.StatusReasonNotFound},
		{"DELETE /pods HTTP/1.1\r\nHost: a\r\n\r\n", 405, metav1.StatusReasonMethodNotAllowed},
		{"GET /pico/command HTTP/1.1\r\nHost: a\r\n\r\n", 405, metav1.StatusReasonMethodNotAllowed},
		{"POST /pico/command HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", 413, metav1.StatusReasonRequestEntityTooLarge},
		{"GET /../etc HTTP/1.1\r\nHost: a\r\n\r\n", 400, metav1.StatusReasonBadRequest},
		{"GET /pico/memory?offset=1&length=1024 HTTP/1.1\r\nHost: a\r\n\r\n", 400, metav1.StatusReasonBadRequest},
		{"GET /pico/memory?offset=-1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, metav1.StatusReasonBadRequest},
		{"GET /logs?since=x HTTP/1.1\r\nHost: a\r\n\r\n", 400, metav1.StatusReasonBadRequest},
	} {
		resp, body := newRig(t, nil).ask(test.raw)
		var s metav1.Status
		if err := json.Unmarshal(body, &s); err != nil || resp.StatusCode != test.code || s.Reason != test.reason ||
			s.Kind != "Status" || int(s.Code) != test.code || s.Message == "" {
			t.Errorf("%.40q: %d %v %s, want %d %s", test.raw, resp.StatusCode, err, body, test.code, test.reason)
		}
	}
}

func TestBearerToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.ServerToken = "let-me-in" })
	for header, want := range map[string]int{
		"": 401, "Authorization: Bearer wrong\r\n": 401, "Authorization: Basic let-me-in\r\n": 401,
		"Authorization: Bearer let-me-in\r\n": 200,
	} {
		resp, body := r.ask("GET /healthz HTTP/1.1\r\nHost: a\r\n" + header + "\r\n")
		if resp.StatusCode != want || strings.Contains(string(body), "let-me-in") {
			t.Errorf("with %q: %d %s, want %d", header, resp.StatusCode, body, want)
		}
	}
	for _, path := range []string{"/logs", "/configz", "/pico/status", "/metrics"} {
		r.now += time.Second
		_, body := r.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer let-me-in\r\n\r\n")
		if strings.Contains(string(body), "let-me-in") {
			t.Errorf("%s shows the token:\n%s", path, body)
		}
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, test := range []struct {
		body string
		code int
	}{
		{`{"command":"set_pin","pin":2,"value":"HIGH"}`, 200},
		{` {"value":"PWM:7" , "pin":3,"command":"set_pin"} `, 200},
		{`{"command":"set_pin","pin":24,"value":"HIGH"}`, 400},
		{`{"command":"set_pin","pin":99,"value":"HIGH"}`, 400},
		{`{"command":"set_pin","pin":-1,"value":"HIGH"}`, 400},
		{`{"command":"set_pin","value":"HIGH"}`, 400},
		{`{"command":"set_pin","pin":2,"value":"HIGHER"}`, 400},
		{`{"command":"set_pin","pin":2.5,"value":"HIGH"}`, 400},
		{`{"command":"set_pin","pin":99999999999999999999,"value":"HIGH"}`, 400},
		{`{"command":"blink_led","count":0}`, 400},
		{`{"command":"blink_led","count":101}`, 400},
		{`{"command":"blink_led","interval_ms":10001}`, 400},
		{`{"command":"blink_led","interval_ms":1}`, 400},
		{`{"command":"format_disk"}`, 400},
		{`{"command":["set_pin"]}`, 400},
		{`{"command":{"set_pin":1}}`, 400},
		{`{"command":"blink_led","extra":1}`, 400},
		{`{"command":"blink_led"`, 400},
		{`[]`, 400},
		{`"reboot"`, 400},
		{``, 400},
		{`{"command":"` + strings.Repeat("x", 500) + `"}`, 400},
	} {
		if resp, body := r.post("/pico/command", test.body); resp.StatusCode != test.code {
			t.Errorf("%s: %d %s, want %d", test.body, resp.StatusCode, body, test.code)
		}
	}
	if r.board.pins[2].Mode != board.PinHigh || r.board.pins[3] != (board.PinState{Mode: board.PinPWM, Duty: 7}) {
		t.Errorf("pins are %v", r.board.pins[:4])
	}
}

func TestBlinkLED(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.post("/pico/command", `{"command":"blink_led","count":2,"interval_ms":100}`)
	var seen []bool
	for range 6 {
		seen = append(seen, r.board.led)
		r.advance(100*time.Millisecond, false)
	}
	if want := []bool{true, false, true, false, false, false}; !equal(seen, want) {
		t.Errorf("the LED was %v, want %v", seen, want)
	}
}

// The LED is what was set when it has blinked, whatever happened meanwhile.
func TestBlinkLeavesTheLEDAsItWasSet(t *testing.T) {
	t.Parallel()
	const blink = `{"command":"blink_led","count":2,"interval_ms":1000}`
	for name, test := range map[string]struct {
		before, during string
		want           bool
	}{
		"off":              {"LOW", "", false},
		"on":               {"HIGH", "", true},
		"set on meanwhile": {"LOW", "HIGH", true},
		"set off":          {"HIGH", "LOW", false},
		"never set":        {"", "", false},
	} {
		r := newRig(t, nil)
		r.ready()
		r.open(StreamWatch)
		r.setLED(test.before)
		r.post("/pico/command", blink)
		r.act()
		r.advance(1100*time.Millisecond, false)
		if r.board.led != r.k.blinking.after {
			t.Errorf("%s: the LED is %v after two of four changes, was %v", name, r.board.led, r.k.blinking.after)
		}
		r.post("/pico/command", blink) // in the middle of the other
		r.act()
		r.setLED(test.during)
		lit := map[bool]int{}
		for range 10 {
			r.advance(900*time.Millisecond, false)
			lit[r.board.led]++
		}
		if r.board.led != test.want || lit[true] == 0 || lit[false] == 0 {
			t.Errorf("%s: in the end the LED is %v, want %v; seen %v", name, r.board.led, test.want, lit)
		}
	}
}

// setLED has a ConfigMap ask for a state of the LED, "" for none.
func (r *rig) setLED(state string) {
	if state != "" {
		r.configure(`"led":"` + state + `"`)
	}
}

func equal(a, b []bool) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// The answer goes out and the node says that it is not ready before the board resets.
func TestReboot(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.ready()
	r.said.Reset()
	r.full = true
	if resp, body := r.post("/pico/command", `{"command":"reboot"}`); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	r.act()
	r.advance(time.Second, false)
	said := r.said.String()
	notReady, reset := strings.Index(said, `"the board is about to reset"`), strings.Index(said, "reset\n")
	if notReady < 0 || reset < notReady || strings.Count(said, "reset\n") != 1 {
		t.Errorf("want not ready, then one reset:\n%s", said)
	}
}

// A board without pins, LED and storage is a board too.
func TestBareBoard(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Board.Pins, c.Board.Analog, c.Board.LED, c.Board.Storage = nil, nil, nil, nil })
	r.ready()
	r.open(StreamWatch)
	r.reply(StreamWatch, 200, `{"kind":"ConfigMapList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"pico-config",`+
		`"namespace":"default","resourceVersion":"1"},"data":{"memory_values":"0=1","pin_2":"HIGH","led":"HIGH"}}]}`)
	if r.k.applied.Memory[0] != 1 || r.k.entriesRejected != 2 {
		t.Errorf("memory %v, %d entries rejected", r.k.applied.Memory[0], r.k.entriesRejected)
	}
	if _, body := r.get("/pico/gpio"); strings.TrimSpace(string(body)) != `{"pins":{}}` {
		t.Errorf("gpio: %s", body)
	}
	if resp, _ := r.get("/pico/gpio?pin=1"); resp.StatusCode != 400 {
		t.Errorf("one pin: %d", resp.StatusCode)
	}
	if _, body := r.get("/metrics"); strings.Contains(string(body), "picolet_adc") {
		t.Errorf("metrics: %s", body)
	}
	if log := r.logText(); !strings.Contains(log, `entry="led \"HIGH\": the board has no LED"`) {
		t.Errorf("log: %s", log)
	}
	if resp, _ := r.post("/pico/command", `{"command":"blink_led"}`); resp.StatusCode != 400 {
		t.Errorf("blink without LED: %d", resp.StatusCode)
	}
}

// A record that cannot be read leaves the board without configuration, says so
// and shows DiskPressure.
func TestUnreadableRecord(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(b *testBoard){
		"garbage": func(b *testBoard) { b.record = bytes.Repeat([]byte{0xa5}, 100) },
		"failing": func(b *testBoard) { b.loadErr = errors.New("flash cannot be read") },
	} {
		r := &rig{t: t, k: new(Kubelet), board: newTestBoard()}
		spoil(r.board)
		r.boot(nil)
		r.ready()
		if log := r.logText(); !strings.Contains(log, "Stored configuration cannot be read") {
			t.Errorf("%s: log is\n%s", name, log)
		}
		if !r.k.node.Status(2) {
			t.Errorf("%s: no DiskPressure", name)
		}
	}
}
