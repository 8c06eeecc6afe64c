// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0
//
// The functions of the C library that the compiler calls by itself: copies and
// comparisons of more bytes than it cares to write out, for Go and for C.
//
// Fills a gap of TinyGo as Go modules deliver it: its C library for boards,
// picolibc, is a Git submodule of TinyGo's repository, which a module cannot
// hold.
//
// The Cortex-M0+ faults on words at odd addresses, so words are copied only
// where both ends are aligned: with Go's slices they mostly are.

typedef __SIZE_TYPE__ size;
typedef unsigned __attribute__((may_alias)) word;

static int aligned(const void *a, const void *b) {
	return (((__UINTPTR_TYPE__)a | (__UINTPTR_TYPE__)b) & (sizeof(word) - 1)) == 0;
}

void *memcpy(void *to, const void *from, size n) {
	unsigned char *t = to;
	const unsigned char *f = from;
	if (aligned(t, f))
		for (; n >= sizeof(word); n -= sizeof(word), t += sizeof(word), f += sizeof(word))
			*(word *)t = *(const word *)f;
	while (n-- > 0)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size n) {
	if (to <= from)
		return memcpy(to, from, n); // which goes upwards
	unsigned char *t = (unsigned char *)to + n;
	const unsigned char *f = (const unsigned char *)from + n;
	if (aligned(t, f))
		for (; n >= sizeof(word); n -= sizeof(word)) {
			t -= sizeof(word), f -= sizeof(word);
			*(word *)t = *(const word *)f;
		}
	while (n-- > 0)
		*--t = *--f;
	return to;
}

void *memset(void *to, int c, size n) {
	unsigned char *t = to;
	word w = (unsigned char)c * 0x01010101u;
	if (aligned(t, t))
		for (; n >= sizeof(word); n -= sizeof(word), t += sizeof(word))
			*(word *)t = w;
	while (n-- > 0)
		*t++ = c;
	return to;
}

int memcmp(const void *a, const void *b, size n) {
	const unsigned char *x = a, *y = b;
	for (; n > 0; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
