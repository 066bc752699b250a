// SPDX-License-Identifier: Apache-2.0
// Every family's names of tensors read both ways, and no name has two readings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/family.h"

static const int64_t layers[] = {0, 1, 7, 10, 99, 100, 1023}, indices[] = {0, 1, 9, 10, 63, 4095};
enum { LAYERS = sizeof layers / sizeof *layers, INDICES = sizeof indices / sizeof *indices };

// The numbers that the pattern holds, the others -1.
static struct tr_name_numbers numbers_of(const char *pattern, int64_t layer, int64_t index) {
    struct tr_name_numbers numbers = {{layer, index, index}};
    for (int n = 0; n < TR_NAME_NUMBERS; n++)
        if (!tr_pattern_has(pattern, (enum tr_name_number)n))
            numbers.at[n] = -1;
    return numbers;
}

static void check_reading(const struct tr_family *family, enum tr_weight weight, const char *name,
                          const struct tr_name_numbers *expected) {
    struct tr_name_numbers found;
    enum tr_weight role = tr_family_match(family, name, &found);
    if (role == TR_WEIGHTS)
        fail_msg("%s: %s is of no role", family->model_type, name);
    if (strcmp(family->weights[role], family->weights[weight]) != 0)
        fail_msg("%s: %s is of two patterns, %s and %s", family->model_type, name,
                 family->weights[role], family->weights[weight]);
    assert_memory_equal(&found, expected, sizeof found);
}

static void check_other_patterns(const struct tr_family *family, enum tr_weight weight,
                                 const char *name) {
    struct tr_name_numbers found;
    for (int w = 0; w < TR_WEIGHTS; w++)
        if (family->weights[w] && strcmp(family->weights[w], family->weights[weight]) != 0 &&
            tr_pattern_match(family->weights[w], name, &found))
            fail_msg("%s: %s is of two patterns, %s and %s", family->model_type, name,
                     family->weights[w], family->weights[weight]);
}

// The name as it is, and with what the family's files may leave out or put before it.
static void check_name(const struct tr_family *family, enum tr_weight weight, int64_t layer,
                       int64_t index) {
    const char *pattern = family->weights[weight], *prefix = family->prefix;
    const struct tr_name_numbers numbers = numbers_of(pattern, layer, index);
    char name[256], prefixed[512];
    assert_true(tr_pattern_expand(pattern, &numbers, name, sizeof name));
    assert_null(strpbrk(name, "{}%"));
    check_reading(family, weight, name, &numbers);
    check_other_patterns(family, weight, name);
    if (!prefix)
        return;
    if (!strncmp(name, prefix, strlen(prefix)))
        check_reading(family, weight, name + strlen(prefix), &numbers);
    snprintf(prefixed, sizeof prefixed, "%s%s", prefix, name);
    check_reading(family, weight, prefixed, &numbers);
}

static void test_names_read_both_ways(void **state) {
    (void)state;
    for (int i = 0; tr_family_at(i); i++)
        for (int w = 0; w < TR_WEIGHTS; w++)
            for (int n = 0; tr_family_at(i)->weights[w] && n < LAYERS * INDICES; n++)
                check_name(tr_family_at(i), (enum tr_weight)w, layers[n / INDICES],
                           indices[n % INDICES]);
}

// Norms of one input may be one tensor; a matrix of two roles would be a slip of the pen.
static void test_who_shares_a_name(void **state) {
    (void)state;
    for (int i = 0; tr_family_at(i); i++)
        for (int w = 0; w < TR_WEIGHTS; w++)
            for (int other = 0; other < w; other++) {
                const char *const *names = tr_family_at(i)->weights;
                if (!names[w] || !names[other] || strcmp(names[w], names[other]) != 0)
                    continue;
                if ((w != TR_W_MLP_NORM || other != TR_W_ATTN_NORM) &&
                    (w != TR_W_MLP_NORM_BIAS || other != TR_W_ATTN_NORM_BIAS))
                    fail_msg("%s: %s has two roles", tr_family_at(i)->model_type, names[w]);
            }
}

// Which numbers a role has does not depend on the family, but for norms of heads.
static bool belongs_to_a_layer(enum tr_weight weight) {
    return weight >= TR_W_ATTN_NORM && weight < TR_W_FINAL_NORM;
}

static void test_roles_have_their_numbers(void **state) {
    (void)state;
    for (int i = 0; tr_family_at(i); i++)
        for (int w = 0; w < TR_WEIGHTS; w++) {
            const char *pattern = tr_family_at(i)->weights[w];
            enum tr_weight weight = (enum tr_weight)w;
            if (!pattern)
                continue;
            int braces = 0, numbers = 0; // each number once
            for (const char *at = pattern; *at; at++)
                braces += *at == '{';
            for (int n = 0; n < TR_NAME_NUMBERS; n++)
                numbers += tr_pattern_has(pattern, (enum tr_name_number)n);
            assert_int_equal(braces, numbers);
            assert_int_equal(tr_pattern_has(pattern, TR_NAME_LAYER), belongs_to_a_layer(weight));
            assert_int_equal(tr_pattern_has(pattern, TR_NAME_EXPERT),
                             weight >= TR_W_EXPERT_GATE && weight <= TR_W_EXPERT_DOWN);
            assert_int_equal(tr_pattern_has(pattern, TR_NAME_HEAD),
                             tr_family_at(i)->qk_norm == TR_QK_EACH_TENSOR &&
                                 (weight == TR_W_Q_NORM || weight == TR_W_K_NORM));
        }
}

static void test_names_of_no_role(void **state) {
    (void)state;
    static const char *const names[] = {"",
                                        "model.layers.0.self_attn.rotary_emb.inv_freq",
                                        "model.layers.00.self_attn.q_proj.weight",
                                        "model.layers.x.self_attn.q_proj.weight",
                                        "model.layers.0.self_attn.q_proj.weight.x",
                                        "transformer.model.norm.weight"};
    const struct tr_family *llama = tr_family_find("llama");
    struct tr_name_numbers numbers;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(tr_family_match(llama, names[i], &numbers), TR_WEIGHTS);
    assert_int_equal(tr_family_match(llama, "model.layers.31.self_attn.q_proj.weight", &numbers),
                     TR_W_Q);
    assert_int_equal(numbers.at[TR_NAME_LAYER], 31);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_read_both_ways),
        cmocka_unit_test(test_who_shares_a_name),
        cmocka_unit_test(test_roles_have_their_numbers),
        cmocka_unit_test(test_names_of_no_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
