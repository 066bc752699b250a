// SPDX-License-Identifier: Apache-2.0
#include "model_numbers.h"

#include <stdio.h>

#include "base/json.h"

// What makes no sense is left at 0: whoever reads the whole configuration refuses it, in words that
// say what is asked for.
static void read_number(int64_t *to, const json_t *config, const char *name, const char *path) {
    int64_t value = *to;
    if (tr_json_i64(config, name, &value, path, NULL) == TR_OK && value >= 0 && value <= INT32_MAX)
        *to = value;
}

static void read_numbers(struct tr_model_numbers *n, const json_t *config, const char *path) {
    static const struct {
        const char *names[2];
        size_t field;
    } rows[] = {
        {{"num_attention_heads", "n_head"}, offsetof(struct tr_model_numbers, heads)},
        {{"num_key_value_heads"}, offsetof(struct tr_model_numbers, kv_heads)},
        {{"head_dim"}, offsetof(struct tr_model_numbers, head_dim)},
        {{"hidden_size", "n_embd"}, offsetof(struct tr_model_numbers, hidden)},
        {{"vocab_size"}, offsetof(struct tr_model_numbers, vocabulary)},
        {{"num_hidden_layers", "n_layer"}, offsetof(struct tr_model_numbers, layers)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int k = 0; k < 2 && rows[i].names[k]; k++)
            read_number((int64_t *)((char *)n + rows[i].field), config, rows[i].names[k], path);
}

static enum tr_status read_all(struct tr_model_numbers *n, const json_t *config, const char *path,
                               struct tr_err *err) {
    const char *type = "";
    TR_TRY(tr_json_string(config, "model_type", &type, path, err));
    snprintf(n->type, sizeof n->type, "%s", type);
    read_numbers(n, config, path);
    TR_TRY(tr_json_bool(config, "rope_interleaved", &n->interleaved, path, err));
    if (!n->kv_heads)
        n->kv_heads = n->heads;
    if (!n->head_dim && n->heads)
        n->head_dim = n->hidden / n->heads;
    return TR_OK;
}

enum tr_status tr_model_numbers_read(struct tr_model_numbers *numbers, const char *json,
                                     size_t size, const char *path, struct tr_err *err) {
    struct tr_model_numbers read = {0};
    json_t *config;
    TR_TRY(tr_json_parse(&config, json, size, path, err));
    enum tr_status status = read_all(&read, config, path, err);
    json_decref(config);
    if (status == TR_OK)
        *numbers = read;
    return status;
}
