// SPDX-License-Identifier: Apache-2.0
// write_sample OUT CHECKPOINTS LAYERS SEQUENCES SEQ_LEN [FIRST]: writes the made-up run of sample.h
// and says how long committing and publishing took; from checkpoint FIRST on, it goes on with OUT.
#include <stdlib.h>

#include "base/clock.h"
#include "base/strings.h"
#include "sample.h"

static enum tr_status write_sample(const char *out, int64_t first, int64_t checkpoints,
                                   const struct tr_layout *layout, double *commit, double *publish,
                                   struct tr_err *err) {
    struct tr_run_info info;
    struct tr_store *store;
    char *warnings;
    TR_TRY(sample_info(&info, layout, err));
    TR_TRY(tr_store_open(&store, out, &info, first == 0, &warnings, err));
    double start = tr_now();
    for (int64_t i = first; i < first + checkpoints; i++)
        TR_TRY(sample_commit(out, &info, i, 1000 * (i + 1), err));
    *commit = tr_now() - start;
    TR_TRY(tr_store_publish(store, publish, err));
    tr_store_close(store);
    tr_run_info_free(&info);
    return TR_OK;
}

int main(int argc, char **argv) {
    int64_t number[5] = {0};
    if (argc != 6 && argc != 7)
        return 2;
    for (int i = 0; i < argc - 2; i++)
        if (!tr_parse_i64(argv[2 + i], 1, 1000000, &number[i]))
            return 2;
    struct tr_layout layout = {.layers = number[1],
                               .sequences = number[2],
                               .seq_len = number[3],
                               .nll = true,
                               .per_token = number[3] <= 64,
                               .span_tokens = number[3] <= 64 ? number[2] * number[3] / 4 : 0,
                               .probes = 4,
                               .channels = 6};
    if (number[3] > 8 && number[3] <= 64) { // shorter rows are as those of schema 1.0
        layout.cost_batch = (layout.sequences + 1) / 2;
        layout.cost_sequences = layout.cost_batch;
        layout.drop_sets = 3, layout.set_distances = true;
        layout.rounds = 2;
        layout.candidates = 3;
    }
    double commit, publish;
    struct tr_err err;
    if (write_sample(argv[1], number[4], number[0], &layout, &commit, &publish, &err) != TR_OK) {
        fprintf(stderr, "write_sample: %s\n", err.text);
        return 1;
    }
    printf("committed %lld in %.2f s, published in %.2f s\n", (long long)number[0], commit,
           publish);
    return 0;
}
