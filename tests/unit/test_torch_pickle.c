// SPDX-License-Identifier: Apache-2.0
// The pickle machine on pickles made by hand: what they build, and what is refused with which
// words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "torch/torch_pickle.h"

// Pieces of pickles. A count is a string of one byte.
#define PROTO "\x80\2"
#define TEXT(count, text) "X" count "\0\0\0" text
#define GLOBAL(module, name) "c" module "\n" name "\n"
#define ORDERED_DICT GLOBAL("collections", "OrderedDict")
#define HOOKS ORDERED_DICT ")R"
#define STORAGE_OF(type, count)                                                                    \
    "(" TEXT("\7", "storage") GLOBAL("torch", type) TEXT("\1", "7") TEXT("\3", "cpu") count "tQ"
#define STORAGE STORAGE_OF("HalfStorage", "K\x0c") // 12 elements
#define REBUILD GLOBAL("torch._utils", "_rebuild_tensor_v2")
#define PARAMETER GLOBAL("torch._utils", "_rebuild_parameter")
#define FROM_TYPE GLOBAL("torch._tensor", "_rebuild_from_type_v2")
#define TENSOR_TYPE GLOBAL("torch", "Tensor")
#define ARGUMENTS(storage, offset, shape, strides) "(" storage offset shape strides "\x89" HOOKS "t"
#define VIEW(offset, shape, strides) REBUILD ARGUMENTS(STORAGE, offset, shape, strides) "R"
#define PAIR(a, b) a b "\x86"
#define TENSOR VIEW("K\1", PAIR("K\2", "K\3"), PAIR("K\5", "K\2")) // its last element is the 11th

struct bytes {
    const char *bytes;
    size_t size;
};
#define BYTES(text)                                                                                \
    { .bytes = (text), .size = sizeof(text) - 1 }

// The pickle in memory of exactly its size, so that a sanitizer sees a step beyond it.
static enum tr_status read_exact(struct tr_pickle *pickle, struct bytes from, char **copy_p,
                                 struct tr_err *err) {
    *copy_p = malloc(from.size ? from.size : 1);
    assert_non_null(*copy_p);
    memcpy(*copy_p, from.bytes, from.size);
    return tr_pickle_read(pickle, *copy_p, from.size, "p", err);
}

static const struct tr_value *read_good(struct tr_pickle *pickle, struct bytes from,
                                        char **copy_p) {
    struct tr_err err = {.text = ""};
    if (read_exact(pickle, from, copy_p, &err))
        fail_msg("%s", err.text);
    return pickle->root;
}

static void release(struct tr_pickle *pickle, char *copy) {
    tr_pickle_free(pickle);
    free(copy);
}

static void assert_refused(struct bytes from, const char *expected) {
    struct tr_pickle pickle = {0};
    struct tr_err err = {.text = "accepted"};
    char *copy;
    enum tr_status status = read_exact(&pickle, from, &copy, &err);
    assert_string_equal(err.text, expected);
    assert_true(status == TR_EFORMAT || status == TR_EUNSUPPORTED);
    assert_null(pickle.root);
    free(copy);
}

static void test_plain_values(void **state) {
    (void)state;
    struct bytes from =
        BYTES(PROTO "](N\x88\x89J\xfe\xff\xff\xffK\xffM\1\2\x8a\0\x8a\1\x80\x8a\5\0\0\0\0\1"
                    "\x8a\10\xff\xff\xff\xff\xff\xff\xff\xffG\xbf\xf0\0\0\0\0\0\0U\2hi)}\x8f"
                    "e.");
    static const int64_t integers[] = {-2, 255, 513, 0, -128, INT64_C(1) << 32, -1};
    struct tr_pickle pickle;
    char *copy;
    const struct tr_value *list = read_good(&pickle, from, &copy);
    struct tr_value *const *items = list->sequence.items;
    assert_int_equal(list->kind, TR_VALUE_LIST);
    assert_int_equal(list->sequence.count, 15);
    assert_int_equal(items[0]->kind, TR_VALUE_NONE);
    assert_int_equal(items[1]->kind, TR_VALUE_BOOL);
    assert_int_equal(items[1]->integer, 1);
    assert_int_equal(items[2]->integer, 0);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(items[3 + i]->kind, TR_VALUE_INTEGER);
        assert_int_equal(items[3 + i]->integer, integers[i]);
    }
    assert_int_equal(items[10]->kind, TR_VALUE_REAL);
    assert_true(items[10]->real == -1.0);
    assert_true(tr_slice_is(items[11]->text, "hi"));
    assert_int_equal(items[12]->kind, TR_VALUE_TUPLE);
    assert_int_equal(items[13]->kind, TR_VALUE_DICT);
    assert_int_equal(items[14]->kind, TR_VALUE_LIST);
    release(&pickle, copy);
}

static void test_tuples_and_the_memo(void **state) {
    (void)state;
    struct bytes from = BYTES(PROTO "K\1\x85q\0K\2h\0\x86r\1\0\0\0j\1\0\0\0K\3h\0\x87(tt.");
    struct bytes nested = BYTES(PROTO "(K\1\x85q\0h\0K\2\x86h\0K\3N\x87(tt.");
    struct tr_pickle pickle;
    char *copy;
    const struct tr_value *tuple = read_good(&pickle, nested, &copy);
    struct tr_value *const *items = tuple->sequence.items;
    assert_int_equal(tuple->sequence.count, 4);
    assert_int_equal(items[0]->sequence.count, 1);
    assert_int_equal(items[1]->sequence.count, 2);
    assert_ptr_equal(items[1]->sequence.items[0], items[0]);
    assert_int_equal(items[1]->sequence.items[1]->integer, 2);
    assert_int_equal(items[2]->sequence.count, 3);
    assert_int_equal(items[2]->sequence.items[1]->integer, 3);
    assert_int_equal(items[3]->sequence.count, 0);
    release(&pickle, copy);
    assert_refused(from, "p: the pickle's TUPLE at byte 29: there is no mark on the stack");
}

static void test_a_state_dict(void **state) {
    (void)state;
    struct bytes from =
        BYTES(PROTO ORDERED_DICT ")Rq\0(" TEXT("\1", "w") TENSOR TEXT("\1", "p") PARAMETER
              "(" TENSOR "\x88" HOOKS "tR" TEXT("\1", "a") FROM_TYPE
              "(" REBUILD TENSOR_TYPE ARGUMENTS(STORAGE, "K\0", ")", ")") "}tR"
                                                                          "u}" TEXT("\2", "_m")
                                                                              ORDERED_DICT
              ")R" TEXT("\0", "") "}ssb.");
    struct tr_pickle pickle;
    char *copy;
    const struct tr_value *dict = read_good(&pickle, from, &copy);
    assert_int_equal(dict->kind, TR_VALUE_DICT);
    assert_int_equal(dict->sequence.count, 6); // what BUILD sets is none of its items
    for (int i = 0; i < 3; i++) {
        const struct tr_value *tensor = dict->sequence.items[2 * i + 1];
        const struct tr_value *storage = tensor->tensor.storage;
        assert_int_equal(tensor->kind, TR_VALUE_TENSOR);
        assert_int_equal(tensor->tensor.shape->sequence.count, i < 2 ? 2 : 0);
        assert_int_equal(tensor->tensor.strides->sequence.count, i < 2 ? 2 : 0);
        assert_int_equal(tensor->tensor.offset, i < 2 ? 1 : 0);
        assert_int_equal(storage->kind, TR_VALUE_STORAGE);
        assert_true(tr_slice_is(storage->storage.key, "7"));
        assert_int_equal(storage->storage.count, 12);
        assert_string_equal(storage->storage.type->dtype_text, "F16");
        assert_int_equal(storage->storage.type->dtype, TR_F16);
    }
    assert_true(tr_slice_is(dict->sequence.items[4]->text, "a"));
    release(&pickle, copy);
}

static void test_views_at_the_limit(void **state) {
    (void)state;
    static const struct bytes cases[] = {
        BYTES(PROTO VIEW("K\x0b", ")", ")") "."),
        BYTES(PROTO VIEW("K\0", "K\x0c\x85", "K\1\x85") "."),
        BYTES(PROTO VIEW("K\x0b", "J\xff\xff\xff\x7f\x85", "K\0\x85") "."),       // expanded
        BYTES(PROTO VIEW("K\x63", PAIR("K\0", "K\x63"), PAIR("K\1", "K\1")) "."), // empty
        BYTES(PROTO VIEW("K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1t") "."),
        BYTES(PROTO REBUILD "(" STORAGE "K\0))\x89" HOOKS "}tR."),
        BYTES(PROTO REBUILD "(" STORAGE "K\0))\x89" HOOKS "NtR."),
        BYTES(PROTO ORDERED_DICT ")\x81."),
        BYTES(PROTO "(t."), // nothing was pushed before
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_pickle pickle;
        char *copy;
        read_good(&pickle, cases[i], &copy);
        release(&pickle, copy);
    }
}

#define NOT_A_TENSOR "a tensor is a storage, an offset, a shape, strides, a flag and hooks"

// What is not in the set becomes an object that keeps what it was given.
static const struct tr_value *read_object(struct tr_pickle *pickle, struct bytes from,
                                          char **copy_p, const char *module, const char *name) {
    const struct tr_value *object = read_good(pickle, from, copy_p);
    assert_int_equal(object->kind, TR_VALUE_OBJECT);
    assert_true(tr_value_is(object, module, name));
    return object;
}

static void test_what_would_run(void **state) {
    (void)state;
    static const struct {
        struct bytes from;
        const char *module, *name;
    } cases[] = {
        {BYTES(PROTO GLOBAL("os", "system") "U\2ls\x85R."), "os", "system"},
        {BYTES(PROTO GLOBAL("builtins", "eval") "U\1"
                                                "1\x85R."),
         "builtins", "eval"},
        {BYTES(PROTO GLOBAL("torch", "load") ")R."), "torch", "load"},
        {BYTES(PROTO GLOBAL("collections", "OrderedDict.update") ")R."), "collections",
         "OrderedDict.update"},
        {BYTES(PROTO "U\2osU\6system\x93U\2ls\x85R."), "os", "system"},
        {BYTES("\x80\4\x95\x14\0\0\0\0\0\0\0\x8c\2os\x94\x8c\6system\x94\x93\x94)R."), "os",
         "system"},
        {BYTES(PROTO GLOBAL("os", "system") ")\x81."), "os", "system"},
        {BYTES(PROTO GLOBAL("os", "system") ")}\x92."), "os", "system"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_pickle pickle;
        char *copy;
        const struct tr_value *object =
            read_object(&pickle, cases[i].from, &copy, cases[i].module, cases[i].name);
        assert_int_equal(object->object.args->kind, TR_VALUE_TUPLE);
        release(&pickle, copy);
    }
}

static void test_objects_keep_what_they_got(void **state) {
    (void)state;
    struct bytes from = BYTES("\x80\4\x8c\1m\x8c\1C\x93)\x81}\x8c\1aK\7sb](K\1K\2e\x86.");
    struct bytes filled = BYTES(PROTO GLOBAL("m", "C") ")R(U\1kK\5U\1kK\6u.");
    struct tr_pickle pickle;
    char *copy;
    int64_t number = 0;
    const struct tr_value *pair = read_good(&pickle, from, &copy);
    const struct tr_value *object = pair->sequence.items[0];
    assert_true(tr_value_is(object, "m", "C"));
    assert_true(tr_value_integer(tr_value_get(object, "a"), &number));
    assert_int_equal(number, 7);
    assert_null(tr_value_get(object, "b"));
    assert_null(tr_value_get(pair, "a"));
    release(&pickle, copy);
    object = read_object(&pickle, filled, &copy, "m", "C");
    assert_true(tr_value_integer(tr_value_path(object, "k"), &number));
    assert_int_equal(number, 6); // the last, as in Python
    assert_null(tr_value_path(object, "k.k"));
    release(&pickle, copy);
}

static void test_other_protocols(void **state) {
    (void)state;
    static const struct bytes cases[] = {
        BYTES("}(U\1aI01\nU\1bI00\nU\1cI-12\nU\1dL34L\nU\1eL99999999999999999999L\nu."),
        BYTES("\x80\5\x95\x40\0\0\0\0\0\0\0}\x94(\x8c\1a\x94\x88\x8d\1\0\0\0\0\0\0\0b\x89"
              "\x8c\1cJ\xf4\xff\xff\xff\x8c\1dK\x22\x8c\1e\x8a\x09"
              "123456789u."),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_pickle pickle;
        char *copy;
        int64_t c = 0, d = 0;
        bool a = false, b = true;
        const struct tr_value *dict = read_good(&pickle, cases[i], &copy);
        assert_true(tr_value_bool(tr_value_get(dict, "a"), &a) && a);
        assert_true(tr_value_bool(tr_value_get(dict, "b"), &b) && !b);
        assert_true(tr_value_integer(tr_value_get(dict, "c"), &c));
        assert_true(tr_value_integer(tr_value_get(dict, "d"), &d));
        assert_int_equal(c, -12);
        assert_int_equal(d, 34);
        assert_int_equal(tr_value_get(dict, "e")->kind, TR_VALUE_BYTES); // beyond 64 bits
        release(&pickle, copy);
    }
}

static void test_what_is_no_value(void **state) {
    (void)state;
    static const struct {
        struct bytes from;
        const char *expected;
    } cases[] = {
        {BYTES(PROTO "(U\2lsios\nsystem\n."),
         "p: the pickle's INST at byte 7: an opcode that a state dict does not need"},
        {BYTES(PROTO "(" ORDERED_DICT "o."),
         "p: the pickle's OBJ at byte 28: an opcode that a state dict does not need"},
        {BYTES(PROTO "U\2osN\x93."),
         "p: the pickle's STACK_GLOBAL at byte 7: a global is named by a text and None"},
        {BYTES(PROTO GLOBAL("\xff", "x") "."),
         "p: the pickle's GLOBAL at byte 2: a name that is not UTF-8"},
        {BYTES(PROTO "\x82\1."),
         "p: the pickle's EXT1 at byte 2: an opcode that a state dict does not need"},
        {BYTES(PROTO "P0\n."),
         "p: the pickle's PERSID at byte 2: an opcode that a state dict does not need"},
        {BYTES(PROTO "\x97."),
         "p: the pickle's NEXT_BUFFER at byte 2: an opcode that a state dict does not need"},
        {BYTES(PROTO REBUILD ")\x81."), "p: the pickle's NEWOBJ at byte 36: " NOT_A_TENSOR},
        {BYTES(PROTO "U\6system)R."), "p: the pickle's REDUCE at byte 11: it calls a text with a "
                                      "tuple"},
        {BYTES(PROTO "U\6system)\x81."), "p: the pickle's NEWOBJ at byte 11: it makes an object of "
                                         "a text with a tuple"},
        {BYTES(PROTO ORDERED_DICT "]R."),
         "p: the pickle's REDUCE at byte 28: it calls a global with a list"},
        {BYTES(PROTO ORDERED_DICT "](K\1K\2eK\1\x86R."),
         "p: the pickle's REDUCE at byte 37: an OrderedDict starts empty"},
        {BYTES(PROTO TENSOR "}b."),
         "p: the pickle's BUILD at byte 129: applied to a tensor, with a dict"},
        {BYTES(PROTO "}Nb."), "p: the pickle's BUILD at byte 4: applied to a dict, with None"},
        {BYTES(PROTO GLOBAL("m", "C") ")RNaU\1kNs."),
         "p: the pickle's SETITEM at byte 15: applied to a list"},
        {BYTES(PROTO FROM_TYPE "(" FROM_TYPE TENSOR_TYPE ")}tR."),
         "p: the pickle's REDUCE at byte 94: a tensor with attributes is a function, a type, "
         "arguments and a state"},
        {BYTES(PROTO FROM_TYPE "(" ORDERED_DICT TENSOR_TYPE ")}tR."),
         "p: the pickle's REDUCE at byte 82: a tensor with attributes is a function, a type, "
         "arguments and a state"},
        {BYTES(PROTO FROM_TYPE "(" REBUILD REBUILD ")}tR."),
         "p: the pickle's REDUCE at byte 109: a tensor with attributes is a function, a type, "
         "arguments and a state"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].from, cases[i].expected);
}

#define NOT_NUMBERS "an offset, a shape or strides that are not whole numbers of at least 0"
#define NOT_TUPLES "a shape and strides that are not tuples of the same size"
#define NOT_A_STORAGE "a storage is \"storage\", its type, key, location and number of elements"
#define MINUS_1 "J\xff\xff\xff\xff"
#define LARGEST "\x8a\10\xff\xff\xff\xff\xff\xff\xff\x7f"
#define NINE "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"

static void test_tensors_that_lie(void **state) {
    (void)state;
    static const struct {
        struct bytes from;
        const char *expected; // after the place
    } cases[] = {
        {BYTES(PROTO VIEW("K\x0c", ")", ")") "."), "a tensor reaches beyond its storage"},
        {BYTES(PROTO VIEW("K\1", "K\x0c\x85", "K\1\x85") "."),
         "a tensor reaches beyond its storage"},
        {BYTES(PROTO VIEW("K\0", PAIR("K\2", "K\2"), PAIR("K\x0b", "K\1")) "."),
         "a tensor reaches beyond its storage"},
        {BYTES(PROTO VIEW("K\0", PAIR(LARGEST, LARGEST), PAIR("K\0", "K\0")) "."),
         "the size of a tensor overflows"},
        {BYTES(PROTO VIEW("K\0", LARGEST "\x85", "K\0\x85") "."), "the size of a tensor overflows"},
        {BYTES(PROTO VIEW("K\0", "K\4\x85", LARGEST "\x85") "."), "the size of a tensor overflows"},
        {BYTES(PROTO VIEW(LARGEST, "K\3\x85", LARGEST "\x85") "."),
         "the size of a tensor overflows"},
        {BYTES(PROTO VIEW(MINUS_1, ")", ")") "."), NOT_NUMBERS},
        {BYTES(PROTO VIEW("K\0", MINUS_1 "\x85", "K\1\x85") "."), NOT_NUMBERS},
        {BYTES(PROTO VIEW("K\0", "K\1\x85", MINUS_1 "\x85") "."), NOT_NUMBERS},
        {BYTES(PROTO VIEW("K\0", "\x88\x85", "K\1\x85") "."), NOT_NUMBERS},
        {BYTES(PROTO VIEW("K\0", "K\1\x85", ")") "."), NOT_TUPLES},
        {BYTES(PROTO VIEW("K\0", "]", ")") "."), NOT_TUPLES},
        {BYTES(PROTO VIEW("K\0", NINE, NINE) "."), "a tensor with more than 8 dimensions"},
        {BYTES(PROTO VIEW("N", ")", ")") "."), NOT_A_TENSOR},
        {BYTES(PROTO REBUILD ARGUMENTS("N", "K\0", ")", ")") "R."), NOT_A_TENSOR},
        {BYTES(PROTO REBUILD ")R."), NOT_A_TENSOR},
        {BYTES(PROTO REBUILD "(" STORAGE "K\0))N" HOOKS "tR."), NOT_A_TENSOR},
        {BYTES(PROTO REBUILD "(" STORAGE "K\0))\x89" HOOKS "}NtR."), NOT_A_TENSOR},
        {BYTES(PROTO REBUILD "(" STORAGE "K\0))\x89" HOOKS "}U\3neg\x88stR."),
         "a view that is conjugated, negated or otherwise marked"},
        {BYTES(PROTO PARAMETER "N\x89N\x87R."), "a parameter is a tensor, a flag and hooks"},
        {BYTES(PROTO PARAMETER TENSOR "\x89\x86R."), "a parameter is a tensor, a flag and hooks"},
        {BYTES(PROTO STORAGE_OF("Tensor", "K\1") "."), NOT_A_STORAGE},
        {BYTES(PROTO STORAGE_OF("HalfStorage", "N") "."), NOT_A_STORAGE},
        {BYTES(PROTO "(U\6module" GLOBAL("torch", "HalfStorage") "U\1"
                                                                 "0U\3cpuK\1tQ."),
         NOT_A_STORAGE},
        {BYTES(PROTO ")Q."), NOT_A_STORAGE},
        {BYTES(PROTO STORAGE_OF("HalfStorage", MINUS_1) "."),
         "a storage has a negative number of elements"},
        {BYTES(PROTO "NQ."), "the id of a storage is None"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_pickle pickle;
        struct tr_err err = {.text = "accepted: accepted"};
        char *copy;
        enum tr_status status = read_exact(&pickle, cases[i].from, &copy, &err);
        const char *place = strstr(err.text, " at byte ");
        assert_string_equal(strchr(place ? place : err.text, ':') + 2, cases[i].expected);
        assert_int_equal(status, TR_EFORMAT);
        free(copy);
    }
}

static void test_damage(void **state) {
    (void)state;
    static const struct {
        struct bytes from;
        const char *expected;
    } cases[] = {
        {BYTES(""), "p: its pickle does not begin as one"},
        {BYTES("."), "p: its pickle does not begin as one"},
        {BYTES("N."), "p: its pickle does not begin as one"},
        {BYTES("\x80\1N."), "p: the pickle's PROTO at byte 0: protocol 1; known: 1 to 5"},
        {BYTES("\x80\6N."), "p: the pickle's PROTO at byte 0: protocol 6; known: 1 to 5"},
        {BYTES("\x80\4\x95\1\0\0."),
         "p: the pickle's FRAME at byte 2: it wants 8 bytes, the pickle "
         "has 4 left"},
        {BYTES("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xff."),
         "p: the pickle's BINUNICODE8 at byte 2: it wants 18446744073709551615 bytes, the pickle "
         "has "
         "1 left"},
        {BYTES("\x80\4\x94."), "p: the pickle's MEMOIZE at byte 2: there is nothing on the stack"},
        {BYTES(PROTO PROTO "N."), "p: the pickle's PROTO at byte 2: it belongs at the beginning"},
        {BYTES(PROTO "N"), "p: its pickle ends without a STOP"},
        {BYTES(PROTO "\xff"), "p: the pickle's byte 2, 0xff, is no opcode"},
        {BYTES(PROTO "\0"), "p: the pickle's byte 2, 0x00, is no opcode"},
        {BYTES(PROTO "."), "p: the pickle's STOP at byte 2: there is nothing on the stack"},
        {BYTES(PROTO "NN."), "p: the pickle's STOP at byte 4: values are left on the stack"},
        {BYTES(PROTO "(N."), "p: the pickle's STOP at byte 4: values are left on the stack"},
        {BYTES(PROTO "N.x"), "p: the pickle's STOP at byte 3: 1 bytes follow"},
        {BYTES(PROTO "N\x86."), "p: the pickle's TUPLE2 at byte 3: there is nothing on the stack"},
        {BYTES(PROTO "N(\x85."), "p: the pickle's TUPLE1 at byte 4: there is nothing on the stack"},
        {BYTES(PROTO "Na."), "p: the pickle's APPEND at byte 3: there is nothing on the stack"},
        {BYTES(PROTO ")Na."), "p: the pickle's APPEND at byte 4: applied to a tuple"},
        {BYTES(PROTO "}(Ne."), "p: the pickle's APPENDS at byte 5: applied to a dict"},
        {BYTES(PROTO "(Ne."), "p: the pickle's APPENDS at byte 4: there is nothing on the stack"},
        {BYTES(PROTO "e."), "p: the pickle's APPENDS at byte 2: there is no mark on the stack"},
        {BYTES(PROTO "]NNs."), "p: the pickle's SETITEM at byte 5: applied to a list"},
        {BYTES(PROTO "](NNu."), "p: the pickle's SETITEMS at byte 6: applied to a list"},
        {BYTES(PROTO "}(Nu."), "p: the pickle's SETITEMS at byte 5: a key without a value"},
        {BYTES(PROTO "R."), "p: the pickle's REDUCE at byte 2: there is nothing on the stack"},
        {BYTES(PROTO "h\0."), "p: the pickle's BINGET at byte 2: slot 0 of the memo, of which 0 "
                              "are filled"},
        {BYTES(PROTO "j\xff\xff\xff\xff."), "p: the pickle's LONG_BINGET at byte 2: slot "
                                            "4294967295 of the memo, of which 0 are filled"},
        {BYTES(PROTO "q\0."), "p: the pickle's BINPUT at byte 2: there is nothing on the stack"},
        {BYTES(PROTO "Nr\xff\xff\xff\xff."), "p: the pickle's LONG_BINPUT at byte 3: slot "
                                             "4294967295 of the memo, of which 0 are filled"},
        {BYTES(PROTO "Nq\0q\0."),
         "p: the pickle's BINPUT at byte 5: slot 0 of the memo, of which 1 are filled"},
        {BYTES(PROTO "J\1\2\3"), "p: the pickle's BININT at byte 2: it wants 4 bytes, the pickle "
                                 "has 3 left"},
        {BYTES(PROTO "X\xff\xff\xff\xffx."), "p: the pickle's BINUNICODE at byte 2: it wants "
                                             "4294967295 bytes, the pickle has 2 left"},
        {BYTES(PROTO "U\2\xc3(."), "p: the pickle's SHORT_BINSTRING at byte 2: a text that is not "
                                   "UTF-8"},
        {BYTES(PROTO "\x8a\xff"
                     "x."),
         "p: the pickle's LONG1 at byte 2: it wants 255 bytes, the pickle has 2 left"},
        {BYTES(PROTO "\x8a\x08"
                     "x."),
         "p: the pickle's LONG1 at byte 2: it wants 8 bytes, the "
         "pickle has 2 left"},
        {BYTES(PROTO "\x8b\xff\xff\xff\x7f."),
         "p: the pickle's LONG4 at byte 2: it wants 2147483647 bytes, the pickle has 1 left"},
        {BYTES(PROTO "ctorch"), "p: the pickle's GLOBAL at byte 2: a name without an end"},
        {BYTES(PROTO "c\n"), "p: the pickle's GLOBAL at byte 2: a name without an end"},
        {BYTES(PROTO "c\n\n"), "p: its pickle ends without a STOP"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i].from, cases[i].expected);
}

// `count` times the repeated bytes, with others before and after.
static struct bytes repeat(const char *before, const char *repeated, size_t count,
                           const char *after) {
    size_t size = strlen(repeated);
    struct bytes made = {.size = strlen(before) + count * size + strlen(after)};
    char *bytes = malloc(made.size + 1), *to = bytes;
    assert_non_null(bytes);
    to = stpcpy(to, before);
    for (size_t i = 0; i < count; i++, to += size)
        memcpy(to, repeated, size);
    strcpy(to, after);
    made.bytes = bytes;
    return made;
}

static void test_bombs(void **state) {
    (void)state;
    static const struct {
        const char *before, *repeated;
        size_t count;
        const char *expected;
    } cases[] = {
        {PROTO, "(", 65, "p: the pickle's MARK at byte 66: nested more than 64 deep"},
        {PROTO, "}", 7 << 20,
         "p: the pickle's EMPTY_DICT at byte 6709250: its values take more "
         "than 256 MiB"},
        {PROTO "c", "m", 200, "p: the pickle's GLOBAL at byte 2: a name without an end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes from = repeat(cases[i].before, cases[i].repeated, cases[i].count, "");
        assert_refused(from, cases[i].expected);
        free((char *)from.bytes);
    }
}

// Nesting without marks, and a list of lists of lists, each twice in the next: neither costs more
// than its bytes.
static void test_values_are_shared(void **state) {
    (void)state;
    struct bytes cases[] = {
        repeat(PROTO "N", "\x85", 1 << 16, "."),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tr_pickle pickle;
        char *copy;
        read_good(&pickle, cases[i], &copy);
        release(&pickle, copy);
        free((char *)cases[i].bytes);
    }
    char bomb[2 + 200 * 5 + 2] = PROTO ")";
    size_t at = 3;
    for (int i = 0; i < 200; i++) { // value i: value i-1 twice
        const char piece[] = {'q', (char)i, 'h', (char)i, (char)0x86};
        memcpy(bomb + at, piece, sizeof piece);
        at += sizeof piece;
    }
    bomb[at++] = '.';
    struct tr_pickle pickle;
    char *copy;
    const struct tr_value *value = read_good(&pickle, (struct bytes){bomb, at}, &copy);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(value->sequence.count, 2);
        assert_ptr_equal(value->sequence.items[0], value->sequence.items[1]);
        value = value->sequence.items[0];
    }
    release(&pickle, copy);
}

static void test_a_list_within_itself(void **state) {
    (void)state;
    struct bytes from = BYTES(PROTO "]q\0h\0a.");
    struct tr_pickle pickle;
    char *copy;
    const struct tr_value *list = read_good(&pickle, from, &copy);
    assert_ptr_equal(list->sequence.items[0], list);
    release(&pickle, copy);
}

// A good pickle that was cut off is refused, at whatever byte.
static void test_truncation(void **state) {
    (void)state;
    struct bytes from = BYTES(PROTO ORDERED_DICT ")R(" TEXT("\1", "w") TENSOR "u.");
    for (size_t size = 0; size < from.size; size++) {
        struct tr_pickle pickle;
        struct tr_err err;
        char *copy;
        assert_int_equal(read_exact(&pickle, (struct bytes){from.bytes, size}, &copy, &err),
                         TR_EFORMAT);
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_values),
        cmocka_unit_test(test_tuples_and_the_memo),
        cmocka_unit_test(test_a_state_dict),
        cmocka_unit_test(test_views_at_the_limit),
        cmocka_unit_test(test_what_would_run),
        cmocka_unit_test(test_objects_keep_what_they_got),
        cmocka_unit_test(test_other_protocols),
        cmocka_unit_test(test_what_is_no_value),
        cmocka_unit_test(test_tensors_that_lie),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_values_are_shared),
        cmocka_unit_test(test_a_list_within_itself),
        cmocka_unit_test(test_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
