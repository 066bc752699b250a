// SPDX-License-Identifier: Apache-2.0
// What directory names of published series, and of nobody, tell.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ckpt/name.h"

#define NONE NAN

static struct tr_name_rules *rules;

static int open_rules(void **state) {
    (void)state;
    struct tr_err err;
    return tr_name_rules_new(&rules, NULL, &err) == TR_OK ? 0 : -1;
}

static int close_rules(void **state) {
    (void)state;
    tr_name_rules_free(rules);
    return 0;
}

static void parse(const char *name, struct tr_name *parsed) {
    struct tr_err err;
    assert_int_equal(tr_name_parse(rules, name, name, parsed, &err), TR_OK);
}

static const struct {
    const char *name, *stage;
    int64_t step;
    double tokens;
} cases[] = {
    // published series
    {"step0", "", 0, NONE},
    {"step1000", "", 1000, NONE},
    {"step143000", "", 143000, NONE},
    {"step0005000", "", 5000, NONE},
    {"step-125000", "", 125000, NONE},
    {"step-001000-2BT", "", 1000, 2e9},
    {"step1000-tokens4B", "", 1000, 4e9},
    {"step2627139-tokens15T", "", 2627139, 15e12},
    {"stage1-step1907359-tokens4001B", "stage1", 1907359, 4001e9},
    {"stage2-ingredient3-step23852-tokens51B", "stage2-ingredient3", 23852, 51e9},
    {"stage1-step-40000", "stage1", 40000, NONE},
    {"stage_3_longcontext-step100", "stage_3", 100, NONE},
    {"longctx-step4000", "longctx", 4000, NONE},
    {"extension_step5000", "extension", 5000, NONE},
    {"global_step1000", "", 1000, NONE},
    {"iter_0028608", "", 28608, NONE},
    {"pretrain_iter_0373000", "pretrain", 373000, NONE},
    {"anneal_iter_0001000", "anneal", 1000, NONE},
    {"checkpoint-1000", "", 1000, NONE},
    {"ckpt_356", "", 356, NONE},
    {"ckpt_000", "", 0, NONE},
    {"base_0720000", "base", 720000, NONE},
    {"base_final", "base", -1, NONE},
    {"mid_1_0020000", "mid_1", 20000, NONE},
    {"TinyLlama-1.1B-intermediate-step-480k-1T", "", 480000, 1e12},
    {"TinyLlama-1.1B-step-50K-105b", "", 50000, 105e9},
    {"TinyLlama-1.1B-intermediate-step-955k-token-2T", "", 955000, 2e12},
    {"TinyLlama-1.1B-intermediate-step-1195k-token-2.5T", "", 1195000, 2.5e12},
    {"step-480k-token-1007B", "", 480000, 1007e9},
    {"240b_tokens", "", -1, 240e9},
    {"train_02200B", "", -1, 2200e9},
    {"CrystalCoder_phase1_checkpoint_055500", "phase1", 55500, NONE},
    {"mdl_phase2_step_1000", "phase2", 1000, NONE},
    {"step1000-unsharded", "", 1000, NONE},
    {"step_128", "", 128, NONE},
    {"epoch=0-step=500.ckpt", "", 500, NONE},
    {"main", "", -1, NONE},
    // what looks like one and is none
    {"", "", -1, NONE},
    {"-", "", -1, NONE},
    {"step", "", -1, NONE},
    {"step-", "", -1, NONE},
    {"step-k", "", -1, NONE},
    {"footstep100", "", -1, NONE},
    {"step11921+11000+10000-nooptim", "", -1, NONE},
    {"step3rd", "", -1, NONE},
    {"step--5", "", -1, NONE},
    {"checkpoint1000", "", -1, NONE},
    {"database_1000", "", -1, NONE},
    {"base-model", "", -1, NONE},
    {"stage-left", "", -1, NONE},
    {"Llama-2-7B", "", -1, NONE},
    {"pythia-1.4b", "", -1, NONE},
    {"main-tokens", "", -1, NONE},
    {"0a1b2c3d4e5f60718293a4b5c6d7e8f901234567", "", -1, NONE},
    // numbers at and beyond what fits
    {"step9223372036854775807", "", INT64_MAX, NONE},
    {"step9223372036854775808", "", -1, NONE},
    {"step9223372036854775807k", "", -1, NONE},
    {"step99999999999999999999999999999999999999999999", "", -1, NONE},
    {"step5-tokens99999999999999999999999999999999999T", "", 5, NONE},
    {"step00000000000000000000000000000000000000000007", "", 7, NONE},
    {"step1-tokens0B", "", 1, 0},
    {"step1-tokens1000", "", 1, 1000},
    {"\xff\xfe_step12", "", 12, NONE},
};

static void test_names(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_name parsed;
        memset(&parsed, 0x5a, sizeof parsed);
        parse(cases[i].name, &parsed);
        bool tokens_equal =
            isnan(cases[i].tokens) ? isnan(parsed.tokens) : parsed.tokens == cases[i].tokens;
        if (strcmp(parsed.stage, cases[i].stage) || parsed.step != cases[i].step || !tokens_equal)
            fail_msg("%s gives stage \"%s\", step %lld, tokens %g", cases[i].name, parsed.stage,
                     (long long)parsed.step, parsed.tokens);
    }
}

static void test_a_long_stage_is_unknown(void **state) {
    (void)state;
    char name[128] = "stage";
    struct tr_name parsed;
    memset(name + 5, '1', 100);
    strcpy(name + 105, "-step7");
    parse(name, &parsed);
    assert_string_equal(parsed.stage, "");
    assert_int_equal(parsed.step, 7);
}

static void test_a_name_longer_than_any_file_name(void **state) {
    (void)state;
    char name[400];
    struct tr_name parsed;
    memset(name, 'x', sizeof name);
    strcpy(name + 300, "-step7");
    parse(name, &parsed);
    assert_int_equal(parsed.step, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_long_stage_is_unknown),
        cmocka_unit_test(test_a_name_longer_than_any_file_name),
    };
    return cmocka_run_group_tests(tests, open_rules, close_rules);
}
