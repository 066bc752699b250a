// SPDX-License-Identifier: Apache-2.0
#include "statistics/random.h"

#include <math.h>

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void an_random_seed(struct an_random *random, uint64_t seed) {
    for (int i = 0; i < 4; i++)
        random->state[i] = splitmix64(&seed);
}

uint64_t an_random_next(struct an_random *random) {
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t an_random_below(struct an_random *random, uint64_t bound) {
    unsigned __int128 product;
    uint64_t least = -bound % bound; // 2^64 mod bound: products below it are too many
    do
        product = (unsigned __int128)an_random_next(random) * bound;
    while ((uint64_t)product < least);
    return (uint64_t)(product >> 64);
}

double an_random_uniform(struct an_random *random) {
    return ((double)(an_random_next(random) >> 11) + 0.5) * 0x1p-53;
}

double an_random_normal(struct an_random *random) {
    double radius = sqrt(-2.0 * log(an_random_uniform(random)));
    return radius * cos(2.0 * M_PI * an_random_uniform(random));
}

void an_random_shuffle(struct an_random *random, int64_t *items, int64_t count) {
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)an_random_below(random, (uint64_t)i + 1);
        int64_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}
