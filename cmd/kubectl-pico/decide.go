// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/enrolment"
)

func newApproveCommand(a *access) *cobra.Command {
	var nodeName string
	c := &cobra.Command{
		Use:   "approve NAME...",
		Short: "Let boards in",
		Long: `Let boards in as the nodes that they wish to be, or as another one.

NAME is that of a Device, or the node name of exactly one Device that waits.
Compare the key with that of the board before you trust a name.`,
		Example: `  kubectl pico approve 3f9a0c51d2b7e684
  kubectl pico approve 3f9a0c51d2b7e684 --node-name pico-7`,
		Args: func(c *cobra.Command, args []string) error {
			if nodeName != "" && len(args) != 1 {
				return usagef("--node-name is for one NAME, got %d", len(args))
			}
			return names(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.each(c, args, decision{wants: notApproved(nodeName != ""), write: func(ctx context.Context, cl *cluster, d *v1alpha1.Device, out io.Writer) error {
				return cl.approve(ctx, d, nodeName, out)
			}})
		},
	}
	c.Flags().StringVar(&nodeName, "node-name", "", "`NAME` of the node that the board shall be (default: the one that it wishes)")
	return c
}

func newDenyCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "deny NAME...",
		Short: "Keep boards out that wait for approval",
		Args:  names,
		RunE: func(c *cobra.Command, args []string) error {
			return a.each(c, args, decision{wants: isPending, write: func(ctx context.Context, cl *cluster, d *v1alpha1.Device, out io.Writer) error {
				return cl.refuse(ctx, d, "denied", out)
			}})
		},
	}
}

func newRevokeCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME...",
		Short: "Keep boards out that were let in, from this second on",
		Long: `Keep boards out that were let in. Their links are cut within a second; nothing
is removed, so that their nodes become NotReady and can be looked at.`,
		Args: names,
		RunE: func(c *cobra.Command, args []string) error {
			return a.each(c, args, decision{wants: isApproved, write: func(ctx context.Context, cl *cluster, d *v1alpha1.Device, out io.Writer) error {
				return cl.refuse(ctx, d, "revoked", out)
			}})
		},
	}
}

// decision is what a command does with each Device.
type decision struct {
	// wants tells why the command is not for a Device; "" if it is.
	wants func(d *v1alpha1.Device) string
	write func(ctx context.Context, cl *cluster, d *v1alpha1.Device, out io.Writer) error
}

func notApproved(renamed bool) func(d *v1alpha1.Device) string {
	return func(d *v1alpha1.Device) string {
		if d.IsApproved() && !renamed {
			return "is approved already, as node " + d.Spec.NodeName
		}
		return ""
	}
}

func isPending(d *v1alpha1.Device) string {
	switch {
	case d.IsPending():
		return ""
	case d.IsApproved():
		return "is approved: kubectl pico revoke " + d.Name
	}
	return "is kept out already"
}

func isApproved(d *v1alpha1.Device) string {
	switch {
	case d.IsApproved():
		return ""
	case d.IsPending():
		return "was never approved: kubectl pico deny " + d.Name
	}
	return "is kept out already"
}

// each does a decision for every NAME, and reports all errors.
func (a *access) each(c *cobra.Command, args []string, do decision) error {
	cl, err := a.open()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range args {
		d, err := cl.find(c.Context(), name, do.wants)
		if err == nil {
			err = do.write(c.Context(), cl, d, c.OutOrStdout())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// find returns the Device of that name, or else the one with that node name that
// the command is for.
func (cl *cluster) find(ctx context.Context, name string, wants func(*v1alpha1.Device) string) (*v1alpha1.Device, error) {
	d, err := cl.devices.Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		if why := wants(d); why != "" {
			return nil, fmt.Errorf("device %s %s", d.Name, why)
		}
		return d, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, cl.explain(err)
	}
	list, err := cl.devices.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, cl.explain(err)
	}
	return byNode(list.Items, name, wants)
}

func byNode(list []v1alpha1.Device, node string, wants func(*v1alpha1.Device) string) (*v1alpha1.Device, error) {
	var found, others []*v1alpha1.Device
	for i := range list {
		switch d := &list[i]; {
		case d.Spec.NodeName != node:
		case wants(d) == "":
			found = append(found, d)
		default:
			others = append(others, d)
		}
	}
	switch {
	case len(found) > 1:
		text := fmt.Sprintf("%d devices are, or wish to be, node %s; say which by its own name:", len(found), node)
		for _, d := range found {
			text += fmt.Sprintf(" %s (key %s, board %s, address %s)", d.Name, d.Spec.PublicKey, shown(d.Status.Board), shown(d.Status.Address))
		}
		return nil, errors.New(text)
	case len(found) == 1:
		return found[0], nil
	case len(others) > 0:
		return nil, fmt.Errorf("device %s %s", others[0].Name, wants(others[0]))
	}
	return nil, fmt.Errorf("there is no device %q and none of that node name; see \"kubectl pico list\"", node)
}

// explain adds what to do where the API server does not know Devices.
func (cl *cluster) explain(err error) error {
	if apierrors.IsNotFound(err) {
		return errors.New("this cluster knows no Devices: kubectl apply -f deploy/picolet.dev_devices.yaml")
	}
	return err
}

func (cl *cluster) approve(ctx context.Context, d *v1alpha1.Device, nodeName string, out io.Writer) error {
	if nodeName == "" {
		nodeName = d.Spec.NodeName
	}
	if nodeName == "" {
		return fmt.Errorf("device %s wishes no node name: kubectl pico approve %[1]s --node-name NAME", d.Name)
	}
	if err := cl.mayBe(ctx, d, nodeName); err != nil {
		return err
	}
	if err := cl.patch(ctx, d, map[string]any{"approved": true, "nodeName": nodeName}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "device.picolet.dev/%s approved as node %s: key %s, board %s, address %s\n",
		d.Name, nodeName, d.Spec.PublicKey, shown(d.Status.Board), shown(d.Status.Address))
	return err
}

// mayBe looks for what would keep an approved Device from being its node.
func (cl *cluster) mayBe(ctx context.Context, d *v1alpha1.Device, nodeName string) error {
	list, err := cl.devices.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, other := range list.Items {
		if other.Name != d.Name && other.IsApproved() && other.Spec.NodeName == nodeName {
			return fmt.Errorf("node %s is device %s: kubectl pico revoke %s, or kubectl pico approve %s --node-name NAME", nodeName, other.Name, other.Name, d.Name)
		}
	}
	node, err := cl.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err): // then the gateway looks
		return nil
	case err != nil:
		return err
	case !enrolment.IsBoard(node):
		return fmt.Errorf("node %s is there and is no board (%s): kubectl pico approve %s --node-name NAME", nodeName, shown(node.Status.NodeInfo.ContainerRuntimeVersion), d.Name)
	}
	return nil
}

func (cl *cluster) refuse(ctx context.Context, d *v1alpha1.Device, word string, out io.Writer) error {
	if err := cl.patch(ctx, d, map[string]any{"approved": false}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "device.picolet.dev/%s %s\n", d.Name, word)
	return err
}

// patch changes the spec of the Device as it was looked at, not as somebody made
// it since.
func (cl *cluster) patch(ctx context.Context, d *v1alpha1.Device, spec map[string]any) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": d.UID, "resourceVersion": d.ResourceVersion}, "spec": spec,
	})
	if err != nil {
		return err
	}
	_, err = cl.devices.Patch(ctx, d.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "kubectl-pico"})
	if apierrors.IsConflict(err) {
		return fmt.Errorf("device %s has just been changed: look at it again by kubectl pico list", d.Name)
	}
	return err
}
