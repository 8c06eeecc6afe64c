// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

// client is one connection to a kubelet port.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	return &client{c, bufio.NewReader(c)}
}

func (c *client) write(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	must(t, err)
}

// answer reads an answer of the method.
func (c *client) answer(t *testing.T, method string) (*http.Response, string) {
	t.Helper()
	answer, err := http.ReadResponse(c.r, &http.Request{Method: method})
	must(t, err)
	body, err := io.ReadAll(answer.Body)
	must(t, errors.Join(err, answer.Body.Close()))
	return answer, string(body)
}

// ask sends one request on a connection of its own.
func ask(t *testing.T, addr, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	c := dial(t, addr)
	defer func() { _ = c.Close() }()
	head := append([]string{method + " " + path + " HTTP/1.1", "Host: kubelet", fmt.Sprintf("Content-Length: %d", len(body))}, headers...)
	c.write(t, strings.Join(head, "\r\n")+"\r\n\r\n"+body)
	return c.answer(t, method)
}

// portTests are requests to the kubelet port, with what their answers hold.
var portTests = []struct {
	method, path, body string
	code               int
	contentType        string
	holds              string
}{
	{"GET", "/healthz", "", 200, "text/plain", "ok"},
	{"GET", "/healthz?verbose=1", "", 200, "text/plain", "[+]ping ok\n"},
	{"GET", "/livez", "", 200, "text/plain", "ok"},
	{"GET", "/readyz", "", 200, "text/plain", "ok"},
	{"GET", "/readyz?verbose=1", "", 200, "text/plain", "[+]heartbeat ok\n"},
	{"GET", "/pods", "", 200, "application/json", `"kind":"PodList"`},
	{"GET", "/runningpods/", "", 200, "application/json", `"items":[]`},
	{"GET", "/metrics", "", 200, "text/plain", "\n# TYPE "},
	{"GET", "/metrics/resource", "", 200, "text/plain", "node_memory_working_set_bytes "},
	{"GET", "/stats/summary", "", 200, "application/json", `"workingSetBytes":`},
	{"GET", "/spec", "", 200, "application/json", `"num_cores":2`},
	{"GET", "/configz", "", 200, "application/json", `"kind":"KubeletConfiguration"`},
	{"GET", "/logs", "", 200, "text/plain", `msg="Node registered"`},
	{"GET", "/pico/status", "", 200, "application/json", `"registered":true`},
	{"GET", "/pico/memory?offset=1020&length=4", "", 200, "application/json", `"hex":"00000000"`},
	{"GET", "/pico/gpio", "", 200, "application/json", `"15":"FLOATING"`},
	{"POST", "/pico/command", `{"command":"set_pin","pin":15,"value":"PWM:9"}`, 200, "application/json", `"status":"Success"`},
	{"GET", "/pico/gpio", "", 200, "application/json", `"15":"PWM:9"`},
	{"POST", "/pico/command", `{"command":"blink_led","count":1,"interval_ms":20}`, 200, "application/json", `"status":"Success"`},
	{"HEAD", "/healthz", "", 200, "text/plain", ""},
	{"HEAD", "/metrics", "", 200, "text/plain", ""},

	{"POST", "/pico/command", `{"command":"explode"}`, 400, "application/json", `"reason":"BadRequest"`},
	{"POST", "/pico/command", "not JSON", 400, "application/json", `"status":"Failure"`},
	{"GET", "/pico/memory?offset=1024&length=1", "", 400, "application/json", "1024 bytes"},
	{"GET", "/nowhere", "", 404, "application/json", `"reason":"NotFound"`},
	{"DELETE", "/healthz", "", 405, "application/json", `"code":405`},
	{"GET", "/pico/command", "", 405, "application/json", `"kind":"Status"`},
	{"POST", "/pico/command", strings.Repeat(" ", 4096), 413, "application/json", `"code":413`},
}

func TestKubeletPortAnswers(t *testing.T) {
	t.Parallel()
	b := readyBoard(t, sharedPlane(t), boardOptions{})
	// The cluster knows of a new node before the answer has reached the board.
	eventually(t, 10*time.Second, func(context.Context) error {
		if answer, body := ask(t, b.port, "GET", "/readyz", ""); answer.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %s\n%s", answer.Status, body)
		}
		return nil
	})
	for _, tt := range portTests {
		answer, body := ask(t, b.port, tt.method, tt.path, tt.body)
		if answer.StatusCode != tt.code || !strings.HasPrefix(answer.Header.Get("Content-Type"), tt.contentType) || !strings.Contains(body, tt.holds) {
			t.Errorf("%s %s: %s, %s\n%s\nwant %d, %s, with %q", tt.method, tt.path, answer.Status, answer.Header.Get("Content-Type"), body, tt.code, tt.contentType, tt.holds)
		}
		if tt.contentType == "application/json" && !json.Valid([]byte(body)) {
			t.Errorf("%s %s: no JSON: %s", tt.method, tt.path, body)
		}
		if tt.code >= 400 {
			checkStatus(t, tt.method+" "+tt.path, answer, body)
		}
	}
	if s, err := b.hardware.Pin(15); err != nil || s != (board.PinState{Mode: board.PinPWM, Duty: 9}) {
		t.Errorf("pin 15 is %v, %v, want PWM:9", s, err)
	}
}

// checkStatus checks that an error is told as Kubernetes tells errors.
func checkStatus(t *testing.T, what string, answer *http.Response, body string) {
	t.Helper()
	var s metav1.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.Kind != "Status" || int(s.Code) != answer.StatusCode || s.Message == "" {
		t.Errorf("%s: %s is no metav1.Status of code %d: %v", what, body, answer.StatusCode, err)
	}
}

// Whatever a client sends, the kubelet goes on.
func TestKubeletPortStandsNonsense(t *testing.T) {
	t.Parallel()
	b := readyBoard(t, sharedPlane(t), boardOptions{})
	for _, garbage := range []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", // a TLS handshake
		"\x00\x00\x00\x00",
		"GET\r\n\r\n",
		"GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		strings.Repeat("A", 5000) + "\r\n\r\n",
	} {
		c := dial(t, b.port)
		c.write(t, garbage)
		if answer, err := http.ReadResponse(c.r, nil); err == nil && answer.StatusCode < 400 {
			t.Errorf("%q is answered with %s", garbage, answer.Status)
		}
		must(t, c.Close())
	}
	answer, body := ask(t, b.port, "GET", "/healthz", "", "X-Long: "+strings.Repeat("x", 9000))
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a head of 9000 bytes: %s", answer.Status)
	}
	checkStatus(t, "a head of 9000 bytes", answer, body)
	b.checkWell(t)
}

// Five clients that began a request and do not end it are all there can be, and
// they have 5 s for it.
func TestKubeletPortTakesFiveClients(t *testing.T) {
	t.Parallel()
	b := readyBoard(t, sharedPlane(t), boardOptions{})
	b.waitQuiet(t)
	var slow []*client
	for range kubelet.MaxServed {
		c := dial(t, b.port)
		c.write(t, "GET /healthz HTTP/1.1\r\nHost: kubelet\r\n")
		slow = append(slow, c)
	}
	answer, body := dial(t, b.port).answer(t, "GET")
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("the sixth connection: %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
	}
	checkStatus(t, "the sixth connection", answer, body)

	slow[0].write(t, "\r\n")
	if answer, body := slow[0].answer(t, "GET"); answer.StatusCode != http.StatusOK || body != "ok" {
		t.Errorf("a request that was ended in time: %s %q", answer.Status, body)
	}
	for _, c := range slow[1:] {
		if text, err := io.ReadAll(c.r); err != nil || strings.HasPrefix(string(text), "HTTP/1.1 2") {
			t.Errorf("a request that was not ended: %q, %v", text, err)
		}
	}
	b.checkWell(t)
}

// checkWell checks that a kubelet answers, and that its node is Ready.
func (b *testBoard) checkWell(t *testing.T) {
	t.Helper()
	// The API server has a ready Node before its board has the answer that says so.
	eventually(t, 15*time.Second, func(ctx context.Context) error {
		_, err := getText(ctx, "http://"+b.port+"/readyz")
		return err
	})
	if c := condition(b.mustNode(t), corev1.NodeReady); c.Status != corev1.ConditionTrue {
		t.Errorf("the node is %v", c)
	}
}

// waitQuiet waits until the kubelet port has no connection but the one that asks.
func (b *testBoard) waitQuiet(t *testing.T) {
	t.Helper()
	eventually(t, 15*time.Second, func(ctx context.Context) error {
		metrics, err := getText(ctx, "http://"+b.port+"/metrics")
		if err == nil && !strings.Contains(metrics, "\npicolet_http_connections 1\n") {
			err = errors.New("connections of other clients are still open")
		}
		return err
	})
}

// A token keeps strangers out of the kubelet port.
func TestKubeletPortWithAToken(t *testing.T) {
	t.Parallel()
	b := readyBoard(t, sharedPlane(t), boardOptions{change: func(c *kubelet.Config) { c.ServerToken = "s3cret" }})
	for header, want := range map[string]int{
		"Authorization: Bearer s3cret":  200,
		"Authorization: Bearer s3crets": 401,
		"Authorization: Basic s3cret":   401,
		"X-Nothing: 1":                  401,
	} {
		for _, path := range []string{"/healthz", "/pico/status"} {
			if answer, _ := ask(t, b.port, "GET", path, "", header); answer.StatusCode != want {
				t.Errorf("GET %s with %s: %s, want %d", path, header, answer.Status, want)
			}
		}
	}
}

// The command reboot boots the board, and the node tells of it.
func TestRebootByCommand(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	b := readyBoard(t, p, boardOptions{})
	before := b.mustNode(t)
	if answer, body := ask(t, b.port, "POST", "/pico/command", `{"command":"reboot"}`); answer.StatusCode != http.StatusOK {
		t.Fatalf("reboot: %s %s", answer.Status, body)
	}
	p.waitEvent(t, b.name, "DeviceRebooted", "software")
	after := b.waitStatus(t, corev1.ConditionTrue)
	if after.Status.NodeInfo.BootID == before.Status.NodeInfo.BootID || after.UID != before.UID {
		t.Errorf("boot ID %s, UID %s after the reboot, %s and %s before", after.Status.NodeInfo.BootID, after.UID, before.Status.NodeInfo.BootID, before.UID)
	}
}
