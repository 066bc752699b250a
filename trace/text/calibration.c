// SPDX-License-Identifier: Apache-2.0
// Calibration rows: how many and how long, packing text into them, checking ids.
#include "text/calibration.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"
#include "documents.h"
#include "text_source.h"
#include "token_file.h"

enum { DEFAULT_SEQ_LEN = 2048, DEFAULT_SAMPLES = 256 };
enum { TEXTS_MOST = DEFAULT_SAMPLES };
static const uint64_t text_limit = UINT64_C(4) << 30;

extern const char tr_builtin_text[]; // calibration.txt, embedded by the build

static enum tr_status check_options(const struct tr_calibration_options *options,
                                    struct tr_err *err) {
    if (options->samples < 0 || options->seq_len < 0)
        return tr_fail(err, TR_EUSAGE, "samples and sequence length must be positive");
    if (options->max_positions > 0 && options->seq_len > options->max_positions)
        return tr_fail(err, TR_EUSAGE, "sequence length %lld is above the model's %lld positions",
                       (long long)options->seq_len, (long long)options->max_positions);
    return TR_OK;
}

static int64_t wanted_seq_len(const struct tr_calibration_options *options) {
    if (options->seq_len)
        return options->seq_len;
    return options->max_positions > 0 && options->max_positions < DEFAULT_SEQ_LEN
               ? options->max_positions
               : DEFAULT_SEQ_LEN;
}

static int64_t most_samples(const struct tr_calibration_options *options) {
    return options->most ? options->most : DEFAULT_SAMPLES;
}

// Returns the number of tokens after which the rest of a stream is not needed.
static int64_t wanted_tokens(const struct tr_calibration_options *options) {
    int64_t samples = options->samples ? options->samples : most_samples(options), product;
    return __builtin_mul_overflow(samples, wanted_seq_len(options), &product) ? INT64_MAX : product;
}

// Cuts a stream of `count` tokens into rows.
static enum tr_status shape_stream(struct tr_calibration *calibration, int64_t count,
                                   const struct tr_calibration_options *options,
                                   struct tr_err *err) {
    int64_t seq_len = wanted_seq_len(options);
    const char *label = calibration->label;
    if (!count)
        return tr_fail(err, TR_EUSAGE, "%s holds no tokens", label);
    if (count < seq_len && !options->seq_len && !options->samples)
        seq_len = count;
    int64_t rows = count / seq_len;
    if (!rows || rows < options->samples)
        return tr_fail(err, TR_EUSAGE,
                       "%s has %lld tokens, which fill %lld rows of %lld; %lld were asked for",
                       label, (long long)count, (long long)rows, (long long)seq_len,
                       (long long)(options->samples ? options->samples : 1));
    int64_t most = rows < most_samples(options) ? rows : most_samples(options);
    calibration->sequences = options->samples ? options->samples : most;
    calibration->seq_len = seq_len;
    calibration->spare_tokens = count - calibration->sequences * seq_len;
    return TR_OK;
}

// Takes the rows of a file that has them already.
static enum tr_status shape_rows(struct tr_calibration *calibration,
                                 const struct tr_token_layout *layout,
                                 const struct tr_calibration_options *options, struct tr_err *err) {
    long long rows = layout->rows, columns = layout->columns;
    if (options->seq_len && options->seq_len != columns)
        return tr_fail(err, TR_EUSAGE,
                       "%s has rows of %lld tokens; a sequence length of %lld was asked for",
                       calibration->label, columns, (long long)options->seq_len);
    if (options->max_positions > 0 && columns > options->max_positions)
        return tr_fail(err, TR_EUSAGE,
                       "%s has rows of %lld tokens, above the model's %lld positions",
                       calibration->label, columns, (long long)options->max_positions);
    if (options->samples > rows)
        return tr_fail(err, TR_EUSAGE, "%s has %lld rows; %lld were asked for", calibration->label,
                       rows, (long long)options->samples);
    calibration->sequences = options->samples ? options->samples : rows;
    calibration->seq_len = columns;
    calibration->spare_tokens = (rows - calibration->sequences) * columns;
    return TR_OK;
}

// Whether the id at `index` of the rows is one of the model's; as int32 into the rows.
static enum tr_status put_id(struct tr_calibration *calibration, int64_t index, int64_t id,
                             const struct tr_calibration_options *options, struct tr_err *err) {
    int64_t limit = options->vocabulary > 0 ? options->vocabulary : INT32_MAX;
    if (id < 0 || id >= limit)
        return tr_fail(err, TR_EUSAGE,
                       "%s: row %lld, position %lld has token id %lld, outside the model's "
                       "vocabulary of %lld",
                       calibration->label, (long long)(index / calibration->seq_len),
                       (long long)(index % calibration->seq_len), (long long)id, (long long)limit);
    calibration->ids[index] = (int32_t)id;
    return TR_OK;
}

static int64_t used_tokens(const struct tr_calibration *calibration) {
    return calibration->sequences * calibration->seq_len;
}

static enum tr_status make_rows(struct tr_calibration *calibration, struct tr_err *err) {
    return TR_NEW(&calibration->ids, used_tokens(calibration), "the calibration rows", err);
}

// Hands the finished rows over, or frees what there is of them.
static enum tr_status finish(struct tr_calibration *to, struct tr_calibration *made,
                             enum tr_status status) {
    if (status != TR_OK) {
        tr_calibration_free(made);
        return status;
    }
    tr_digest_bytes(made->ids, (size_t)used_tokens(made) * sizeof *made->ids, made->ids_digest);
    *to = *made;
    return TR_OK;
}

static enum tr_status fill_from_file(struct tr_calibration *calibration,
                                     const struct tr_token_file *file,
                                     const struct tr_calibration_options *options,
                                     struct tr_err *err) {
    enum { BLOCK = 16384 };
    int64_t *block, total = used_tokens(calibration);
    TR_TRY(TR_NEW(&block, BLOCK, "token ids", err));
    enum tr_status status = TR_OK;
    for (int64_t first = 0; first < total && status == TR_OK; first += BLOCK) {
        int64_t count = total - first < BLOCK ? total - first : BLOCK;
        status = tr_token_file_read(file, first, count, block, err);
        for (int64_t i = 0; i < count && status == TR_OK; i++)
            status = put_id(calibration, first + i, block[i], options, err);
    }
    free(block);
    return status;
}

enum tr_status tr_calibration_from_tokens(struct tr_calibration *calibration, const char *path,
                                          const struct tr_calibration_options *options,
                                          struct tr_err *err) {
    struct tr_calibration made = {0};
    struct tr_token_file file;
    TR_TRY(check_options(options, err));
    TR_TRY(tr_token_file_open(&file, path, err));
    enum tr_status status;
    TR_GO(status, tr_path_name(&made.label, path, err), out);
    if (file.layout.rows)
        TR_GO(status, shape_rows(&made, &file.layout, options, err), out);
    else
        TR_GO(status, shape_stream(&made, file.layout.columns, options, err), out);
    TR_GO(status, make_rows(&made, err), out);
    status = fill_from_file(&made, &file, options, err);
out:
    tr_token_file_close(&file);
    return finish(calibration, &made, status);
}

// Documents on their way into one stream of ids.
struct packer {
    const struct tr_tokenizer *tokenizer;
    int32_t separator;
    int64_t wanted;
    bool bos;
    struct tr_ids stream;
};

static enum tr_status pack(void *user, const char *text, size_t size, bool *more_p,
                           struct tr_err *err) {
    struct packer *p = user;
    if (p->bos)
        TR_TRY(tr_tokenizer_begin(p->tokenizer, &p->stream, err));
    TR_TRY(tr_tokenizer_encode(p->tokenizer, text, size, &p->stream, err));
    TR_TRY(tr_ids_append(&p->stream, p->separator, err));
    *more_p = p->stream.count < p->wanted;
    return TR_OK;
}

static enum tr_status cut_rows(struct tr_calibration *calibration, const struct packer *packer,
                               const struct tr_calibration_options *options, struct tr_err *err) {
    TR_TRY(shape_stream(calibration, packer->stream.count, options, err));
    TR_TRY(make_rows(calibration, err));
    for (int64_t i = 0; i < used_tokens(calibration); i++)
        TR_TRY(put_id(calibration, i, packer->stream.ids[i], options, err));
    return TR_OK;
}

enum tr_status tr_calibration_from_text(struct tr_calibration *calibration, const char *path,
                                        const struct tr_tokenizer *tokenizer, int32_t separator,
                                        const struct tr_calibration_options *options,
                                        struct tr_err *err) {
    struct tr_calibration made = {0};
    struct packer packer = {tokenizer, separator, wanted_tokens(options), options->bos, {0}};
    struct tr_text_source source;
    TR_TRY(check_options(options, err));
    TR_TRY(tr_text_source_read(&source, path, text_limit, err));
    enum tr_status status;
    TR_GO(status, tr_strdup(&made.label, source.label, err), out);
    TR_GO(status,
          (source.is_jsonl ? tr_documents_jsonl : tr_documents_plain)(source.bytes, source.size,
                                                                      path, pack, &packer, err),
          out);
    status = cut_rows(&made, &packer, options, err);
out:
    free(packer.stream.ids);
    tr_text_source_free(&source);
    return finish(calibration, &made, status);
}

// ---- several texts ---------------------------------------------------------------------------

static enum tr_status check_names(const struct tr_calibration *parts, int64_t texts,
                                  struct tr_err *err) {
    for (int64_t i = 0; i < texts; i++)
        for (int64_t j = 0; j < i; j++)
            if (strcmp(parts[i].label, parts[j].label) == 0)
                return tr_fail(err, TR_EUSAGE,
                               "two texts are called %s; rows carry the name of their text",
                               parts[i].label);
    return TR_OK;
}

static enum tr_status add_part(struct tr_calibration *to, const struct tr_calibration *part,
                               struct tr_string *label, struct tr_err *err) {
    size_t before = (size_t)used_tokens(to), count = (size_t)used_tokens(part);
    memcpy(to->ids + before, part->ids, count * sizeof *part->ids);
    TR_TRY(tr_strdup(&to->text[to->texts], part->label, err));
    to->rows[to->texts++] = part->sequences;
    to->sequences += part->sequences;
    to->spare_tokens += part->spare_tokens;
    return tr_string_format(label, err, "%s%s", label->size ? ", " : "", part->label);
}

// One calibration of the parts, whose rows have one length.
static enum tr_status join(struct tr_calibration *to, const struct tr_calibration *parts,
                           int64_t texts, struct tr_err *err) {
    struct tr_string label = {0};
    int64_t tokens = 0;
    for (int64_t i = 0; i < texts; i++)
        tokens += used_tokens(&parts[i]);
    to->seq_len = parts[0].seq_len;
    TR_TRY(TR_NEW(&to->ids, tokens, "the calibration rows", err));
    TR_TRY(TR_NEW(&to->text, texts, "the names of texts", err));
    TR_TRY(TR_NEW(&to->rows, texts, "the names of texts", err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < texts && status == TR_OK; i++)
        status = add_part(to, &parts[i], &label, err);
    to->label = label.data;
    return status;
}

// What one of the texts is asked for. Rows of all have one length, so it is not left to the text.
static struct tr_calibration_options share_of(const struct tr_calibration_options *options,
                                              int64_t texts, int64_t which) {
    struct tr_calibration_options share = *options;
    int64_t all = options->samples ? options->samples : DEFAULT_SAMPLES;
    int64_t rows = all / texts + (which < all % texts);
    share.samples = options->samples ? rows : 0;
    share.most = rows;
    share.seq_len = wanted_seq_len(options);
    return share;
}

enum tr_status tr_calibration_from_texts(struct tr_calibration *calibration,
                                         const char *const *paths, int64_t texts,
                                         const struct tr_tokenizer *tokenizer, int32_t separator,
                                         const struct tr_calibration_options *options,
                                         struct tr_err *err) {
    struct tr_calibration made = {0}, *parts;
    if (texts == 1)
        return tr_calibration_from_text(calibration, paths[0], tokenizer, separator, options, err);
    if (texts > TEXTS_MOST || (options->samples && options->samples < texts))
        return tr_fail(err, TR_EUSAGE, "%lld rows do not go round %lld texts",
                       (long long)(options->samples ? options->samples : TEXTS_MOST),
                       (long long)texts);
    TR_TRY(check_options(options, err));
    TR_TRY(TR_NEW(&parts, texts, "texts", err));
    enum tr_status status = TR_OK;
    for (int64_t i = 0; i < texts && status == TR_OK; i++) {
        const struct tr_calibration_options share = share_of(options, texts, i);
        status = tr_calibration_from_text(&parts[i], paths[i], tokenizer, separator, &share, err);
    }
    if (status == TR_OK)
        status = check_names(parts, texts, err);
    if (status == TR_OK)
        status = join(&made, parts, texts, err);
    for (int64_t i = 0; i < texts; i++)
        tr_calibration_free(&parts[i]);
    free(parts);
    return finish(calibration, &made, status);
}

const char *tr_calibration_text(const struct tr_calibration *calibration, int64_t row) {
    int64_t end = 0;
    for (int64_t i = 0; i < calibration->texts; i++) {
        end += calibration->rows[i];
        if (row < end)
            return calibration->text[i];
    }
    return calibration->label;
}

// ---- the text of the program -----------------------------------------------------------------

enum tr_status tr_calibration_from_builtin(struct tr_calibration *calibration,
                                           const struct tr_tokenizer *tokenizer, int32_t separator,
                                           const struct tr_calibration_options *options,
                                           struct tr_err *err) {
    struct tr_calibration made = {0};
    struct packer packer = {tokenizer, separator, wanted_tokens(options), options->bos, {0}};
    TR_TRY(check_options(options, err));
    enum tr_status status;
    TR_GO(status, tr_strdup(&made.label, "built-in", err), out);
    TR_GO(status,
          tr_documents_plain(tr_builtin_text, strlen(tr_builtin_text), "built-in", pack, &packer,
                             err),
          out);
    status = cut_rows(&made, &packer, options, err);
out:
    free(packer.stream.ids);
    return finish(calibration, &made, status);
}

void tr_calibration_free(struct tr_calibration *calibration) {
    for (int64_t i = 0; i < calibration->texts; i++)
        free(calibration->text[i]);
    free(calibration->text);
    free(calibration->rows);
    free(calibration->ids);
    free(calibration->label);
    *calibration = (struct tr_calibration){0};
}
