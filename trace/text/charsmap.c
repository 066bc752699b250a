// SPDX-License-Identifier: Apache-2.0
#include "charsmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base64.h"

enum { DEPTH_MAX = 256 }; // bytes of a key; real ones have less than 20

static enum tr_status malformed(const char *what, const char *problem, struct tr_err *err) {
    return tr_fail(err, TR_EFORMAT, "%s: malformed precompiled map of characters: %s", what,
                   problem);
}

static uint32_t read_u32(const char *bytes) {
    const unsigned char *u = (const unsigned char *)bytes;
    return u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

enum tr_status tr_charsmap_parse(struct tr_charsmap *map, const char *blob, size_t size,
                                 const char *what, struct tr_err *err) {
    if (!size)
        return TR_OK;
    if (size < 4)
        return malformed(what, "it ends within its first number", err);
    uint32_t trie_size = read_u32(blob);
    const char *trie = blob + 4, *strings = trie + trie_size;
    if (trie_size > size - 4 || trie_size % 4 || !trie_size)
        return malformed(what, "its trie is longer than it", err);
    size_t strings_size = size - 4 - trie_size;
    if (!tr_utf8_valid(strings, strings_size))
        return malformed(what, "its texts are not UTF-8", err);
    TR_TRY(TR_NEW(&map->units, trie_size / 4, "the map of characters", err));
    map->unit_count = trie_size / 4;
    for (uint64_t i = 0; i < map->unit_count; i++)
        map->units[i] = read_u32(trie + 4 * i);
    return tr_string_append(&map->strings, strings, strings_size, err);
}

enum tr_status tr_charsmap_parse_base64(struct tr_charsmap *map, const char *text, size_t size,
                                        const char *what, struct tr_err *err) {
    struct tr_string blob = {0};
    bool valid;
    enum tr_status status = tr_base64_decode(text, size, &blob, &valid, err);
    if (status == TR_OK)
        status = valid ? tr_charsmap_parse(map, blob.data, blob.size, what, err)
                       : malformed(what, "it is not base64", err);
    tr_string_free(&blob);
    return status;
}

void tr_charsmap_free(struct tr_charsmap *map) {
    free(map->units);
    tr_string_free(&map->strings);
    *map = (struct tr_charsmap){0};
}

// A unit of the trie: bits 0-7 and 31 its label, 8 whether a value hangs on it, the rest where its
// children are.
static uint32_t offset_of(uint32_t unit) {
    return unit >> 10 << ((unit & 0x200) >> 6);
}

// The string at a value's offset.
static bool string_at(const struct tr_charsmap *map, uint32_t offset, struct tr_mapped *mapped) {
    const struct tr_string *s = &map->strings;
    if (offset >= s->size || ((unsigned char)s->data[offset] & 0xc0) == 0x80)
        return false;
    mapped->text = s->data + offset;
    mapped->size = strnlen(mapped->text, s->size - offset);
    return true;
}

enum tr_status tr_charsmap_find(const struct tr_charsmap *map, const char *text, size_t size,
                                enum tr_which which, struct tr_mapped *mapped, struct tr_err *err) {
    *mapped = (struct tr_mapped){0};
    if (!map->unit_count)
        return TR_OK;
    uint64_t at = offset_of(map->units[0]);
    for (size_t depth = 0; depth < size; depth++) {
        unsigned char byte = (unsigned char)text[depth];
        at ^= byte;
        if (at >= map->unit_count || depth == DEPTH_MAX)
            return malformed("the tokenizer", "its trie leads nowhere", err);
        uint32_t unit = map->units[at];
        if ((unit & 0x800000ffu) != byte || !byte)
            break;
        at ^= offset_of(unit);
        if (!(unit >> 8 & 1))
            continue;
        if (at >= map->unit_count || !string_at(map, map->units[at] & 0x7fffffff, mapped))
            return malformed("the tokenizer", "its trie leads nowhere", err);
        mapped->used = depth + 1;
        if (which == TR_SHORTEST)
            break;
    }
    return TR_OK;
}
