// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package datastore serves the etcd API on a unix socket, from memory or from an
// SQLite database, by kine and without cgo. Who may open the socket is decided by the
// permissions of its directory alone: it asks for no credentials.
package datastore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/memory"
	"github.com/k3s-io/kine/pkg/drivers/sqlite"
	"github.com/k3s-io/kine/pkg/server"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
)

// Kind says where the data is kept.
type Kind string

const (
	// Memory keeps nothing over a restart.
	Memory Kind = "memory"
	// SQLite keeps the data in one file.
	SQLite Kind = "sqlite"
)

// Kinds are the datastores that Serve can serve.
var Kinds = []Kind{SQLite, Memory}

const (
	// emulatedEtcdVersion lets the API server use watch progress notifications, as
	// kine's own default does.
	emulatedEtcdVersion = "3.6.11"
	// notifyInterval is how often a watch is told of progress without events.
	notifyInterval = 5 * time.Second
	// openTimeout bounds kine's own 300 attempts to open a database, one a second.
	openTimeout = 10 * time.Second
	// stopTimeout is how long calls under way may take at the end.
	stopTimeout = 2 * time.Second
	// maxRequest is etcd's own limit of a request in bytes, with gRPC's overhead.
	maxRequest = 2 << 20
)

// Config says what to serve.
type Config struct {
	// Kind is where the data is kept. Required.
	Kind Kind
	// Socket is the path of the unix socket. Required.
	Socket string
	// File is the database. Required for SQLite.
	File string
	// Log takes kine's warnings. Required.
	Log io.Writer
}

// ParseKind returns the datastore of a name.
func ParseKind(name string) (Kind, error) {
	if kind := Kind(name); slices.Contains(Kinds, kind) {
		return kind, nil
	}
	return "", fmt.Errorf("there is no datastore %q: choose sqlite (kept) or memory (lost at the end)", name)
}

// Serve serves the etcd API until ctx is done, then ends in order.
func Serve(ctx context.Context, c Config) error {
	logrus.SetOutput(c.Log)
	logrus.SetLevel(logrus.WarnLevel)
	var backendRunning sync.WaitGroup
	backendCtx, stopBackend := context.WithCancel(context.WithoutCancel(ctx))
	defer backendRunning.Wait()
	defer stopBackend()
	tooLate := time.AfterFunc(openTimeout, stopBackend)
	backend, err := c.open(backendCtx, &backendRunning)
	if err != nil {
		return err
	}
	if !tooLate.Stop() {
		return fmt.Errorf("open %s: it took more than %s", c.where(), openTimeout)
	}
	listener, err := listen(c.Socket)
	if err != nil {
		return err
	}
	return c.serve(ctx, backend, listener)
}

// open opens the backend. Compaction is left to the API server, as with etcd.
func (c Config) open(ctx context.Context, running *sync.WaitGroup) (server.Backend, error) {
	create := memory.New
	config := &drivers.Config{CompactTimeout: 5 * time.Second, CompactMinRetain: 1000, CompactBatchSize: 1000, PollBatchSize: 500, PollInterval: time.Second}
	if c.Kind == SQLite {
		if err := checkDatabase(c.File); err != nil {
			return nil, err
		}
		create = sqlite.New
		config.DataSourceName = c.File + "?" + sqlite.DefaultParams
	}
	_, backend, err := create(ctx, running, config)
	if err == nil {
		err = backend.Start(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("open %s: it did not open within %s, for the reason in the log; a full disk may be one", c.where(), openTimeout)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", c.where(), err)
	}
	return backend, nil
}

// checkDatabase finds what kine would try again and again: a file that cannot be
// written, or that is something else (https://www.sqlite.org/fileformat.html, 1.3).
func checkDatabase(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); errors.Is(err, io.EOF) {
		return nil // new
	}
	if string(head) != magic {
		return fmt.Errorf("%s is no SQLite database: move it away, or choose another directory", name)
	}
	return nil
}

func (c Config) where() string {
	if c.Kind == SQLite {
		return c.File
	}
	return "the datastore in memory"
}

// listen opens the socket for this user only; one that a killed process left goes.
func listen(socket string) (net.Listener, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("datastore socket: %w", err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("datastore socket: %w", err)
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("datastore socket: %w", err)
	}
	return listener, nil
}

func (c Config) serve(ctx context.Context, backend server.Backend, listener net.Listener) error {
	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(maxRequest), grpc.MaxSendMsgSize(math.MaxInt32))
	server.New(backend, "unix", notifyInterval, emulatedEtcdVersion).Register(rpc)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		force := time.AfterFunc(stopTimeout, rpc.Stop)
		defer force.Stop()
		rpc.GracefulStop()
	})
	if err := rpc.Serve(listener); err != nil && stop() {
		return fmt.Errorf("serve the datastore: %w", err)
	}
	<-stopped
	return nil
}

// URL returns the socket as the API server's --etcd-servers takes it.
func (c Config) URL() string { return "unix://" + c.Socket }

// Ready tells whether the socket is served.
func (c Config) Ready(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return err
	}
	return conn.Close()
}
