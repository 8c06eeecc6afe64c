// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/link/linktest"
)

func TestRequestAndAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		k := newFake(func(k *fakeKubelet, in input) {
			switch in.what {
			case "Start":
				k.out.Dial = 1
			case "Opened":
				k.send(0, "ping")
			}
		})
		stop := start(t, fleet.Options{Dialer: network}, k)
		peer := accept(t, network)
		expect(t, peer, "ping")
		say(t, peer, "pong")
		_ = peer.Close()
		synctest.Wait()
		stop()
		checkTranscript(t, k, nil,
			"0s Start", "0s Opened 0", "0s Sent 0 4", `0s Receive 0 "pong"`, "0s Closed 0 <nil>")
	})
}

func TestTickComesAtWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(func(k *fakeKubelet, in input) { k.out.Wake = in.now + 1500*time.Millisecond })
		stop := start(t, fleet.Options{Dialer: linktest.NewNetwork()}, k)
		time.Sleep(4 * time.Second)
		stop()
		checkTranscript(t, k, nil, "0s Start", "1.5s Tick", "3s Tick")
	})
}

func TestFailedDialIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		network.Refuse(true)
		k := newFake(dialAtStart(0b11))
		stop := start(t, fleet.Options{Dialer: network}, k)
		synctest.Wait()
		stop()
		got := k.transcript("Closed")
		slices.Sort(got)
		want := []string{"0s Closed 0 " + linktest.ErrRefused.Error(), "0s Closed 1 " + linktest.ErrRefused.Error()}
		if !slices.Equal(got, want) {
			t.Errorf("inputs %q, want %q", got, want)
		}
	})
}

func TestBrokenStreamTellsItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		network.SetFaults(linktest.Faults{CutAfter: 6})
		k := newFake(func(k *fakeKubelet, in input) {
			switch in.what {
			case "Start":
				k.out.Dial = 1
			case "Opened":
				k.send(0, "0123456789")
			}
		})
		stop := start(t, fleet.Options{Dialer: network}, k)
		peer := accept(t, network)
		expect(t, peer, "012345")
		synctest.Wait()
		stop()
		// Reader and writer both meet the cut; whoever tells first, it is told once.
		got := k.transcript("Closed")
		if len(got) != 1 || strings.HasSuffix(got[0], "<nil>") {
			t.Errorf("inputs %q, want one Closed with a cause", got)
		}
		if all := k.transcript(); all[len(all)-1] != got[0] {
			t.Errorf("inputs %q, want nothing after Closed", all)
		}
	})
}

func TestUntakenInputHoldsItsPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		open := false
		k := newFake(func(k *fakeKubelet, in input) {
			switch in.what {
			case "Start":
				k.out.Dial = 1
				k.out.Wake = time.Minute
			case "Tick":
				open = true
				k.out.Wake = time.Hour
			}
		})
		k.take = func(p []byte) int {
			if open {
				return min(len(p), 100)
			}
			return 0
		}
		stop := start(t, fleet.Options{Dialer: network}, k)
		peer := accept(t, network)
		sent := bytes.Repeat([]byte("0123456789"), 1000)
		var written atomic.Int64
		go func() {
			for p := range slices.Chunk(sent, 10) {
				n, _ := peer.Write(p)
				written.Add(int64(n))
			}
		}()
		synctest.Wait()
		if n := written.Load(); n > 2048 {
			t.Errorf("%d bytes in flight to a kubelet that takes none", n)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		stop()
		if got := k.received(0); got != string(sent) {
			t.Errorf("received %d bytes, want the %d that were sent", len(got), len(sent))
		}
	})
}

func TestStalledPeerStallsItsStreamOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		k := newFake(func(k *fakeKubelet, in input) {
			switch in.what {
			case "Start":
				k.out.Dial = 1
			case "Opened":
				k.send(in.stream, strings.Repeat("x", 5000))
				if in.stream == 0 {
					k.out.Dial = 2
				}
			}
		})
		stop := start(t, fleet.Options{Dialer: network}, k)
		_ = accept(t, network) // reads nothing
		peer := accept(t, network)
		expect(t, peer, strings.Repeat("x", 5000))
		synctest.Wait()
		checkTranscript(t, k, []string{"Sent"}, "0s Sent 1 2048", "0s Sent 1 2048", "0s Sent 1 904")
		stop()
	})
}

func TestSuccessorHearsNothingOfAClosedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		k := newFake(func(k *fakeKubelet, in input) {
			switch in.what {
			case "Start":
				k.out.Dial = 1
			case "Receive":
				if in.data == "old" {
					k.out.Close, k.out.Dial = 1, 1
				}
			}
		})
		stop := start(t, fleet.Options{Dialer: network}, k)
		first := accept(t, network)
		say(t, first, "old")
		second := accept(t, network)
		if _, err := first.Write([]byte("late")); err == nil {
			t.Error("the old connection still takes bytes")
		}
		say(t, second, "new")
		synctest.Wait()
		stop()
		checkTranscript(t, k, nil, "0s Start", "0s Opened 0", `0s Receive 0 "old"`, "0s Opened 0", `0s Receive 0 "new"`)
	})
}

func TestCloseAbortsADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		network.Silence(true)
		k := newFake(func(k *fakeKubelet, in input) {
			switch in.what {
			case "Start":
				k.out.Dial = 1
				k.out.Wake = time.Second
			case "Tick":
				network.Silence(false)
				k.out.Close, k.out.Dial = 1, 1
				k.out.Wake = time.Hour
			}
		})
		stop := start(t, fleet.Options{Dialer: network}, k)
		peer := accept(t, network)
		say(t, peer, "x")
		synctest.Wait()
		stop()
		checkTranscript(t, k, nil, "0s Start", "1s Tick", "1s Opened 0", `1s Receive 0 "x"`)
	})
}

func TestFinishSendsAllFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		answer := strings.Repeat("y", 3000)
		k := newFake(func(k *fakeKubelet, in input) {
			switch in.what {
			case "Start":
				k.out.Dial = 1
			case "Opened":
				k.send(0, answer)
				k.out.Finish = 1
			}
		})
		stop := start(t, fleet.Options{Dialer: network}, k)
		peer := accept(t, network)
		got, err := io.ReadAll(peer)
		if string(got) != answer || err != nil {
			t.Errorf("the peer read %d bytes, %v, want %d", len(got), err, len(answer))
		}
		synctest.Wait()
		stop()
		checkTranscript(t, k, []string{"Sent", "Closed"}, "0s Sent 0 2048", "0s Sent 0 952", "0s Closed 0 <nil>")
	})
}

func TestKubeletPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := linktest.NewNetwork()
		k := newFake(on("Receive", func(k *fakeKubelet, in input) {
			k.send(in.stream, "answer to "+in.data)
			k.out.Finish |= 1 << in.stream
		}))
		free := []kubelet.Stream{kubelet.StreamServed, kubelet.StreamServed + 1}
		k.accept = func() (kubelet.Stream, bool) {
			if len(free) == 0 {
				return 0, false
			}
			s := free[0]
			free = free[1:]
			return s, true
		}
		stop := start(t, fleet.Options{Dialer: linktest.NewNetwork(), Listener: network, Busy: []byte("busy")}, k)
		var clients []net.Conn
		for range 3 {
			c, err := network.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		readAll(t, clients[2], "busy")
		say(t, clients[1], "b")
		readAll(t, clients[1], "answer to b")
		say(t, clients[0], "a")
		readAll(t, clients[0], "answer to a")
		stop()
		if _, err := network.Dial(t.Context()); !errors.Is(err, linktest.ErrRefused) {
			t.Errorf("the port is still open after Run: %v", err)
		}
	})
}

func TestResetFlushesAndReboots(t *testing.T) {
	tests := map[string]struct {
		reads bool
		after time.Duration
	}{
		"peer reads":   {reads: true, after: 0},
		"peer stalled": {reads: false, after: time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := linktest.NewNetwork()
				first := newFake(func(k *fakeKubelet, in input) {
					switch in.what {
					case "Start":
						k.out.Dial = 1
					case "Opened":
						k.send(0, strings.Repeat("z", 3000))
						k.out.Finish, k.out.Reset = 1, true
					}
				})
				begin := time.Now()
				var rebooted time.Duration
				second := newFake(on("Start", func(*fakeKubelet, input) { rebooted = time.Since(begin) }))
				stop := start(t, fleet.Options{Dialer: network}, first, second)
				peer := accept(t, network)
				if tt.reads {
					readAll(t, peer, strings.Repeat("z", 3000))
				}
				time.Sleep(time.Minute)
				stop()
				checkTranscript(t, second, nil, "0s Start")
				if rebooted != tt.after {
					t.Errorf("rebooted after %v, want %v", rebooted, tt.after)
				}
			})
		})
	}
}

func TestAddressOfTheDialledConnection(t *testing.T) {
	tests := map[string]struct {
		fixed bool
		want  []string
	}{
		"reported once": {fixed: false, want: []string{"0s SetAddress 192.0.2.1", "0s Opened 0", "0s Opened 1"}},
		"configured":    {fixed: true, want: []string{"0s Opened 0", "0s Opened 1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := linktest.NewNetwork()
				k := newFake(func(k *fakeKubelet, in input) {
					switch {
					case in.what == "Start":
						k.out.Dial = 1
					case in.what == "Opened" && in.stream == 0:
						k.out.Dial = 2
					}
				})
				stop := start(t, fleet.Options{Dialer: network, FixedAddress: tt.fixed}, k)
				accept(t, network)
				accept(t, network)
				synctest.Wait()
				stop()
				checkTranscript(t, k, []string{"SetAddress", "Opened"}, tt.want...)
			})
		})
	}
}

func TestLogIsMirrored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(on("Start", func(k *fakeKubelet, in input) {
			k.ring.Begin(in.now, 0, logring.Warn, "Lost link").Str("node", "pico-1").Str("cause", "no = route").Int("attempt", 3).End()
			k.ring.Begin(in.now, 0, logring.Debug, "Not shown").End()
			k.ring.Begin(in.now, 0, logring.Info, "Dialling again").End()
		}))
		k.ring.Configure(make([]byte, 1024))
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: dropTime}))
		stop := start(t, fleet.Options{Dialer: linktest.NewNetwork(), Log: log}, k)
		synctest.Wait()
		stop()
		want := `level=WARN msg="Lost link" node=pico-1 cause="no = route" attempt=3` + "\n" +
			`level=INFO msg="Dialling again" node=pico-1` + "\n"
		if out.String() != want {
			t.Errorf("log:\n%swant:\n%s", &out, want)
		}
	})
}

// Both ends of a stream that breaks reads into pieces get each other's bytes
// unchanged, whatever prefix the kubelet takes.
func TestStreamsCarryAllBytes(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 0))
				network := linktest.NewNetwork()
				network.SetFaults(linktest.Faults{ShortReads: 1 + rng.IntN(3000)})
				k := newFake(func(k *fakeKubelet, in input) {
					switch in.what {
					case "Start":
						k.out.Dial = 1
					case "Receive":
						k.send(0, in.data) // an echo
					}
				})
				k.take = func(p []byte) int { return rng.IntN(len(p)) + 1 }
				stop := start(t, fleet.Options{Dialer: network}, k)
				peer := accept(t, network)
				sent := randomText(rng, 20_000)
				go func() { _, _ = io.WriteString(peer, sent) }()
				expect(t, peer, sent)
				synctest.Wait()
				stop()
			})
		})
	}
}

func TestRunEndsAllWhenOneCannotBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no storage")
		good := newNode(t, "good", func(int) (fleet.Kubelet, error) { return newFake(nil), nil })
		bad := newNode(t, "bad", func(int) (fleet.Kubelet, error) { return nil, broken })
		err := fleet.Run(t.Context(), good, bad)
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), `"bad"`) {
			t.Errorf("Run: %v, want an error that names the node and its cause", err)
		}
	})
}

func newNode(t *testing.T, name string, boot func(int) (fleet.Kubelet, error)) *fleet.Node {
	t.Helper()
	n, err := fleet.NewNode(fleet.Options{Name: name, Boot: boot, Dialer: linktest.NewNetwork()})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOptionsNameWhatIsMissing(t *testing.T) {
	_, err := fleet.NewNode(fleet.Options{})
	for _, field := range []string{"Name", "Boot", "Dialer"} {
		if err == nil || !strings.Contains(err.Error(), "field "+field) {
			t.Errorf("NewNode: %v, want a word about %s", err, field)
		}
	}
}

// TestUptime: where the board has been up for long, its kubelet's time begins
// there and runs on.
func TestUptime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newFake(func(k *fakeKubelet, in input) { k.out.Wake = in.now + time.Second })
		stop := start(t, fleet.Options{Dialer: linktest.NewNetwork(), Uptime: func() time.Duration { return 100 * time.Hour }}, k)
		time.Sleep(1500 * time.Millisecond)
		stop()
		lines := k.transcript()
		if want := []string{"100h0m0s Start", "100h0m1s Tick"}; !slices.Equal(lines, want) {
			t.Errorf("inputs: %q, want %q", lines, want)
		}
	})
}
