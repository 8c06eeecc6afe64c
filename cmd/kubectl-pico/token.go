// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/picolet/picolet/enrolment"
)

func newTokenCommand(a *access) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Join tokens, which let a number of boards in without asking",
		Args:  onlyCommands,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newTokenCreateCommand(a), newTokenListCommand(a), newTokenDeleteCommand(a))
	return c
}

func newTokenCreateCommand(a *access) *cobra.Command {
	var t enrolment.JoinToken
	var ttl time.Duration
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a join token and print it",
		Long: `Make a join token and print it, once: the cluster keeps its hash only. Give it to
boards by --join-token-file of "picolet provision" or "picolet node". A board that
has it can take any of its node names, so name no machine's.`,
		Example: `  kubectl pico token create --uses 10 --ttl 24h --node-names 'pico-*'`,
		Args:    noNames,
		RunE: func(c *cobra.Command, _ []string) error {
			if ttl <= 0 {
				return usagef("--ttl %v: give a time such as 24h", ttl)
			}
			t.Expires = time.Now().Add(ttl)
			secret, token, err := enrolment.NewJoinToken(t)
			if err != nil {
				return usagef("%v", err)
			}
			return a.createToken(c, secret, token, t.NodeNames == "")
		},
	}
	c.Flags().IntVar(&t.Uses, "uses", 1, "`NUMBER` of boards that it lets in")
	c.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "`TIME` that it lasts")
	c.Flags().StringVar(&t.NodeNames, "node-names", "", "`PATTERN` of the node names that it is for; required where the cluster has other nodes (default: what the gateway's --node-names allow)")
	c.Flags().StringToStringVar(&t.Labels, "labels", nil, "`LABELS` of the nodes, as site=north,row=3")
	return c
}

func (a *access) createToken(c *cobra.Command, secret *corev1.Secret, token string, anyName bool) error {
	cl, err := a.open()
	if err != nil {
		return err
	}
	if anyName {
		if err := cl.refuseAnyName(c.Context()); err != nil {
			return err
		}
	}
	_, err = cl.client.CoreV1().Secrets(cl.namespace).Create(c.Context(), secret, metav1.CreateOptions{FieldManager: "kubectl-pico"})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no namespace %s: kubectl apply -f deploy/namespace.yaml, or name the gateway's by -n", cl.namespace)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), token)
	return err
}

// refuseAnyName refuses a token for any node name where one could be that of a
// machine that has yet to register. Who may not list nodes relies on the gateway's
// own patterns.
func (cl *cluster) refuseAnyName(ctx context.Context) error {
	machine, err := enrolment.FindMachine(ctx, cl.client.CoreV1().Nodes())
	switch {
	case apierrors.IsForbidden(err):
		return nil
	case err != nil:
		return err
	case machine != nil:
		return usagef("node %s of this cluster is not a board, so say which node names the token is for: --node-names PATTERN, for example 'pico-*'", machine.Name)
	}
	return nil
}

func newTokenListCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the join tokens",
		Args:  noNames,
		RunE: func(c *cobra.Command, _ []string) error {
			cl, err := a.open()
			if err != nil {
				return err
			}
			list, err := cl.client.CoreV1().Secrets(cl.namespace).List(c.Context(), metav1.ListOptions{
				FieldSelector: fields.OneTermEqualSelector("type", string(enrolment.JoinTokenType)).String(),
			})
			if err != nil {
				return err
			}
			return printTokens(c.OutOrStdout(), list.Items, time.Now())
		},
	}
}

func printTokens(w io.Writer, list []corev1.Secret, now time.Time) error {
	var errs []error
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "ID\tUSED\tEXPIRES\tNODES\tAGE")
	for i := range list {
		info, err := enrolment.ReadTokenInfo(&list[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		expires := "expired"
		if left := info.Expires.Sub(now); left > 0 {
			expires = "in " + duration.HumanDuration(left)
		}
		fmt.Fprintf(t, "%s\t%d of %d\t%s\t%s\t%s\n", info.ID, info.Used, info.Uses, expires, shown(info.NodeNames), age(&list[i].CreationTimestamp, now))
	}
	return errors.Join(append(errs, t.Flush())...)
}

func newTokenDeleteCommand(a *access) *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID...",
		Short: "Delete join tokens; boards that came by them stay",
		Args:  names,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.open()
			if err != nil {
				return err
			}
			var errs []error
			for _, id := range args {
				errs = append(errs, cl.deleteToken(c, id))
			}
			return errors.Join(errs...)
		},
	}
}

func (cl *cluster) deleteToken(c *cobra.Command, id string) error {
	secrets := cl.client.CoreV1().Secrets(cl.namespace)
	name := enrolment.TokenSecretName(id)
	s, err := secrets.Get(c.Context(), name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && s.Type != enrolment.JoinTokenType:
		return errors.New("there is no such join token; see \"kubectl pico token list\"")
	case err != nil:
		return err
	}
	if err := secrets.Delete(c.Context(), name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "join token %s deleted\n", name[len("join-token-"):])
	return err
}
