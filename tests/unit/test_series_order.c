// SPDX-License-Identifier: Apache-2.0
// Which order a series gets, what is asked, and what people are told of it.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ckpt/series.h"
#include "folder.h"

enum { MOST = 16, TEXT = 1024 };

static char run_folder[32];

// A fresh folder for one case.
static void start_run(void) {
    static int runs;
    snprintf(run_folder, sizeof run_folder, "case%d", runs++);
    make_folder(run_folder);
}

static void make_all(const char *path) {
    char text[FOLDER_PATH];
    for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
        snprintf(text, sizeof text, "%s/%.*s", run_folder, (int)(slash - path), path);
        mkdir(in_folder(text), 0777);
    }
    snprintf(text, sizeof text, "%s/%s", run_folder, path);
    mkdir(in_folder(text), 0777);
}

static void join_names(const struct tr_series *series, char out[TEXT]) {
    *out = 0;
    for (int64_t i = 0; i < series->count; i++)
        snprintf(out + strlen(out), TEXT - strlen(out), "%s%s", i ? " " : "",
                 series->entries[i].name);
}

// Checks order, or the refusal, and that `told` is among the notes; "" for no notes at all.
static void check(enum tr_status status, const struct tr_series *series, const struct tr_err *err,
                  const char *expected, const char *told) {
    char names[TEXT];
    if (status != TR_OK) {
        assert_int_equal(status, TR_EUSAGE);
        if (!told || *told || !strstr(err->text, expected))
            fail_msg("refused: %s", err->text);
        return;
    }
    join_names(series, names);
    assert_string_equal(names, expected);
    const char *notes = series->notes.data ? series->notes.data : "";
    if (told && (*told ? !strstr(notes, told) : *notes))
        fail_msg("%s: told is \"%s\"", expected, notes);
}

// ---- names -------------------------------------------------------------------------------------

static const struct {
    const char *given;    // names, with a space between two
    const char *expected; // the same in order; or a part of the refusal, when nothing is told
    const char *told;     // a part of the notes; "": no notes; NULL: whatever
    struct tr_series_options options;
} cases[] = {
    {"step2 step1", "step1 step2", "", {0}},
    {"decay_iter_5 pretrain_iter_9 lc-step-1 warmup_step_2 it-SFT stage1-step5",
     "warmup_step_2 pretrain_iter_9 stage1-step5 decay_iter_5 lc-step-1 it-SFT",
     "stages: warmup, pretrain, stage1, decay, lc, it-SFT; by their words\n",
     {0}},
    {"longctx-step5 step50000", "step50000 longctx-step5", "stages: (none), longctx", {0}},
    {"reheat-step50 step100 decay-step10",
     "step100 decay-step10 reheat-step50",
     "reheat is no known stage and comes last",
     {0}},
    {"olmo-step50 olmo-step100", "olmo-step50 olmo-step100", "", {0}},
    {"starling-step2-tokens9B kestrel-step7-tokens4B",
     "kestrel-step7-tokens4B starling-step2-tokens9B",
     "by their tokens",
     {0}},
    {"stage2-step5-tokens1B stage1-step9-tokens9B",
     "stage1-step9-tokens9B stage2-step5-tokens1B",
     "by their words",
     {0}},
    {"step150-tokens1B stage1-step100-tokens1B",
     "stage1-step100-tokens1B step150-tokens1B",
     "without a stage, so taken for stage1: step150-tokens1B",
     {0}},
    {"main step3 step20",
     "step3 step20 main",
     "no step or tokens known: main; last, or behind",
     {0}},
    {"step3 other step20",
     "step3 step20 other",
     "no step or tokens known: other; last of the stage",
     {0}},
    {"10B step_1000 20B", "step_1000 10B 20B", "tokens without a step: ", {0}},
    {"v10 v9", "v9 v10", "", {0}},
    {"9f9f9f1 1a1a1a1 c3c3c3c", "1a1a1a1 9f9f9f1 c3c3c3c", "need not be that of training", {0}},
    {"c3c3c3c", "c3c3c3c", "", {0}},
    // two numbers
    {"ckpt_2_500 ckpt_1_300",
     "ckpt_1_300 ckpt_2_500",
     "which number is the step, or tokens? ckpt_2_500 and 1 other; --name-pattern REGEX says it, "
     "as "
     "'_(?<step>\\d+)$'\n",
     {0}},
    {"50000-100B 100000-200B", "50000-100B 100000-200B", "as '-(?<step>\\d+)B$'\n", {0}},
    {"checkpoint-1e4 checkpoint-5e3 checkpoint-1.5e3",
     "checkpoint-1.5e3 checkpoint-5e3 checkpoint-1e4",
     "",
     {0}},
    {"step_1e5 step_20000", "step_20000 step_1e5", "", {0}},
    {"ckpt_2_300 ckpt_1_500", "ckpt_2_300 ckpt_1_500", "", {.name_pattern = "_(?<step>\\d+)$"}},
    {"ckpt_2_300 ckpt_1_500",
     "ckpt_1_500 ckpt_2_300",
     "stages: 1, 2",
     {.name_pattern = "_(?<stage>\\d+)_(?<step>\\d+)$"}},
    {"a9x1.5kz a8x3kz", "a9x1.5kz a8x3kz", "", {.name_pattern = "x(?<step>[\\d.]+k)z"}},
    {"r7t2B r3t5B", "r7t2B r3t5B", "", {.name_pattern = "t(?<tokens>\\d+B)"}},
    {"run7/x run3/x", "run3 run7", "", {.name_pattern = "/run(?<step>\\d+)/"}},
    {"step1 step2",
     "--name-pattern step(\\d+): its groups must be named step, tokens or stage",
     "",
     {.name_pattern = "step(\\d+)"}},
    {"step1 step2", "its groups must be named", "", {.name_pattern = "(?<word>s)(?<step>\\d+)"}},
    {"step1 step2", "its groups must be named", "", {.name_pattern = "(?<loss>s)(?<step>\\d+)"}},
    {"step1 step2", "missing closing parenthesis at character 4", "", {.name_pattern = "(\\d+"}},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab b",
     "takes too long on aaaaaa",
     "",
     {.name_pattern = "(?<step>(a+)+(a+)+)[cd]$"}},
    // side by side
    {"step5-seed10 step5-seed9", "both of step 5: not one line of training", "", {0}},
    {"seedA-step5 seedB-step5", "--separate makes a stage of each line", "", {0}},
    {"code-step5 math-step5", "both of step 5", "", {0}},
    {"100B-seed1 100B-seed2", "100B-seed1 100B-seed2", "", {0}},
    {"tokens100B-seed1 tokens100B-seed2", "both of 100000000000 tokens", "", {0}},
    {"stage2-ingredient1-step7 stage2-ingredient2-step9", "of two ingredients of a merge", "", {0}},
    {"stage2-ingredient1-step7 stage2-ingredient2-step9",
     "stage2-ingredient1-step7 stage2-ingredient2-step9",
     "lines side by side",
     {.separate = true}},
    {"step5-seed10 step7-seed9 step5-seed9 step7-seed10",
     "step5-seed9 step7-seed9 step5-seed10 step7-seed10",
     "stages: seed9, seed10; lines side by side",
     {.separate = true}},
    {"step1000 step1000-unsharded step2000",
     "step1000 step1000-unsharded step2000",
     "1 checkpoint is of a step that another has, too",
     {0}},
    // layouts
    {"step2000/hf step1000/hf", "step1000 step2000", "", {0}},
    {"0000040000/consolidated/hf 0000020000/consolidated/hf", "0000020000 0000040000", "", {0}},
    {"global_step_200/actor/huggingface global_step_100/actor/huggingface",
     "global_step_100 global_step_200",
     "",
     {0}},
    {"step1000/hf step2000/hf main", "step1000 step2000 main", NULL, {0}},
    {"b/x/mine a/x/mine", "a b", "need not be that of training", {0}},
    {"pretrain/step200/hf decay/step100/hf pretrain/step100/hf",
     "pretrain-step100 pretrain-step200 decay-step100",
     "stages: pretrain, decay",
     {0}},
    {"seed1/step100/hf seed2/step100/hf",
     "seed1-step100 and seed2-step100 are both of step 100",
     "",
     {0}},
    {"a/step1 b/step1", "have the same name", "", {0}},
};

static void build_case(size_t index) {
    char copy[TEXT], text[MOST][TEXT + FOLDER_PATH], *paths[MOST], *rest = copy;
    struct tr_series series = {0};
    struct tr_err err = {.text = ""};
    int64_t count = 0;
    start_run();
    snprintf(copy, sizeof copy, "%s", cases[index].given);
    for (char *name; (name = strsep(&rest, " ")); count++) {
        make_all(name);
        snprintf(text[count], sizeof text[count], "%s/%s/%s", test_folder, run_folder, name);
        paths[count] = text[count];
    }
    enum tr_status status =
        tr_series_from_paths(&series, paths, count, &cases[index].options, &err);
    check(status, &series, &err, cases[index].expected, cases[index].told);
    tr_series_free(&series);
}

static void test_names(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        build_case(i);
}

// ---- manifests ---------------------------------------------------------------------------------

static const struct {
    const char *rows, *expected, *told;
} manifests[] = {
    {"path,stage,step\na,zeta,1\nb,alpha,1\nc,zeta,2\n", "a c b",
     "stages: zeta, alpha; as the manifest has them"},
    {"path,stage\ndecay-step1,\npretrain-step2,\n", "decay-step1 pretrain-step2",
     "as the manifest has them"},
    {"path,stage,step,tokens\na,x,1,9e9\nb,y,1,1e9\nc,y,2,2e9\n", "b c a", "by their tokens"},
    {"path,stage,step,tokens\na,x,1,5\nb,x,2,9\nc,y,1,7\n", "a b c", "as the manifest has them"},
    {"path,step,tokens\na,100,1e9\nb,200,2e9\nc,50,3e9\n", "a b c", "tokens count"},
    {"path,step\na,100\nb,100\n", "a b", "both of step 100"},
    {"path,step,stage\na,100,s\nb,100,t\n", "a b", NULL},
    {"path,name,step\na,seed-1,100\nb,seed-2,100\n", "both of step 100", ""},
    {"path,stage\nstage2-ingredient1-step5,i1\nstage2-ingredient2-step5,i2\n",
     "stage2-ingredient1-step5 stage2-ingredient2-step5", "stages: i1, i2"},
    {"path,stage\na,\"x\ny\"\n", "stage must be one line", ""},
    {"path\nc\na\nb\n", "c a b", ""},
    {"path\na\nb\nc\n", "a b c", ""},
    {"path,name\na,main\nc,\nb,\n", "c b main", NULL},
    {"path,stage,step\nc,x,\na,y,\nb,x,\ndecay-step1,x,\n", "decay-step1 c b a", NULL},
};

static void test_manifests(void **state) {
    (void)state;
    static const struct tr_series_options none;
    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        struct tr_series series = {0};
        struct tr_err err = {.text = ""};
        char path[TEXT];
        start_run();
        for (const char *name = "a\0b\0c\0decay-step1\0pretrain-step2\0stage2-ingredient1-step5\0"
                                "stage2-ingredient2-step5\0";
             *name; name += strlen(name) + 1)
            make_all(name);
        snprintf(path, sizeof path, "%s/%s/m.csv", test_folder, run_folder);
        write_text(path, manifests[i].rows);
        enum tr_status status = tr_series_from_manifest(&series, path, &none, &err);
        if (status == TR_EFORMAT)
            status = TR_EUSAGE;
        check(status, &series, &err, manifests[i].expected, manifests[i].told);
        tr_series_free(&series);
    }
}

// ---- trainer_state.json ------------------------------------------------------------------------

static const struct {
    const char *name, *json;
    int64_t step;
    double tokens;
    const char *told;
} states[] = {
    {"x", "{\"global_step\": 70, \"num_input_tokens_seen\": 140}", 70, 140, ""},
    {"x",
     "{\"log_history\": [{\"loss\": NaN, \"step\": 1, \"global_step\": 3}, -Infinity, 1.5e-3], "
     "\"global_step\": 70, \"num_input_tokens_seen\": 0}",
     70, NAN, ""},
    {"x", "{\"global_step\": 0, \"num_input_tokens_seen\": 0}", 0, 0, ""},
    {"x", "{\"global_step\": null, \"num_input_tokens_seen\": null}", -1, NAN, ""},
    {"x", "{}", -1, NAN, ""},
    {"checkpoint-70", "{\"global_step\": 70, \"num_input_tokens_seen\": 140}", 70, 140, ""},
    {"checkpoint-70", "{\"global_step\": 71}", 71, NAN,
     "name and trainer_state.json disagree on the step of checkpoint-70: 70 and 71; what the "
     "trainer recorded counts"},
    {"x", "{\"global_step\": \"70\"}", -1, NAN, "left out, trainer_state.json of x: "},
    {"x", "{\"global_step\": 70", -1, NAN, "left out, trainer_state.json of x: "},
    {"x", "[]", -1, NAN, "left out"},
    {"x", "{\"global_step\": 1.5}", -1, NAN, "left out"},
    {"x", "{\"global_step\": 99999999999999999999}", -1, NAN, "left out"},
};

static void test_trainer_state(void **state) {
    (void)state;
    static const struct tr_series_options none;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        struct tr_series series = {0};
        struct tr_err err = {.text = ""};
        char path[TEXT], file[TEXT + 32];
        start_run();
        make_all(states[i].name);
        snprintf(path, sizeof path, "%s/%s/%s", test_folder, run_folder, states[i].name);
        snprintf(file, sizeof file, "%s/trainer_state.json", path);
        write_text(file, states[i].json);
        enum tr_status status = tr_series_from_paths(&series, &(char *){path}, 1, &none, &err);
        check(status, &series, &err, states[i].name, states[i].told);
        assert_int_equal(series.entries[0].parsed.step, states[i].step);
        double tokens = series.entries[0].parsed.tokens;
        assert_true(isnan(tokens) ? isnan(states[i].tokens) : tokens == states[i].tokens);
        tr_series_free(&series);
    }
}

static void test_the_end_by_its_trainer_state(void **state) {
    (void)state;
    static const struct tr_series_options none;
    struct tr_series series = {0};
    struct tr_err err = {.text = ""};
    char names[TEXT], file[TEXT];
    start_run();
    make_all("checkpoint-5");
    make_all("checkpoint-9");
    make_all("best");
    snprintf(file, sizeof file, "%s/%s/best/trainer_state.json", test_folder, run_folder);
    write_text(file, "{\"global_step\": 7}");
    char text[3][TEXT];
    char *paths[3];
    static const char *const given[] = {"best", "checkpoint-5", "checkpoint-9"};
    for (int i = 0; i < 3; i++) {
        snprintf(text[i], sizeof text[i], "%s/%s/%s", test_folder, run_folder, given[i]);
        paths[i] = text[i];
    }
    assert_int_equal(tr_series_from_paths(&series, paths, 3, &none, &err), TR_OK);
    join_names(&series, names);
    assert_string_equal(names, "checkpoint-5 best checkpoint-9");
    tr_series_free(&series);
}

static void write_ref(const char *name, const char *commit) {
    char path[TEXT], text[64];
    snprintf(path, sizeof path, "%s/%s/models--o--m/refs/%s", test_folder, run_folder, name);
    snprintf(text, sizeof text, "%s", commit);
    write_text(path, text);
}

static void test_the_cache_of_the_hub(void **state) {
    (void)state;
    static const struct tr_series_options none;
    static const char *const commits[] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                          "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                                          "cccccccccccccccccccccccccccccccccccccccc"};
    struct tr_series series = {0};
    struct tr_err err = {.text = ""};
    char names[TEXT], text[3][TEXT], *paths[3];
    start_run();
    make_all("models--o--m/refs/v");
    write_ref("main", commits[0]);
    write_ref("v/step1000", commits[0]);
    write_ref("step500", commits[1]);
    write_ref("broken", "bbbb");
    make_all("models--o--m/refs/refs/pr"); // requests to change something, no branches
    write_ref("refs/pr/1", commits[2]);
    for (int i = 0; i < 3; i++) {
        char folder[TEXT];
        snprintf(folder, sizeof folder, "models--o--m/snapshots/%s", commits[i]);
        make_all(folder);
        snprintf(text[i], sizeof text[i], "%s/%s/%.80s", test_folder, run_folder, folder);
        paths[i] = text[i];
    }
    assert_int_equal(tr_series_from_paths(&series, paths, 3, &none, &err), TR_OK);
    join_names(&series, names);
    assert_string_equal(names, "step500 v-step1000 cccccccccccccccccccccccccccccccccccccccc");
    tr_series_free(&series);
}

// Repositories that are a checkpoint each, with the branch main or with none.
static void test_repositories_of_the_hub(void **state) {
    (void)state;
    static const struct tr_series_options none;
    static const char *const folders[] = {
        "models--o--m/snapshots/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "models--o--m-1T/snapshots/cccccccccccccccccccccccccccccccccccccccc",
        "models--o--m-0.5T/snapshots/dddddddddddddddddddddddddddddddddddddddd"};
    struct tr_series series = {0};
    struct tr_err err = {.text = ""};
    char names[TEXT], text[3][TEXT], *paths[3];
    start_run();
    make_all("models--o--m/refs");
    write_ref("main", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    for (int i = 0; i < 3; i++) {
        make_all(folders[i]);
        snprintf(text[i], sizeof text[i], "%s/%s/%s", test_folder, run_folder, folders[i]);
        paths[i] = text[i];
    }
    assert_int_equal(tr_series_from_paths(&series, paths, 3, &none, &err), TR_OK);
    join_names(&series, names);
    assert_string_equal(names, "m-0.5T m-1T m");
    tr_series_free(&series);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_trainer_state),
        cmocka_unit_test(test_the_end_by_its_trainer_state),
        cmocka_unit_test(test_the_cache_of_the_hub),
        cmocka_unit_test(test_repositories_of_the_hub),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
