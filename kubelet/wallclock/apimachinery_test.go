// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package wallclock

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The two texts must be what the API machinery itself would write.
func TestAppendAgreesWithAPIMachinery(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		time.Date(2024, 2, 29, 23, 59, 59, 999999000, time.UTC),
		time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 11, 22, 20, 0, 0, 1000, time.UTC),
	} {
		want, _ := metav1.NewTime(at).MarshalJSON()
		if got := `"` + string(AppendTime(nil, at.UnixMicro())) + `"`; got != string(want) {
			t.Errorf("AppendTime = %s, want %s", got, want)
		}
		micro := metav1.NewMicroTime(at)
		want, _ = micro.MarshalJSON()
		if got := `"` + string(AppendMicroTime(nil, at.UnixMicro())) + `"`; got != string(want) {
			t.Errorf("AppendMicroTime = %s, want %s", got, want)
		}
	}
}
