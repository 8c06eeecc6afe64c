// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

// The forms of names, as k8s.io/apimachinery/pkg/util/validation has them; that
// package brings regexp along, which a board has no room for.

// isSubdomain tells whether s is a DNS-1123 subdomain of at most limit bytes.
func isSubdomain(s string, limit int) bool {
	if len(s) > limit {
		return false
	}
	for len(s) > 0 {
		label, rest, more := cut(s, '.')
		if !isDNSLabel(label) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
	return false
}

func isDNSLabel(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		edge := i == 0 || i == len(s)-1
		if !isLower(c) && !isDigit(c) && (c != '-' || edge) {
			return false
		}
	}
	return true
}

// isLabelKey tells whether s is a label key: a name, perhaps behind a domain
// and a slash. Domains longer than the kubelet compares are refused.
func isLabelKey(s string) bool {
	prefix, name, slash := cut(s, '/')
	if !slash {
		prefix, name = "", s
	}
	return name != "" && isLabelValue(name) && len(s) <= 120 && (!slash || isSubdomain(prefix, 253))
}

// isLabelValue tells whether s is a label value; it may be empty.
func isLabelValue(s string) bool {
	if len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		edge := i == 0 || i == len(s)-1
		if !isAlphanumeric(c) && (edge || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}

// isToken tells whether s is visible ASCII of low to high bytes.
func isToken(s string, low, high int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) >= low && len(s) <= high
}

// isQuotable tells whether s stands for itself between quotes, in a metric's label too.
func isQuotable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// isQuantity tells whether s looks like a Kubernetes quantity: digits, perhaps
// a fraction, perhaps a suffix.
func isQuantity(s string) bool {
	i := 0
	for i < len(s) && (isDigit(s[i]) || s[i] == '.' && i > 0) {
		i++
	}
	switch s[i:] {
	case "", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti":
		return i > 0 && len(s) <= 20
	}
	return false
}

// isAddress tells whether s can be an IP address; the API server checks it whole.
func isAddress(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') && c != '.' && c != ':' {
			return false
		}
	}
	return len(s) >= 2 && len(s) <= 45
}

func cut(s string, sep byte) (before, after string, found bool) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func isDigit(c byte) bool        { return c >= '0' && c <= '9' }
func isLower(c byte) bool        { return c >= 'a' && c <= 'z' }
func isAlphanumeric(c byte) bool { return isDigit(c) || isLower(c) || c >= 'A' && c <= 'Z' }
