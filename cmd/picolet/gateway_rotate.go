// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/enrolment"
)

func newKeyListCommand(f *keyFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the gateway's keys and how many boards use each",
		Long: `List the public keys by which boards know the gateways, with their states, and the
number of approved Devices that used or stored each of them last.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			keys, err := f.read(c.Context())
			if err != nil {
				return interrupted(c.Context(), err)
			}
			config, _, err := f.cluster()
			if err != nil {
				return err
			}
			return interrupted(c.Context(), printKeys(c.Context(), c.OutOrStdout(), config, keys))
		},
	}
}

// rotateFlags are the flags of "picolet gateway key rotate".
type rotateFlags struct {
	*keyFlags
	finish, dropOld, force bool
}

func newKeyRotateCommand(k *keyFlags) *cobra.Command {
	f := rotateFlags{keyFlags: k}
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the gateway's key, without visiting a board",
		Long: `Replace the key by which boards know the gateways, in three steps:

  1. rotate             makes the next key. Running gateways know it within 20 s,
                        and boards learn it over the links that they have.
  2. rotate --finish    makes it the current one, for boards provisioned from now
                        on. The previous key still holds, for boards that were away.
  3. rotate --drop-old  ends the previous key, at the gateways and on the boards.

Between the steps, "picolet gateway key list" shows how many boards have the new
key. A board that has none of the gateway's keys must be provisioned again, so step
3 wants --force while there is one. Back up the Secret ` + enrolment.GatewayKeySecret + `
after each step. Where the key was stolen, take the steps without waiting for long.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return interrupted(c.Context(), f.run(c.Context(), c.OutOrStdout()))
		},
	}
	c.Flags().BoolVar(&f.finish, "finish", false, "make the next key the current one")
	c.Flags().BoolVar(&f.dropOld, "drop-old", false, "end the previous key")
	c.Flags().BoolVar(&f.force, "force", false, "with --drop-old: even if boards have no other key")
	return c
}

func (f *rotateFlags) run(ctx context.Context, out io.Writer) error {
	switch {
	case f.finish && f.dropOld:
		return usagef("--finish and --drop-old are two steps: give one of them")
	case f.force && !f.dropOld:
		return usagef("--force goes with --drop-old")
	}
	config, secrets, err := f.cluster()
	if err != nil {
		return err
	}
	if _, err := f.read(ctx); err != nil {
		return err
	}
	step, next := (*enrolment.GatewayKeys).Rotate, "Boards learn the next key now. When they have it: picolet gateway key rotate --finish"
	switch {
	case f.finish:
		step, next = (*enrolment.GatewayKeys).Finish, "Boards that were away learn the new key when they are back. When all have it: picolet gateway key rotate --drop-old"
	case f.dropOld:
		step = func(k *enrolment.GatewayKeys) error { return f.drop(ctx, out, config, k) }
		next = "The old key is dropped. Boards that have no other key must be provisioned again"
	}
	keys, err := enrolment.UpdateGatewayKeys(ctx, secrets, step)
	if err != nil {
		return err
	}
	if err := printKeys(ctx, out, config, keys); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n%s.\nBack up the keys: kubectl get secret -n %s %s -o yaml\n", next, f.namespace, enrolment.GatewayKeySecret)
	return err
}

// drop drops the previous key, if every approved Device has another one.
func (f *rotateFlags) drop(ctx context.Context, out io.Writer, config *rest.Config, k *enrolment.GatewayKeys) error {
	if err := k.DropPrevious(); err != nil {
		return err
	}
	approved, err := approvedDevices(ctx, config)
	if err != nil {
		return err
	}
	var without []string
	for _, d := range approved {
		if !holds(k, d.Status.GatewayKey) {
			without = append(without, d.Name+" ("+d.Spec.NodeName+")")
		}
	}
	switch {
	case len(without) == 0:
		return nil
	case !f.force:
		return fmt.Errorf("%d boards never got another key and would have to be provisioned again: %s; connect them, or drop the key with --force", len(without), strings.Join(without, ", "))
	}
	_, err = fmt.Fprintf(out, "To be provisioned again, for they never got another key: %s\n\n", strings.Join(without, ", "))
	return err
}

func holds(k *enrolment.GatewayKeys, fingerprint string) bool {
	for _, key := range k.NewestFirst() {
		if key.Public().Name() == fingerprint {
			return true
		}
	}
	return false
}

func approvedDevices(ctx context.Context, config *rest.Config) (approved []v1alpha1.Device, err error) {
	client, err := devices.New(config)
	if err != nil {
		return nil, err
	}
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("which boards have which key: %w", err)
	}
	for _, d := range list.Items {
		if d.IsApproved() {
			approved = append(approved, d)
		}
	}
	return approved, nil
}

// printKeys prints a line for each key, the newest first, and one for boards that know
// none of them.
func printKeys(ctx context.Context, out io.Writer, config *rest.Config, keys enrolment.GatewayKeys) error {
	approved, err := approvedDevices(ctx, config)
	if err != nil {
		return err
	}
	boards := make(map[string]int)
	for _, d := range approved {
		boards[d.Status.GatewayKey]++
	}
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "FINGERPRINT\tSTATE\tBOARDS\tPUBLIC KEY")
	for _, key := range keys.NewestFirst() {
		public := key.Public()
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", public.Name(), stateOf(&keys, key), boards[public.Name()], public)
		delete(boards, public.Name())
	}
	others := 0
	for _, n := range boards {
		others += n
	}
	if others > 0 {
		fmt.Fprintf(w, "<other>\t\t%d\t\n", others)
	}
	return w.Flush()
}

func stateOf(keys *enrolment.GatewayKeys, key enrolment.PrivateKey) string {
	switch key {
	case keys.Next:
		return "next"
	case keys.Current:
		return "current"
	}
	return "previous"
}
