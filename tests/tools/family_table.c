// SPDX-License-Identifier: Apache-2.0
// Prints a table of the families as Markdown, from their rows: "block" what a block of each does,
// "measured" what its attn and mlp mean, "series" who publishes it, "public" those whose training
// is, "keys" what each reads of config.json.
#include <stdio.h>
#include <string.h>

#include "model/family.h"

static bool has(const struct tr_family *f, enum tr_weight weight) {
    return f->weights[weight] != NULL;
}

static bool writes(const struct tr_family *f, enum tr_key key) {
    return f->keys[key].json != NULL || f->keys[key].fallback != 0;
}

// "`falcon`", and the condition where the type has several rows.
static void print_type(const struct tr_family *f) {
    printf("| `%s`", f->model_type);
    if (f->also)
        printf(" or `%s`", f->also);
    if (f->when.key && f->when.value == f->when.fallback && f->when.value == 0)
        printf(" without `%s`", f->when.key);
    else if (f->when.key && f->when.value == TR_OTHER)
        printf(" with `%s`", f->when.key);
    else if (f->when.key)
        printf(" with `%s` %g", f->when.key, f->when.value);
}

static void print_norm(const struct tr_family *f) {
    const char *kind = f->norm == KN_RMS_NORM ? "RMSNorm" : "LayerNorm";
    bool after = has(f, TR_W_ATTN_POST_NORM);
    printf(" | %s%s", kind, f->norm_plus_one ? " (1 + w)" : "");
    if (!has(f, TR_W_FINAL_NORM))
        printf(" without weights");
    printf(", %s", f->no_pre_norm ? "after" : after ? "before and after" : "before");
    if (writes(f, TR_K_QK_NORM))
        printf("; of queries and keys %s",
               f->qk_norm == TR_QK_FULL_WIDTH ? "at full width" : "per head");
}

static void print_position(const struct tr_family *f) {
    static const char *const names[] = {[TR_ROTARY] = "rotary",
                                        [TR_LEARNED] = "learned",
                                        [TR_ALIBI] = "ALiBi",
                                        [TR_ALIBI_SCALED_BF16] = "ALiBi, slopes in bf16"};
    bool part = writes(f, TR_K_ROTARY_FRACTION) || writes(f, TR_K_ROTARY_DIM);
    printf(" | %s", names[f->position]);
    if (f->position == TR_ROTARY && part)
        printf(", part of a head");
    if (f->position == TR_ROTARY && f->rope == KN_ROPE_INTERLEAVED)
        printf(", neighbours turn");
    if (writes(f, TR_K_KV_RANK))
        printf(", latent attention");
    if (writes(f, TR_K_WINDOW))
        printf(", windows");
    if (writes(f, TR_K_NOPE_PERIOD))
        printf(", some layers without");
    if (writes(f, TR_K_SCAN_HEADS))
        printf("; a scan (Mamba-2) in most layers' attention's place");
}

static void print_residual(const struct tr_family *f) {
    const struct tr_key_row *key = &f->keys[TR_K_PARALLEL];
    if (!key->json)
        printf(" | %s", key->fallback != 0 ? "parallel" : "sequential");
    else
        printf(" | as `%s` says, else %s", key->json,
               key->fallback != 0 ? "parallel" : "sequential");
    if (writes(f, TR_K_RESIDUAL_SCALE))
        printf(", times `%s`", f->keys[TR_K_RESIDUAL_SCALE].json);
}

static void print_mlp(const struct tr_family *f) {
    printf(" | %s, %s", f->gated ? "gated" : "plain", f->activation);
    if (has(f, TR_W_ROUTER))
        printf("; routed experts%s", has(f, TR_W_SHARED_UP) ? " and a shared one" : "");
}

// What reaches the stream from a sublayer.
static void print_added(const struct tr_family *f, enum tr_weight norm) {
    printf("%s", has(f, norm) ? "the norm of its output" : "its output");
    if (writes(f, TR_K_RESIDUAL_SCALE))
        printf(" times `%s`", f->keys[TR_K_RESIDUAL_SCALE].json);
}

static void print_measured(const struct tr_family *f) {
    const struct tr_key_row *key = &f->keys[TR_K_PARALLEL];
    printf(" | ");
    print_added(f, TR_W_ATTN_POST_NORM);
    printf(" | ");
    print_added(f, TR_W_MLP_POST_NORM);
    printf(" | %s", key->json ? "x + attn, parallel: x" : key->fallback != 0 ? "x" : "x + attn");
}

static void print_block(const struct tr_family *f) {
    print_norm(f);
    print_position(f);
    print_residual(f);
    print_mlp(f);
}

static void print_tokenizer(const struct tr_family *f) {
    printf(" | %s", f->tokenizer_read ? "read" : "not tried");
}

static void print_series(const struct tr_family *f) {
    printf(" | %s | %s", f->series, f->training ? f->training : "no");
    print_tokenizer(f);
}

static void print_training(const struct tr_family *f) {
    printf(" | %s", f->training);
    print_tokenizer(f);
}

// The keys of config.json that say numbers or the activation, each with its second spelling.
static void print_keys(const struct tr_family *f) {
    printf(" | %s", f->activation_key ? f->activation_key : "");
    for (int k = 0; k < TR_KEYS; k++)
        if (f->keys[k].json)
            printf(" %s%s%s", f->keys[k].json, f->keys[k].other ? "," : "",
                   f->keys[k].other ? f->keys[k].other : "");
}

static bool is_public(const struct tr_family *f) {
    return f->training != NULL;
}

static const struct {
    const char *name, *head;
    void (*print)(const struct tr_family *family);
    bool (*is_in)(const struct tr_family *family); // NULL: all are
} tables[] = {
    {"block", "| model_type | norm | position | residual | MLP |\n|---|---|---|---|---|",
     print_block, NULL},
    {"measured",
     "| model_type | attn: what is added | mlp: what is added | mlp: added to |\n|---|---|---|---|",
     print_measured, NULL},
    {"series",
     "| model_type | series | training published step by step | tokenizer |\n|---|---|---|---|",
     print_series, NULL},
    {"public", "| model_type | training published step by step | tokenizer |\n|---|---|---|",
     print_training, is_public},
    {"keys", "| model_type | keys |\n|---|---|", print_keys, NULL},
};

int main(int argc, char **argv) {
    for (size_t t = 0; argc == 2 && t < sizeof tables / sizeof tables[0]; t++) {
        if (strcmp(tables[t].name, argv[1]) != 0)
            continue;
        puts(tables[t].head);
        for (int i = 0; tr_family_at(i); i++) {
            if (tables[t].is_in && !tables[t].is_in(tr_family_at(i)))
                continue;
            print_type(tr_family_at(i));
            tables[t].print(tr_family_at(i));
            puts(" |");
        }
        return 0;
    }
    fprintf(stderr, "usage: family_table block|measured|series|public|keys\n");
    return 2;
}
