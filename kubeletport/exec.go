// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	protocols "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/wsstream"
	utilexec "k8s.io/utils/exec"
)

// Limits of a stream in which a command runs.
const (
	commandTimeout        = 30 * time.Second
	streamIdleTimeout     = time.Minute
	streamCreationTimeout = 10 * time.Second
	// maxInput is the most bytes that a client may send: commands read none.
	maxInput = 1 << 20
)

// spdyProtocols are those of k8s.io/cri-streaming.
var spdyProtocols = []string{
	protocols.StreamProtocolV4Name, protocols.StreamProtocolV3Name, protocols.StreamProtocolV2Name, protocols.StreamProtocolV1Name,
}

// serveExec answers /exec: a command on SPDY or WebSocket streams.
func (s *Server) serveExec(c *call) *refusal {
	if refused := c.checkPod(); refused != nil {
		return refused
	}
	if !httpstream.IsUpgradeRequest(c.r) {
		return refuse(http.StatusBadRequest, "a command needs streams: upgrade to SPDY or WebSocket, as kubectl exec does")
	}
	streams, err := remotecommand.NewOptions(c.r)
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	connOf(c.r.Context()).limitReads(maxInput)
	connOf(c.r.Context()).lingers.Store(true)
	ctx, cancel := connOf(c.r.Context()).untilGone(c.r.Context())
	defer cancel()
	c.r = c.r.WithContext(ctx)
	x := &executor{server: s, port: c.port}
	argv := c.query[corev1.ExecCommandParam]
	if wsstream.IsWebSocketRequestWithStreamCloseProtocol(c.r) {
		x.serveV5(c, streams, argv)
		return nil
	}
	remotecommand.ServeExec(c.w, c.r, x, c.pod.pod, "", c.pod.container, argv, streams,
		streamIdleTimeout, streamCreationTimeout, spdyProtocols)
	return nil
}

// executor runs commands on the board of a node.
type executor struct {
	server *Server
	port   *port
}

var _ remotecommand.Executor = (*executor)(nil)

// ExecInContainer implements remotecommand.Executor. Commands read no input:
// what arrives is dropped.
func (x *executor) ExecInContainer(ctx context.Context, _, _, _ string, argv []string, in io.Reader, stdout, stderr io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if in != nil {
		go func() { _, _ = io.Copy(io.Discard, in) }() // ends with the connection
	}
	if resize != nil {
		go func() {
			for range resize { // ends with the connection
			}
		}()
	}
	if code := x.run(ctx, argv, output(stdout, stderr, tty)); code != exitOK {
		return utilexec.CodeExitError{Err: fmt.Errorf("%s: exit code %d", strings.Join(argv, " "), code), Code: code}
	}
	return nil
}

// outputs are where a command writes to.
type outputs struct{ stdout, stderr io.Writer }

func (x *executor) run(ctx context.Context, argv []string, out outputs) int {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	e := &execution{ctx: ctx, server: x.server, port: x.port, stdout: out.stdout, stderr: out.stderr}
	return e.run(argv)
}

// output takes the streams that the client opened. A terminal has one stream,
// and needs a carriage return before a line feed.
func output(stdout, stderr io.Writer, tty bool) outputs {
	out := outputs{orDiscard(stdout), orDiscard(stderr)}
	if tty {
		out.stdout = terminal{out.stdout}
		out.stderr = out.stdout
	}
	return out
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

type terminal struct{ io.Writer }

func (t terminal) Write(p []byte) (int, error) {
	if _, err := t.Writer.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// serveV5 runs a command in streams of v5.channel.k8s.io, which kubectl speaks
// and which the API server passes on unchanged to nodes that declare the
// feature ExtendWebSocketsToKubelet. k8s.io/cri-streaming serves up to v4.
func (x *executor) serveV5(c *call, streams *remotecommand.Options, argv []string) {
	channels := []wsstream.ChannelType{
		protocols.StreamStdIn:  wsstream.ReadChannel,
		protocols.StreamStdOut: channel(streams.Stdout),
		protocols.StreamStdErr: channel(streams.Stderr),
		protocols.StreamErr:    wsstream.WriteChannel,
		protocols.StreamResize: wsstream.IgnoreChannel,
	}
	conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
		protocols.StreamProtocolV5Name: {Binary: true, Channels: channels},
	})
	conn.SetIdleTimeout(streamIdleTimeout)
	_, opened, err := conn.Open(c.w, c.r.WithContext(klog.NewContext(c.r.Context(), logr.Discard()))) // it logs each end as an error
	if err != nil {
		return // Open told the client
	}
	defer func() { _ = conn.Close() }()
	_, _ = opened[protocols.StreamErr].Write(nil) // tells the client that the streams are there
	err = x.ExecInContainer(c.r.Context(), "", "", "", argv, opened[protocols.StreamStdIn],
		opened[protocols.StreamStdOut], opened[protocols.StreamStdErr], streams.TTY, nil, 0)
	conn.SetWriteDeadline(writeTimeout)
	_, _ = opened[protocols.StreamErr].Write(exitStatus(err)) // a client that is gone needs none
}

func channel(wanted bool) wsstream.ChannelType {
	if wanted {
		return wsstream.WriteChannel
	}
	return wsstream.IgnoreChannel
}

// exitStatus is the end of a command, as v4 and v5 tell it.
func exitStatus(err error) []byte {
	status := metav1.Status{Status: metav1.StatusSuccess}
	if exit := (utilexec.CodeExitError{}); errors.As(err, &exit) {
		status = metav1.Status{
			Status:  metav1.StatusFailure,
			Reason:  protocols.NonZeroExitCodeReason,
			Message: "command terminated with non-zero exit code: " + err.Error(),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{
				Type: protocols.ExitCodeCauseType, Message: strconv.Itoa(exit.Code),
			}}},
		}
	}
	body, err := json.Marshal(&status)
	if err != nil {
		panic(err) // a Status has no field that cannot be marshalled
	}
	return body
}

// serveRun answers /run: a command without streams, its output as the answer.
func (s *Server) serveRun(c *call) *refusal {
	if refused := c.checkPod(); refused != nil {
		return refused
	}
	var out bytes.Buffer
	x := &executor{server: s, port: c.port}
	argv := strings.Fields(c.query.Get("cmd"))
	if code := x.run(c.r.Context(), argv, outputs{&out, &out}); code != exitOK {
		return refuse(http.StatusInternalServerError, "exit code %d: %s", code, strings.TrimSpace(out.String()))
	}
	c.w.Header().Set("Content-Type", textType)
	c.w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	c.w.WriteHeader(http.StatusOK)
	_, _ = out.WriteTo(c.w)
	return nil
}
