// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0
//
// The natural logarithm: the one function of the C library's mathematics that
// the firmware's network stack asks for, for which the compiler calls C.
// math.Sqrt, Exp, Floor, Ceil and Trunc would be others; a program that uses
// them does not link against this library.
//
// Fills the same gap of TinyGo as memory.c.

typedef unsigned long long bits;

static bits bits_of(double x) {
	bits b;
	__builtin_memcpy(&b, &x, sizeof b);
	return b;
}

static double double_of(bits b) {
	double x;
	__builtin_memcpy(&x, &b, sizeof x);
	return x;
}

// The natural logarithm of 2, in two parts: the first has so many zeros at its
// end that its product with any exponent is exact.
static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;

// log writes x as m * 2^k with m around 1, and sums the series of
// ln m = 2 artanh s = 2 (s + s^3/3 + s^5/5 + ...), s = (m - 1) / (m + 1). With
// |s| < 0.172, what is left out after s^21 is less than a double can tell.
double log(double x) {
	const bits infinity = 0x7ffull << 52, sign = 1ull << 63, nan = 0x7ff8ull << 48;
	if (x != x || bits_of(x) == infinity)
		return x;
	if (x == 0)
		return double_of(infinity | sign);
	if (x < 0)
		return double_of(nan);
	int k = 0;
	if (bits_of(x) >> 52 == 0) // subnormal
		x *= 0x1p54, k = -54;
	k += (int)(bits_of(x) >> 52) - 1023;
	double m = double_of((bits_of(x) & ~infinity) | 1023ull << 52);
	if (m > 0x1.6a09e667f3bcdp0) // the square root of 2
		m /= 2, k++;
	double s = (m - 1) / (m + 1), s2 = s * s, series = 0;
	for (int n = 21; n > 1; n -= 2)
		series = (series + 1.0 / n) * s2;
	// The largest part last, so that it keeps its digits.
	return k * ln2_high + (k * ln2_low + 2 * s * series + 2 * s);
}
