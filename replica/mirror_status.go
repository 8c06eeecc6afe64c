// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rebootTolerance is how much a board may correct its clock without having booted.
const rebootTolerance = 10 * time.Second

// statusPatch is a merge patch that makes the status of have that of want; nil if it
// is that already. What others know of the pod, and want does not, stays.
func statusPatch(have, want *corev1.Pod, now time.Time) ([]byte, error) {
	next := have.Status.DeepCopy()
	next.Phase = want.Status.Phase
	next.HostIP, next.HostIPs, next.PodIP, next.PodIPs = want.Status.HostIP, want.Status.HostIPs, want.Status.PodIP, want.Status.PodIPs
	if next.StartTime == nil {
		next.StartTime = seconds(want.Status.StartTime)
	}
	for _, c := range want.Status.Conditions {
		setCondition(next, c, now)
	}
	next.ContainerStatuses = containers(have.Status.ContainerStatuses, want.Status.ContainerStatuses)
	if equality.Semantic.DeepEqual(&have.Status, next) {
		return nil, nil
	}
	return json.Marshal(map[string]any{"status": next})
}

// setCondition sets a condition, which has changed just now if it has.
func setCondition(s *corev1.PodStatus, c corev1.PodCondition, now time.Time) {
	i := slices.IndexFunc(s.Conditions, func(old corev1.PodCondition) bool { return old.Type == c.Type })
	switch {
	case i < 0:
		c.LastTransitionTime = metav1.NewTime(now)
		s.Conditions = append(s.Conditions, c)
	case s.Conditions[i].Status != c.Status:
		c.LastTransitionTime = metav1.NewTime(now)
		s.Conditions[i] = c
	}
}

// containers is the one container. It was restarted if it runs since another time
// than before.
func containers(have, want []corev1.ContainerStatus) []corev1.ContainerStatus {
	next := *want[0].DeepCopy()
	runs := next.State.Running
	runs.StartedAt = *seconds(&runs.StartedAt)
	if len(have) == 1 {
		next.RestartCount = have[0].RestartCount
		if before := have[0].State.Running; before != nil {
			switch moved := runs.StartedAt.Sub(before.StartedAt.Time); {
			case before.StartedAt.IsZero():
			case runs.StartedAt.IsZero() || moved.Abs() <= rebootTolerance:
				runs.StartedAt = before.StartedAt
			default:
				next.RestartCount++
			}
		}
	}
	return []corev1.ContainerStatus{next}
}

// seconds is a time as the API server keeps it.
func seconds(t *metav1.Time) *metav1.Time {
	if t == nil {
		return nil
	}
	copied := t.Rfc3339Copy()
	return &copied
}
