// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// prefersMinimal reports whether a board asks for a short answer to a write
// (RFC 7240, section 4.2). Where it says several things of that, the first counts.
func prefersMinimal(h http.Header) bool {
	for preference := range strings.SplitSeq(h.Get("Prefer"), ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(preference, "=")
		if strings.EqualFold(strings.TrimSpace(name), "return") {
			return strings.Trim(strings.TrimSpace(value), `"`) == "minimal"
		}
	}
	return false
}

// identityOf is as much of an object as a board needs that has just written it.
type identityOf struct {
	Metadata struct {
		UID             types.UID `json:"uid,omitempty"`
		ResourceVersion string    `json:"resourceVersion,omitempty"`
	} `json:"metadata"`
}

// minimal is the answer to a write in short: of a new object its UID and
// version, of a changed one its version alone, as ETag of an answer without a
// body (RFC 5789, section 2.1). What is no object stays as it is.
func (a *answer) minimal(method string) *answer {
	var o identityOf
	if a.code/100 != 2 || json.Unmarshal(a.body, &o) != nil || !isVersion(o.Metadata.ResourceVersion) {
		return a
	}
	if method != http.MethodPost {
		return &answer{code: http.StatusNoContent, etag: `"` + o.Metadata.ResourceVersion + `"`}
	}
	body, err := json.Marshal(&o)
	if err != nil {
		return a
	}
	return &answer{code: a.code, contentType: jsonType, body: body}
}

// isVersion reports whether a resourceVersion is one by KEP-5504, a number,
// which can stand in a header.
func isVersion(s string) bool {
	return s != "" && len(s) <= maxResourceVersion && strings.Trim(s, "0123456789") == ""
}
