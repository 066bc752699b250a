// SPDX-License-Identifier: Apache-2.0
#ifndef AN_DECOMPOSITION_H
#define AN_DECOMPOSITION_H

// Why an importance changed. With r = |delta| / |x| and c = cos(x, delta),
//   importance(r, c) = 1 - (1 + r c) / sqrt(1 + 2 r c + r^2):
// what a unit writes, its length against the stream's, and its direction.
struct an_write {
    double delta; // root mean square |delta|
    double x;     // root mean square |x|
    double c;     // cos(x, delta): -1 ... 1
};

// 1 - cos(x, x + delta) without cancellation.
double an_write_importance(double r, double c);

// The same if the unit wrote at right angles to the stream (c = 0): 1 - 1 / sqrt(1 + r^2). What is
// above it comes from erasing (c < 0), what is below from writing along the stream.
double an_orthogonal_importance(double r);

// The change of importance(r, c) from one moment to another as a sum of three parts, each the
// average of its effect over all orders in which the three can change (Shapley): exact, and the
// same backwards. A model of means: what the measured change is beyond `change` comes from tokens
// not being alike.
struct an_split {
    double change;    // importance after - before
    double delta;     // because what is written grew or shrank
    double stream;    // because the stream did
    double direction; // because the angle between them changed
};
struct an_split an_split_change(const struct an_write *before, const struct an_write *after);

#endif
