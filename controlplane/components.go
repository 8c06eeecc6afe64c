// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	restclient "k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	basecompatibility "k8s.io/component-base/compatibility"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserverapp "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	kcmapp "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kcmoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	schedulerapp "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// The components are run by the functions below their cobra commands: those install
// one signal handler each, of which a process can have but one, and take no context.

// parseFlags parses a component's command line as its own command would.
func parseFlags(sets cliflag.NamedFlagSets, args []string) error {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	for _, set := range sets.FlagSets {
		fs.AddFlagSet(set)
	}
	return fs.Parse(args)
}

// applyGates makes the feature gates of the command line hold. The three components
// share one registry.
func applyGates(registry basecompatibility.ComponentGlobalsRegistry) error {
	if err := registry.Set(); err != nil {
		return fmt.Errorf("feature gates: %w", err)
	}
	return nil
}

// runAPIServer serves on listener until ctx is done. It also sets up the log of the
// whole process, which can be done once only.
func runAPIServer(ctx context.Context, listener net.Listener, args []string) error {
	options := apiserveroptions.NewServerRunOptions()
	if err := parseFlags(options.Flags(), args); err != nil {
		return err
	}
	registry := options.GenericServerRunOptions.ComponentGlobalsRegistry
	if err := applyGates(registry); err != nil {
		return err
	}
	gate := registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(options.Logs, gate); err != nil {
		return err
	}
	restclient.SetDefaultWarningHandler(restclient.NoWarnings{})
	options.SecureServing.Listener = listener
	completed, err := options.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return utilerrors.NewAggregate(errs)
	}
	return apiserverapp.Run(ctx, completed)
}

// runControllerManager serves its health on listener until ctx is done.
func runControllerManager(ctx context.Context, listener net.Listener, args []string) error {
	options, err := kcmoptions.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	all, disabled, aliases := kcmapp.KnownControllers(), kcmapp.ControllersDisabledByDefault(), kcmapp.ControllerAliases()
	flags := options.Flags(all, disabled, aliases)
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	options.ParsedFlags = &flags
	if err := applyGates(options.ComponentGlobalsRegistry); err != nil {
		return err
	}
	options.SecureServing.Listener = listener
	config, err := options.Config(ctx, all, disabled, aliases)
	if err != nil {
		return err
	}
	return kcmapp.Run(ctx, config.Complete())
}

// runScheduler serves its health on listener until ctx is done.
func runScheduler(ctx context.Context, listener net.Listener, args []string) error {
	options := scheduleroptions.NewOptions()
	if err := parseFlags(*options.Flags, args); err != nil {
		return err
	}
	if err := applyGates(options.ComponentGlobalsRegistry); err != nil {
		return err
	}
	options.SecureServing.Listener = listener
	config, scheduler, err := schedulerapp.Setup(ctx, options)
	if err != nil {
		return err
	}
	return schedulerapp.Run(ctx, config, scheduler)
}
