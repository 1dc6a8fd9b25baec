// Elementary functions on vectors. Polynomials were fitted for the least largest relative error on
// their interval (iteratively reweighted least squares on Chebyshev nodes); errors given are
// measured against double precision.
#pragma once

namespace qhx::cpu::QHX_TARGET {

// e^r on |r| <= ln(2) / 2 as 1 + r + r^2 q(r), times 2^n.
QHX_INLINE V exp_reduced(V x) {
  const V n = round(mul(x, set1(1.44269504f)));
  V r = fma(n, set1(-0.693359375f), x);  // ln 2 in two parts, the first short: n times it is exact
  r = fma(n, set1(2.12194440e-4f), r);
  V q = set1(0.0013814433f);
  q = fma(q, r, set1(0.0083687967f));
  q = fma(q, r, set1(0.0416683964f));
  q = fma(q, r, set1(0.1666651964f));
  q = fma(q, r, set1(0.4999999404f));
  return scale_pow2(add(fma(mul(r, r), q, r), set1(1.0f)), n);
}

// Relative error below 2e-7; subnormal results, 0, infinity and NaN as they should be.
QHX_INLINE V exp(V x) { return exp_reduced(min(set1(89.0f), max(set1(-104.0f), x))); }

// For weights of a softmax, x <= 0: below -86 the result is 0, so that no subnormal numbers arise.
QHX_INLINE V exp_weight(V x) {
  return select_less(x, set1(-86.0f), zero(), exp_reduced(max(set1(-87.0f), x)));
}

QHX_INLINE V sigmoid(V x) { return div(set1(1.0f), add(set1(1.0f), exp(neg(x)))); }

// x / (1 + e^-x); below -104 it is -0 rather than a subnormal number. Relative error below 1e-6.
QHX_INLINE V silu(V x) { return div(max(set1(-104.0f), x), add(set1(1.0f), exp(neg(x)))); }

// Relative error below 4e-7.
QHX_INLINE V tanh(V x) {
  const V a = abs(x);
  const V large = sub(set1(1.0f), div(set1(2.0f), add(set1(1.0f), exp(add(a, a)))));
  const V x2 = mul(x, x);
  V p = set1(-0.00566697726f);
  p = fma(p, x2, set1(0.0206061769f));
  p = fma(p, x2, set1(-0.0537300073f));
  p = fma(p, x2, set1(0.133313313f));
  p = fma(p, x2, set1(-0.333332777f));
  const V small = fma(mul(x2, x), p, x);
  return select_less(a, set1(0.625f), small, select_less(x, zero(), neg(large), large));
}

// x (1 + tanh(u)) / 2 = x / (1 + e^-2u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
QHX_INLINE V gelu_tanh(V x) {
  x = max(set1(-15.0f), x);  // the result is -0 there
  const V u = mul(x, fma(mul(x, x), set1(0.0356774081f), set1(0.797884561f)));
  return div(x, add(set1(1.0f), exp(mul(set1(-2.0f), u))));
}

// x (1 + erf(x / sqrt(2))) / 2, as max(x, 0) - |x| erfc(z) / 2 with z = |x| / sqrt(2): no
// cancellation on either side. erfc(z) = e^(-z^2) t p(t) with t = 1 / (1 + 0.4 z), relative error
// 7e-8.
QHX_INLINE V gelu_erf(V x) {
  const V a = min(set1(15.0f), abs(x));  // beyond, erfc is 0
  const V z = mul(a, set1(0.707106781f));
  const V t = div(set1(1.0f), fma(z, set1(0.4f), set1(1.0f)));
  V p = set1(0.04125307500f);
  p = fma(p, t, set1(-0.14031939208f));
  p = fma(p, t, set1(0.08398756384f));
  p = fma(p, t, set1(0.08796406537f));
  p = fma(p, t, set1(0.07975665480f));
  p = fma(p, t, set1(0.19339315593f));
  p = fma(p, t, set1(0.20188760757f));
  p = fma(p, t, set1(0.22644311190f));
  p = fma(p, t, set1(0.22563423216f));
  const V erfc = mul(exp(neg(mul(z, z))), mul(t, p));
  return sub(max(zero(), x), mul(mul(set1(0.5f), a), erfc));
}

}  // namespace qhx::cpu::QHX_TARGET
