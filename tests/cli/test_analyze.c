// SPDX-License-Identifier: Apache-2.0
// trace-analyze on stores made here: its whole output against tests/cli/analyze/*.txt, which
// TRACE_BLESS=1 writes anew, and its refusals. The argument is the program.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/folder.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "store/store.h"

enum { LIMIT = 1 << 24 }; // bytes of a file

static const char *program;
static struct tr_err err;

static void ok(enum tr_status status) {
    if (status != TR_OK)
        fail_msg("%s", err.text);
}

// ---- stores ----------------------------------------------------------------------------------

struct writing {
    char path[2 * FOLDER_PATH];
    struct tr_run_info info;
    struct tr_store *store;
};

static void begin_store(struct writing *writing, const char *name, int64_t layers,
                        int64_t sequences, int64_t seq_len) {
    *writing = (struct writing){
        .info.layout = {.layers = layers, .sequences = sequences, .seq_len = seq_len}};
    snprintf(writing->path, sizeof writing->path, "%s", in_folder(name));
    ok(tr_run_info_sequences(&writing->info, &err));
    char *warnings = NULL;
    ok(tr_store_open(&writing->store, writing->path, &writing->info, true, &warnings, &err));
    free(warnings);
}

static void begin_row(struct writing *writing, struct tr_row *row, int64_t step, const char *stage,
                      const char *name) {
    ok(tr_row_new(row, &writing->info.layout, &err));
    ok(tr_row_set_string(row, TR_V_NAME, name, &err));
    ok(tr_row_set_string(row, TR_V_STAGE, stage, &err));
    tr_row_i64(row, TR_V_STEP)[0] = step;
    tr_row_u8(row, TR_V_STATUS)[0] = TR_ROW_COMPLETE;
}

static void end_row(struct writing *writing, struct tr_row *row) {
    ok(tr_store_commit(writing->path, &writing->info, row, &err));
    tr_row_free(row);
}

static void end_store(struct writing *writing) {
    ok(tr_store_publish(writing->store, NULL, &err));
    tr_store_close(writing->store);
    tr_run_info_free(&writing->info);
}

// One module of a row of the demo series as its reference has it: means, and importance by
// sequence.
static void set_module(struct tr_row *row, const json_t *checkpoint, int module) {
    static const struct {
        const char *name;
        enum tr_variable_id id;
    } means[] = {{"importance", TR_V_IMPORTANCE}, {"stream_norm", TR_V_STREAM_NORM}};
    const json_t *part = json_object_get(checkpoint, tr_module_names[module]);
    for (size_t layer = 0; layer < 10; layer++) {
        size_t cell = layer * TR_MODULES + (size_t)module;
        const json_t *by_sequence = json_array_get(json_object_get(part, "importance_seq"), layer);
        assert_int_equal(json_array_size(by_sequence), 16);
        for (size_t i = 0; i < sizeof means / sizeof means[0]; i++)
            tr_row_f64(row, means[i].id)[cell] =
                json_real_value(json_array_get(json_object_get(part, means[i].name), layer));
        for (size_t s = 0; s < 16; s++) {
            tr_row_f64(row, TR_V_IMPORTANCE_SEQ)[cell * 16 + s] =
                json_real_value(json_array_get(by_sequence, s));
            tr_row_u32(row, TR_V_TOKEN_COUNT)[cell * 16 + s] = 256;
        }
    }
}

// The importance of the demo series as its reference has it.
static void make_demo(void) {
    struct writing writing;
    json_t *golden, *checkpoint;
    const char *name;
    ok(tr_json_load(&golden, "tests/series/demo/golden.json", LIMIT, &err));
    begin_store(&writing, "demo.h5", 10, 16, 256);
    json_object_foreach(json_object_get(golden, "checkpoints"), name, checkpoint) {
        struct tr_row row;
        begin_row(&writing, &row, strtoll(name + strlen("step_"), NULL, 10), "", name);
        tr_row_f64(&row, TR_V_TOKENS_SEEN)[0] =
            96.0 * 256.0 * (double)tr_row_i64(&row, TR_V_STEP)[0];
        for (int module = 0; module < TR_MODULES; module++)
            set_module(&row, checkpoint, module);
        end_row(&writing, &row);
    }
    json_decref(golden);
    end_store(&writing);
}

static double *importance(struct tr_row *row, int64_t layer, enum tr_module module) {
    return &tr_row_f64(row, TR_V_IMPORTANCE)[layer * TR_MODULES + module];
}

// Failed rows, absent layers, non-finite tokens, ties, no steady choice, an unknown step.
static void make_faults(void) {
    struct writing writing;
    struct tr_row row;
    begin_store(&writing, "faults.h5", 5, 4, 32);
    for (int64_t c = 0; c < 4; c++) {
        char name[32];
        snprintf(name, sizeof name, "part%lld", (long long)c);
        begin_row(&writing, &row, c < 3 ? c * 10 : -1, "", name);
        for (int64_t layer = 0; layer < 4; layer++) {
            *importance(&row, layer, TR_ATTN) = layer == 1 && c > 1 ? NAN : 0.1 * (double)layer;
            *importance(&row, layer, TR_MLP) = layer < 3 && layer != c % 3 ? 0.5 : 0.25;
        }
        tr_row_u32(&row, TR_V_NONFINITE)[1 * TR_MODULES + TR_ATTN] = c == 1 ? 3 : c > 1 ? 128 : 0;
        end_row(&writing, &row);
    }
    for (int64_t c = 0; c < 7; c++) {
        char name[32];
        snprintf(name, sizeof name, "broken%lld", (long long)c);
        begin_row(&writing, &row, 100 + c, "", name);
        tr_row_u8(&row, TR_V_STATUS)[0] = TR_ROW_FAILED;
        ok(tr_row_set_string(&row, TR_V_ERROR,
                             "broken/model.safetensors ends after 1024 of 2048 bytes, "
                             "\033[31mor so it is said in many words",
                             &err));
        end_row(&writing, &row);
    }
    end_store(&writing);
}

// Twelve layers of which the middle ones sink, and a last checkpoint at which attention has no
// value.
static void make_ends(void) {
    struct writing writing;
    begin_store(&writing, "ends.h5", 12, 1, 8);
    for (int64_t c = 0; c < 9; c++) {
        struct tr_row row;
        char name[32];
        snprintf(name, sizeof name, "%lld", (long long)c);
        begin_row(&writing, &row, c * 100, "", name);
        for (int64_t layer = 0; layer < 12; layer++)
            for (int module = 0; module < TR_MODULES; module++)
                *importance(&row, layer, module) = module == TR_ATTN && c == 8 ? NAN
                                                   : layer >= 3 && layer < 9
                                                       ? 0.01 * (double)(20 + layer - 2 * c)
                                                       : 0.1 * (double)(layer + 5);
        end_row(&writing, &row);
    }
    end_store(&writing);
}

// Between 0 and 1, without memory from one number to the next.
static double noise_of(uint32_t number) {
    for (int round = 0; round < 3; round++)
        number = (number ^ number >> 16) * UINT32_C(0x45d9f3b) + 1;
    return (double)number / 4294967296.0;
}

// So many checkpoints, and so little memory from one to the next, that rankings can be tested: two
// layers always among the lowest, one that rises.
static void make_steady(void) {
    struct writing writing;
    begin_store(&writing, "steady.h5", 6, 1, 8);
    for (int64_t c = 0; c < 120; c++) {
        struct tr_row row;
        char name[32];
        snprintf(name, sizeof name, "%lld", (long long)c);
        begin_row(&writing, &row, (c + 1) * 100, "", name);
        for (int64_t layer = 0; layer < 6; layer++) {
            double noise = noise_of((uint32_t)(c * 6 + layer));
            double level =
                layer == 1 || layer == 4 ? 0.1 : 0.5 + 0.001 * (double)(layer == 5) * (double)c;
            *importance(&row, layer, TR_MLP) = level + 0.3 * noise;
        }
        end_row(&writing, &row);
    }
    end_store(&writing);
}

// More checkpoints than columns, in two stages; layer 2 sinks below the others.
static void make_long(void) {
    struct writing writing;
    begin_store(&writing, "long.h5", 3, 1, 8);
    for (int64_t c = 0; c < 90; c++) {
        struct tr_row row;
        char name[32];
        snprintf(name, sizeof name, "%lld", (long long)c);
        begin_row(&writing, &row, (c % 60) * 1000, c < 60 ? "stage1" : "stage2", name);
        for (int64_t layer = 0; layer < 3; layer++)
            for (int module = 0; module < TR_MODULES; module++)
                *importance(&row, layer, module) =
                    layer == 2 ? exp(-0.08 * (double)c) : 0.1 * (double)(layer + 1);
        end_row(&writing, &row);
    }
    end_store(&writing);
}

// One checkpoint, and that is step 0.
static void make_one(void) {
    struct writing writing;
    struct tr_row row;
    begin_store(&writing, "one.h5", 5, 8, 32);
    begin_row(&writing, &row, 0, "", "step0");
    for (int64_t layer = 0; layer < 5; layer++) {
        *importance(&row, layer, TR_ATTN) = 0.1 * (double)(layer + 1);
        for (int64_t s = 0; s < 8; s++) {
            int64_t at = (layer * TR_MODULES + TR_ATTN) * 8 + s;
            tr_row_u32(&row, TR_V_TOKEN_COUNT)[at] = 32;
            tr_row_f64(&row, TR_V_IMPORTANCE_SEQ)[at] =
                0.1 * (double)(layer + 1) + 0.01 * ((double)s - 3.5);
        }
    }
    end_row(&writing, &row);
    end_store(&writing);
}

// Five checkpoints of three alike layers, those of attention with a value at the last two only,
// those of MLP at all, at none where `blank`.
static void make_half(const char *name, bool blank) {
    struct writing writing;
    begin_store(&writing, name, 3, 1, 8);
    for (int64_t c = 0; c < 5; c++) {
        struct tr_row row;
        char checkpoint[32];
        snprintf(checkpoint, sizeof checkpoint, "%lld", (long long)c);
        begin_row(&writing, &row, c * 10, "", checkpoint);
        for (int64_t layer = 0; layer < 3; layer++) {
            *importance(&row, layer, TR_ATTN) = blank || c < 3 ? NAN : 0.1;
            *importance(&row, layer, TR_MLP) = blank ? NAN : 0.1 * (double)(c + 1);
        }
        end_row(&writing, &row);
    }
    end_store(&writing);
}

static void make_empty(void) {
    struct writing writing;
    struct tr_row row;
    begin_store(&writing, "failed.h5", 2, 1, 8);
    begin_row(&writing, &row, 7, "", "step7");
    tr_row_u8(&row, TR_V_STATUS)[0] = TR_ROW_FAILED;
    ok(tr_row_set_string(&row, TR_V_ERROR, "config.json is missing", &err));
    end_row(&writing, &row);
    end_store(&writing);
    write_text(in_folder("text.h5"), "not a store\n");
}

// ---- runs ------------------------------------------------------------------------------------

// Runs the program in the folder; its exit code, its output in the folder's out and err.
static int run(const char *locale, const char *arguments) {
    char command[4 * FOLDER_PATH];
    snprintf(command, sizeof command, "cd %s && LC_ALL=%s %s %s > out 2> err", test_folder, locale,
             program, arguments);
    int code = system(command);
    assert_true(WIFEXITED(code));
    return WEXITSTATUS(code);
}

static char *load(const char *name) {
    char *text;
    size_t size;
    ok(tr_file_load(in_folder(name), LIMIT, &text, &size, &err));
    return text;
}

static void expect(const char *name, const char *locale, const char *arguments) {
    char path[64], *expected;
    size_t size;
    int code = run(locale, arguments);
    char *messages = load("err"), *out = load("out");
    assert_string_equal(messages, "");
    assert_int_equal(code, 0);
    snprintf(path, sizeof path, "tests/cli/analyze/%s.txt", name);
    if (getenv("TRACE_BLESS"))
        ok(tr_file_replace(path, out, strlen(out), &err));
    ok(tr_file_load(path, LIMIT, &expected, &size, &err));
    assert_string_equal(out, expected);
    free(expected);
    free(messages);
    free(out);
}

static void refuse(const char *arguments, int code, const char *sentence) {
    int got = run("C", arguments);
    char *out = load("out"), *messages = load("err");
    assert_string_equal(out, "");
    if (!strstr(messages, sentence))
        fail_msg("\"%s\" is not in: %s", sentence, messages);
    assert_int_equal(got, code);
    free(out);
    free(messages);
}

static void test_reports(void **state) {
    (void)state;
    expect("demo", "C.UTF-8", "demo.h5 --full");
    expect("demo-usual", "C.UTF-8", "demo.h5");
    expect("demo-from-1024", "C", "demo.h5 --module attn --count 7 --from 1024 --full");
    expect("demo-one", "C", "demo.h5 -m mlp -n 1 -f 6418 --full");
    expect("demo-markdown", "C.UTF-8", "demo.h5 --module attn --full --format markdown");
    expect("demo-latex", "C.UTF-8", "demo.h5 --module attn --full --format latex");
    expect("demo-csv", "C", "demo.h5 --format csv");
    expect("faults", "C", "faults.h5 --full");
    expect("ends", "C", "ends.h5 --module attn --count 6 --full");
    expect("steady", "C.UTF-8", "steady.h5 --module mlp --count 2 --full");
    expect("long", "C", "long.h5 --module block --count 1 --full");
    expect("one", "C", "one.h5 --module attn --count 2 --full");
}

// Whoever follows the plan drops nothing; the report is there all the same.
static void test_empty_plan(void **state) {
    (void)state;
    assert_int_equal(run("C", "demo.h5 -m attn --below 0 --plan p"), 0);
    char *out = load("out"), *messages = load("err"), *plan = load("p");
    assert_non_null(strstr(out, "\nBelow 0 at every checkpoint: shown for none"));
    assert_string_equal(messages,
                        "trace-analyze: p drops nothing: no layer is shown to be below 0\n");
    assert_non_null(strstr(plan, "\"drop\":\"\",\"drop_attn_list\":[],\"drop_mlp_list\":[]"));
    assert_non_null(strstr(plan, "\"tau\":0.0,"));
    assert_non_null(strstr(plan, "\"level\":0.9"));
    assert_int_equal(plan[strlen(plan) - 1], '\n');
    free(out);
    free(messages);
    free(plan);
}

static void expect_sentence(const char *arguments, const char *sentence) {
    assert_int_equal(run("C", arguments), 0);
    char *out = load("out");
    for (char *at = out; (at = strchr(at, '\n'));)
        *at = ' ';
    if (!strstr(out, sentence))
        fail_msg("\"%s\" is not in: %s", sentence, out);
    free(out);
}

// What is left out is said for the reason that it is.
static void test_reasons(void **state) {
    (void)state;
    expect_sentence("half.h5", "Attention: left out, with values at some checkpoints only. With "
                               "--module attn   claims rest on those.");
    expect_sentence("half.h5", "Blocks: no layer has a value at any checkpoint.");
    expect_sentence("half.h5 -m attn", "are of the other 2 for all layers.");
    expect_sentence("half.h5 half2.h5 -m mlp", "5 checkpoints aligned by step, step 0 to step 40");
    expect_sentence("one.h5 ends.h5 -m attn", "A run holds fewer than 5 samples");
    expect_sentence("one.h5 ends.h5 -m attn",
                    "      0       0.1      0.57        0.47         -         -       1");
    expect_sentence("blank.h5", "No faults found in the data.");
}

static int columns_of(const char *line, size_t size) {
    int columns = 0;
    for (size_t i = 0; i < size; i++)
        columns += ((unsigned char)line[i] & 0xc0) != 0x80;
    return columns;
}

// No line is wider than the terminal, down to 60 columns.
static void expect_width(const char *locale, const char *store) {
    for (int width = 60; width <= 120; width += 20) {
        char text[8];
        snprintf(text, sizeof text, "%d", width);
        setenv("COLUMNS", text, 1);
        assert_int_equal(run(locale, store), 0);
        char *out = load("out");
        for (char *line = out; *line; line += strcspn(line, "\n") + 1)
            if (columns_of(line, strcspn(line, "\n")) > width)
                fail_msg("wider than %d: %s", width, line);
        free(out);
    }
}

static void test_width(void **state) {
    (void)state;
    expect_width("C.UTF-8", "demo.h5 --resamples 100");
    expect_width("C.UTF-8", "demo.h5 --full --resamples 100");
    expect_width("C", "faults.h5 --full");
    expect_width("C", "blank.h5");
}

static void test_refusals(void **state) {
    (void)state;
    refuse("", 2, "trace-analyze: which FILE?");
    refuse("a b c", 2, "trace-analyze: one FILE, or two to compare, please");
    refuse("demo.h5 --module all", 2, "--module takes attn, mlp, block or joint, not \"all\"");
    refuse("demo.h5 --count 0", 2, "--count takes a whole number from 1 on, not \"0\"");
    refuse("demo.h5 --count 3x", 2, "--count takes a whole number from 1 on, not \"3x\"");
    refuse("demo.h5 --from -1", 2, "--from takes a whole number from 0 on, not \"-1\"");
    refuse("demo.h5 --count 11", 2,
           "trace-analyze: --count 11 asks for more than the 10 layers of demo.h5\n");
    refuse("demo.h5 --module joint --count 21", 2,
           "trace-analyze: --count 21 asks for more than the 20 sublayers of demo.h5\n");
    refuse("demo.h5 --below 3", 2, "--below takes a number from 0 to 2, not \"3\"");
    refuse("demo.h5 --by alignment --below -1", 2,
           "--below takes a number from 0 to 2, not \"-1\"");
    refuse("demo.h5 --by cost --below 1001", 2,
           "--below takes a number from -1000 to 1000, not \"1001\"");
    refuse("demo.h5 --by loss", 2,
           "--by takes importance, update_ratio, alignment, cost-nll (or cost), cost-kl or "
           "cost-agree, not \"loss\"");
    refuse("demo.h5 --by cost", 2,
           "trace-analyze: demo.h5 cannot be ranked by cost-nll: it holds no costs of leaving "
           "sublayers out\n");
    refuse("demo.h5 --format pdf", 2, "--format takes text, markdown, latex or csv, not \"pdf\"");
    refuse(
        "demo.h5 --sections sets,all", 2,
        "--sections takes a list of answer, data, layers, map, sets, stability, history, chance, "
        "costs, texts, spans, search, runs, not \"sets,all\"");
    refuse("demo.h5 --full --brief", 2, "one of --brief, --full and --sections, please");
    refuse("demo.h5 --brief --format csv", 2,
           "--format csv prints the table of layers, and no sections");
    refuse("demo.h5 --json - --format latex", 2, "--json - and --format would both be printed");
    refuse("demo.h5 --level 1", 2, "--level takes a number from 0.5 to 0.9999, not \"1\"");
    refuse("demo.h5 --resamples 99", 2, "--resamples takes a whole number from 100 on, not \"99\"");
    refuse("demo.h5 --plan p", 2, "--plan needs a --module: attn, mlp, block or joint");
    refuse("demo.h5 --json demo.h5", 2, "--json would overwrite demo.h5");
    refuse("long.h5 demo.h5 -m attn --plan ./demo.h5", 2, "--plan would overwrite demo.h5");
    refuse("demo.h5 -m attn --plan out --json out", 2, "--json and --plan are the same file");
    refuse("demo.h5 ./demo.h5", 2, "demo.h5 and ./demo.h5 are the same file");
    refuse("demo.h5 long.h5 -m attn --from 20000", 2,
           "trace-analyze: demo.h5 has no complete checkpoint from step 20000 on, but 8 before\n");
    refuse("demo.h5 --json no/where.json", 2, "--json no/where.json: there is no such folder");
    refuse("demo.h5 --from 6419", 2,
           "trace-analyze: demo.h5 has no complete checkpoint from step 6419 on, but 8 before\n");
    refuse("failed.h5", 3,
           "trace-analyze: failed.h5 has no complete checkpoint; the first of 1 failed, step7: "
           "config.json is missing\n");
    refuse("text.h5", 3, "text.h5");
    refuse("none.h5", 3, "none.h5");
}

static int setup(void **state) {
    (void)state;
    if (folder_create(NULL))
        return -1;
    make_demo();
    make_faults();
    make_ends();
    make_steady();
    make_long();
    make_one();
    make_half("half.h5", false);
    make_half("half2.h5", false);
    make_half("blank.h5", true);
    make_empty();
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports), cmocka_unit_test(test_empty_plan),
        cmocka_unit_test(test_reasons), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_width)};
    if (argc != 2)
        return 2;
    unsetenv("COLUMNS");
    program = argv[1];
    return cmocka_run_group_tests(tests, setup, folder_remove);
}
