// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

var names atomic.Uint64

// unique makes a name that no other test, and no other run of this one, has.
func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, names.Add(1)) }

// seed is the entropy of a board.
func seed() uint64 { return rand.Uint64() | 1 }

// keptAddress finds a free address on loopback that stays free: its port is not
// one of those that the system gives away. It is for a server that ends and is
// started again.
func keptAddress(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(20_000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			must(tb, l.Close())
			return addr
		}
	}
	tb.Fatal("no free port below the ephemeral ones")
	return ""
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func isNotFound(err error) bool { return apierrors.IsNotFound(err) }

// eventually waits until check returns nil. After limit, the test fails with
// check's last error.
func eventually(tb testing.TB, limit time.Duration, check func(ctx context.Context) error) {
	tb.Helper()
	var last error
	err := wait.PollUntilContextTimeout(tb.Context(), 100*time.Millisecond, limit, true, func(ctx context.Context) (bool, error) {
		now := check(ctx)
		if now == nil || last == nil || ctx.Err() == nil { // at the limit, what was before says more
			last = now
		}
		return now == nil, nil
	})
	if err != nil {
		tb.Fatalf("after %v: %v", limit, last)
	}
}

// waitLog waits until a log holds text.
func waitLog(tb testing.TB, log fmt.Stringer, limit time.Duration, text string) {
	tb.Helper()
	eventually(tb, limit, func(context.Context) error {
		if !strings.Contains(log.String(), text) {
			return fmt.Errorf("the log does not hold %q", text)
		}
		return nil
	})
}

// getText returns the body of a GET that is answered with 200.
func getText(ctx context.Context, url string) (string, error) {
	return getTextBy(ctx, http.DefaultClient, url)
}

func getTextBy(ctx context.Context, client *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	r.Close = true // a kept connection would be one of the five of a kubelet
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, answer.Status, body)
	}
	return string(body), err
}

// getJSON reads the JSON that a GET is answered with into v.
func getJSON(ctx context.Context, url string, v any) error {
	text, err := getText(ctx, url)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), v)
}

// waitEvent waits until kubectl shows an Event about a node.
func (p *plane) waitEvent(tb testing.TB, node, reason, message string) corev1.Event {
	tb.Helper()
	var found corev1.Event
	eventually(tb, 15*time.Second, func(ctx context.Context) error {
		out, err := p.kubectl(ctx, "get", "events", "--namespace=default", "--output=json",
			"--field-selector=involvedObject.kind=Node,involvedObject.name="+node+",reason="+reason).Output()
		if err != nil {
			return err
		}
		var list corev1.EventList
		if err := json.NewDecoder(bytes.NewReader(out)).Decode(&list); err != nil {
			return err
		}
		for _, found = range list.Items {
			if strings.Contains(found.Message, message) {
				return nil
			}
		}
		return fmt.Errorf("no Event %s about %s says %q; there are %d", reason, node, message, len(list.Items))
	})
	return found
}
