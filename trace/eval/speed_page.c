// SPDX-License-Identifier: Apache-2.0
// Speeds for people, and as JSON.
#include "base/strings.h"
#include "page_table.h"
#include "speed_rows.h"
#include "speed_sublayers.h"

static const char *set_name(const struct tr_speed_rows *rows, const struct tr_speed_row *row) {
    return row->set ? rows->sets->sets[row->set - 1].name : "nothing";
}

// ---- the table ---------------------------------------------------------------------------------

static const struct tr_page_column speeds[] = {
    {"Checkpoint", false, false}, {"Left out", false, false}, {"Prompt", true, false},
    {"New", true, false},         {"Batch", true, false},     {"Prefill", true, false},
    {"Range", true, true},        {"Ratio", true, true},      {"Decode", true, false},
    {"Range", true, true},        {"Ratio", true, true},      {"A text", true, false}};
static const struct tr_page_column counts[] = {
    {"Checkpoint", false, false}, {"Left out", false, false}, {"Prompt", true, false},
    {"New", true, false},         {"Batch", true, false},     {"Weights", true, false},
    {"KV", true, true},           {"KV a token", true, true}, {"FLOP a token", true, false},
    {"Of a copy", true, false},   {"Peak", true, false},      {"Planned", true, true}};
enum { KEYS = 5 };

static enum tr_status add_keys(struct tr_page_table *table, const struct tr_speed_rows *rows,
                               const struct tr_speed_row *row, struct tr_err *err) {
    TR_TRY(tr_page_cell(table, err, "%s", rows->checkpoint));
    TR_TRY(tr_page_cell(table, err, "%s", set_name(rows, row)));
    TR_TRY(tr_page_cell(table, err, "%lld", (long long)row->shape.prompt));
    TR_TRY(tr_page_cell(table, err, "%lld", (long long)row->shape.generated));
    return tr_page_cell(table, err, "%lld", (long long)row->shape.batch);
}

// A rate, its range and its ratio to the whole model's, with a mark where counts do not allow it.
static enum tr_status add_rate(struct tr_page_table *table, const struct tr_speed_row *row,
                               const struct tr_speed_range *rate,
                               const struct tr_speed_range *ratio, double most,
                               struct tr_err *err) {
    TR_TRY(tr_page_cell(table, err, "%.1f", rate->median));
    TR_TRY(tr_page_cell(table, err, "%.1f-%.1f", rate->low, rate->high));
    if (!row->set)
        return tr_page_cell(table, err, "%s", "");
    if (!ratio->is_there)
        return tr_page_cell(table, err, "overlaps");
    return tr_page_cell(table, err, "%.3f (%.3f-%.3f)%s", ratio->median, ratio->low, ratio->high,
                        ratio->median > most ? " !" : "");
}

static enum tr_status add_speeds(struct tr_page_table *table, const struct tr_speed_rows *rows,
                                 const struct tr_speed_row *row, struct tr_err *err) {
    TR_TRY(add_keys(table, rows, row, err));
    TR_TRY(add_rate(table, row, &row->prefill, &row->prefill_ratio, row->prefill_most, err));
    TR_TRY(add_rate(table, row, &row->decode, &row->decode_ratio, row->decode_most, err));
    return tr_page_cell(table, err, "%.1f", row->decode.median / (double)row->shape.batch);
}

static enum tr_status add_counts(struct tr_page_table *table, const struct tr_speed_rows *rows,
                                 const struct tr_speed_row *row, struct tr_err *err) {
    char text[5][TR_HUMAN_MAX];
    TR_TRY(add_keys(table, rows, row, err));
    TR_TRY(tr_page_cell(table, err, "%s", tr_human_bytes(row->weight_bytes, text[0])));
    TR_TRY(tr_page_cell(table, err, "%s", tr_human_bytes(row->cache_bytes, text[1])));
    TR_TRY(tr_page_cell(table, err, "%s", tr_human_bytes(row->token_bytes, text[2])));
    TR_TRY(tr_page_cell(table, err, "%.4g", row->step_flops));
    TR_TRY(tr_page_cell(table, err, "%.3f", row->share_of_bandwidth));
    TR_TRY(tr_page_cell(table, err, "%s", tr_human_bytes(row->peak, text[3])));
    return tr_page_cell(table, err, "%s", tr_human_bytes(row->planned, text[4]));
}

typedef enum tr_status (*add_func)(struct tr_page_table *table, const struct tr_speed_rows *rows,
                                   const struct tr_speed_row *row, struct tr_err *err);

static enum tr_status write_table(const struct tr_speed_rows *rows,
                                  const struct tr_page_column *columns, int column_count,
                                  add_func add, struct tr_string *page, struct tr_err *err) {
    struct tr_page_table table = {.columns = columns, .column_count = column_count, .keys = KEYS};
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < rows->count && status == TR_OK; i++)
        status = add(&table, rows, &rows->rows[i], err);
    if (status == TR_OK)
        status = tr_page_write(&table, page, err);
    tr_page_free(&table);
    return status;
}

#define COUNT(columns) (int)(sizeof(columns) / sizeof *(columns))

enum tr_status tr_speed_table(const struct tr_speed_rows *rows, struct tr_string *page,
                              struct tr_err *err) {
    char rate[TR_HUMAN_MAX];
    TR_TRY(write_table(rows, speeds, COUNT(speeds), add_speeds, page, err));
    TR_TRY(tr_string_format(page, err, "\n"));
    TR_TRY(write_table(rows, counts, COUNT(counts), add_counts, page, err));
    if (rows->sublayer_count)
        TR_TRY(tr_string_format(page, err, "\n"));
    TR_TRY(tr_sublayer_speeds_table(rows->sublayers, rows->sublayer_count, rows->checkpoint, page,
                                    err));
    return tr_string_format(
        page, err,
        "\n%s, %s, %s, weights %s.\n"
        "Tokens a second, median and range of %lld rounds, models in turns. Prefill: prompts up to "
        "their\nfirst token; decode: each further token, at positions [prompt, prompt + new). A "
        "ratio is of\nmedians, with the range of those of single rounds; it is left out where "
        "ranges overlap, and has a\n! where bytes and operations at this machine's rates do not "
        "allow it. Weights, KV: bytes that\na step reads. Of a copy: those a second over the %s/s "
        "of a copy, reads and writes counted.\n",
        rows->device, rows->description, rows->type,
        rows->is_resident ? "in memory" : "read from disk for each token", (long long)rows->rounds,
        tr_human_bytes(rows->copy_rate, rate));
}

// ---- JSON --------------------------------------------------------------------------------------

static json_t *range_json(const struct tr_speed_range *range) {
    if (!range->is_there)
        return json_null();
    return json_pack("{s:f, s:f, s:f}", "median", range->median, "low", range->low, "high",
                     range->high);
}

static json_t *row_json(const struct tr_speed_rows *rows, const struct tr_speed_row *row) {
    const struct tr_speed_shape *s = &row->shape;
    json_t *value =
        json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:f}", "left_out", set_name(rows, row), "prompt",
                  (json_int_t)s->prompt, "generated", (json_int_t)s->generated, "batch",
                  (json_int_t)s->batch, "prefill_tokens_per_s", range_json(&row->prefill),
                  "decode_tokens_per_s", range_json(&row->decode), "decode_tokens_per_s_of_a_text",
                  row->decode.median / (double)s->batch);
    json_t *counted = json_pack(
        "{s:f, s:f, s:f, s:f, s:f}", "weight_bytes_of_a_step", row->weight_bytes,
        "cache_bytes_of_a_step", row->cache_bytes, "cache_bytes_of_a_token", row->token_bytes,
        "flops_of_a_step_and_text", row->step_flops, "flops_of_a_prompt_token", row->prompt_flops);
    json_object_set_new(value, "counted", counted);
    json_object_set_new(value, "share_of_bandwidth", json_real(row->share_of_bandwidth));
    json_object_set_new(value, "peak_bytes", json_real(row->peak));
    json_object_set_new(value, "planned_bytes", json_real(row->planned));
    if (!row->set)
        return value;
    json_object_set_new(value, "prefill_ratio", range_json(&row->prefill_ratio));
    json_object_set_new(value, "decode_ratio", range_json(&row->decode_ratio));
    json_object_set_new(value, "prefill_ratio_at_most", json_real(row->prefill_most));
    json_object_set_new(value, "decode_ratio_at_most", json_real(row->decode_most));
    return value;
}

json_t *tr_speed_json(const struct tr_speed_rows *rows) {
    json_t *list = json_array();
    for (int64_t i = 0; i < rows->count; i++)
        json_array_append_new(list, row_json(rows, &rows->rows[i]));
    json_t *sublayers = json_array();
    for (int64_t i = 0; i < rows->sublayer_count; i++)
        json_array_append_new(sublayers, tr_sublayer_speeds_json(&rows->sublayers[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:f, s:f, s:o, s:o}", "checkpoint",
                     rows->checkpoint, "device", rows->device, "description", rows->description,
                     "dtype", rows->type, "weights_in_memory", rows->is_resident, "rounds",
                     (json_int_t)rows->rounds, "copy_bytes_per_s", rows->copy_rate,
                     "product_flops_per_s", rows->product_rate, "speeds", list, "sublayers",
                     sublayers);
}
