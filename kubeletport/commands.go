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

// commands are all of them, by the names that the board's own HTTP API has for them
// (/pico/status, POST /pico/command); a pin's values are those of ConfigMaps. help is
// beside them, for it lists them.
var commands = []command{
	{"status", "", "show what the board reports of itself", (*execution).status},
	{"memory", "[OFFSET [LENGTH]]", "show the memory region that ConfigMaps fill", (*execution).memory},
	{"gpio", "[PIN]", "read a pin, or all", (*execution).gpio},
	{"set_pin", "PIN HIGH|LOW|PWM:0-255", "set a pin, until its ConfigMap entry changes", (*execution).setPin},
	{"blink_led", "[COUNT [INTERVAL_MS]]", "blink the LED", (*execution).blinkLED},
	{"reboot", "", "reboot the board", (*execution).reboot},
}

// canonical rewrites the commands that had other names once.
func canonical(argv []string) []string {
	switch {
	case len(argv) > 0 && argv[0] == "blink":
		return append([]string{"blink_led"}, argv[1:]...)
	case len(argv) > 1 && argv[0] == "gpio" && argv[1] == "set":
		return append([]string{"set_pin"}, argv[2:]...)
	case len(argv) > 1 && argv[0] == "gpio" && argv[1] == "read":
		return append([]string{"gpio"}, argv[2:]...)
	}
	return argv
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
	argv = canonical(argv)
	i := slices.IndexFunc(commands, func(c command) bool { return len(argv) > 0 && c.name == argv[0] })
	if i < 0 {
		return x.notFound(argv)
	}
	err := commands[i].run(x, argv[1:])
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(x.stderr, "usage:", commands[i].usage())
		return exitUsage
	case err != nil:
		fmt.Fprintln(x.stderr, err)
		return exitFailed
	}
	return exitOK
}

// notFound answers for what is no command. kubectl cp runs tar.
func (x *execution) notFound(argv []string) int {
	if len(argv) > 0 && argv[0] == "tar" {
		fmt.Fprintln(x.stderr, "files cannot be copied to or from a board: it has no file system; set its pins and memory by a ConfigMap")
		return exitNotFound
	}
	fmt.Fprintf(x.stderr, "%.64q: no such command: a board runs no programs\n", strings.Join(argv, " "))
	writeUsage(x.stderr)
	return exitNotFound
}

// usage is the command with its arguments.
func (c *command) usage() string { return strings.TrimSpace(c.name + " " + c.args) }

func writeUsage(w io.Writer) {
	fmt.Fprintln(w, "commands:")
	for _, c := range append(commands, command{name: "help", what: "show this"}) {
		fmt.Fprintf(w, "  %-32s %s\n", c.usage(), c.what)
	}
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

// gpio shows one pin, or all.
func (x *execution) gpio(args []string) error {
	if len(args) > 1 {
		return errUsage
	}
	query := url.Values{}
	if len(args) == 1 {
		pin, err := pinNumber(args[0])
		if err != nil {
			return err
		}
		query.Set("pin", strconv.Itoa(pin))
	}
	var board struct{ Pins map[int]string }
	if err := x.get("/pico/gpio", query, &board); err != nil {
		return err
	}
	if len(args) == 1 {
		return x.writePin(query.Get("pin"), board.Pins)
	}
	for _, pin := range slices.Sorted(maps.Keys(board.Pins)) {
		fmt.Fprintf(x.stdout, "%d %s\n", pin, printable(board.Pins[pin]))
	}
	return nil
}

// writePin shows one pin, also of a board whose firmware answers with all of them.
func (x *execution) writePin(number string, pins map[int]string) error {
	pin, err := strconv.Atoi(number)
	state, ok := pins[pin]
	if err != nil || !ok {
		return fmt.Errorf("the board has no pin %s", number)
	}
	_, err = fmt.Fprintln(x.stdout, printable(state))
	return err
}

func (x *execution) setPin(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	pin, err := pinNumber(args[0])
	if err != nil {
		return err
	}
	return x.command(struct {
		Command string `json:"command"`
		Pin     int    `json:"pin"`
		Value   string `json:"value"`
	}{"set_pin", pin, args[1]})
}

func (x *execution) blinkLED(args []string) error {
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

// pinNumber reads the number of a pin, also as the key of a ConfigMap, pin_15.
func pinNumber(arg string) (int, error) {
	numbers, err := integers([]string{strings.TrimPrefix(arg, "pin_")}, 1)
	if err != nil {
		return 0, err
	}
	return numbers[0], nil
}

// integers reads at most n arguments as numbers that are not negative, decimal or
// hexadecimal behind 0x, as ConfigMaps have them: leading zeros make none octal.
func integers(args []string, n int) ([]int, error) {
	if len(args) > n {
		return nil, errUsage
	}
	numbers := make([]int, 0, n)
	for _, a := range args {
		digits, base := a, 10
		if rest, ok := strings.CutPrefix(strings.ToLower(a), "0x"); ok {
			digits, base = rest, 16
		}
		v, err := strconv.ParseUint(digits, base, 31)
		if err != nil {
			return nil, errUsage
		}
		numbers = append(numbers, int(v))
	}
	return numbers, nil
}
