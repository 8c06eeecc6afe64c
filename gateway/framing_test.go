// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

var wellFramed = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /x?y=%20 HTTP/1.1\r\nhost:a\r\nAccept: */*\r\nX-Empty:\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
	"POST / HTTP/1.1\r\nHost: a\r\nCONTENT-LENGTH:\t 3 \t\r\n\r\n\r\n\r",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nA-Header-Name-Longer-Than-Any-That-Matters: x\r\nHost: a\r\n\r\n",
}

var badlyFramed = map[string]string{
	"bare LF in request line":        "GET / HTTP/1.1\nHost: a\r\n\r\n",
	"bare LF in header":              "GET / HTTP/1.1\r\nHost: a\n\r\n",
	"bare LF at the end":             "GET / HTTP/1.1\r\nHost: a\r\n\n",
	"bare CR in value":               "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
	"folded header":                  "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
	"space before colon":             "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
	"no colon":                       "GET / HTTP/1.1\r\nHost\r\n\r\n",
	"empty header name":              "GET / HTTP/1.1\r\n: a\r\n\r\n",
	"no Host":                        "GET / HTTP/1.1\r\n\r\n",
	"empty Host":                     "GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"two Hosts":                      "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
	"same Content-Length twice":      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"two Content-Lengths":            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
	"list in Content-Length":         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
	"signed Content-Length":          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
	"negative Content-Length":        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc",
	"hexadecimal Content-Length":     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
	"space in Content-Length":        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc",
	"empty Content-Length":           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
	"huge Content-Length":            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
	"chunked":                        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"Content-Length, then chunked":   "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"chunked, then Content-Length":   "POST / HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding with tab":     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\r\n\r\n",
	"Transfer-Encoding with space":   "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
	"HTTP/1.0":                       "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
	"HTTP/2 preface":                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"no version":                     "GET /\r\nHost: a\r\n\r\n",
	"long version":                   "GET / HTTP/1.11\r\nHost: a\r\n\r\n",
	"absolute form":                  "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"authority form":                 "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
	"asterisk form":                  "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"two spaces":                     "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
	"tab in request line":            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"control byte in target":         "GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
	"non-ASCII target":               "GET /\xc0\xaf HTTP/1.1\r\nHost: a\r\n\r\n",
	"non-ASCII value":                "GET / HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n",
	"empty line first":               "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"lower-case method":              "get / HTTP/1.1\r\nHost: a\r\n\r\n",
	"TLS hello":                      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"SSH":                            "SSH-2.0-OpenSSH_9.2\r\n",
	"rest of a body as next request": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nabc",
}

func TestFramer(t *testing.T) {
	t.Parallel()
	for _, in := range wellFramed {
		var f framer
		for i := range len(in) { // byte by byte: the worst a network does
			if n, err := f.accept([]byte{in[i]}); n != 1 || err != nil {
				t.Errorf("%q: byte %d refused: %v", in, i, err)
				break
			}
		}
		var whole framer
		if n, err := whole.accept([]byte(in)); n != len(in) || err != nil || whole != f {
			t.Errorf("%q: in one piece %d, %v, state %+v; byte by byte %+v", in, n, err, whole, f)
		}
	}
}

func TestFramerRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range badlyFramed {
		var f framer
		n, err := f.accept([]byte(in))
		if !errors.Is(err, errFraming) {
			t.Errorf("%s: %d of %d bytes taken, error %v", name, n, len(in), err)
			continue
		}
		if n, err := f.accept([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); n != 0 || !errors.Is(err, errFraming) {
			t.Errorf("%s: the connection goes on after it", name)
		}
	}
}

func TestFramerAllocatesNothing(t *testing.T) {
	in := []byte(wellFramed[1] + wellFramed[2])
	var f framer
	if n := testing.AllocsPerRun(100, func() {
		if _, err := f.accept(in); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFramer: of any bytes that the framer lets through, net/http makes the
// same requests, none of them mended.
func FuzzFramer(f *testing.F) {
	for _, s := range wellFramed {
		f.Add([]byte(s))
	}
	for _, s := range badlyFramed {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var fr framer
		n, _ := fr.accept(in)
		if n > len(in) {
			t.Fatalf("took %d of %d bytes", n, len(in))
		}
		r := bufio.NewReader(bytes.NewReader(in[:n]))
		for rest := in[:n]; len(rest) > 0; {
			head, body, complete := bytes.Cut(rest, []byte("\r\n\r\n"))
			req, err := http.ReadRequest(r)
			if !complete {
				if err == nil {
					t.Fatalf("net/http finds a request in an unfinished head %q", rest)
				}
				return
			}
			if err != nil {
				// net/http may refuse more, as a Host or a target it cannot parse.
				return
			}
			lower := strings.ToLower(string(head))
			if len(req.TransferEncoding) > 0 || strings.Contains(lower, "\ntransfer-encoding:") {
				t.Fatalf("Transfer-Encoding in %q", head)
			}
			if strings.Count(lower, "\ncontent-length:") > 1 || strings.Count(lower, "\nhost:") != 1 {
				t.Fatalf("doubled header in %q", head)
			}
			got, err := io.ReadAll(req.Body)
			want := min(req.ContentLength, int64(len(body)))
			if int64(len(got)) != want || want == req.ContentLength && err != nil {
				t.Fatalf("body %q of %q, error %v", got, rest, err)
			}
			rest = body[want:]
		}
	})
}
