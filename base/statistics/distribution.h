// SPDX-License-Identifier: Apache-2.0
#ifndef AN_DISTRIBUTION_H
#define AN_DISTRIBUTION_H

// Distribution functions P(X <= x) and their inverses, to about 1e-13 of the value. A probability
// outside [0, 1], NaN, or freedom <= 0 gives NaN.
double an_normal_cdf(double x);
double an_normal_quantile(double probability);

// Student's t with `freedom` degrees of freedom, through the regularised incomplete beta function.
double an_t_cdf(double t, double freedom);
double an_t_quantile(double probability, double freedom);

#endif
