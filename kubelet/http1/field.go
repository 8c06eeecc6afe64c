// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package http1

// field is a header field that one of the readers has a use for.
type field uint8

const (
	otherField field = iota
	fieldAuthorization
	fieldConnection
	fieldContentLength
	fieldContentType
	fieldDate
	fieldETag
	fieldExpect
	fieldHost
	fieldPicoletNode
	fieldPicoletReport
	fieldRetryAfter
	fieldTransferEncoding
)

var fieldNames = [...]string{
	fieldAuthorization:    "authorization",
	fieldConnection:       "connection",
	fieldContentLength:    "content-length",
	fieldContentType:      "content-type",
	fieldDate:             "date",
	fieldETag:             "etag",
	fieldExpect:           "expect",
	fieldHost:             "host",
	fieldPicoletNode:      "picolet-node",
	fieldPicoletReport:    "picolet-report",
	fieldRetryAfter:       "retry-after",
	fieldTransferEncoding: "transfer-encoding",
}

// fieldOf finds a field by its name, in any case.
func fieldOf[T text](name T) field {
	for f := otherField + 1; int(f) < len(fieldNames); f++ {
		if equalFold(name, fieldNames[f]) {
			return f
		}
	}
	return otherField
}
