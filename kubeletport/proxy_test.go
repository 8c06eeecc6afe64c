// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/board/virtual"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link/linktest"
)

// startKubelet runs a virtual board with the real kubelet; no API server is
// there for it.
func startKubelet(t testing.TB) (boards, *virtual.Board) {
	t.Helper()
	hardware, err := virtual.New(virtual.Options{ID: node})
	must(t, err)
	away := linktest.NewNetwork()
	away.Refuse(true)
	b := boards{linktest.NewNetwork()}
	n, err := fleet.NewNode(fleet.Options{
		Name: node, Dialer: away, Listener: b.Network,
		Boot: fleet.Machine(func(int) (kubelet.Config, error) {
			return kubelet.Config{NodeName: node, Host: "api", Version: "v1.37.2", Board: hardware.Board(), Seed: 1}, nil
		}),
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	return b, hardware
}

// Each path is answered by the real kubelet of a board, or by the port itself.
func TestPathsOfAKubelet(t *testing.T) {
	t.Parallel()
	b, hardware := startKubelet(t)
	h := startServer(t, b, nil)
	client := h.client(t, h.admin(t))
	for _, tt := range []struct {
		method, path, body string
		code               int
		contentType, holds string
	}{
		{"GET", "/healthz", "", 200, textType, "ok"},
		{"GET", "/healthz?verbose=1", "", 200, textType, "[+]ping ok\n"},
		{"GET", "/healthz/ping", "", 200, textType, "ok"},
		{"GET", "/healthz/log", "", 200, textType, "ok"},
		{"GET", "/healthz/syncloop", "", 200, textType, "ok"},
		{"GET", "/livez", "", 200, textType, "ok"},
		{"GET", "/readyz", "", 503, textType, "[-]link failed"},
		{"GET", "/metrics", "", 200, metricsType, "\n# TYPE "},
		{"GET", "/metrics/resource", "", 200, metricsType, "node_memory_working_set_bytes "},
		{"GET", "/metrics/cadvisor", "", 200, metricsType, ""},
		{"GET", "/metrics/probes", "", 200, metricsType, ""},
		{"GET", "/stats/summary", "", 200, jsonType, `"workingSetBytes":`},
		{"GET", "/configz", "", 200, jsonType, `"kind":"KubeletConfiguration"`},
		{"GET", "/spec", "", 200, jsonType, `"num_cores":2`},
		{"GET", "/logs?since=0", "", 200, textType, `msg="Kubelet started"`},
		{"GET", "/pods", "", 200, jsonType, `"name":"picolet-pico-1"`},
		{"GET", "/runningpods/", "", 200, jsonType, `"kind":"PodList"`},
		{"GET", "/pico/status", "", 200, jsonType, `"registered":false`},
		{"GET", "/pico/memory?offset=1020&length=4&other=1", "", 200, jsonType, `"hex":"00000000"`},
		{"GET", "/pico/memory?offset=1025", "", 400, jsonType, `1024 bytes`},
		{"POST", "/pico/command", `{"command":"set_pin","pin":15,"value":"PWM:9"}`, 200, jsonType, `"status":"Success"`},
		{"POST", "/pico/command", `{"command":"explode"}`, 400, jsonType, `"reason":"BadRequest"`},
		{"GET", "/pico/gpio", "", 200, jsonType, `"15":"PWM:9"`},
		{"GET", "/pico/gpio?pin=15", "", 200, jsonType, `{"pins":{"15":"PWM:9"}}`},
		{"GET", "/pico/gpio?pin=99", "", 400, jsonType, "no such pin"},
		{"GET", "/logs/?since=0", "", 200, textType, `msg="Kubelet started"`},
		{"POST", "/run" + podPath + "?cmd=gpio+15", "", 200, textType, "PWM:9\n"},
		{"POST", "/run" + podPath + "?cmd=gpio+99", "", 500, jsonType, "the board has no such pin"},
		{"GET", "/containerLogs" + podPath + "?tailLines=1", "", 200, textType, "INFO msg="},
		{"GET", "/exec" + podPath + "?command=help&output=1", "", 400, jsonType, "upgrade"},
		{"POST", "/attach" + podPath, "", 405, jsonType, "cannot attach"},
		{"POST", "/portForward/kube-system/picolet-pico-1", "", 405, jsonType, "cannot forward"},
	} {
		r := ask(t, client, tt.method, tt.path, tt.body)
		if r.code != tt.code || r.header.Get("Content-Type") != tt.contentType || !strings.Contains(r.body, tt.holds) {
			t.Errorf("%s %s: %d %s\n%s\nwant %d %s, with %q", tt.method, tt.path, r.code, r.header.Get("Content-Type"), r.body, tt.code, tt.contentType, tt.holds)
		}
	}
	if s, err := hardware.Pin(15); err != nil || s.Duty != 9 {
		t.Errorf("pin 15 is %v, %v", s, err)
	}
}

// A board reads nothing that its client wrote but what the table names, and
// never who the client is.
func TestWhatABoardSees(t *testing.T) {
	t.Parallel()
	b := startBoard(t, okBoard)
	h := startServer(t, b, nil)
	client := h.client(t, h.admin(t))
	noise := []string{
		"Authorization", "Bearer good", "Cookie", "a=b", "X-Remote-User", "admin", "Impersonate-User", "admin",
		"X-Forwarded-For", "10.1.2.3", "User-Agent", "kubectl", "Accept-Encoding", "gzip", "Range", "bytes=0-1", "Expect-Ct", "x",
		"Content-Type", "text/html", "Te", "trailers", "Host", "other", "Connection", "X-Hop", "X-Hop", "1", "Proxy-Authorization", "x",
	}
	for _, tt := range []struct{ method, target, body, want string }{
		{"GET", "/healthz", "", "GET /healthz HTTP/1.1\r\nHost: pico-1\r\n\r\n"},
		{"GET", "/healthz?verbose&x=y", "", "GET /healthz?verbose= HTTP/1.1\r\nHost: pico-1\r\n\r\n"},
		{"GET", "/metrics?verbose=1", "", "GET /metrics HTTP/1.1\r\nHost: pico-1\r\n\r\n"},
		{"GET", "/pico/memory?length=1%0d%0aX:y&offset=a&offset=b", "", "GET /pico/memory?length=1%0D%0AX%3Ay&offset=a HTTP/1.1\r\nHost: pico-1\r\n\r\n"},
		{"POST", "/pico/command?a=b", `{"a":1}`, "POST /pico/command HTTP/1.1\r\nHost: pico-1\r\nContent-Length: 7\r\nContent-Type: application/json\r\n\r\n{\"a\":1}"},
	} {
		ask(t, client, tt.method, tt.target, tt.body, noise...)
		equal(t, tt.target, b.requests(), []string{tt.want})
	}
}

// What a board answers is made harmless.
func TestWhatAClientSees(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3*maxBuffered)
	for _, tt := range []struct {
		name                 string
		board                http.HandlerFunc
		code                 int
		contentType, content string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Set-Cookie", "a=b")
			_, _ = io.WriteString(w, "<script>")
		}, 200, "application/octet-stream", "<script>"},
		{"a long answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, long)
		}, 200, textType, long},
		{"busy", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "{}")
		}, 503, jsonType, "{}"},
		{"a redirection", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
		}, 502, jsonType, "a linked board does not give"},
		{"one that asks for a token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, 502, jsonType, "the answer 401, which a linked board does not give"},
		{"a head of 20 KiB", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 20<<10))
		}, 502, jsonType, "does not answer"},
	} {
		h := startServer(t, startBoard(t, tt.board), nil)
		r := ask(t, h.client(t, h.admin(t)), "GET", "/metrics", "")
		if r.code != tt.code || r.header.Get("Content-Type") != tt.contentType || !strings.Contains(r.body, tt.content) {
			t.Errorf("%s: %d %v %.100q", tt.name, r.code, r.header, r.body)
		}
		if r.header.Get("Set-Cookie") != "" || r.header.Get("Location") != "" || r.header.Get("X-Long") != "" {
			t.Errorf("%s: headers of the board got through: %v", tt.name, r.header)
		}
	}
}

// An answer that has no end is cut where a client can tell.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 1<<16))
		}
	}), nil)
	resp, err := h.client(t, h.admin(t)).Get("https://127.0.0.1/metrics")
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil || n > maxBoardBody {
		t.Errorf("read %d bytes, %v, want at most %d and an error", n, err, maxBoardBody)
	}
}

// dialFunc is Boards by a function.
type dialFunc func(ctx context.Context, node string) (net.Conn, error)

func (f dialFunc) Dial(ctx context.Context, node string) (net.Conn, error) { return f(ctx, node) }

// A board that is away, silent or busy has an answer of its own, in time.
func TestBoardsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	silent := func(context.Context, string) (net.Conn, error) {
		near, far := linktest.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		return near, nil
	}
	for _, tt := range []struct {
		name  string
		dial  dialFunc
		code  int
		after time.Duration
	}{
		{"away", func(context.Context, string) (net.Conn, error) { return nil, errors.New("no link") }, 502, 0},
		{"cut", func(context.Context, string) (net.Conn, error) {
			near, far := linktest.Pipe()
			return near, far.Close()
		}, 502, 0},
		{"no dial", func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, 504, boardTimeout},
		{"silent", silent, 504, boardTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := startPiped(t, tt.dial, nil)
				start := time.Now()
				r := ask(t, h.client(t, h.admin(t)), "GET", "/healthz", "")
				if took := time.Since(start); r.code != tt.code || took != tt.after || !strings.Contains(r.body, "the board of node pico-1") {
					t.Errorf("%d %s after %v, want %d after %v", r.code, r.body, took, tt.code, tt.after)
				}
				checkStatus(t, r)
			})
		})
	}
}

// Requests beyond what the board works on wait, but not for ever, and a board's
// connections are never more than that.
func TestBusyBoard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBoard(t, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(8 * time.Second):
			case <-r.Context().Done():
			}
		})
		h := startPiped(t, b, nil)
		codes := make(chan string, 5)
		for range 5 {
			client := h.client(t, h.admin(t))
			go func() {
				start := time.Now()
				r := ask(t, client, "GET", "/healthz", "")
				codes <- fmt.Sprintf("%d after %v", r.code, time.Since(start))
			}()
		}
		count := map[string]int{}
		for range 5 {
			count[<-codes]++
		}
		if count["200 after 8s"] != 3 || count["503 after 5s"] != 2 || b.Dials() != 3 {
			t.Errorf("answers %v, %d connections to the board", count, b.Dials())
		}
	})
}

// A client that takes its answer slowly does not hold the board.
func TestSlowClientDoesNotHoldTheBoard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBoard(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, strings.Repeat("x", maxBuffered-1))
		})
		h := startPiped(t, b, func(c *Config) { c.MaxBoardRequests = 1 })
		slow := secureConn(t, h, h.admin(t))
		_, err := io.WriteString(slow, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n") // and reads nothing
		must(t, err)
		synctest.Wait()
		if r := ask(t, h.client(t, h.admin(t)), "GET", "/metrics", ""); r.code != 200 {
			t.Errorf("the next client: %d %s", r.code, r.body)
		}
		time.Sleep(writeTimeout + 10*time.Second) // TLS tries to say goodbye
		synctest.Wait()
		if n := h.connections.Load(); n > 1 {
			t.Errorf("%d connections, want the slow one to be ended", n)
		}
	})
}

func TestPodsAreListed(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	for _, path := range []string{"/pods", "/runningpods/"} {
		var list corev1.PodList
		r := ask(t, h.client(t, h.admin(t)), "GET", path, "")
		if err := json.Unmarshal([]byte(r.body), &list); err != nil || list.Kind != "PodList" || len(list.Items) != 1 ||
			list.Items[0].Spec.Containers[0].Image != "picolet.dev/firmware:v1" {
			t.Errorf("%s: %v %s", path, err, r.body)
		}
	}
}
