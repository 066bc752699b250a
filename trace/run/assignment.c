// SPDX-License-Identifier: Apache-2.0
#include "run/assignment.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

// The fixed part of an assignment; path and name follow it as strings, each with its final 0.
struct head {
    enum dist_next next;
    struct dist_item item;
    struct tr_series_entry entry; // its pointers mean nothing on another rank
    bool traced, suspect;
};

void tr_assignment_free(struct tr_assignment *assignment) {
    free(assignment->entry.path);
    free(assignment->entry.name);
    *assignment = (struct tr_assignment){0};
}

enum tr_status tr_assignment_write(struct tr_string *bytes, enum dist_next next,
                                   const struct dist_item *item,
                                   const struct tr_series_entry *entry, bool traced, bool suspect,
                                   struct tr_err *err) {
    struct head head;
    memset(&head, 0, sizeof head); // sent as bytes
    head.next = next;
    if (next != DIST_ITEM)
        return tr_string_append(bytes, &head, sizeof head, err);
    head.item = *item;
    head.entry = *entry;
    head.entry.path = head.entry.name = NULL;
    head.traced = traced;
    head.suspect = suspect;
    TR_TRY(tr_string_append(bytes, &head, sizeof head, err));
    TR_TRY(tr_string_append(bytes, entry->path, strlen(entry->path) + 1, err));
    return tr_string_append(bytes, entry->name, strlen(entry->name) + 1, err);
}

// Reads the string at *at, which has to end within bytes[*at, size).
static enum tr_status read_string(char **copy_p, const char *bytes, size_t size, size_t *at,
                                  struct tr_err *err) {
    const char *end = memchr(bytes + *at, 0, size - *at);
    if (!end)
        return tr_fail(err, TR_EFORMAT, "an item from rank 0 is cut short");
    TR_TRY(tr_strdup(copy_p, bytes + *at, err));
    *at = (size_t)(end - bytes) + 1;
    return TR_OK;
}

enum tr_status tr_assignment_read(struct tr_assignment *assignment, const void *bytes, size_t size,
                                  struct tr_err *err) {
    struct tr_assignment read = {0};
    struct head head;
    size_t at = sizeof head;
    if (size < sizeof head)
        return tr_fail(err, TR_EFORMAT, "an item from rank 0 is cut short");
    memcpy(&head, bytes, sizeof head);
    read = (struct tr_assignment){.next = head.next,
                                  .item = head.item,
                                  .entry = head.entry,
                                  .suspect = head.suspect,
                                  .traced = head.traced};
    read.entry.path = read.entry.name = NULL;
    enum tr_status status = TR_OK;
    if (read.next == DIST_ITEM)
        status = read_string(&read.entry.path, bytes, size, &at, err);
    if (read.next == DIST_ITEM && status == TR_OK)
        status = read_string(&read.entry.name, bytes, size, &at, err);
    if (status == TR_OK)
        *assignment = read;
    else
        tr_assignment_free(&read);
    return status;
}
