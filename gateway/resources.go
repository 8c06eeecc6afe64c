// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
)

// resources are amounts by name; a patch removes those that are nil.
type resources map[corev1.ResourceName]*quantity

// quantity is an amount of a resource.
type quantity struct{ resource.Quantity }

// quantityForm is what a board may write: plain decimals with a suffix. An exponent
// is not among them, because parsing 1e-9999999 takes seconds
// (k8s.io/apimachinery 0.37.2).
var quantityForm = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$`)

var errQuantity = errors.New("an amount must be a number with a suffix, for example 256Ki")

// UnmarshalJSON implements json.Unmarshaler.
func (q *quantity) UnmarshalJSON(raw []byte) (err error) {
	text := strings.Trim(string(raw), `"`)
	if !quantityForm.MatchString(text) {
		return errQuantity
	}
	q.Quantity, err = resource.ParseQuantity(text)
	return err
}

var _ json.Unmarshaler = (*quantity)(nil)

func amount(text string) *quantity { return &quantity{resource.MustParse(text)} }

// small is what a microcontroller has at most: two cores, 264 KiB of RAM, 16 MiB of
// flash (RP2040 datasheet, sections 1.1 and 2.6).
var small = resources{
	corev1.ResourceCPU: amount("2"), corev1.ResourceMemory: amount("264Ki"), corev1.ResourceEphemeralStorage: amount("16Mi"),
}

// models are the resources that a board of each model has at most, by
// board.Facts.Model. The model is the board's own word, so all of them bound what
// any board can say.
var models = map[string]resources{
	"rp2040":  small,
	"virtual": small,
	"linux": {
		corev1.ResourceCPU: amount("64"), corev1.ResourceMemory: amount("64Gi"), corev1.ResourceEphemeralStorage: amount("1Ti"),
	},
}

// boundsOf are those of a model, small for one that is not known.
func boundsOf(model string) resources {
	if most, known := models[model]; known {
		return most
	}
	return small
}

// bound is as much of the amounts as a board may have. The pods are not its word.
// What else it names it can only remove.
func (r resources) bound(most resources, pods int32) resources {
	if r == nil {
		return nil
	}
	bounded := resources{corev1.ResourcePods: {*resource.NewQuantity(int64(pods), resource.DecimalSI)}}
	for name, q := range r {
		limit, known := most[name]
		switch {
		case known && q != nil && q.Cmp(limit.Quantity) > 0:
			bounded[name] = limit
		case known && q != nil:
			bounded[name] = q
		case q == nil && !known && name != corev1.ResourcePods && len(validation.IsQualifiedName(string(name))) == 0:
			bounded[name] = nil
		}
	}
	return bounded
}

// modelOf is the model that a kubelet names in its User-Agent, "picolet/v1.37.2
// (rp2040)"; empty for another client.
func modelOf(userAgent string) string {
	product, comment, _ := strings.Cut(userAgent, " (")
	model, closed := strings.CutSuffix(comment, ")")
	if !strings.HasPrefix(product, "picolet/") || !closed || len(validation.IsValidLabelValue(model)) > 0 {
		return ""
	}
	return model
}
