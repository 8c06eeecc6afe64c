// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
)

// A snapshot is one state of a ConfigMap. It does not change once published.
type snapshot struct {
	present bool

	// object is the ConfigMap as JSON; its last state, with the deletion's
	// resourceVersion, when it is gone; nil if it was never seen. It is encoded
	// once and shared by all boards.
	object []byte

	// rv is the resourceVersion of object, or of the list that first showed that
	// there is none. Empty: nothing is known yet.
	rv string

	// born is the resourceVersion at which the object came to be; empty if that
	// was before the gateway looked.
	born string

	// denied says that the gateway may not read the ConfigMap.
	denied *refusal

	// epoch counts breaks after which no board's resourceVersion means anything.
	epoch int

	// next is closed when there is a newer snapshot.
	next chan struct{}
}

func (s *snapshot) synced() bool { return s.rv != "" }

// withObject is the state after the ConfigMap was seen as it is now.
func (s *snapshot) withObject(now *corev1.ConfigMap) (*snapshot, error) {
	object, err := encode(now)
	if err != nil {
		return nil, err
	}
	t := &snapshot{present: true, object: object, rv: now.ResourceVersion, born: s.born, epoch: s.epoch}
	if s.synced() && !s.present {
		t.born = now.ResourceVersion
	}
	return t, nil
}

// withDeletion is the state after the ConfigMap was seen to be deleted.
func (s *snapshot) withDeletion(last *corev1.ConfigMap) (*snapshot, error) {
	object, err := encode(last)
	if err != nil {
		return nil, err
	}
	return &snapshot{object: object, rv: last.ResourceVersion, epoch: s.epoch}, nil
}

// withAbsence is the state after a list did not hold the ConfigMap: it was
// deleted unseen, or was not there before either.
func (s *snapshot) withAbsence(listed string) (*snapshot, error) {
	switch {
	case !s.synced():
		return &snapshot{rv: listed, epoch: s.epoch}, nil
	case !s.present:
		return &snapshot{object: s.object, rv: s.rv, epoch: s.epoch}, nil
	}
	var last corev1.ConfigMap
	if err := json.Unmarshal(s.object, &last); err != nil {
		return nil, fmt.Errorf("last state of the ConfigMap: %w", err)
	}
	last.ResourceVersion = listed
	return s.withDeletion(&last)
}

// encode makes the JSON that boards get: without managedFields and without the
// copy of itself that kubectl apply leaves, for boards have little room.
func encode(cm *corev1.ConfigMap) ([]byte, error) {
	small := *cm
	small.TypeMeta = metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}
	small.ManagedFields = nil
	if _, ok := small.Annotations[corev1.LastAppliedConfigAnnotation]; ok {
		small.Annotations = maps.Clone(small.Annotations)
		delete(small.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	object, err := json.Marshal(&small)
	if err != nil {
		return nil, fmt.Errorf("ConfigMap %s/%s: %w", cm.Namespace, cm.Name, err)
	}
	return object, nil
}

// A cursor is what a board has been told.
type cursor struct {
	rv    string // up to this resourceVersion; empty: nothing
	gone  bool   // that there is no object
	epoch int
}

// noEvent is what news says of a board that knows the state.
const noEvent watch.EventType = ""

// news is the event that brings a board at c to this state: ADDED, MODIFIED or
// DELETED; ERROR if that cannot be said; noEvent if it is there already.
func (s *snapshot) news(c cursor) watch.EventType {
	switch {
	case s.denied != nil || s.epoch != c.epoch:
		return watch.Error
	case !s.present && c.rv == "" || !newer(s.rv, c.rv):
		return noEvent
	case s.present && (c.gone || c.rv == "" || newer(s.born, c.rv)):
		return watch.Added
	case s.present:
		return watch.Modified
	case s.object != nil:
		return watch.Deleted
	}
	return watch.Error // there is none now, and whether there was one is unknown
}

// newer reports whether resourceVersion a is later than b. They are comparable
// as numbers (KEP-5504); where one is not a number, what differs is newer.
func newer(a, b string) bool {
	if a == "" || b == "" {
		return a != ""
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return a != b
	}
	return order > 0
}
