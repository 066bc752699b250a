// SPDX-License-Identifier: Apache-2.0
// Names of published series and of trainers, from names.tsv: what each tells, and the order within
// each series.
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ckpt/series.h"
#include "folder.h"

enum { LEAST = 200, MOST = 64, LINE = 512 };

static const char table[] = "tests/unit/names.tsv";

// The names of one series, in training order.
struct block {
    char title[LINE], names[MOST][LINE];
    int64_t count;
    bool side_by_side;
};

static struct tr_name_rules *rules;
static struct block block;
static int64_t names_read, series_read;

static void check_parsed(const char *name, const char *stage, int64_t step, double tokens) {
    struct tr_name parsed;
    struct tr_err err = {.text = ""};
    assert_int_equal(tr_name_parse(rules, name, name, &parsed, &err), TR_OK);
    bool same = isnan(tokens) ? isnan(parsed.tokens) : parsed.tokens == tokens;
    if (strcmp(parsed.stage, stage) || parsed.step != step || !same)
        fail_msg("%s: %s gives stage \"%s\", step %lld, tokens %g", block.title, name, parsed.stage,
                 (long long)parsed.step, parsed.tokens);
}

// A path of several folders has its place checked alone.
static void check_name(char *line) {
    char *rest = line, *name = strsep(&rest, "\t"), *stage = strsep(&rest, "\t");
    char *step_text = strsep(&rest, "\t"), *tokens_text = strsep(&rest, "\t");
    assert_non_null(tokens_text);
    if (!strchr(name, '/'))
        check_parsed(name, stage, *step_text ? strtoll(step_text, NULL, 10) : -1,
                     *tokens_text ? strtod(tokens_text, NULL) : NAN);
    assert_true(block.count < MOST);
    snprintf(block.names[block.count++], LINE, "%s", name);
    names_read++;
}

static bool ends_with(const char *path, const char *name) {
    size_t size = strlen(path), end = strlen(name);
    return size > end && path[size - end - 1] == '/' && !strcmp(path + size - end, name);
}

static void make_folders(char *path) {
    for (char *slash = path + strlen(test_folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        assert_true(!mkdir(path, 0777) || errno == EEXIST);
        *slash = '/';
    }
    assert_int_equal(mkdir(path, 0777), 0);
}

static void check_order(const struct tr_series *series) {
    assert_int_equal(series->count, block.count);
    for (int64_t i = 0; i < block.count; i++)
        if (!ends_with(series->entries[i].path, block.names[i]))
            fail_msg("%s: at place %lld stands %s, not %s", block.title, (long long)i,
                     series->entries[i].path, block.names[i]);
}

// The series is built from its names backwards, as no shell would list them.
static void check_series(void) {
    static char text[MOST][2 * LINE + FOLDER_PATH];
    char *paths[MOST], run[32];
    const struct tr_series_options plain = {0}, separate = {.separate = true};
    struct tr_series series;
    struct tr_err err = {.text = ""};
    if (!block.count)
        return;
    snprintf(run, sizeof run, "run%lld", (long long)series_read++);
    make_folder(run);
    for (int64_t i = 0; i < block.count; i++) {
        snprintf(text[i], sizeof text[i], "%s/%s/%s", test_folder, run,
                 block.names[block.count - 1 - i]);
        make_folders(text[i]);
        paths[i] = text[i];
    }
    if (block.side_by_side) {
        assert_int_equal(tr_series_from_paths(&series, paths, block.count, &plain, &err),
                         TR_EUSAGE);
        assert_non_null(strstr(err.text, "--separate"));
    }
    if (tr_series_from_paths(&series, paths, block.count, block.side_by_side ? &separate : &plain,
                             &err))
        fail_msg("%s: %s", block.title, err.text);
    check_order(&series);
    tr_series_free(&series);
}

static void start_block(const char *line, bool side_by_side) {
    check_series();
    block.count = 0;
    block.side_by_side = side_by_side;
    snprintf(block.title, sizeof block.title, "%s", strchr(line, '\t') + 1);
}

static void test_table(void **state) {
    (void)state;
    char line[LINE];
    struct tr_err err = {.text = ""};
    FILE *file = fopen(table, "r");
    assert_non_null(file);
    assert_int_equal(tr_name_rules_new(&rules, NULL, &err), TR_OK);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (*line == '#')
            continue;
        if (!strncmp(line, "series\t", 7) || !strncmp(line, "side by side\t", 13))
            start_block(line, *line == 's' && line[1] == 'i');
        else
            check_name(line);
    }
    check_series();
    assert_true(names_read >= LEAST);
    tr_name_rules_free(rules);
    assert_int_equal(fclose(file), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
