// SPDX-License-Identifier: Apache-2.0
#include "distribution.h"

#include <float.h>
#include <math.h>

double an_normal_cdf(double x) {
    return 0.5 * erfc(-x * M_SQRT1_2);
}

// Abramowitz & Stegun 26.2.23 to 5e-4, then Halley's steps, each of which triples the digits.
static double lower_normal_quantile(double p) {
    double t = sqrt(-2.0 * log(p));
    double x = (2.515517 + t * (0.802853 + t * 0.010328)) /
                   (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))) -
               t;
    for (int i = 0; i < 3; i++) {
        double error = (an_normal_cdf(x) - p) * sqrt(2.0 * M_PI) * exp(0.5 * x * x);
        x -= error / (1.0 + 0.5 * x * error);
    }
    return x;
}

double an_normal_quantile(double probability) {
    if (!(probability >= 0.0 && probability <= 1.0))
        return NAN;
    if (probability == 0.0 || probability == 1.0)
        return probability == 0.0 ? -INFINITY : INFINITY;
    if (probability == 0.5)
        return 0.0;
    return probability < 0.5 ? lower_normal_quantile(probability)
                             : -lower_normal_quantile(1.0 - probability);
}

// log(Gamma(a + 1/2) / Gamma(a)); the series where the difference would cancel.
static double log_gamma_step(double a) {
    if (a > 30.0) {
        double u = 1.0 / (a * a);
        return 0.5 * log(a) -
               (1.0 / 8.0 - u * (1.0 / 192.0 - u * (1.0 / 640.0 - u * 17.0 / 14336.0))) / a;
    }
    int sign;
    return lgamma_r(a + 0.5, &sign) - lgamma_r(a, &sign);
}

// The continued fraction of the incomplete beta function (DLMF 8.17.22) by Lentz's method.
static double beta_fraction(double a, double b, double x) {
    const double tiny = 1e-300;
    double c = 1.0, d = 1.0 - (a + b) * x / (a + 1.0);
    d = 1.0 / (fabs(d) < tiny ? tiny : d);
    double result = d;
    for (int m = 1; m < 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2.0 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2 * m + 1.0));
        const double terms[] = {even, odd};
        double factor = 1.0;
        for (int i = 0; i < 2; i++) {
            d = 1.0 + terms[i] * d;
            c = 1.0 + terms[i] / c;
            d = 1.0 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            factor = c * d;
            result *= factor;
        }
        if (fabs(factor - 1.0) < DBL_EPSILON)
            break;
    }
    return result;
}

// P(|T| > |t|) = I_{freedom / (freedom + t^2)}(freedom / 2, 1/2).
static double t_both_tails(double t, double freedom) {
    double a = 0.5 * freedom, b = 0.5;
    double x = freedom / (freedom + t * t), y = t * t / (freedom + t * t);
    if (x == 0.0 || y == 0.0)
        return x == 0.0 ? 0.0 : 1.0;
    double log_x = y < 0.5 ? log1p(-y) : log(x);
    double front = exp(log_gamma_step(a) - 0.5 * log(M_PI) + a * log_x + b * log(y));
    if (x < (a + 1.0) / (a + b + 2.0))
        return front * beta_fraction(a, b, x) / a;
    return 1.0 - front * beta_fraction(b, a, y) / b;
}

double an_t_cdf(double t, double freedom) {
    if (isnan(t) || !(freedom > 0.0))
        return NAN;
    if (isinf(freedom))
        return an_normal_cdf(t);
    if (isinf(t))
        return t < 0.0 ? 0.0 : 1.0;
    double tail = 0.5 * t_both_tails(t, freedom);
    return t < 0.0 ? tail : 1.0 - tail;
}

// For p < 1/2: bisection, which ends when there is no number between.
static double lower_t_quantile(double p, double freedom) {
    double low = -1.0, high = 0.0;
    while (an_t_cdf(low, freedom) > p && low > -DBL_MAX / 4.0)
        low *= 2.0;
    for (;;) {
        double middle = 0.5 * (low + high);
        if (middle <= low || middle >= high)
            return middle;
        if (an_t_cdf(middle, freedom) < p)
            low = middle;
        else
            high = middle;
    }
}

double an_t_quantile(double probability, double freedom) {
    if (!(probability >= 0.0 && probability <= 1.0) || !(freedom > 0.0))
        return NAN;
    if (probability == 0.0 || probability == 1.0)
        return probability == 0.0 ? -INFINITY : INFINITY;
    if (probability == 0.5)
        return 0.0;
    return probability < 0.5 ? lower_t_quantile(probability, freedom)
                             : -lower_t_quantile(1.0 - probability, freedom);
}
