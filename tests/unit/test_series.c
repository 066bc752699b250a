// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ckpt/series.h"
#include "folder.h"

static const struct tr_series_options none;
static char sentence[4 * FOLDER_PATH];

// The text with every '@' replaced by the test's folder.
static const char *expand(const char *text) {
    size_t at = 0;
    for (; *text; text++)
        at += (size_t)snprintf(sentence + at, sizeof sentence - at, *text == '@' ? "%s" : "%.1s",
                               *text == '@' ? test_folder : text);
    return sentence;
}

static void assert_order(const struct tr_series *series, const char *order, const char *names) {
    char found[1024] = "";
    for (int64_t i = 0; i < series->count; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i ? " " : "",
                 series->entries[i].name);
    assert_string_equal(found, names);
    assert_string_equal(series->order, order);
}

enum { MOST = 16 };

// Makes the folders named in `names` (space-separated, as `names` orders them) below a fresh
// folder `run` and builds the series from them.
static void build(struct tr_series *series, const char *run, const char *names,
                  int64_t tokens_per_step) {
    char copy[1024], *paths[MOST], *rest = copy, text[MOST][2 * FOLDER_PATH];
    int64_t count = 0;
    struct tr_err err = {.text = ""};
    make_folder(run);
    snprintf(copy, sizeof copy, "%s", names);
    for (char *name; (name = strsep(&rest, " ")); count++) {
        char path[FOLDER_PATH];
        snprintf(path, sizeof path, "%s/%s", run, name);
        snprintf(text[count], sizeof text[count], "%s/", make_folder(path));
        paths[count] = text[count];
    }
    const struct tr_series_options options = {.tokens_per_step = tokens_per_step};
    if (tr_series_from_paths(series, paths, count, &options, &err))
        fail_msg("%s", err.text);
}

static void test_order(void **state) {
    (void)state;
    static const struct {
        const char *given, *sorted, *order;
    } cases[] = {
        {"step10000 step2000 step0 step143000", "step0 step2000 step10000 step143000", "by step"},
        {"240b_tokens 40b_tokens 1000b_tokens", "40b_tokens 240b_tokens 1000b_tokens", "by tokens"},
        {"v10 v9 main", "v9 v10 main", "by name"},
        {"step20 main step3", "step3 step20 main", "by step"},
        {"longctx-step5 step50000 step100", "step100 step50000 longctx-step5",
         "by stage, then step"},
        {"stage10-step1 stage2-step7 stage2-step3", "stage2-step3 stage2-step7 stage10-step1",
         "by stage, then step"},
        {"stage1-step9-tokens2B stage1-step10-tokens1B",
         "stage1-step9-tokens2B stage1-step10-tokens1B", "by step"},
        {"step9-tokens2B step10-tokens1B", "step10-tokens1B step9-tokens2B", "by tokens"},
        {"stage1-1b_tokens stage2-base stage1-final", "stage1-1b_tokens stage1-final stage2-base",
         "by stage, then name"},
        {"base_final base_0020000 mid_1_0000100", "base_0020000 base_final mid_1_0000100",
         "by stage, then step"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_series series;
        char run[16];
        snprintf(run, sizeof run, "order%zu", i);
        build(&series, run, cases[i].given, 0);
        assert_order(&series, cases[i].order, cases[i].sorted);
        tr_series_free(&series);
    }
}

static void test_tokens_are_filled_never_invented(void **state) {
    (void)state;
    struct tr_series series;
    build(&series, "tokens0", "step1-tokens7B step2 main", 0);
    assert_true(isnan(series.entries[2].parsed.tokens)); // main
    assert_true(series.entries[0].parsed.tokens == 7e9);
    assert_true(isnan(series.entries[1].parsed.tokens));
    tr_series_free(&series);
    build(&series, "tokens1", "step1-tokens7B step2 main", 1000);
    assert_true(series.entries[0].parsed.tokens == 7e9);
    assert_true(series.entries[1].parsed.tokens == 2000);
    assert_true(isnan(series.entries[2].parsed.tokens));
    tr_series_free(&series);
}

static void test_plain_files_are_skipped(void **state) {
    (void)state;
    struct tr_series series;
    struct tr_err err;
    make_folder("mixed");
    char *paths[] = {in_folder("mixed/README.md"), make_folder("mixed/step7"),
                     in_folder("mixed/tokens.npy")};
    write_text(paths[0], "x");
    write_text(paths[2], "x");
    assert_int_equal(tr_series_from_paths(&series, paths, 3, &none, &err), TR_OK);
    assert_order(&series, "by step", "step7");
    assert_int_equal(series.skipped_files, 2);
    assert_string_equal(series.first_skipped, "README.md");
    tr_series_free(&series);
}

static void test_paths_are_kept_without_trailing_slashes(void **state) {
    (void)state;
    struct tr_series series;
    struct tr_err err;
    char *plain = make_folder("slashes"), path[2 * FOLDER_PATH + 4];
    snprintf(path, sizeof path, "%s///", plain);
    assert_int_equal(tr_series_from_paths(&series, &(char *){path}, 1, &none, &err), TR_OK);
    assert_string_equal(series.entries[0].path, plain);
    assert_string_equal(series.entries[0].name, "slashes");
    tr_series_free(&series);
    snprintf(path, sizeof path, "%s/.", plain);
    assert_int_equal(tr_series_from_paths(&series, &(char *){path}, 1, &none, &err), TR_OK);
    assert_string_equal(series.entries[0].name, "slashes");
    tr_series_free(&series);
}

static void assert_refused_as(enum tr_status status, char *const *paths, int64_t count,
                              const char *expected) {
    struct tr_series series = {.count = 42};
    struct tr_err err;
    assert_int_equal(tr_series_from_paths(&series, paths, count, &none, &err), status);
    assert_string_equal(err.text, expand(expected));
    assert_int_equal(series.count, 42);
}

static void assert_refused(char *const *paths, int64_t count, const char *expected) {
    assert_refused_as(TR_EUSAGE, paths, count, expected);
}

static void test_refusals(void **state) {
    (void)state;
    make_folder("a");
    make_folder("b");
    char *first = make_folder("a/step1"), *second = make_folder("b/step1");
    char *file = in_folder("a/file"), *missing = in_folder("a/*"), *bad = make_folder("a/\xff");
    write_text(file, "");
    assert_refused((char *[]){second, first}, 2,
                   "@/b/step1 and @/a/step1 have the same name, and a trace knows its checkpoints "
                   "by name: give them a \"name\" in a manifest");
    assert_refused((char *[]){first, first}, 2,
                   "@/a/step1 and @/a/step1 have the same name, and a trace knows its checkpoints "
                   "by name: give them a \"name\" in a manifest");
    assert_refused_as(TR_EIO, (char *[]){first, missing}, 2,
                      "cannot find the checkpoint folder @/a/*: No such file or directory");
    assert_refused((char *[]){file, file}, 2,
                   "no checkpoint folder was given, only 2 plain files (the first is file)");
    assert_refused(NULL, 0, "no checkpoint folder was given");
    assert_refused(&bad, 1, "the name of the folder @/a/? is not valid UTF-8");
    assert_refused((char *[]){"/"}, 1, "the name of the folder / is empty");
}

static enum tr_status read_manifest(struct tr_series *series, const char *csv, struct tr_err *err) {
    char *path = in_folder("runs/manifest.csv");
    write_text(path, csv);
    const struct tr_series_options options = {.tokens_per_step = 10};
    return tr_series_from_manifest(series, path, &options, err);
}

static void test_manifest(void **state) {
    (void)state;
    struct tr_series series;
    struct tr_err err = {.text = ""};
    make_folder("runs");
    make_folder("runs/a, \"b\"");
    make_folder("runs/step20");
    make_folder("runs/hf");
    make_folder("elsewhere");
    char csv[2048];
    snprintf(csv, sizeof csv,
             "\xef\xbb\xbfSeed,Tokens,PATH,step,name,stage\r\n"
             "1,5e9,\"a, \"\"b\"\"\",3,,\r\n"
             "\r\n"
             "1,,step20,,,s2\n"
             "2,,hf/,7,seven,\n"
             "2,,%s,9,,\"s2\"",
             in_folder("elsewhere"));
    if (read_manifest(&series, csv, &err))
        fail_msg("%s", err.text);
    assert_order(&series, "by stage, then step", "a, \"b\" seven elsewhere step20");
    assert_non_null(strstr(series.notes.data, "manifest.csv: columns that are not read: \"Seed\"; "
                                              "path, name, stage, step and tokens are\n"));
    assert_true(series.entries[0].parsed.tokens == 5e9);
    assert_true(series.entries[1].parsed.tokens == 70);
    assert_string_equal(series.entries[1].path, in_folder("runs/hf"));
    assert_string_equal(series.entries[2].parsed.stage, "s2");
    assert_int_equal(series.entries[3].parsed.step, 20); // empty does not override the name
    tr_series_free(&series);
}

static void test_manifest_refusals(void **state) {
    (void)state;
    static const struct {
        const char *csv, *expected;
        enum tr_status code;
    } cases[] = {
        {"", "the first line names no column \"path\"", TR_EFORMAT},
        {"step,tokens\n1,2\n", "the first line names no column \"path\"", TR_EFORMAT},
        {"path,Path\n1,2\n", "there are two columns named path", TR_EFORMAT},
        {"path,step\na,1\nb\n", "line 3 has 1 fields, the first line has 2", TR_EFORMAT},
        {"path,step\n\"a\nb\",1\nc,-1\n",
         "line 4: step must be a whole number of at least 0, it is \"-1\"", TR_EFORMAT},
        {"path,step\na,1.5\n", "line 2: step must be a whole number of at least 0, it is \"1.5\"",
         TR_EFORMAT},
        {"path,tokens\na,4B\n", "line 2: tokens must be a number of at least 0, it is \"4B\"",
         TR_EFORMAT},
        {"path,tokens\na,nan\n", "line 2: tokens must be a number of at least 0, it is \"nan\"",
         TR_EFORMAT},
        {"step,path\n1,\n", "line 2: path must be a folder, it is \"\"", TR_EFORMAT},
        {"path,name\na,b/c\n", "line 2: name must be without slashes, it is \"b/c\"", TR_EFORMAT},
        {"path,stage\na,123456789012345678901234567890123456789012345678901234567890abcd\n",
         "line 2: stage must be shorter than 64 bytes, it is "
         "\"123456789012345678901234567890123456789012345678901234567890abcd\"",
         TR_EFORMAT},
        {"path\na\"b\n", "stray quote or text after a quote in line 2", TR_EFORMAT},
        {"path\n\"a\"b\n", "stray quote or text after a quote in line 2", TR_EFORMAT},
        {"path\n\n\"a\n\n", "the quote opened in line 3 is never closed", TR_EFORMAT},
        {"path\n\xff\n", " is not UTF-8 text", TR_EFORMAT},
        {"path,step\n\n", " names no checkpoint", TR_EFORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_series series;
        struct tr_err err;
        char expected[1024];
        snprintf(expected, sizeof expected, "%s%s%s", in_folder("runs/manifest.csv"),
                 cases[i].expected[0] == ' ' ? "" : ": ", cases[i].expected);
        assert_int_equal(read_manifest(&series, cases[i].csv, &err), cases[i].code);
        assert_string_equal(err.text, expected);
    }
    struct tr_series series;
    struct tr_err err;
    assert_int_equal(read_manifest(&series, "path\nstep20\nnowhere\n", &err), TR_EIO);
    assert_string_equal(
        err.text,
        expand("cannot find the checkpoint folder @/runs/nowhere: No such file or directory"));
}

static void test_a_manifest_in_the_present_folder(void **state) {
    (void)state;
    struct tr_series series;
    struct tr_err err;
    char before[FOLDER_PATH];
    assert_non_null(getcwd(before, sizeof before));
    write_text(in_folder("here.csv"), "path\nruns/step20\n");
    assert_int_equal(chdir(test_folder), 0);
    enum tr_status status = tr_series_from_manifest(&series, "here.csv", &none, &err);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(status, TR_OK);
    assert_string_equal(series.entries[0].path, "./runs/step20");
    tr_series_free(&series);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_tokens_are_filled_never_invented),
        cmocka_unit_test(test_plain_files_are_skipped),
        cmocka_unit_test(test_paths_are_kept_without_trailing_slashes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_manifest),
        cmocka_unit_test(test_manifest_refusals),
        cmocka_unit_test(test_a_manifest_in_the_present_folder),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
