// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package devices is the typed client for Devices. It keeps no cache and knows
// no rule about them.
package devices

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/api/v1alpha1"
)

// Client reads and writes Devices.
type Client = gentype.ClientWithList[*v1alpha1.Device, *v1alpha1.DeviceList]

// New makes a client. The error is about c: nothing is asked of the API server.
func New(c *rest.Config) (*Client, error) {
	scheme := Scheme()
	c = rest.CopyConfig(c)
	c.APIPath = "/apis"
	c.GroupVersion = &v1alpha1.GroupVersion
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.ContentType, c.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	return gentype.NewClientWithList(v1alpha1.Resource, client, runtime.NewParameterCodec(scheme), "",
		func() *v1alpha1.Device { return new(v1alpha1.Device) },
		func() *v1alpha1.DeviceList { return new(v1alpha1.DeviceList) }), nil
}

// Scheme knows Devices, and nothing else.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		panic(err) // the types are ours
	}
	return scheme
}
