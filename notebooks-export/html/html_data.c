// SPDX-License-Identifier: Apache-2.0
#include "html_data.h"

#include <math.h>
#include <string.h>

#include "figures/figures.h"
#include "figures/layout.h"

// ---- pieces of JSON --------------------------------------------------------------------------

// Bytes of the well-formed UTF-8 character at text, 0 when there is none.
static size_t character(const char *text) {
    unsigned char first = (unsigned char)*text;
    size_t size = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    return strnlen(text, size) == size && tr_utf8_valid(text, size) ? size : 0;
}

enum tr_status nx_json_string(struct tr_string *out, const char *text, struct tr_err *err) {
    TR_TRY(tr_string_append(out, "\"", 1, err));
    while (*text) {
        size_t size = character(text);
        if (size == 0) {
            TR_TRY(tr_string_format(out, err, "\\ufffd"));
            size = 1;
        } else if (size == 1 && (*text < 0x20 || *text == 0x7f || strchr("\"\\<>&'", *text))) {
            TR_TRY(tr_string_format(out, err, "\\u%04x", (unsigned)*text));
        } else if (strncmp(text, "\xe2\x80\xa8", 3) == 0 || strncmp(text, "\xe2\x80\xa9", 3) == 0) {
            TR_TRY(tr_string_format(out, err, "\\u202%c", text[2] & 1 ? '9' : '8'));
        } else {
            TR_TRY(tr_string_append(out, text, size, err));
        }
        text += size;
    }
    return tr_string_append(out, "\"", 1, err);
}

static enum tr_status put_strings(struct tr_string *out, char *const *texts, int64_t count,
                                  struct tr_err *err) {
    for (int64_t i = 0; i < count; i++) {
        TR_TRY(tr_string_append(out, i ? "," : "[", 1, err));
        TR_TRY(nx_json_string(out, texts[i], err));
    }
    return tr_string_append(out, "]", 1, err);
}

// ---- values ----------------------------------------------------------------------------------

void nx_base64(const unsigned char bytes[3], int count, char out[4]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
    for (int i = 0; i < 4; i++)
        out[i] = i <= count ? digits[bits >> (18 - 6 * i) & 63] : '=';
}

// A row as bytes: 32-bit floats, or one byte each where all are whole numbers such as ranks.
struct packed {
    const double *row;
    int64_t columns;
    bool small;
};

enum { NOTHING = 255 }; // a NaN among small numbers

static struct packed pack(const double *row, int64_t columns) {
    struct packed packed = {row, columns, true};
    for (int64_t i = 0; i < columns && packed.small; i++)
        packed.small =
            isnan(row[i]) || (row[i] >= 0 && row[i] < NOTHING && row[i] == floor(row[i]));
    return packed;
}

static int64_t packed_size(const struct packed *packed) {
    return packed->small ? packed->columns : 4 * packed->columns;
}

// Byte `at`, little-endian; 0 behind the end.
static unsigned char packed_byte(const struct packed *packed, int64_t at) {
    uint32_t bits;
    if (at >= packed_size(packed))
        return 0;
    if (packed->small)
        return isnan(packed->row[at]) ? NOTHING : (unsigned char)packed->row[at];
    float value = (float)packed->row[at / 4];
    memcpy(&bits, &value, sizeof bits);
    return (unsigned char)(bits >> (8 * (at % 4)));
}

static bool is_empty(const double *row, int64_t columns) {
    for (int64_t i = 0; i < columns; i++)
        if (!isnan(row[i]))
            return false;
    return true;
}

static enum tr_status put_row(struct tr_string *out, const double *row, int64_t columns,
                              struct tr_err *err) {
    if (is_empty(row, columns))
        return tr_string_append(out, "null", 4, err);
    const struct packed packed = pack(row, columns);
    TR_TRY(tr_string_format(out, err, "%s", packed.small ? "\"#" : "\""));
    for (int64_t at = 0, left; (left = packed_size(&packed) - at) > 0; at += 3) {
        unsigned char bytes[3];
        char text[4];
        for (int i = 0; i < 3; i++)
            bytes[i] = packed_byte(&packed, at + i);
        nx_base64(bytes, left < 3 ? (int)left : 3, text);
        TR_TRY(tr_string_append(out, text, 4, err));
    }
    return tr_string_append(out, "\"", 1, err);
}

struct matrix {
    const double *values; // [rows, columns]
    int64_t rows, columns;
};

static enum tr_status put_matrix(struct tr_string *out, const struct matrix *matrix,
                                 struct tr_err *err) {
    for (int64_t row = 0; row < matrix->rows; row++) {
        TR_TRY(tr_string_append(out, row ? "," : "[", 1, err));
        TR_TRY(put_row(out, matrix->values + row * matrix->columns, matrix->columns, err));
    }
    return tr_string_append(out, "]", 1, err);
}

// Matrices that several panels show are written once.
enum { PARTS = 4 }; // of a panel: its values, where they are across, and their intervals' ends
struct matrices {
    struct matrix matrix[NX_FIGURES_MAX * NX_PANELS_MAX * PARTS];
    int count;
};

// The index of a panel's matrix among those that are written.
static int index_of(struct matrices *matrices, const struct nx_panel *panel, const double *values) {
    int i = 0;
    while (i < matrices->count && matrices->matrix[i].values != values)
        i++;
    if (i == matrices->count)
        matrices->matrix[matrices->count++] = (struct matrix){values, panel->rows, panel->columns};
    return i;
}

// ---- panels ----------------------------------------------------------------------------------

static enum tr_status put_rows(struct tr_string *out, const struct nx_panel *panel,
                               struct tr_err *err) {
    for (int64_t row = 0; row < panel->rows; row++) {
        TR_TRY(tr_string_append(out, row ? "," : "[", 1, err));
        TR_TRY(nx_json_string(out, panel->row[row].name, err));
    }
    return tr_string_append(out, "]", 1, err);
}

// The columns' places as shares of the width, where they are not all of one width.
static enum tr_status put_places(struct tr_string *out, const struct nx_panel *panel,
                                 struct tr_err *err) {
    for (int64_t i = 0; panel->at && i < panel->columns; i++)
        TR_TRY(tr_string_format(out, err, "%s%.4f", i ? "," : ",\"at\":[",
                                nx_along(&panel->x, panel->at[i], 1)));
    return panel->at ? tr_string_append(out, "]", 1, err) : TR_OK;
}

static enum tr_status put_scale(struct tr_string *out, const char *name, const struct nx_axis *axis,
                                struct tr_err *err) {
    const struct nx_scale *scale = &axis->scale;
    return tr_string_format(out, err,
                            ",\"%s\":{\"low\":%.9g,\"high\":%.9g,\"log\":%s,\"linear\":%g}", name,
                            scale->low, scale->high, scale->kind == NX_LOG ? "true" : "false",
                            scale->kind == NX_SIGNED_LOG ? nx_scale_linear(scale) : 0);
}

// What else a panel of points needs: where its rows are across, and their intervals.
static enum tr_status put_across(struct tr_string *out, const struct nx_panel *panel,
                                 struct matrices *matrices, struct tr_err *err) {
    TR_TRY(put_scale(out, "scaleAcross", &panel->x, err));
    TR_TRY(tr_string_format(out, err, ",\"across\":%d", index_of(matrices, panel, panel->across)));
    TR_TRY(tr_string_format(out, err, ",\"quantityAcross\":"));
    return nx_json_string(out, panel->across_quantity, err);
}

static enum tr_status put_panel(struct tr_string *out, const struct nx_figure *figure, int index,
                                const struct nx_box *box, struct matrices *matrices,
                                struct tr_err *err) {
    const struct nx_panel *panel = &figure->panels[index];
    TR_TRY(tr_string_format(out, err,
                            "{\"id\":\"%s-%d\",\"x\":%.2f,\"y\":%.2f,\"width\":%.2f,"
                            "\"height\":%.2f,\"columns\":%lld,\"matrix\":%d,\"title\":",
                            figure->name, index, box->x, box->y, box->width, box->height,
                            (long long)panel->columns, index_of(matrices, panel, panel->values)));
    TR_TRY(nx_json_string(out, panel->title, err));
    TR_TRY(tr_string_format(out, err, ",\"quantity\":"));
    TR_TRY(nx_json_string(out, panel->quantity, err));
    TR_TRY(tr_string_format(out, err, ",\"rows\":"));
    TR_TRY(put_rows(out, panel, err));
    TR_TRY(put_places(out, panel, err));
    if (panel->by_checkpoint)
        TR_TRY(tr_string_format(out, err, ",\"byCheckpoint\":true"));
    else if (panel->column_names) {
        TR_TRY(tr_string_format(out, err, ",\"columnNames\":"));
        TR_TRY(put_strings(out, panel->column_names, panel->columns, err));
    }
    if (panel->marks == NX_CELLS)
        return tr_string_format(out, err, ",\"cells\":true}");
    if (panel->low && panel->high)
        TR_TRY(tr_string_format(out, err, ",\"low\":%d,\"high\":%d",
                                index_of(matrices, panel, panel->low),
                                index_of(matrices, panel, panel->high)));
    if (panel->marks == NX_SCATTER)
        TR_TRY(put_across(out, panel, matrices, err));
    TR_TRY(put_scale(out, "scale", &panel->y, err));
    return tr_string_append(out, "}", 1, err);
}

static enum tr_status put_panels(struct tr_string *out, const struct nx_page *page,
                                 struct matrices *matrices, struct tr_err *err) {
    const char *separator = "";
    for (int f = 0; f < page->count; f++) {
        const struct nx_figure *figure = &page->figures[f];
        struct nx_layout layout;
        nx_layout_figure(&layout, figure);
        for (int i = 0; i < figure->count; i++) {
            TR_TRY(tr_string_format(out, err, "%s", separator));
            TR_TRY(put_panel(out, figure, i, &layout.panels[i], matrices, err));
            separator = ",\n";
        }
    }
    return TR_OK;
}

enum tr_status nx_page_data(struct tr_string *out, const struct nx_page *page, struct tr_err *err) {
    struct matrices matrices = {.count = 0};
    TR_TRY(tr_string_format(out, err, "{\"checkpoints\":"));
    TR_TRY(put_strings(out, page->data->label, page->data->checkpoints, err));
    TR_TRY(tr_string_format(out, err, ",\n\"panels\":["));
    TR_TRY(put_panels(out, page, &matrices, err));
    TR_TRY(tr_string_format(out, err, "],\n\"matrices\":["));
    for (int i = 0; i < matrices.count; i++) {
        TR_TRY(tr_string_format(out, err, "%s", i ? ",\n" : ""));
        TR_TRY(put_matrix(out, &matrices.matrix[i], err));
    }
    return tr_string_format(out, err, "]}");
}
