// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0
//
// Compares log of log.c, renamed by the preprocessor, with the system's.
#include <math.h>
#include <stdio.h>

double own_log(double x);

static int failures;

static void check(double x) {
	double want = log(x), got = own_log(x);
	if (want == got || (isnan(want) && isnan(got)))
		return;
	if (fabs(want - got) <= 4e-16 * fabs(want)) // two units in the last place
		return;
	printf("log(%a) = %a, want %a\n", x, got, want);
	failures++;
}

int main(void) {
	const double special[] = {0, -0.0, 1, -1, 2, 0.5, M_E, M_SQRT2, M_SQRT1_2, INFINITY, -INFINITY, NAN,
		0x1p-1074, 0x1.8p-1030, 0x1p-1022, 0x1.fffffffffffffp1023, 0x1.0000000000001p0, 0x1.fffffffffffffp-1};
	for (unsigned i = 0; i < sizeof special / sizeof *special; i++)
		check(special[i]);
	for (double x = 1e-300; x < 1e300; x *= 1.0123)
		check(x);
	for (double x = 0.5; x < 2; x += 1.0 / 8191)
		check(x);
	return failures > 0;
}
