// SPDX-License-Identifier: Apache-2.0
// The order of checkpoints in training from what is said of each.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/training_order.h"

static void test_words(void **state) {
    (void)state;
    static const char *const ordered[] = {"warmup",
                                          "",
                                          "pretrain",
                                          "stable",
                                          "1",
                                          "stage1",
                                          "phase2",
                                          "stage2",
                                          "stage2-ingredient3",
                                          "stage_10",
                                          "mid",
                                          "mid-training",
                                          "ext",
                                          "decay",
                                          "long_context",
                                          "lc-4k",
                                          "lc-32k",
                                          "it",
                                          "sft",
                                          "it-mid-training",
                                          "it-SFT",
                                          "DPO",
                                          "RLVR1",
                                          "rlvr2",
                                          "chat",
                                          "reheat",
                                          "stage",
                                          "stage-left",
                                          "wildcat"};
    for (size_t i = 1; i < sizeof ordered / sizeof *ordered; i++)
        if (tr_stage_compare(ordered[i - 1], ordered[i]) >= 0)
            fail_msg("\"%s\" does not come before \"%s\"", ordered[i - 1], ordered[i]);
    assert_true(tr_stage_known("Warm-Up") && tr_stage_known("cool_down") && tr_stage_known(""));
    assert_false(tr_stage_known("decayed") || tr_stage_known("stage") || tr_stage_known("its"));
    assert_int_equal(tr_stage_number("Stage_1-x"), 1);
    assert_int_equal(tr_stage_number("pretrain1"), -1);
}

#define UNKNOWN NAN

static const struct {
    const char *what, *rule;
    struct tr_moment moments[8]; // in order
} cases[] = {
    {"by stage, step, tokens and name, the unknown last",
     NULL,
     {{"b", "", "", 1, UNKNOWN, 0},
      {"a", "", "", 2, 5, 0},
      {"c", "", "", 2, UNKNOWN, 0},
      {"z9", "", "", -1, 7, 0},
      {"v9", "", "", -1, UNKNOWN, 0},
      {"v10", "", "", -1, UNKNOWN, 0},
      {"d", "decay", "", 0, UNKNOWN, 0}}},
    {"a name that says the end comes last of all",
     NULL,
     {{"a", "", "", 1, UNKNOWN, 0},
      {"base_final", "base", "", -1, UNKNOWN, 0},
      {"s", "sft", "", 1, UNKNOWN, 0},
      {"main", "", "", -1, UNKNOWN, 0}}},
    {"and last of those of its step",
     NULL,
     {{"step1", "", "", 1, UNKNOWN, 0}, {"last", "", "", 1, UNKNOWN, 0}, {"x", "", "", 2, 0, 0}}},
    {"it stands behind the latest with its weights",
     NULL,
     {{"step1", "", "d1", 1, UNKNOWN, 0},
      {"step2", "", "d1", 2, UNKNOWN, 0},
      {"main", "", "d1", -1, UNKNOWN, 0},
      {"step3", "", "d3", 3, UNKNOWN, 0}}},
    {"whatever stage that is of, but a stage of its own stays",
     NULL,
     {{"step2", "", "d2", 2, UNKNOWN, 0},
      {"other", "", "d2", -1, UNKNOWN, 0},
      {"final", "base", "d2", -1, UNKNOWN, 0},
      {"d", "decay", "", 9, UNKNOWN, 0}}},
    {"unknown weights are not equal",
     NULL,
     {{"step1", "", "", 1, UNKNOWN, 0}, {"step2", "", "", 2, 1, 0}, {"main", "", "", -1, NAN, 0}}},
    {"a rule orders stages",
     "step\nb\na\n",
     {{"1", "b", "", 5, UNKNOWN, 0}, {"2", "a", "", 1, UNKNOWN, 0}, {"3", "", "", 0, UNKNOWN, 0}}},
    {"a stage that it does not name is placed by its words",
     "step\nlc\nstable",
     {{"w", "warmup", "", 0, UNKNOWN, 0},
      {"d", "decay", "", 5, UNKNOWN, 0},
      {"l", "lc", "", 1, UNKNOWN, 0},
      {"s", "stable", "", 1, UNKNOWN, 0},
      {"x", "sft", "", 1, UNKNOWN, 0}}},
    {"a rule orders names of what has no step and tokens",
     "step 3\nlc\nb\nz\na",
     {{"a", "", "", 1, UNKNOWN, 0},
      {"b", "", "", -1, UNKNOWN, 0},
      {"z", "", "", -1, UNKNOWN, 0},
      {"c", "", "", -1, UNKNOWN, 0},
      {"s", "lc", "", 1, UNKNOWN, 0},
      {"x", "sft", "", 1, UNKNOWN, 0}}},
    {"a number of names that are not there is none",
     "tokens 3\nlc\nwarmup",
     {{"3", "lc", "", 5, UNKNOWN, 0},
      {"1", "warmup", "", 9, 10, 0},
      {"2", "warmup", "", 1, 20, 0}}},
    {"tokens before steps",
     "tokens",
     {{"1", "", "", 9, 10, 0}, {"2", "", "", 1, 20, 0}, {"3", "", "", 0, UNKNOWN, 0}}},
};

static void check_case(size_t index, bool backwards) {
    struct tr_moment moments[8];
    struct tr_err err = {.text = ""};
    int64_t count = 0;
    while (count < 8 && cases[index].moments[count].name)
        count++;
    for (int64_t i = 0; i < count; i++) {
        moments[i] = cases[index].moments[backwards ? count - 1 - i : i];
        moments[i].index = i;
    }
    if (tr_moments_sort(moments, count, cases[index].rule, &err))
        fail_msg("%s", err.text);
    for (int64_t i = 0; i < count; i++) {
        if (strcmp(moments[i].name, cases[index].moments[i].name))
            fail_msg("%s: %s stands at place %lld, not %s", cases[index].what, moments[i].name,
                     (long long)i, cases[index].moments[i].name);
        assert_int_equal(moments[i].index, backwards ? count - 1 - i : i);
    }
}

static void test_order(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_case(i, false);
        check_case(i, true);
    }
    assert_int_equal(tr_moments_sort(NULL, 0, NULL, NULL), TR_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
