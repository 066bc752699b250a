// SPDX-License-Identifier: Apache-2.0
#include "analysis/sizes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/strings.h"

const char *const an_resource_names[AN_RESOURCES] = {"params", "bytes", "kv", "flops", "ms"};

enum { CACHE_VALUE_BYTES = 2 };
static const double largest = 9007199254740992.0; // 2^53: sums of sizes stay exact

// ---- reading -----------------------------------------------------------------------------------

static enum tr_status read_number(double *value_p, const json_t *object, const char *key,
                                  const char *what, struct tr_err *err) {
    int64_t value = -1;
    TR_TRY(tr_json_i64(object, key, &value, what, err));
    if (value < 0 || (double)value > largest)
        return tr_fail(err, TR_EFORMAT, "%s: \"%s\" is no size", what, key);
    *value_p = (double)value;
    return TR_OK;
}

static enum tr_status read_size(struct an_size *size, const json_t *entry, const char *what,
                                struct tr_err *err) {
    double window = 0;
    TR_TRY(read_number(&size->parameters, entry, "parameters", what, err));
    TR_TRY(read_number(&size->met, entry, "met", what, err));
    TR_TRY(read_number(&size->kept, entry, "kept", what, err));
    TR_TRY(read_number(&size->key, entry, "key", what, err));
    TR_TRY(read_number(&window, entry, "window", what, err));
    size->window = (int64_t)window;
    TR_TRY(tr_json_bool(entry, "chunks", &size->chunks, what, err));
    size->present = true;
    return TR_OK;
}

static enum tr_status read_entry(struct an_sizes *sizes, const json_t *entry, const char *what,
                                 struct tr_err *err) {
    const char *name = "";
    double first = 0, last = 0;
    struct an_size size = {0};
    TR_TRY(tr_json_string(entry, "module", &name, what, err));
    int module = strcmp(name, "attn") == 0 ? 0 : strcmp(name, "mlp") == 0 ? 1 : -1;
    TR_TRY(read_number(&first, entry, "first", what, err));
    TR_TRY(read_number(&last, entry, "last", what, err));
    TR_TRY(read_size(&size, entry, what, err));
    if (module < 0 || first > last || last >= (double)sizes->layers)
        return tr_fail(err, TR_EFORMAT, "%s: no layers %g to %g of \"%.20s\"", what, first, last,
                       name);
    for (int64_t layer = (int64_t)first; layer <= (int64_t)last; layer++)
        sizes->of[2 * layer + module] = size;
    return TR_OK;
}

static enum tr_status read_object(struct an_sizes *sizes, const json_t *object, const char *what,
                                  struct tr_err *err) {
    const json_t *list = NULL, *entry;
    size_t i;
    TR_TRY(read_number(&sizes->weight_bytes, object, "weight_bytes", what, err));
    TR_TRY(read_number(&sizes->elsewhere, object, "elsewhere", what, err));
    TR_TRY(read_number(&sizes->head, object, "head", what, err));
    TR_TRY(tr_json_list(object, "sublayers", &list, what, err));
    TR_TRY(TR_NEW(&sizes->of, 2 * sizes->layers, "the sizes of the sublayers", err));
    if (list)
        json_array_foreach((json_t *)list, i, entry) TR_TRY(read_entry(sizes, entry, what, err));
    return TR_OK;
}

enum tr_status an_sizes_read(struct an_sizes *sizes, const struct tr_run_info *info,
                             const char *path, struct tr_err *err) {
    static const char name[] = "sizes";
    const struct tr_attribute *attribute = tr_run_info_find(info, name);
    struct an_sizes read = {.layers = info->layout.layers};
    char what[512];
    json_t *object;
    *sizes = (struct an_sizes){.layers = read.layers};
    if (!attribute)
        return TR_OK;
    if (attribute->is_number)
        return tr_fail(err, TR_EFORMAT, "%s: its attribute %s is no text", path, name);
    snprintf(what, sizeof what, "%.400s: its attribute %s", path, name);
    TR_TRY(tr_json_parse(&object, attribute->text, strlen(attribute->text), what, err));
    enum tr_status status = read_object(&read, object, what, err);
    json_decref(object);
    if (status == TR_OK)
        *sizes = read;
    else
        an_sizes_free(&read);
    return status;
}

void an_sizes_free(struct an_sizes *sizes) {
    free(sizes->of);
    sizes->of = NULL;
}

// ---- counting ----------------------------------------------------------------------------------

// Keys that a token sees, averaged over a text of n tokens: (n + 1) / 2, or less by the window w,
// which the first w tokens do not fill; of chunks each token sees those before it in its own.
static double keys_seen(const struct an_size *size, int64_t context) {
    double n = (double)context, w = size->window > 0 ? fmin((double)size->window, n) : n;
    double rest = n > 0 && size->chunks ? fmod(n, w) : 0, whole = n - rest;
    if (n <= 0)
        return 0;
    if (size->chunks)
        return (whole * (w + 1) / 2 + rest * (rest + 1) / 2) / n;
    return (w * (w + 1) / 2 + (n - w) * w) / n;
}

static double one_size(const struct an_sizes *sizes, const struct an_size *size,
                       enum an_resource resource, int64_t context) {
    double kept = (double)context;
    if (!size->present)
        return 0;
    switch (resource) {
    case AN_BYTES:
        return size->parameters * sizes->weight_bytes;
    case AN_CACHE:
        if (size->window > 0)
            kept = fmin(kept, (double)size->window);
        return CACHE_VALUE_BYTES * size->kept * kept;
    case AN_MILLISECONDS:
        return size->milliseconds;
    case AN_FLOPS:
        return 2 * size->met + size->key * keys_seen(size, context);
    default:
        return size->parameters;
    }
}

double an_size_of(const struct an_sizes *sizes, enum an_resource resource, int64_t context,
                  enum tr_module module, int64_t layer) {
    double total = 0;
    for (int which = 0; which < 2; which++)
        if (module == TR_BLOCK || module == (which == 0 ? TR_ATTN : TR_MLP))
            total += one_size(sizes, &sizes->of[2 * layer + which], resource, context);
    return total;
}

double an_size_whole(const struct an_sizes *sizes, enum an_resource resource, int64_t context) {
    const double elsewhere[AN_RESOURCES] = {[AN_PARAMETERS] = sizes->elsewhere,
                                            [AN_BYTES] = sizes->elsewhere * sizes->weight_bytes,
                                            [AN_FLOPS] = sizes->head,
                                            [AN_MILLISECONDS] = sizes->elsewhere_milliseconds};
    double total = elsewhere[resource];
    for (int64_t layer = 0; layer < sizes->layers; layer++)
        total += an_size_of(sizes, resource, context, TR_BLOCK, layer);
    return total;
}

char *an_amount_text(enum an_resource resource, double amount, char out[AN_AMOUNT_MAX]) {
    static const struct {
        const char *unit, *of;
    } words[AN_RESOURCES] = {[AN_PARAMETERS] = {"", "parameters"},
                             [AN_BYTES] = {"B", "of weights"},
                             [AN_CACHE] = {"B", "of keys and values"},
                             [AN_FLOPS] = {"FLOP", "a token"}};
    char number[TR_HUMAN_MAX];
    if (resource == AN_MILLISECONDS) {
        snprintf(out, AN_AMOUNT_MAX, "%.4g ms a step", amount);
        return out;
    }
    if (*words[resource].unit)
        tr_human_unit(amount, words[resource].unit, number);
    else
        tr_human_count(amount, number);
    snprintf(out, AN_AMOUNT_MAX, "%s %s", number, words[resource].of);
    return out;
}
