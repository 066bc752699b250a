// SPDX-License-Identifier: Apache-2.0
// The machine: a stack of values, marks on it, a memo. One row for each opcode there is; those
// without a function are refused. Opcodes are described in Python's Lib/pickletools.py.
#include "torch_pickle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strings.h"

enum { BLOCK_SIZE = 1 << 16, GLOBAL_LIMIT = 128 }; // bytes

// Memory that lives as long as the pickle.
struct tr_pickle_block {
    struct tr_pickle_block *next;
    size_t used, size;
    uint64_t memory[]; // [size] bytes
};

struct machine;
typedef enum tr_status operation(struct machine *m, struct tr_err *err);

struct opcode {
    const char *name;
    operation *run; // NULL: refused
    int argument;   // what it means is up to `run`
};

struct machine {
    const unsigned char *bytes; // [size]
    size_t size, at;            // `at`: the next byte
    size_t opcode_at;
    const struct opcode *opcode; // the present one
    const char *what;
    struct tr_value **stack; // [height]
    uint64_t height, capacity;
    uint64_t marks[TR_PICKLE_NESTING_LIMIT]; // heights at which they were set
    int mark_count;
    struct tr_value **memo; // [memo_count]
    uint64_t memo_count, memo_capacity;
    struct tr_pickle_block *blocks;
    size_t memory, limit;             // of all blocks, and the most that they may have
    const struct tr_value **storages; // [storage_count]
    uint64_t storage_count, storage_capacity;
    bool cut; // it wanted bytes beyond the last
    struct tr_value *root;
};

static enum tr_status refuse(const struct machine *m, enum tr_status code, struct tr_err *err,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));

static enum tr_status refuse(const struct machine *m, enum tr_status code, struct tr_err *err,
                             const char *format, ...) {
    char reason[512];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return tr_fail(err, code, "%s: the pickle's %s at byte %zu: %s", m->what, m->opcode->name,
                   m->opcode_at, reason);
}

static enum tr_status allocate(struct machine *m, uint64_t size, void *memory_p,
                               struct tr_err *err) {
    size = (size + 7) / 8 * 8; // no value needs more alignment
    if (!m->blocks || size > m->blocks->size - m->blocks->used) {
        uint64_t wanted = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct tr_pickle_block *block = NULL;
        if (wanted > m->limit - m->memory)
            return refuse(m, TR_EUNSUPPORTED, err, "its values take more than %zu MiB",
                          m->limit >> 20);
        TR_TRY(tr_alloc((void **)&block, sizeof *block + wanted, 1, "values of a pickle", err));
        block->next = m->blocks;
        block->size = (size_t)wanted;
        m->blocks = block;
        m->memory += (size_t)wanted;
    }
    *(void **)memory_p = (char *)m->blocks->memory + m->blocks->used;
    m->blocks->used += (size_t)size;
    return TR_OK;
}

static enum tr_status push(struct machine *m, struct tr_value *value, struct tr_err *err) {
    TR_TRY(tr_grow((void **)&m->stack, &m->capacity, m->height + 1, sizeof *m->stack,
                   "the stack of a pickle", err));
    m->stack[m->height++] = value;
    return TR_OK;
}

static enum tr_status push_new(struct machine *m, struct tr_value value, struct tr_err *err) {
    struct tr_value *copy = NULL;
    TR_TRY(allocate(m, sizeof *copy, &copy, err));
    *copy = value;
    return push(m, copy, err);
}

// The value on top, which must lie above the last mark.
static enum tr_status peek(const struct machine *m, struct tr_value **value_p, struct tr_err *err) {
    uint64_t floor = m->mark_count ? m->marks[m->mark_count - 1] : 0;
    if (m->height == floor)
        return refuse(m, TR_EFORMAT, err, "there is nothing on the stack");
    *value_p = m->stack[m->height - 1];
    return TR_OK;
}

static enum tr_status pop(struct machine *m, struct tr_value **value_p, struct tr_err *err) {
    TR_TRY(peek(m, value_p, err));
    m->height--;
    return TR_OK;
}

// Takes everything above the last mark off the stack; the items stay valid until the next push.
static enum tr_status pop_mark(struct machine *m, struct tr_value ***items_p, uint64_t *count_p,
                               struct tr_err *err) {
    if (!m->mark_count)
        return refuse(m, TR_EFORMAT, err, "there is no mark on the stack");
    uint64_t floor = m->marks[--m->mark_count];
    *items_p = m->stack + floor;
    *count_p = m->height - floor;
    m->height = floor;
    return TR_OK;
}

static enum tr_status take(struct machine *m, uint64_t count, const unsigned char **bytes_p,
                           struct tr_err *err) {
    m->cut = m->cut || count > m->size - m->at;
    if (count > m->size - m->at)
        return refuse(m, TR_EFORMAT, err, "it wants %" PRIu64 " bytes, the pickle has %zu left",
                      count, m->size - m->at);
    *bytes_p = m->bytes + m->at;
    m->at += count;
    return TR_OK;
}

// A little-endian number of up to 8 bytes.
static enum tr_status take_number(struct machine *m, int count, uint64_t *value_p,
                                  struct tr_err *err) {
    const unsigned char *bytes = NULL;
    uint64_t value = 0;
    TR_TRY(take(m, (size_t)count, &bytes, err));
    for (int i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    *value_p = value;
    return TR_OK;
}

static enum tr_status run_proto(struct machine *m, struct tr_err *err) {
    uint64_t version = 0;
    TR_TRY(take_number(m, 1, &version, err));
    if (m->opcode_at)
        return refuse(m, TR_EFORMAT, err, "it belongs at the beginning");
    if (version < 2 || version > 5)
        return refuse(m, TR_EUNSUPPORTED, err, "protocol %d; known: 1 to 5", (int)version);
    return TR_OK;
}

static enum tr_status run_mark(struct machine *m, struct tr_err *err) {
    if (m->mark_count == TR_PICKLE_NESTING_LIMIT)
        return refuse(m, TR_EUNSUPPORTED, err, "nested more than %d deep", TR_PICKLE_NESTING_LIMIT);
    m->marks[m->mark_count++] = m->height;
    return TR_OK;
}

static enum tr_status run_stop(struct machine *m, struct tr_err *err) {
    TR_TRY(pop(m, &m->root, err));
    if (m->height || m->mark_count)
        return refuse(m, TR_EFORMAT, err, "values are left on the stack");
    return TR_OK;
}

static enum tr_status run_pop(struct machine *m, struct tr_err *err) {
    struct tr_value *value = NULL;
    return pop(m, &value, err);
}

static enum tr_status run_pop_mark(struct machine *m, struct tr_err *err) {
    struct tr_value **items = NULL;
    uint64_t count = 0;
    return pop_mark(m, &items, &count, err);
}

static enum tr_status run_dup(struct machine *m, struct tr_err *err) {
    struct tr_value *value = NULL;
    TR_TRY(peek(m, &value, err));
    return push(m, value, err);
}

static enum tr_status run_none(struct machine *m, struct tr_err *err) {
    return push_new(m, (struct tr_value){.kind = TR_VALUE_NONE}, err);
}

static enum tr_status run_bool(struct machine *m, struct tr_err *err) {
    return push_new(m, (struct tr_value){.kind = TR_VALUE_BOOL, .integer = m->opcode->argument},
                    err);
}

// A signed integer of `count` bytes, 0 to 8.
static enum tr_status push_integer(struct machine *m, int count, bool is_signed,
                                   struct tr_err *err) {
    uint64_t value = 0;
    TR_TRY(take_number(m, count, &value, err));
    if (is_signed && count && count < 8 && value >> (8 * count - 1))
        value |= UINT64_MAX << 8 * count;
    return push_new(m, (struct tr_value){.kind = TR_VALUE_INTEGER, .integer = (int64_t)value}, err);
}

// Pushes an integer of as many bytes as the argument says; only the longest has a sign.
static enum tr_status run_integer(struct machine *m, struct tr_err *err) {
    return push_integer(m, m->opcode->argument, m->opcode->argument == 4, err);
}

static enum tr_status push_slice(struct machine *m, enum tr_value_kind kind, uint64_t count,
                                 struct tr_err *err) {
    const unsigned char *bytes = NULL;
    TR_TRY(take(m, count, &bytes, err));
    return push_new(
        m,
        (struct tr_value){.kind = kind,
                          .text = {.bytes = (const char *)bytes, .size = (size_t)count}},
        err);
}

// An integer whose size stands in as many bytes as the argument says. What does not fit 64 bits (a
// state of random numbers) stays bytes.
static enum tr_status run_long(struct machine *m, struct tr_err *err) {
    uint64_t count = 0;
    TR_TRY(take_number(m, m->opcode->argument, &count, err));
    if (count > 8)
        return push_slice(m, TR_VALUE_BYTES, count, err);
    return push_integer(m, (int)count, true, err);
}

// Passes the size of what follows, which only helps those who read from a pipe.
static enum tr_status run_frame(struct machine *m, struct tr_err *err) {
    uint64_t count = 0;
    return take_number(m, 8, &count, err);
}

static enum tr_status run_bytes(struct machine *m, struct tr_err *err) {
    uint64_t count = 0;
    TR_TRY(take_number(m, m->opcode->argument, &count, err));
    return push_slice(m, TR_VALUE_BYTES, count, err);
}

static enum tr_status run_binfloat(struct machine *m, struct tr_err *err) {
    struct tr_value value = {.kind = TR_VALUE_REAL};
    uint64_t bits = 0;
    TR_TRY(take_number(m, 8, &bits, err));
    bits = __builtin_bswap64(bits); // this opcode alone is big-endian
    memcpy(&value.real, &bits, 8);
    return push_new(m, value, err);
}

// Pushes a text whose size stands in as many bytes as the argument says.
static enum tr_status run_text(struct machine *m, struct tr_err *err) {
    uint64_t count = 0;
    TR_TRY(take_number(m, m->opcode->argument, &count, err));
    TR_TRY(push_slice(m, TR_VALUE_TEXT, count, err));
    const struct tr_slice text = m->stack[m->height - 1]->text;
    return tr_utf8_valid(text.bytes, text.size)
               ? TR_OK
               : refuse(m, TR_EFORMAT, err, "a text that is not UTF-8");
}

// Pushes an empty tuple, list or dict.
static enum tr_status run_empty(struct machine *m, struct tr_err *err) {
    return push_new(m, (struct tr_value){.kind = (enum tr_value_kind)m->opcode->argument}, err);
}

// Adds items to a list, a dict or a new tuple.
static enum tr_status extend(struct machine *m, struct tr_value *to, struct tr_value *const *items,
                             uint64_t count, struct tr_err *err) {
    uint64_t wanted = to->sequence.count + count;
    if (wanted > to->sequence.capacity) {
        uint64_t capacity = 2 * to->sequence.capacity > wanted ? 2 * to->sequence.capacity : wanted;
        struct tr_value **grown = NULL;
        TR_TRY(allocate(m, capacity * sizeof *grown, &grown, err));
        if (to->sequence.count)
            memcpy(grown, to->sequence.items, to->sequence.count * sizeof *grown);
        to->sequence.items = grown;
        to->sequence.capacity = capacity;
    }
    if (count)
        memcpy(to->sequence.items + to->sequence.count, items, count * sizeof *items);
    to->sequence.count = wanted;
    return TR_OK;
}

static enum tr_status push_tuple(struct machine *m, struct tr_value *const *items, uint64_t count,
                                 struct tr_err *err) {
    struct tr_value *tuple = NULL;
    TR_TRY(allocate(m, sizeof *tuple, &tuple, err));
    *tuple = (struct tr_value){.kind = TR_VALUE_TUPLE};
    TR_TRY(extend(m, tuple, items, count, err));
    return push(m, tuple, err);
}

static enum tr_status run_tuple(struct machine *m, struct tr_err *err) {
    struct tr_value **items = NULL;
    uint64_t count = 0;
    TR_TRY(pop_mark(m, &items, &count, err));
    return push_tuple(m, items, count, err);
}

// Makes a tuple of one to three values.
static enum tr_status run_short_tuple(struct machine *m, struct tr_err *err) {
    int count = m->opcode->argument;
    struct tr_value *items[3] = {0};
    for (int i = count; i-- > 0;)
        TR_TRY(pop(m, &items[i], err));
    return push_tuple(m, items, (uint64_t)count, err);
}

// Where an object, as of a class that is a list or a dict with more to it, keeps its items.
static enum tr_status items_of(struct machine *m, struct tr_value *object,
                               struct tr_value **items_p, struct tr_err *err) {
    if (!object->object.items) {
        TR_TRY(allocate(m, sizeof **items_p, &object->object.items, err));
        *object->object.items = (struct tr_value){.kind = (enum tr_value_kind)m->opcode->argument};
    }
    *items_p = object->object.items;
    return TR_OK;
}

// Adds items to what is on top of the stack, which must be of the kind of the argument, or an
// object.
static enum tr_status extend_top(struct machine *m, struct tr_value *const *items, uint64_t count,
                                 struct tr_err *err) {
    struct tr_value *to = NULL;
    TR_TRY(peek(m, &to, err));
    if (to->kind == TR_VALUE_OBJECT)
        TR_TRY(items_of(m, to, &to, err));
    if ((int)to->kind != m->opcode->argument)
        return refuse(m, TR_EFORMAT, err, "applied to %s", tr_value_name(to));
    if (to->kind == TR_VALUE_DICT && count % 2)
        return refuse(m, TR_EFORMAT, err, "a key without a value");
    return extend(m, to, items, count, err);
}

// One item of a list, or a key and its value.
static enum tr_status run_add(struct machine *m, struct tr_err *err) {
    struct tr_value *items[2] = {0};
    int count = m->opcode->argument == TR_VALUE_DICT ? 2 : 1;
    for (int i = count; i-- > 0;)
        TR_TRY(pop(m, &items[i], err));
    return extend_top(m, items, (uint64_t)count, err);
}

static enum tr_status run_add_all(struct machine *m, struct tr_err *err) {
    struct tr_value **items = NULL;
    uint64_t count = 0;
    TR_TRY(pop_mark(m, &items, &count, err));
    return extend_top(m, items, count, err);
}

// The state of an object; attributes of an OrderedDict (a module's _metadata), which change none of
// its items.
static enum tr_status run_build(struct machine *m, struct tr_err *err) {
    struct tr_value *state = NULL, *object = NULL;
    TR_TRY(pop(m, &state, err));
    TR_TRY(peek(m, &object, err));
    if (object->kind == TR_VALUE_OBJECT) {
        object->object.state = state;
        return TR_OK;
    }
    if (object->kind != TR_VALUE_DICT || state->kind != TR_VALUE_DICT)
        return refuse(m, TR_EUNSUPPORTED, err, "applied to %s, with %s", tr_value_name(object),
                      tr_value_name(state));
    return TR_OK;
}

// The slot has as many bytes as the argument says; 0: it is the next. Slots are filled in order, so
// that the memo is never longer than the pickle.
static enum tr_status run_put(struct machine *m, struct tr_err *err) {
    struct tr_value *value = NULL;
    uint64_t slot = m->memo_count;
    if (m->opcode->argument)
        TR_TRY(take_number(m, m->opcode->argument, &slot, err));
    TR_TRY(peek(m, &value, err));
    if (slot != m->memo_count)
        return refuse(m, TR_EFORMAT, err, "slot %u of the memo, of which %d are filled",
                      (unsigned)slot, (int)m->memo_count);
    TR_TRY(tr_grow((void **)&m->memo, &m->memo_capacity, slot + 1, sizeof *m->memo,
                   "the memo of a pickle", err));
    m->memo[m->memo_count++] = value;
    return TR_OK;
}

static enum tr_status run_get(struct machine *m, struct tr_err *err) {
    uint64_t slot = 0;
    TR_TRY(take_number(m, m->opcode->argument, &slot, err));
    if (slot >= m->memo_count)
        return refuse(m, TR_EFORMAT, err, "slot %u of the memo, of which %d are filled",
                      (unsigned)slot, (int)m->memo_count);
    return push(m, m->memo[slot], err);
}

static enum tr_status take_line(struct machine *m, struct tr_slice *line, struct tr_err *err) {
    size_t left = m->size - m->at, limit = left < GLOBAL_LIMIT ? left : GLOBAL_LIMIT;
    const char *bytes = (const char *)m->bytes + m->at;
    const char *end = memchr(bytes, '\n', limit);
    m->cut = m->cut || (!end && left < GLOBAL_LIMIT);
    if (!end)
        return refuse(m, TR_EFORMAT, err, "a name without an end");
    *line = (struct tr_slice){.bytes = bytes, .size = (size_t)(end - bytes)};
    m->at += line->size + 1;
    return TR_OK;
}

// Pushes the row of a global, or the class of that name.
static enum tr_status push_global(struct machine *m, struct tr_slice module, struct tr_slice name,
                                  struct tr_err *err) {
    const struct tr_global *global = tr_global_find(module, name);
    if (global)
        return push_new(m, (struct tr_value){.kind = TR_VALUE_GLOBAL, .global = global}, err);
    return push_new(
        m, (struct tr_value){.kind = TR_VALUE_CLASS, .class = {.module = module, .name = name}},
        err);
}

static enum tr_status run_global(struct machine *m, struct tr_err *err) {
    struct tr_slice module = {0}, name = {0};
    TR_TRY(take_line(m, &module, err));
    TR_TRY(take_line(m, &name, err));
    if (!tr_utf8_valid(module.bytes, module.size) || !tr_utf8_valid(name.bytes, name.size))
        return refuse(m, TR_EFORMAT, err, "a name that is not UTF-8");
    return push_global(m, module, name, err);
}

static enum tr_status run_stack_global(struct machine *m, struct tr_err *err) {
    struct tr_value *module = NULL, *name = NULL;
    TR_TRY(pop(m, &name, err));
    TR_TRY(pop(m, &module, err));
    if (module->kind != TR_VALUE_TEXT || name->kind != TR_VALUE_TEXT)
        return refuse(m, TR_EFORMAT, err, "a global is named by %s and %s", tr_value_name(module),
                      tr_value_name(name));
    return push_global(m, module->text, name->text, err);
}

// A whole number in decimal digits, as protocol 1 writes it; 00 and 01 are no numbers but bools.
static enum tr_status run_decimal(struct machine *m, struct tr_err *err) {
    struct tr_slice line = {0};
    char text[GLOBAL_LIMIT + 1];
    int64_t value;
    TR_TRY(take_line(m, &line, err));
    if (tr_slice_is(line, "00") || tr_slice_is(line, "01"))
        return push_new(
            m, (struct tr_value){.kind = TR_VALUE_BOOL, .integer = line.bytes[1] == '1'}, err);
    memcpy(text, line.bytes, line.size);
    text[line.size] = 0;
    if (line.size && text[line.size - 1] == 'L')
        text[line.size - 1] = 0;
    if (!tr_parse_i64(text, INT64_MIN, INT64_MAX, &value))
        return push_new(m, (struct tr_value){.kind = TR_VALUE_BYTES, .text = line}, err);
    return push_new(m, (struct tr_value){.kind = TR_VALUE_INTEGER, .integer = value}, err);
}

static enum tr_status construct(struct machine *m, tr_constructor *call,
                                const struct tr_value *args, struct tr_err *err) {
    struct tr_value result;
    const char *reason = call(args, &result);
    if (reason)
        return refuse(m, TR_EFORMAT, err, "%s", reason);
    return push_new(m, result, err);
}

static enum tr_status push_object(struct machine *m, const struct tr_value *class,
                                  const struct tr_value *args, struct tr_err *err) {
    return push_new(
        m, (struct tr_value){.kind = TR_VALUE_OBJECT, .object = {.class = class, .args = args}},
        err);
}

// Calls what lies below the arguments: a function of the set checks them and builds its value, what
// is not in it makes an object.
static enum tr_status run_reduce(struct machine *m, struct tr_err *err) {
    struct tr_value *args = NULL, *callee = NULL;
    TR_TRY(pop(m, &args, err));
    TR_TRY(pop(m, &callee, err));
    bool known = callee->kind == TR_VALUE_GLOBAL;
    if (args->kind != TR_VALUE_TUPLE ||
        (!known && callee->kind != TR_VALUE_CLASS && callee->kind != TR_VALUE_OBJECT))
        return refuse(m, TR_EFORMAT, err, "it calls %s with %s", tr_value_name(callee),
                      tr_value_name(args));
    if (known && callee->global->call)
        return construct(m, callee->global->call, args, err);
    return push_object(m, callee, args, err);
}

// An object of a class without a call; of the set only an OrderedDict is more than that. The
// argument is how many tuples and dicts of arguments there are.
static enum tr_status run_newobj(struct machine *m, struct tr_err *err) {
    struct tr_value *args = NULL, *class = NULL, *named = NULL;
    if (m->opcode->argument == 2)
        TR_TRY(pop(m, &named, err));
    TR_TRY(pop(m, &args, err));
    TR_TRY(pop(m, &class, err));
    if (args->kind != TR_VALUE_TUPLE ||
        (class->kind != TR_VALUE_GLOBAL && class->kind != TR_VALUE_CLASS &&
         class->kind != TR_VALUE_OBJECT))
        return refuse(m, TR_EFORMAT, err, "it makes an object of %s with %s", tr_value_name(class),
                      tr_value_name(args));
    if (class->kind == TR_VALUE_GLOBAL && class->global->call)
        return construct(m, class->global->call, args, err);
    return push_object(m, class, args, err);
}

static enum tr_status run_binpersid(struct machine *m, struct tr_err *err) {
    struct tr_value *id = NULL;
    TR_TRY(pop(m, &id, err));
    if (id->kind != TR_VALUE_TUPLE)
        return refuse(m, TR_EFORMAT, err, "the id of a storage is %s", tr_value_name(id));
    if (id->sequence.count > 1 && id->sequence.items[1]->kind == TR_VALUE_CLASS)
        return push_object(m, id->sequence.items[1], id, err); // of a type that is not known
    TR_TRY(construct(m, tr_construct_storage, id, err));
    TR_TRY(tr_grow((void **)&m->storages, &m->storage_capacity, m->storage_count + 1,
                   sizeof *m->storages, "the storages of a pickle", err));
    struct tr_value *items[2] = {m->stack[m->height - 1]};
    m->storages[m->storage_count++] = items[0];
    uint64_t count = id->sequence.count;
    if (count < 6 || id->sequence.items[5]->kind == TR_VALUE_NONE)
        return TR_OK;
    items[1] = id->sequence.items[5];
    const struct tr_value args = {.kind = TR_VALUE_TUPLE, .sequence = {.items = items, .count = 2}};
    m->height--; // the view takes the storage's place
    return construct(m, tr_construct_view, &args, err);
}

static const struct opcode opcodes[256] = {
    ['('] = {"MARK", run_mark, 0},
    ['.'] = {"STOP", run_stop, 0},
    ['0'] = {"POP", run_pop, 0},
    ['1'] = {"POP_MARK", run_pop_mark, 0},
    ['2'] = {"DUP", run_dup, 0},
    ['F'] = {"FLOAT", NULL, 0},
    ['I'] = {"INT", run_decimal, 0},
    ['J'] = {"BININT", run_integer, 4},
    ['K'] = {"BININT1", run_integer, 1},
    ['L'] = {"LONG", run_decimal, 0},
    ['M'] = {"BININT2", run_integer, 2},
    ['N'] = {"NONE", run_none, 0},
    ['P'] = {"PERSID", NULL, 0},
    ['Q'] = {"BINPERSID", run_binpersid, 0},
    ['R'] = {"REDUCE", run_reduce, 0},
    ['S'] = {"STRING", NULL, 0},
    ['T'] = {"BINSTRING", NULL, 0},
    ['U'] = {"SHORT_BINSTRING", run_text, 1},
    ['V'] = {"UNICODE", NULL, 0},
    ['X'] = {"BINUNICODE", run_text, 4},
    ['a'] = {"APPEND", run_add, TR_VALUE_LIST},
    ['b'] = {"BUILD", run_build, 0},
    ['c'] = {"GLOBAL", run_global, 0},
    ['d'] = {"DICT", NULL, 0},
    ['}'] = {"EMPTY_DICT", run_empty, TR_VALUE_DICT},
    ['e'] = {"APPENDS", run_add_all, TR_VALUE_LIST},
    ['g'] = {"GET", NULL, 0},
    ['h'] = {"BINGET", run_get, 1},
    ['i'] = {"INST", NULL, 0},
    ['j'] = {"LONG_BINGET", run_get, 4},
    ['l'] = {"LIST", NULL, 0},
    [']'] = {"EMPTY_LIST", run_empty, TR_VALUE_LIST},
    ['o'] = {"OBJ", NULL, 0},
    ['p'] = {"PUT", NULL, 0},
    ['q'] = {"BINPUT", run_put, 1},
    ['r'] = {"LONG_BINPUT", run_put, 4},
    ['s'] = {"SETITEM", run_add, TR_VALUE_DICT},
    ['t'] = {"TUPLE", run_tuple, 0},
    [')'] = {"EMPTY_TUPLE", run_empty, TR_VALUE_TUPLE},
    ['u'] = {"SETITEMS", run_add_all, TR_VALUE_DICT},
    ['B'] = {"BINBYTES", run_bytes, 4},
    ['C'] = {"SHORT_BINBYTES", run_bytes, 1},
    ['G'] = {"BINFLOAT", run_binfloat, 0},
    [0x80] = {"PROTO", run_proto, 0},
    [0x81] = {"NEWOBJ", run_newobj, 1},
    [0x82] = {"EXT1", NULL, 0},
    [0x83] = {"EXT2", NULL, 0},
    [0x84] = {"EXT4", NULL, 0},
    [0x85] = {"TUPLE1", run_short_tuple, 1},
    [0x86] = {"TUPLE2", run_short_tuple, 2},
    [0x87] = {"TUPLE3", run_short_tuple, 3},
    [0x88] = {"NEWTRUE", run_bool, 1},
    [0x89] = {"NEWFALSE", run_bool, 0},
    [0x8a] = {"LONG1", run_long, 1},
    [0x8b] = {"LONG4", run_long, 4},
    [0x8c] = {"SHORT_BINUNICODE", run_text, 1},
    [0x8d] = {"BINUNICODE8", run_text, 8},
    [0x8e] = {"BINBYTES8", run_bytes, 8},
    [0x8f] = {"EMPTY_SET", run_empty, TR_VALUE_LIST}, // a list does as well
    [0x90] = {"ADDITEMS", run_add_all, TR_VALUE_LIST},
    [0x91] = {"FROZENSET", run_tuple, 0},
    [0x92] = {"NEWOBJ_EX", run_newobj, 2},
    [0x93] = {"STACK_GLOBAL", run_stack_global, 0},
    [0x94] = {"MEMOIZE", run_put, 0},
    [0x95] = {"FRAME", run_frame, 0},
    [0x96] = {"BYTEARRAY8", run_bytes, 8},
    [0x97] = {"NEXT_BUFFER", NULL, 0},
    [0x98] = {"READONLY_BUFFER", NULL, 0},
};

static enum tr_status run(struct machine *m, struct tr_err *err) {
    static const char first[] = "\x80}c("; // protocol 1 begins with a value
    m->cut = m->size < 2;
    if (m->size < 2 || !memchr(first, m->bytes[0], sizeof first - 1))
        return tr_fail(err, TR_EFORMAT, "%s: its pickle does not begin as one", m->what);
    TR_TRY(tr_grow((void **)&m->stack, &m->capacity, 1, sizeof *m->stack, "the stack of a pickle",
                   err)); // even of a pickle that pushes nothing before it pops a mark
    while (!m->root) {
        m->cut = m->at == m->size;
        if (m->at == m->size)
            return tr_fail(err, TR_EFORMAT, "%s: its pickle ends without a STOP", m->what);
        m->opcode_at = m->at++;
        m->opcode = &opcodes[m->bytes[m->opcode_at]];
        if (!m->opcode->name)
            return tr_fail(err, TR_EFORMAT, "%s: the pickle's byte %zu, 0x%02x, is no opcode",
                           m->what, m->opcode_at, m->bytes[m->opcode_at]);
        if (!m->opcode->run)
            return refuse(m, TR_EUNSUPPORTED, err, "an opcode that a state dict does not need");
        TR_TRY(m->opcode->run(m, err));
    }
    return TR_OK;
}

// `whole`: the pickle must end where the bytes do.
static enum tr_status read_one(struct tr_pickle *pickle, struct machine *m, bool whole,
                               struct tr_err *err) {
    enum tr_status status = run(m, err);
    if (status == TR_OK && whole && m->at != m->size)
        status = refuse(m, TR_EFORMAT, err, "%zu bytes follow", m->size - m->at);
    struct tr_pickle read = {m->root, m->blocks, m->storages, m->storage_count};
    free(m->stack);
    free(m->memo);
    if (status == TR_OK)
        *pickle = read;
    else
        tr_pickle_free(&read);
    return status;
}

enum tr_status tr_pickle_read_within(struct tr_pickle *pickle, const void *bytes, size_t size,
                                     size_t memory, const char *what, struct tr_err *err) {
    struct machine m = {.bytes = bytes, .size = size, .limit = memory, .what = what};
    return read_one(pickle, &m, true, err);
}

enum tr_status tr_pickle_read(struct tr_pickle *pickle, const void *bytes, size_t size,
                              const char *what, struct tr_err *err) {
    return tr_pickle_read_within(pickle, bytes, size, TR_PICKLE_VALUES_LIMIT, what, err);
}

enum tr_status tr_pickle_read_first(struct tr_pickle *pickle, const void *bytes, size_t size,
                                    size_t *used_p, bool *cut_p, const char *what,
                                    struct tr_err *err) {
    struct machine m = {
        .bytes = bytes, .size = size, .limit = TR_PICKLE_VALUES_LIMIT, .what = what};
    enum tr_status status = read_one(pickle, &m, false, err);
    *used_p = m.at;
    *cut_p = m.cut;
    return status;
}

void tr_pickle_free(struct tr_pickle *pickle) {
    while (pickle->blocks) {
        struct tr_pickle_block *next = pickle->blocks->next;
        free(pickle->blocks);
        pickle->blocks = next;
    }
    free(pickle->storages);
    *pickle = (struct tr_pickle){0};
}
