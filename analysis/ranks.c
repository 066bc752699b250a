// SPDX-License-Identifier: Apache-2.0
#include "ranks.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "alloc.h"

struct scored {
    double value;
    int64_t layer;
};

// Room for one checkpoint.
struct scratch {
    struct scored *scored; // [layers]
    bool *among;           // [layers]
};

static int compare_values(double a, double b, int64_t layer_a, int64_t layer_b) {
    if (a != b)
        return a < b ? -1 : 1;
    return layer_a < layer_b ? -1 : layer_a > layer_b;
}

static int compare_scored(const void *a, const void *b) {
    const struct scored *x = a, *y = b;
    return compare_values(x->value, y->value, x->layer, y->layer);
}

static int compare_places(const void *a, const void *b) {
    const struct an_place *x = a, *y = b;
    if (!x->measured || !y->measured)
        return x->measured ? -1 : y->measured ? 1 : x->layer < y->layer ? -1 : 1;
    return compare_values(x->mean, y->mean, x->layer, y->layer);
}

static struct an_place place(const double *values, int64_t checkpoints, int64_t layers,
                             int64_t layer) {
    struct an_place place = {.layer = layer, .mean = NAN, .lowest = NAN, .highest = NAN};
    double sum = 0.0;
    for (int64_t c = 0; c < checkpoints; c++) {
        double value = values[c * layers + layer];
        if (!isfinite(value))
            continue;
        sum += value;
        place.lowest = fmin(place.lowest, value); // NaN gives way
        place.highest = fmax(place.highest, value);
        place.measured++;
    }
    if (place.measured)
        place.mean = sum / (double)place.measured;
    return place;
}

// Marks the `count` lowest layers of one checkpoint, whose values are values[0, layers).
static void mark_lowest(struct scratch *scratch, const double *values, int64_t layers,
                        int64_t count) {
    int64_t measured = 0;
    for (int64_t layer = 0; layer < layers; layer++)
        if (isfinite(values[layer]))
            scratch->scored[measured++] = (struct scored){values[layer], layer};
    qsort(scratch->scored, (size_t)measured, sizeof *scratch->scored, compare_scored);
    for (int64_t layer = 0; layer < layers; layer++)
        scratch->among[layer] = false;
    for (int64_t i = 0; i < count && i < measured; i++)
        scratch->among[scratch->scored[i].layer] = true;
}

static void count_among(struct an_ranking *ranking, struct scratch *scratch, const double *values) {
    ranking->since = 0;
    for (int64_t c = 0; c < ranking->checkpoints; c++) {
        mark_lowest(scratch, values + c * ranking->layers, ranking->layers, ranking->count);
        int64_t chosen = 0;
        for (int64_t i = 0; i < ranking->present; i++) {
            bool among = scratch->among[ranking->places[i].layer];
            ranking->places[i].among += among;
            chosen += among && i < ranking->count;
        }
        if (chosen == ranking->count)
            ranking->together++;
        else
            ranking->since = c + 1;
    }
}

static int64_t about_a_quarter(int64_t layers) {
    int64_t quarter = (layers + 2) / 4;
    return quarter > 1 ? quarter : 1;
}

enum tr_status an_rank(struct an_ranking *ranking, const double *values, int64_t checkpoints,
                       int64_t layers, int64_t count, struct tr_err *err) {
    struct an_ranking new = {.checkpoints = checkpoints, .layers = layers};
    struct scratch scratch = {0};
    enum tr_status status;
    TR_GO(status, TR_NEW(&new.places, layers, "the ranking", err), out);
    TR_GO(status, TR_NEW(&scratch.scored, layers, "the ranking", err), out);
    TR_GO(status, TR_NEW(&scratch.among, layers, "the ranking", err), out);
    for (int64_t layer = 0; layer < layers; layer++) {
        new.places[layer] = place(values, checkpoints, layers, layer);
        new.present += new.places[layer].measured > 0;
    }
    qsort(new.places, (size_t)layers, sizeof *new.places, compare_places);
    if (count == 0)
        count = about_a_quarter(new.present);
    new.count = count < new.present ? count : new.present;
    count_among(&new, &scratch, values);
    *ranking = new;
out:
    if (status != TR_OK)
        free(new.places);
    free(scratch.scored);
    free(scratch.among);
    return status;
}

void an_ranking_free(struct an_ranking *ranking) {
    free(ranking->places);
}
