// SPDX-License-Identifier: Apache-2.0
#ifndef TR_STATUS_H
#define TR_STATUS_H

// The error contract of the whole project, stated once: a fallible function returns an
// enum tr_status (TR_OK is 0, errors are negative), takes `struct tr_err *err` last, and sets its
// outputs only on success. The first function that knows what went wrong writes the sentence
// (what was being done, on which file and tensor, what was expected, what was found); everyone
// above passes the status on with TR_TRY. Libraries neither print nor exit.

#define TR_STATUS_LIST(ENTRY)                                                                      \
    ENTRY(TR_OK, 0, "success")                                                                     \
    ENTRY(TR_ENOMEM, -1, "out of memory")                                                          \
    ENTRY(TR_EIO, -2, "input or output failed")                                                    \
    ENTRY(TR_EFORMAT, -3, "malformed file")                                                        \
    ENTRY(TR_EUNSUPPORTED, -4, "not supported")                                                    \
    ENTRY(TR_EUSAGE, -5, "wrong usage")                                                            \
    ENTRY(TR_ECONFLICT, -6, "conflicts with what is there")                                        \
    ENTRY(TR_ENVIRONMENT, -7, "the environment does not allow it")

#define TR_STATUS_ENUM(name, value, text) name = (value),
enum tr_status { TR_STATUS_LIST(TR_STATUS_ENUM) };
#undef TR_STATUS_ENUM

enum { TR_ERR_MAX = 1024 };

struct tr_err {
    enum tr_status code;
    char text[TR_ERR_MAX]; // one sentence, no newline, UTF-8
};

// Writes the sentence into `err` (which may be NULL) and returns `code`. Control characters in the
// formatted text, which may quote a hostile file, and bytes that are not UTF-8 are replaced by '?'.
enum tr_status tr_fail(struct tr_err *err, enum tr_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The short text of a status, never NULL.
const char *tr_status_text(enum tr_status code);

#define TR_TRY(call)                                                                               \
    do {                                                                                           \
        enum tr_status tr_try_status_ = (call);                                                    \
        if (tr_try_status_ != TR_OK)                                                               \
            return tr_try_status_;                                                                 \
    } while (0)

// The same where something must be released: jumps to `label` with `status` set.
#define TR_GO(status, call, label)                                                                 \
    do {                                                                                           \
        (status) = (call);                                                                         \
        if ((status) != TR_OK)                                                                     \
            goto label;                                                                            \
    } while (0)

#endif
