// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0
//
// Compares the functions of memory.c, renamed by the preprocessor, with those of
// the system, for all short lengths and all alignments.
#include <stdio.h>
#include <string.h>

void *own_memcpy(void *to, const void *from, size_t n);
void *own_memmove(void *to, const void *from, size_t n);
void *own_memset(void *to, int c, size_t n);
int own_memcmp(const void *a, const void *b, size_t n);

enum { LONGEST = 40, ROOM = LONGEST + 32 };

static unsigned char want[ROOM] __attribute__((aligned(8)));
static unsigned char got[ROOM] __attribute__((aligned(8)));
static unsigned char from[ROOM] __attribute__((aligned(8)));
static int failures;

static void fill(void) {
	for (int i = 0; i < ROOM; i++)
		want[i] = got[i] = 7 * i + 1, from[i] = 200 - 3 * i;
}

static int sign(int n) { return (n > 0) - (n < 0); }

static void check(const char *what, int n, int to, int at, int ok) {
	if (ok && memcmp(want, got, ROOM) == 0)
		return;
	printf("%s of %d bytes to %d from %d is wrong\n", what, n, to, at);
	failures++;
}

static void one(int n, int to, int at) {
	fill();
	memcpy(want + to, from + at, n);
	check("memcpy", n, to, at, own_memcpy(got + to, from + at, n) == got + to);

	fill();
	memmove(want + to, want + at, n);
	check("memmove", n, to, at, own_memmove(got + to, got + at, n) == got + to);

	fill();
	memset(want + to, 0x1a5, n);
	check("memset", n, to, at, own_memset(got + to, 0x1a5, n) == got + to);

	fill();
	check("memcmp", n, to, at, sign(own_memcmp(got + to, from + at, n)) == sign(memcmp(got + to, from + at, n)));
	check("memcmp of equals", n, to, to, own_memcmp(got + to, want + to, n) == 0);
	if (n > 0) {
		got[to + n - 1] ^= 0x80;
		int last = own_memcmp(got + to, want + to, n);
		got[to + n - 1] ^= 0x80;
		check("memcmp of the last byte", n, to, to, sign(last) == (want[to + n - 1] < 0x80 ? 1 : -1));
	}
}

int main(void) {
	for (int n = 0; n <= LONGEST; n++)
		for (int to = 0; to < 32; to++)
			for (int at = 0; at < 32; at++)
				one(n, to, at);
	return failures > 0;
}
