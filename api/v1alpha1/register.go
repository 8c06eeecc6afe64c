// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is picolet.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "picolet.dev", Version: "v1alpha1"}

// Resource is the plural name of Devices in the API.
const Resource = "devices"

// AddToScheme registers the types of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Device{}, &DeviceList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
