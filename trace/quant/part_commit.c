// SPDX-License-Identifier: Apache-2.0
#include "part_commit.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"

static void *write_part(void *user) {
    struct tr_part_commit *c = user;
    c->status = tr_part_write(&c->part, c->path, c->identity, &c->err);
    return NULL;
}

enum tr_status tr_part_commit_begin(struct tr_part_commit *c, struct tr_part *part,
                                    const char *path, const char *identity, struct tr_err *err) {
    *c = (struct tr_part_commit){.part = *part};
    *part = (struct tr_part){0};
    memcpy(c->identity, identity, sizeof c->identity);
    enum tr_status status = tr_strdup(&c->path, path, err);
    if (status == TR_OK && pthread_create(&c->thread, NULL, write_part, c))
        status = tr_fail(err, TR_ENVIRONMENT, "cannot start a thread that writes %s", path);
    c->under_way = status == TR_OK;
    if (status != TR_OK)
        tr_part_commit_free(c);
    return status;
}

enum tr_status tr_part_commit_wait(struct tr_part_commit *c, struct tr_err *err) {
    if (c->under_way && pthread_join(c->thread, NULL))
        return tr_fail(err, TR_ENVIRONMENT, "the thread that writes %s is lost", c->path);
    c->under_way = false;
    if (c->status != TR_OK && err)
        *err = c->err;
    return c->status;
}

void tr_part_commit_free(struct tr_part_commit *c) {
    if (c->under_way)
        pthread_join(c->thread, NULL);
    tr_part_free(&c->part);
    free(c->path);
    *c = (struct tr_part_commit){0};
}
