// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package datastore_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/picolet/picolet/controlplane/internal/datastore"
)

// limit is how long a test waits for what must happen.
const limit = 20 * time.Second

// socket returns a path short enough for a unix socket.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ds")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// serve serves until the returned function is called, which returns Serve's result.
func serve(t *testing.T, c datastore.Config) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- datastore.Serve(ctx, c) }()
	t.Cleanup(cancel)
	for deadline := time.Now().Add(limit); c.Ready(t.Context()) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the datastore does not serve")
		}
	}
	return func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(limit):
			t.Fatal("the datastore does not stop")
			return nil
		}
	}
}

func client(t *testing.T, c datastore.Config) etcdserverpb.KVClient {
	t.Helper()
	conn, err := grpc.NewClient(c.URL(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return etcdserverpb.NewKVClient(conn)
}

// put creates a key, in the one form of transaction that the API server uses for it.
func put(t *testing.T, kv etcdserverpb.KVClient, key, value string) {
	t.Helper()
	resp, err := kv.Txn(t.Context(), &etcdserverpb.TxnRequest{
		Compare: []*etcdserverpb.Compare{{
			Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_MOD, Key: []byte(key),
			TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: 0},
		}},
		Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestPut{
			RequestPut: &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte(value)},
		}}},
	})
	if err != nil || !resp.Succeeded {
		t.Fatalf("put %s: %v, %v", key, resp, err)
	}
}

func get(t *testing.T, kv etcdserverpb.KVClient, key string) string {
	t.Helper()
	resp, err := kv.Range(t.Context(), &etcdserverpb.RangeRequest{Key: []byte(key), Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

func TestKept(t *testing.T) {
	t.Parallel()
	for kind, want := range map[datastore.Kind]string{datastore.Memory: "", datastore.SQLite: "value"} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			c := datastore.Config{Kind: kind, Socket: socket(t), File: filepath.Join(t.TempDir(), "state.db"), Log: io.Discard}
			stop := serve(t, c)
			if info, err := os.Stat(c.Socket); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("socket: %v, %v", info, err)
			}
			put(t, client(t, c), "/registry/a", "value")
			if got := get(t, client(t, c), "/registry/a"); got != "value" {
				t.Errorf("got %q", got)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			stop = serve(t, c)
			if got := get(t, client(t, c), "/registry/a"); got != want {
				t.Errorf("after the restart: %q, want %q", got, want)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSocketOfAKilledProcessIsReplaced(t *testing.T) {
	t.Parallel()
	c := datastore.Config{Kind: datastore.Memory, Socket: socket(t), Log: io.Discard}
	if err := os.WriteFile(c.Socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := serve(t, c)(); err != nil {
		t.Error(err)
	}
}

func TestServeFails(t *testing.T) {
	t.Parallel()
	garbage := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]datastore.Config{
		"missing directory of the database": {Kind: datastore.SQLite, Socket: socket(t), File: "/nonexistent/state.db"},
		"no database":                       {Kind: datastore.SQLite, Socket: socket(t), File: garbage},
		"missing directory of the socket":   {Kind: datastore.Memory, Socket: "/nonexistent/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.Log = io.Discard
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if err := datastore.Serve(ctx, c); err == nil || ctx.Err() != nil {
				t.Errorf("error %v (%v)", err, ctx.Err())
			}
		})
	}
}

func TestParseKind(t *testing.T) {
	t.Parallel()
	for _, kind := range datastore.Kinds {
		if got, err := datastore.ParseKind(string(kind)); err != nil || got != kind {
			t.Errorf("%s: %s, %v", kind, got, err)
		}
	}
	for _, bad := range []string{"", "etcd", "SQLite"} {
		if _, err := datastore.ParseKind(bad); err == nil || !strings.Contains(err.Error(), "sqlite (kept)") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
