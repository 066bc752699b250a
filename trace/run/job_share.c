// SPDX-License-Identifier: Apache-2.0
// A job as bytes, and back. One walk serves both ways: each step writes its value or reads it, so
// that the two cannot disagree.
#include "run/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct walk {
    bool writes;
    struct tr_string bytes; // written so far, or all that arrived
    size_t at;              // read so far
    struct tr_err *err;
};

static enum tr_status cut_short(struct walk *w) {
    return tr_fail(w->err, TR_EFORMAT, "the job's description from rank 0 is cut short");
}

static enum tr_status raw(struct walk *w, void *value, size_t size) {
    if (w->writes)
        return tr_string_append(&w->bytes, value, size, w->err);
    if (size > w->bytes.size - w->at)
        return cut_short(w);
    memcpy(value, w->bytes.data + w->at, size);
    w->at += size;
    return TR_OK;
}

static enum tr_status number(struct walk *w, int64_t *value) {
    return raw(w, value, sizeof *value);
}

// Memory for `count` elements that take at least `size` bytes each of what is still to be read.
static enum tr_status room(struct walk *w, void **values_p, int64_t count, size_t element,
                           size_t size) {
    if (count < 0 || (size_t)count > (w->bytes.size - w->at) / size)
        return cut_short(w);
    return tr_alloc(values_p, (uint64_t)count, element, "the job's description", w->err);
}

// A block of `count` elements, allocated when reading.
static enum tr_status block(struct walk *w, void **values_p, int64_t count, size_t size) {
    if (!w->writes)
        TR_TRY(room(w, values_p, count, size, size));
    return raw(w, *values_p, (size_t)count * size);
}

static enum tr_status string(struct walk *w, char **text_p) {
    int64_t size = w->writes && *text_p ? (int64_t)strlen(*text_p) + 1 : 0;
    TR_TRY(number(w, &size));
    if (!size)
        return TR_OK;
    TR_TRY(block(w, (void **)text_p, size, 1));
    return (*text_p)[size - 1] == 0 ? TR_OK : cut_short(w);
}

static enum tr_status strings(struct walk *w, char ***list_p, int64_t count) {
    if (!w->writes)
        TR_TRY(room(w, (void **)list_p, count, sizeof **list_p, sizeof(int64_t)));
    for (int64_t i = 0; i < count; i++)
        TR_TRY(string(w, &(*list_p)[i]));
    return TR_OK;
}

static enum tr_status series(struct walk *w, struct tr_series *s) {
    int64_t entries = s->count;
    TR_TRY(number(w, &entries));
    if (!w->writes)
        TR_TRY(
            room(w, (void **)&s->entries, entries, sizeof *s->entries, sizeof s->entries->parsed));
    s->count = entries;
    for (int64_t i = 0; i < s->count; i++) {
        TR_TRY(string(w, &s->entries[i].path));
        TR_TRY(string(w, &s->entries[i].name));
        TR_TRY(raw(w, &s->entries[i].parsed, sizeof s->entries[i].parsed));
    }
    return TR_OK;
}

static enum tr_status calibration(struct walk *w, struct tr_calibration *c) {
    TR_TRY(number(w, &c->sequences));
    TR_TRY(number(w, &c->seq_len));
    TR_TRY(raw(w, c->ids_digest, sizeof c->ids_digest));
    TR_TRY(string(w, &c->label));
    int64_t tokens;
    if (__builtin_mul_overflow(c->sequences, c->seq_len, &tokens))
        return cut_short(w);
    return block(w, (void **)&c->ids, tokens, sizeof *c->ids);
}

static enum tr_status keep_attribute(struct walk *w, struct tr_run_info *info,
                                     const struct tr_attribute *a) {
    if (!a->name || (!a->is_number && !a->text))
        return cut_short(w);
    return a->is_number ? tr_run_info_number(info, a->role, a->name, a->number, w->err)
                        : tr_run_info_text(info, a->role, a->name, a->text, w->err);
}

static enum tr_status attribute(struct walk *w, struct tr_run_info *info, int64_t index) {
    struct tr_attribute a = {0};
    if (w->writes)
        a = info->attributes[index];
    int64_t role = a.role, is_number = a.is_number;
    TR_TRY(number(w, &role));
    TR_TRY(number(w, &is_number));
    TR_TRY(number(w, &a.number));
    a.role = (enum tr_attribute_role)role;
    a.is_number = is_number != 0;
    enum tr_status status = string(w, &a.name);
    if (status == TR_OK)
        status = string(w, &a.text);
    if (w->writes)
        return status;
    if (status == TR_OK)
        status = keep_attribute(w, info, &a);
    free(a.name);
    free(a.text);
    return status;
}

static enum tr_status info(struct walk *w, struct tr_run_info *i) {
    TR_TRY(raw(w, &i->layout, sizeof i->layout));
    int64_t attributes = i->count;
    TR_TRY(number(w, &attributes));
    for (int64_t a = 0; a < attributes; a++)
        TR_TRY(attribute(w, i, a));
    TR_TRY(strings(w, &i->text, i->layout.sequences));
    TR_TRY(strings(w, &i->ids_digest, i->layout.sequences));
    TR_TRY(strings(w, &i->set_name, i->layout.drop_sets));
    TR_TRY(strings(w, &i->set_drop, i->layout.drop_sets));
    return strings(w, &i->candidate, i->layout.candidates);
}

// The config travels with its family as a number: pointers mean nothing on another rank.
static enum tr_status loaded(struct walk *w, struct tr_loaded *l) {
    int64_t family = w->writes ? tr_family_index(l->config.family) : 0;
    TR_TRY(number(w, &family));
    l->config.family = NULL;
    TR_TRY(raw(w, l, sizeof *l));
    if (w->writes)
        return TR_OK;
    l->config.family = tr_family_at((int)family);
    return l->config.family ? TR_OK
                            : tr_fail(w->err, TR_EFORMAT, "the ranks run different programs");
}

static enum tr_status drop_set(struct walk *w, struct tr_job *job) {
    TR_TRY(number(w, &job->drop.count));
    TR_TRY(block(w, (void **)&job->drop.drops, job->drop.count, sizeof *job->drop.drops));
    job->wanted.drop = NULL; // pointers mean nothing on another rank
    job->wanted.config = NULL;
    return raw(w, &job->wanted, sizeof job->wanted);
}

// Named sets travel as the lines that they are read from.
static enum tr_status named_sets(struct walk *w, struct tr_job *job) {
    struct tr_string text = {0};
    enum tr_status status = tr_string_append(&text, "", 0, w->err);
    if (status == TR_OK && w->writes)
        status = tr_named_sets_text(&job->sets, &text, w->err);
    char *lines = w->writes ? text.data : NULL;
    if (status == TR_OK)
        status = string(w, &lines);
    if (status == TR_OK && !w->writes && lines && *lines)
        status = tr_named_sets_parse(&job->sets, lines, "", w->err) == TR_OK ? TR_OK : cut_short(w);
    if (!w->writes)
        free(lines);
    tr_string_free(&text);
    return status;
}

static enum tr_status walk_job(struct walk *w, struct tr_job *job) {
    TR_TRY(series(w, &job->series));
    TR_TRY(calibration(w, &job->calibration));
    TR_TRY(info(w, &job->info));
    TR_TRY(loaded(w, &job->first));
    TR_TRY(drop_set(w, job));
    TR_TRY(named_sets(w, job));
    TR_TRY(raw(w, job->shape, sizeof job->shape));
    TR_TRY(raw(w, &job->device, sizeof job->device));
    TR_TRY(raw(w, &job->type, sizeof job->type));
    TR_TRY(number(w, &job->micro_batch));
    TR_TRY(number(w, &job->micro_batches));
    TR_TRY(number(w, &job->done_count));
    TR_TRY(number(w, &job->todo_count));
    TR_TRY(block(w, (void **)&job->todo, job->todo_count, sizeof *job->todo));
    return block(w, (void **)&job->traced, job->todo_count, sizeof *job->traced);
}

enum tr_status tr_job_pack(const struct tr_job *job, struct tr_string *bytes, struct tr_err *err) {
    struct tr_job copy; // its pointers are cleared before they are written
    struct walk walk = {.writes = true, .err = err};
    memcpy(&copy, job, sizeof copy);
    enum tr_status status = walk_job(&walk, &copy);
    if (status == TR_OK)
        status = tr_string_append(bytes, walk.bytes.data, walk.bytes.size, err);
    tr_string_free(&walk.bytes);
    return status;
}

enum tr_status tr_job_unpack(struct tr_job *job, const struct tr_run_settings *settings,
                             const void *bytes, size_t size, struct tr_err *err) {
    struct walk walk = {.bytes = {.data = (char *)bytes, .size = size}, .err = err};
    *job = (struct tr_job){.settings = settings};
    enum tr_status status = walk_job(&walk, job);
    if (status == TR_OK && walk.at < size)
        status = tr_fail(err, TR_EFORMAT, "the job's description from rank 0 is too long");
    job->wanted.drop = &job->drop;
    job->wanted.config = settings->config;
    if (status == TR_OK)
        status = tr_job_plan_costs(job, err);
    if (status == TR_OK)
        status = tr_job_plan_search(job, err);
    if (status != TR_OK)
        tr_job_free(job);
    return status;
}

enum tr_status tr_job_share(struct tr_job *job, const struct tr_run_settings *settings,
                            struct dist *dist, struct tr_err *err) {
    if (dist_size(dist) == 1)
        return TR_OK;
    bool sends = dist_rank(dist) == 0;
    int threads = job->threads;
    struct tr_string bytes = {0};
    enum tr_status status = sends ? tr_job_pack(job, &bytes, err) : TR_OK;
    void *data = bytes.data;
    if (dist_all_ok(dist, status == TR_OK))
        status = dist_broadcast(dist, &data, &bytes.size, err);
    else if (!sends)
        status = tr_fail(err, TR_ENVIRONMENT, "rank 0 cannot share the job");
    if (status == TR_OK && !sends)
        status = tr_job_unpack(job, settings, data, bytes.size, err);
    if (!sends)
        job->threads = threads;
    free(data);
    return status;
}
