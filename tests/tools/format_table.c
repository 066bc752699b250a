// SPDX-License-Identifier: Apache-2.0
// Prints a table of the file's format as Markdown, from the tables of the store: "dimensions",
// "variables", "attributes".
#include <stdio.h>
#include <string.h>

#include "scales.h"
#include "store/run_info.h"
#include "store/variables.h"

static const char *const types[] = {
    [TR_VALUE_F64] = "f64", [TR_VALUE_F32] = "f32", [TR_VALUE_U32] = "u32",
    [TR_VALUE_I64] = "i64", [TR_VALUE_U8] = "u8",   [TR_VALUE_STRING] = "string"};

static void print_dimensions(void) {
    printf("| dimension | its values | type |\n|---|---|---|\n");
    for (enum tr_dim dim = TR_DIM_CHECKPOINT; dim < TR_DIM_COUNT; dim++)
        printf("| `%s` | %s | %s |\n", tr_dim_name(dim), tr_scale_long_name(dim),
               types[tr_scale_type(dim)]);
}

// Which option a variable is there with.
static const char *when(const struct tr_variable *variable) {
    static const struct {
        struct tr_layout layout;
        const char *words;
    } options[] = {
        {{.nll = true}, "not with `--no-nll`"},
        {{.per_token = true}, "with `--per-token`"},
        {{.span_tokens = 1}, "with `--spans`"},
        {{.cost_sequences = 1}, "with `--cost`"},
        {{.cost_sequences = 1, .drop_sets = 1}, "with `--drop-sets`"},
        {{.cost_sequences = 1, .drop_sets = 1, .set_distances = true}, "with `--set-distances`"},
        {{.rounds = 1, .candidates = 1}, "of a search"}};
    for (size_t i = 0; variable->present && i < sizeof options / sizeof *options; i++)
        if (variable->present(&options[i].layout))
            return options[i].words;
    return variable->present ? "sometimes" : "";
}

static void print_variables(void) {
    printf("| variable | over | type | unit | meaning | |\n|---|---|---|---|---|---|\n");
    for (int id = 0; id < TR_VARIABLES; id++) {
        const struct tr_variable *variable = &tr_variables[id];
        printf("| `%s` | ", variable->name);
        for (int i = 0; i < tr_variable_rank(id); i++)
            printf("%s%s", i ? ", " : "", tr_dim_name(variable->dims[i]));
        printf(" | %s | %s | ", types[variable->type], variable->units ? variable->units : "");
        for (const char *at = variable->long_name; *at; at++)
            printf(*at == '|' ? "\\|" : "%c", *at);
        printf(" | %s |\n", when(variable));
    }
}

static void print_attributes(void) {
    static const char *const roles[] = {[TR_IDENTITY] = "has to agree",
                                        [TR_ADDED] = "has to agree where both have it",
                                        [TR_RECORDED] = "is recorded",
                                        [TR_GAINED] = "is added where it lacks",
                                        [TR_VOLATILE] = "of the moment"};
    printf("| attribute | type | when a run goes on | meaning |\n|---|---|---|---|\n");
    for (int i = 0; i < tr_attribute_row_count; i++) {
        const struct tr_attribute_row *row = &tr_attribute_rows[i];
        printf("| `%s` | %s | %s | %s |\n", row->name, row->is_number ? "i64" : "string",
               row->by_store && row->role == TR_RECORDED ? "is the store's" : roles[row->role],
               row->meaning);
    }
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*print)(void);
    } tables[] = {{"dimensions", print_dimensions},
                  {"variables", print_variables},
                  {"attributes", print_attributes}};
    for (size_t i = 0; argc == 2 && i < sizeof tables / sizeof *tables; i++)
        if (!strcmp(argv[1], tables[i].name)) {
            tables[i].print();
            return fflush(stdout) ? 3 : 0;
        }
    fprintf(stderr, "format_table dimensions|variables|attributes\n");
    return 2;
}
