// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package linktest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/link/linktest"
)

func TestDialReachesTheListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := linktest.NewNetwork()
		go serve(n, func(c net.Conn) { _, _ = io.Copy(c, c) })
		c, err := n.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.LocalAddr() != linktest.NearAddr || c.RemoteAddr() != linktest.FarAddr {
			t.Errorf("addresses %v, %v", c.LocalAddr(), c.RemoteAddr())
		}
		go func() { _, _ = c.Write([]byte("echo")) }()
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "echo" {
			t.Errorf("read %q, %v", got, err)
		}
		closeAll(t, c, n)
		if n.Dials() != 1 {
			t.Errorf("Dials() = %d, want 1", n.Dials())
		}
	})
}

func TestDialFails(t *testing.T) {
	tests := map[string]struct {
		prepare func(*linktest.Network)
		want    error
	}{
		"refused":         {func(n *linktest.Network) { n.Refuse(true) }, linktest.ErrRefused},
		"listener closed": {func(n *linktest.Network) { _ = n.Close() }, linktest.ErrRefused},
		"silent":          {func(n *linktest.Network) { n.Silence(true) }, context.DeadlineExceeded},
		"nobody accepts":  {func(*linktest.Network) {}, context.DeadlineExceeded},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := linktest.NewNetwork()
				tt.prepare(n)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := n.Dial(ctx); !errors.Is(err, tt.want) {
					t.Errorf("Dial: %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestDialWorksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := linktest.NewNetwork()
		n.Refuse(true)
		n.Silence(true)
		n.Refuse(false)
		n.Silence(false)
		go serve(n, func(c net.Conn) { _ = c.Close() })
		if _, err := n.Dial(t.Context()); err != nil {
			t.Error(err)
		}
		closeAll(t, n)
	})
}

func TestCutDeliversWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := linktest.Pipe()
		near = linktest.Faults{CutAfter: 3}.Wrap(near)
		go func() {
			n, err := near.Write([]byte("hello"))
			if n != 3 || !errors.Is(err, linktest.ErrCut) {
				t.Errorf("Write = %d, %v, want 3, ErrCut", n, err)
			}
		}()
		got, err := io.ReadAll(far)
		if string(got) != "hel" || err != nil {
			t.Errorf("the peer read %q, %v", got, err)
		}
	})
}

func TestCutCountsBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := linktest.Pipe()
		near = linktest.Faults{CutAfter: 4, ShortReads: 1}.Wrap(near)
		go func() { _, _ = far.Write([]byte("abcdef")) }()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		if _, err := near.Write([]byte("12")); err != nil {
			t.Error(err)
		}
		got, err := io.ReadAll(near)
		if string(got) != "ab" || !errors.Is(err, linktest.ErrCut) {
			t.Errorf("read %q, %v, want %q, ErrCut", got, err, "ab")
		}
		closeAll(t, far)
	})
}

func TestStallEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := linktest.Pipe()
		near = linktest.Faults{StallAfter: 2}.Wrap(near)
		go func() { _, _ = io.Copy(io.Discard, far) }()
		ended := make(chan error, 1)
		go func() {
			_, err := near.Write([]byte("hello"))
			ended <- err
		}()
		time.Sleep(time.Hour) // of the bubble
		select {
		case err := <-ended:
			t.Fatalf("Write returned %v before Close", err)
		default:
		}
		closeAll(t, near)
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v, want net.ErrClosed", err)
		}
	})
}

func TestShortReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := linktest.Pipe()
		near = linktest.Faults{ShortReads: 2}.Wrap(near)
		go func() {
			_, _ = far.Write([]byte("hello"))
			_ = far.Close()
		}()
		for _, want := range []string{"he", "ll", "o"} {
			p := make([]byte, 10)
			if n, err := near.Read(p); string(p[:n]) != want || err != nil {
				t.Errorf("Read %q, %v, want %q", p[:n], err, want)
			}
		}
	})
}

func serve(l net.Listener, handle func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go handle(c)
	}
}

func closeAll(t *testing.T, closers ...io.Closer) {
	t.Helper()
	for _, c := range closers {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
