// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Exit codes of a command, as a shell gives them.
const (
	exitOK       = 0
	exitFailed   = 1   // the board refused, or did not answer
	exitUsage    = 2   // wrong arguments
	exitNotFound = 127 // no such command
)

// command is what kubectl exec can run on a board.
type command struct {
	name, args, what string
	run              func(x *execution, args []string) error
}

// commands are all of them. help is beside them, for it lists them.
var commands = []command{
	{"status", "", "show what the board says of itself", (*execution).status},
	{"memory", "[OFFSET [LENGTH]]", "show the memory region that ConfigMaps fill", (*execution).memory},
	{"gpio", "read [PIN] | set PIN HIGH|LOW|PWM:0-255", "read pins, or set one", (*execution).gpio},
	{"blink", "[COUNT [MILLISECONDS]]", "blink the LED", (*execution).blink},
	{"reboot", "", "reboot the board", (*execution).reboot},
}

// execution is one run of a command on the board of a node.
type execution struct {
	ctx    context.Context
	server *Server
	port   *port
	stdout io.Writer
	stderr io.Writer
}

var errUsage = errors.New("wrong arguments")

// run runs a command and returns its exit code. What goes wrong is written to
// the command's stderr.
func (x *execution) run(argv []string) int {
	if len(argv) == 1 && argv[0] == "help" {
		writeUsage(x.stdout)
		return exitOK
	}
	i := slices.IndexFunc(commands, func(c command) bool { return len(argv) > 0 && c.name == argv[0] })
	if i < 0 {
		fmt.Fprintf(x.stderr, "%.64q: no such command\n", strings.Join(argv, " "))
		writeUsage(x.stderr)
		return exitNotFound
	}
	err := commands[i].run(x, argv[1:])
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintf(x.stderr, "usage: %s %s\n", commands[i].name, commands[i].args)
		return exitUsage
	case err != nil:
		fmt.Fprintln(x.stderr, err)
		return exitFailed
	}
	return exitOK
}

func writeUsage(w io.Writer) {
	fmt.Fprintln(w, "commands:")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-50s %s\n", c.name+" "+c.args, c.what)
	}
	fmt.Fprintf(w, "  %-50s %s\n", "help", "show this")
}

// ask returns the body of the board's answer; an error is told as the board
// tells it.
func (x *execution) ask(q boardRequest) ([]byte, error) {
	a, refused := x.server.ask(x.ctx, x.port, q)
	if refused != nil {
		return nil, refused
	}
	defer a.close()
	switch {
	case a.rest != nil:
		return nil, errTooLong
	case a.code == http.StatusOK:
		return a.head, nil
	}
	var s metav1.Status
	if json.Unmarshal(a.head, &s) == nil && s.Message != "" {
		return nil, errors.New(printable(s.Message))
	}
	return nil, fmt.Errorf("the board answered %d", a.code)
}

// get asks for a path and reads the JSON of the answer into v.
func (x *execution) get(path string, query url.Values, v any) error {
	body, err := x.ask(boardRequest{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("the board's answer cannot be read: %w", err)
	}
	return nil
}

// command gives the board a command of its own (POST /pico/command).
func (x *execution) command(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = x.ask(boardRequest{method: http.MethodPost, path: "/pico/command", body: body})
	return err
}

func (x *execution) status(args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	var status json.RawMessage
	if err := x.get("/pico/status", nil, &status); err != nil {
		return err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, status, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := out.WriteTo(x.stdout)
	return err
}

func (x *execution) memory(args []string) error {
	numbers, err := integers(args, 2)
	if err != nil {
		return err
	}
	query := url.Values{}
	for i, name := range []string{"offset", "length"} {
		if i < len(numbers) {
			query.Set(name, strconv.Itoa(numbers[i]))
		}
	}
	var region struct {
		Offset int
		Hex    string
	}
	if err := x.get("/pico/memory", query, &region); err != nil {
		return err
	}
	data, err := hex.DecodeString(region.Hex)
	if err != nil {
		return fmt.Errorf("the board's memory cannot be read: %w", err)
	}
	for i, row := range slices.Collect(slices.Chunk(data, 16)) {
		fmt.Fprintf(x.stdout, "%04x  % x\n", region.Offset+16*i, row)
	}
	return nil
}

func (x *execution) gpio(args []string) error {
	switch {
	case len(args) >= 1 && len(args) <= 2 && args[0] == "read":
		return x.readPins(args[1:])
	case len(args) == 3 && args[0] == "set":
		return x.setPin(args[1], args[2])
	}
	return errUsage
}

// readPins shows one pin, or all.
func (x *execution) readPins(args []string) error {
	numbers, err := integers(args, 1)
	if err != nil {
		return err
	}
	var board struct{ Pins map[int]string }
	if err := x.get("/pico/gpio", nil, &board); err != nil {
		return err
	}
	if len(numbers) == 1 {
		state, ok := board.Pins[numbers[0]]
		if !ok {
			return fmt.Errorf("the board has no pin %d", numbers[0])
		}
		fmt.Fprintln(x.stdout, printable(state))
		return nil
	}
	for _, pin := range slices.Sorted(maps.Keys(board.Pins)) {
		fmt.Fprintf(x.stdout, "%d %s\n", pin, printable(board.Pins[pin]))
	}
	return nil
}

func (x *execution) setPin(pin, value string) error {
	numbers, err := integers([]string{pin}, 1)
	if err != nil {
		return err
	}
	return x.command(struct {
		Command string `json:"command"`
		Pin     int    `json:"pin"`
		Value   string `json:"value"`
	}{"set_pin", numbers[0], value})
}

func (x *execution) blink(args []string) error {
	numbers, err := integers(args, 2)
	if err != nil {
		return err
	}
	blink := struct {
		Command  string `json:"command"`
		Count    int    `json:"count"`
		Interval int    `json:"interval_ms"`
	}{"blink_led", 3, 200}
	for i, field := range []*int{&blink.Count, &blink.Interval} {
		if i < len(numbers) {
			*field = numbers[i]
		}
	}
	return x.command(blink)
}

func (x *execution) reboot(args []string) error {
	if len(args) > 0 {
		return errUsage
	}
	return x.command(struct {
		Command string `json:"command"`
	}{"reboot"})
}

// integers reads at most n arguments as numbers that are not negative.
func integers(args []string, n int) ([]int, error) {
	if len(args) > n {
		return nil, errUsage
	}
	numbers := make([]int, 0, n)
	for _, a := range args {
		v, err := strconv.ParseUint(a, 10, 31)
		if err != nil {
			return nil, errUsage
		}
		numbers = append(numbers, int(v))
	}
	return numbers, nil
}
