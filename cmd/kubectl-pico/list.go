// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/enrolment"
)

func newListCommand(a *access) *cobra.Command {
	var onlyPending bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the boards that are known",
		Long: `List the boards that are known, those that wait for approval first. For other
forms of output use "kubectl get devices".`,
		Args: noNames,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.open()
			if err != nil {
				return err
			}
			list, err := cl.devices.List(c.Context(), metav1.ListOptions{})
			if err != nil {
				return cl.explain(err)
			}
			if onlyPending {
				list.Items = slices.DeleteFunc(list.Items, func(d v1alpha1.Device) bool { return !d.IsPending() })
			}
			return printDevices(c.OutOrStdout(), list.Items, time.Now())
		},
	}
	c.Flags().BoolVar(&onlyPending, "pending", false, "only boards that wait for approval")
	return c
}

// noNames refuses arguments.
func noNames(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes flags only, got %q; see %q", c.CommandPath(), args[0], c.CommandPath()+" --help")
	}
	return nil
}

func printDevices(w io.Writer, list []v1alpha1.Device, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "No devices: a board shows up when it first reaches a gateway")
		return err
	}
	slices.SortFunc(list, func(a, b v1alpha1.Device) int {
		return cmp.Or(rank(&a)-rank(&b), strings.Compare(a.Spec.NodeName, b.Spec.NodeName), strings.Compare(a.Name, b.Name))
	})
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "NAME\tNODE\tSTATE\tCONNECTED\tBOARD\tADDRESS\tCONTACT\tAGE")
	for i := range list {
		d := &list[i]
		fmt.Fprintln(t, strings.Join([]string{
			d.Name, shown(d.Spec.NodeName), state(d), connection(d), shown(d.Status.Board), shown(d.Status.Address),
			age(d.Status.LastContact, now), age(&d.CreationTimestamp, now),
		}, "\t"))
	}
	return t.Flush()
}

func rank(d *v1alpha1.Device) int {
	switch {
	case d.IsPending():
		return 0
	case d.IsApproved():
		return 1
	}
	return 2
}

// state is what was decided; or, for an approved Device, what stands against it.
func state(d *v1alpha1.Device) string {
	c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Enrolled)
	switch {
	case c != nil && c.ObservedGeneration == d.Generation:
		return shown(c.Reason)
	case d.IsPending():
		return string(enrolment.Pending)
	case d.IsApproved():
		return string(enrolment.Approved)
	}
	return string(enrolment.Denied)
}

func connection(d *v1alpha1.Device) string {
	c := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.Connected)
	if c == nil {
		return "<none>"
	}
	return string(c.Status)
}

func age(t *metav1.Time, now time.Time) string {
	if t.IsZero() {
		return "<none>"
	}
	return duration.HumanDuration(now.Sub(t.Time))
}

// shown is what somebody else wrote, fit for a terminal.
func shown(s string) string {
	if s == "" {
		return "<none>"
	}
	return strings.Trim(strconv.QuoteToASCII(s), `"`)
}
