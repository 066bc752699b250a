// SPDX-License-Identifier: Apache-2.0
#ifndef AN_RANDOM_H
#define AN_RANDOM_H

#include <stdint.h>

// xoshiro256** (Blackman & Vigna 2021, "Scrambled linear pseudorandom number generators"), its
// state filled by splitmix64 from one seed. The same seed gives the same numbers on every machine.
#define AN_GENERATOR "xoshiro256** seeded by splitmix64" // for records

struct an_random {
    uint64_t state[4];
};

void an_random_seed(struct an_random *random, uint64_t seed);
uint64_t an_random_next(struct an_random *random); // uniform over 64 bits

// Uniform over 0 ... bound - 1 without bias (Lemire 2019); bound > 0.
uint64_t an_random_below(struct an_random *random, uint64_t bound);

// Uniform in (0, 1), 53 bits.
double an_random_uniform(struct an_random *random);

// Standard normal (Box & Muller 1958).
double an_random_normal(struct an_random *random);

// Shuffles items[0, count) (Fisher & Yates).
void an_random_shuffle(struct an_random *random, int64_t *items, int64_t count);

#endif
