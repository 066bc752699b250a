// SPDX-License-Identifier: Apache-2.0
#ifndef AN_NOISE_FLOOR_H
#define AN_NOISE_FLOOR_H

// Below which a Kullback-Leibler divergence may be rounding alone, in nats, where the operands of
// products were of that type ("bf16", "f16"); NaN where there is no such floor (f32).
//
// It is a measured constant, not a property of the store: the divergence between an unchanged model
// in f32 and the same in the type, 4.6e-4 and 2.58e-3 in bf16 and 7.1e-6 and 4.67e-5 in f16 on the
// two shipped series, of which the larger is taken (tests/bench/results/
// nvidia-h200-costs-series.csv; tests/oracle/check_gpu_costs.py). It goes with the square of the
// unit roundoff, 2^-9 and 2^-12: the ratios are 65 and 55 where that says 64. Our own costs were
// off by as much at worst.
double an_noise_floor(const char *dtype);

#endif
