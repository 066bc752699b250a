// SPDX-License-Identifier: Apache-2.0
// Rank 0's job as bytes, broadcast, and rebuilt by the other ranks. One walk serves both ways: each
// step writes its value on rank 0 and reads it elsewhere, so that the two cannot disagree.
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

static enum tr_status raw(struct walk *w, void *value, size_t size) {
    if (w->writes)
        return tr_string_append(&w->bytes, value, size, w->err);
    if (size > w->bytes.size - w->at)
        return tr_fail(w->err, TR_EFORMAT, "the job's description from rank 0 is cut short");
    memcpy(value, w->bytes.data + w->at, size);
    w->at += size;
    return TR_OK;
}

static enum tr_status number(struct walk *w, int64_t *value) {
    return raw(w, value, sizeof *value);
}

// A block of `count` elements, allocated when reading.
static enum tr_status block(struct walk *w, void **values_p, int64_t count, size_t size) {
    if (!w->writes)
        TR_TRY(tr_alloc(values_p, (uint64_t)count, size, "the job's description", w->err));
    return raw(w, *values_p, (size_t)count * size);
}

static enum tr_status string(struct walk *w, char **text_p) {
    int64_t size = w->writes && *text_p ? (int64_t)strlen(*text_p) + 1 : 0;
    TR_TRY(number(w, &size));
    if (size)
        return block(w, (void **)text_p, size, 1);
    *text_p = w->writes ? *text_p : NULL;
    return TR_OK;
}

static enum tr_status strings(struct walk *w, char ***list_p, int64_t count) {
    if (!w->writes)
        TR_TRY(TR_NEW(list_p, count, "the job's description", w->err));
    for (int64_t i = 0; i < count; i++)
        TR_TRY(string(w, &(*list_p)[i]));
    return TR_OK;
}

static enum tr_status series(struct walk *w, struct tr_series *s) {
    TR_TRY(number(w, &s->count));
    if (!w->writes)
        TR_TRY(TR_NEW(&s->entries, s->count, "the series", w->err));
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
    return block(w, (void **)&c->ids, c->sequences * c->seq_len, sizeof *c->ids);
}

static enum tr_status attribute(struct walk *w, struct tr_run_info *info, int64_t index) {
    struct tr_attribute a = {0};
    if (w->writes)
        a = info->attributes[index];
    int64_t role = a.role, is_number = a.is_number;
    TR_TRY(number(w, &role));
    TR_TRY(number(w, &is_number));
    TR_TRY(number(w, &a.number));
    TR_TRY(string(w, &a.name));
    enum tr_status status = string(w, &a.text);
    if (status == TR_OK && !w->writes)
        status =
            is_number
                ? tr_run_info_number(info, (enum tr_attribute_role)role, a.name, a.number, w->err)
                : tr_run_info_text(info, (enum tr_attribute_role)role, a.name, a.text, w->err);
    if (!w->writes) {
        free(a.name);
        free(a.text);
    }
    return status;
}

static enum tr_status info(struct walk *w, struct tr_run_info *i) {
    TR_TRY(raw(w, &i->layout, sizeof i->layout));
    int64_t count = i->count;
    TR_TRY(number(w, &count));
    for (int64_t a = 0; a < count; a++)
        TR_TRY(attribute(w, i, a));
    TR_TRY(strings(w, &i->text, i->layout.sequences));
    return strings(w, &i->ids_digest, i->layout.sequences);
}

// The config travels with its family as a number: pointers mean nothing on another rank.
static enum tr_status loaded(struct walk *w, struct tr_loaded *l) {
    int64_t family = w->writes ? tr_family_index(l->config.family) : 0;
    TR_TRY(number(w, &family));
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
    TR_TRY(raw(w, &job->wanted, sizeof job->wanted));
    job->wanted.drop = &job->drop;
    return TR_OK;
}

static enum tr_status walk_job(struct walk *w, struct tr_job *job) {
    TR_TRY(series(w, &job->series));
    TR_TRY(calibration(w, &job->calibration));
    TR_TRY(info(w, &job->info));
    TR_TRY(loaded(w, &job->first));
    TR_TRY(drop_set(w, job));
    TR_TRY(raw(w, job->shape, sizeof job->shape));
    TR_TRY(raw(w, &job->device, sizeof job->device));
    TR_TRY(raw(w, &job->type, sizeof job->type));
    TR_TRY(number(w, &job->micro_batch));
    TR_TRY(number(w, &job->micro_batches));
    TR_TRY(number(w, &job->done_count));
    TR_TRY(number(w, &job->todo_count));
    return block(w, (void **)&job->todo, job->todo_count, sizeof *job->todo);
}

enum tr_status tr_job_share(struct tr_job *job, const struct tr_run_settings *settings,
                            struct dist *dist, struct tr_err *err) {
    if (dist_size(dist) == 1)
        return TR_OK;
    struct walk walk = {.writes = dist_rank(dist) == 0, .err = err};
    if (!walk.writes)
        *job = (struct tr_job){.settings = settings, .threads = job->threads};
    enum tr_status status = walk.writes ? walk_job(&walk, job) : TR_OK;
    void *bytes = walk.bytes.data;
    size_t size = walk.bytes.size;
    if (dist_all_ok(dist, status == TR_OK))
        status = dist_broadcast(dist, &bytes, &size, err);
    else if (!walk.writes)
        status = tr_fail(err, TR_ENVIRONMENT, "rank 0 cannot share the job");
    if (status == TR_OK && !walk.writes) {
        walk.bytes = (struct tr_string){.data = bytes, .size = size};
        status = walk_job(&walk, job);
    }
    tr_string_free(&walk.bytes);
    return status;
}
