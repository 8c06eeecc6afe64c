// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"mime"
	"net/http"
	"slices"
	"strings"
)

// Media types of the bodies that boards send and get.
const (
	jsonType           = "application/json"
	strategicPatchType = "application/strategic-merge-patch+json"
	mergePatchType     = "application/merge-patch+json"
)

// Headers that a board has no business to send. Every other header is ignored:
// none is ever passed on.
var (
	identityHeaders = []string{"Authorization", "Proxy-Authorization", "Cookie"}
	identityPrefix  = []string{"Impersonate-", "X-Remote-"}
	hopHeaders      = []string{"Upgrade", "Http2-Settings", "Expect", "Te", "Trailer", "Proxy-Connection", "X-Http-Method-Override"}
)

// checkHeaders refuses heads that try to be somebody else, to become another
// protocol, or to mean two things at once.
func checkHeaders(h http.Header) *refusal {
	for name, values := range h {
		switch {
		case isIdentityHeader(name):
			r := refuse(http.StatusForbidden, "identity_header", "header %.64s is not a board's to send: the gateway gives each board its node's identity", name)
			r.hangUp = true
			return r
		case slices.Contains(hopHeaders, name):
			return malformed("header", "header %s is not supported here", name)
		case len(values) > 1:
			return malformed("doubled_header", "header %.64s is sent %d times: send it once", name, len(values))
		}
	}
	return checkConnectionHeader(h.Get("Connection"))
}

func isIdentityHeader(name string) bool {
	return slices.Contains(identityHeaders, name) || slices.ContainsFunc(identityPrefix, func(p string) bool { return strings.HasPrefix(name, p) })
}

// checkConnectionHeader lets a board keep or close its connection, and name no
// header there (RFC 9110, section 7.6.1).
func checkConnectionHeader(value string) *refusal {
	switch strings.ToLower(value) {
	case "", "keep-alive", "close":
		return nil
	}
	return malformed("header", "header Connection may say keep-alive or close")
}

// checkType refuses a body of a media type that op does not take.
func checkType(h http.Header, op *operation) *refusal {
	value := h.Get("Content-Type")
	if value == "" && slices.Contains(op.bodyTypes(), jsonType) {
		return nil
	}
	mediaType, params, err := mime.ParseMediaType(value)
	charset, hasCharset := params["charset"]
	strange := len(params) > 1 || len(params) == 1 && !hasCharset || hasCharset && !strings.EqualFold(charset, "utf-8")
	if err != nil || strange || !slices.Contains(op.bodyTypes(), mediaType) {
		return refuse(http.StatusUnsupportedMediaType, "content_type", "Content-Type must be one of %s", strings.Join(op.bodyTypes(), ", "))
	}
	return nil
}
