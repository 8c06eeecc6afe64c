// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/picolet/picolet/cluster"
)

// defaultSource is where the control plane's sources are in a checkout.
const defaultSource = "controlplane"

func newControlPlaneCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "controlplane",
		Short: "Build the Kubernetes control plane that \"picolet up\" runs",
		Args:  noArguments,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBuildCommand())
	return c
}

func newBuildCommand() *cobra.Command {
	var o cluster.BuildOptions
	c := &cobra.Command{
		Use:   "build",
		Short: "Build the control plane into the cache, unless it is there, and print its path",
		Long: `Build the control plane from its sources into the user's cache, unless the cache
has it. The first time takes Go, the network, 6 GB of disk and some seven minutes.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if !slices.Contains(kubernetesLines, o.Version) {
				return badLine(o.Version)
			}
			binary, err := buildControlPlane(c.Context(), o, newProgress(c.ErrOrStderr()))
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), binary.Path)
			return nil
		},
	}
	c.Flags().StringVar(&o.Version, "kubernetes", kubernetesLines[0], "`LINE` of Kubernetes to build: "+strings.Join(kubernetesLines, " or "))
	c.Flags().StringVar(&o.Source, "source", defaultSource, "`DIRECTORY` with the control plane's sources")
	return c
}

func badLine(line string) error {
	return usagef("--kubernetes %q: choose %s", line, strings.Join(kubernetesLines, " or "))
}

// buildControlPlane builds, or finds in the cache, and shows progress.
func buildControlPlane(ctx context.Context, o cluster.BuildOptions, p *progress) (cluster.Binary, error) {
	if !isSource(o.Source) {
		return cluster.Binary{}, fmt.Errorf("%s holds no sources of the control plane: run in a checkout of picolet, or say where they are by --source", o.Source)
	}
	var last time.Time
	o.Progress = func(done, total int) {
		switch {
		case total == 0:
			p.printf("Building Kubernetes %s, once; the first build takes some minutes", o.Version)
		case done == total:
			p.printf("Compiled all of %d packages, linking", total)
		case time.Since(last) > 5*time.Second:
			p.printf("Compiled %d of %d packages", done, total)
			last = time.Now()
		}
	}
	return cluster.Build(ctx, o)
}

func isSource(dir string) bool {
	info, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil && info.Mode().IsRegular()
}

// findControlPlane finds or builds the binary: from its sources where they are
// at hand, so that a change of theirs counts.
func (u *up) findControlPlane(ctx context.Context) (cluster.Binary, error) {
	if os.Getenv(cluster.BinaryEnv) == "" && (u.source != "" || isSource(defaultSource)) {
		return buildControlPlane(ctx, cluster.BuildOptions{Source: cmp.Or(u.source, defaultSource), Version: u.kubernetes}, u.progress)
	}
	b, err := cluster.Find(ctx, cluster.FindOptions{Version: u.kubernetes})
	if errors.Is(err, cluster.ErrNotBuilt) {
		return b, fmt.Errorf("the control plane is not built yet: run \"picolet controlplane build --kubernetes %s\" in a checkout of picolet", u.kubernetes)
	}
	return b, err
}

func (u *up) startControlPlane(ctx context.Context) (*cluster.Cluster, error) {
	binary, err := u.findControlPlane(ctx)
	if err != nil {
		return nil, err
	}
	u.progress.printf("Starting Kubernetes %s in %s", cmp.Or(binary.Version, u.kubernetes), u.dir)
	c, err := cluster.Start(ctx, cluster.Options{
		Binary: binary.Path, Dir: u.dir, Datastore: u.datastore, Port: u.port,
		// Without this the API server would take any certificate at a kubelet port.
		APIServerArgs: []string{"kubelet-certificate-authority=" + filepath.Join(u.dir, "pki", "ca.crt")},
	})
	if err != nil {
		return nil, err
	}
	u.progress.printf("Kubernetes is ready at %s", c.URL())
	return c, nil
}

// watchControlPlane returns when ctx ends, or with an error when the control
// plane does.
func watchControlPlane(ctx context.Context, c *cluster.Cluster) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.Done():
		return cmp.Or(c.Err(), errors.New("it ended by itself"))
	}
}
