// SPDX-License-Identifier: Apache-2.0
// decode_ids TOKENIZER [MODEL_TYPE]: reads lines of ids from stdin and writes the text of each, a
// little-endian uint32 of its size and its bytes.
#include <stdio.h>
#include <stdlib.h>

#include "text/detokenizer.h"

static void fail(const char *sentence) {
    fprintf(stderr, "%s\n", sentence);
    exit(1);
}

static void write_text(const struct tr_string *text) {
    for (int i = 0; i < 4; i++)
        putchar((int)(text->size >> (8 * i) & 0xff));
    if (fwrite(text->data, 1, text->size, stdout) != text->size)
        fail("cannot write");
}

static void read_ids(const char *line, struct tr_ids *ids, struct tr_err *err) {
    char *end;
    ids->count = 0;
    for (long id = strtol(line, &end, 10); end != line; id = strtol(line, &end, 10)) {
        if (tr_ids_append(ids, (int32_t)id, err) != TR_OK)
            fail(err->text);
        line = end;
    }
}

int main(int argc, char **argv) {
    struct tr_tokenizer *tokenizer;
    struct tr_detokenizer *detokenizer;
    struct tr_ids ids = {0};
    struct tr_string text = {0};
    struct tr_err err = {.text = "usage: decode_ids TOKENIZER [MODEL_TYPE]"};
    char *line = NULL;
    size_t capacity = 0;
    if (argc < 2 || argc > 3 ||
        tr_tokenizer_open(&tokenizer, argv[1], argc == 3 ? argv[2] : NULL, &err) != TR_OK ||
        tr_detokenizer_new(&detokenizer, tokenizer, &err) != TR_OK)
        fail(err.text);
    while (getline(&line, &capacity, stdin) >= 0) {
        read_ids(line, &ids, &err);
        text.size = 0;
        if (tr_detokenize(detokenizer, ids.ids, ids.count, &text, &err) != TR_OK)
            fail(err.text);
        write_text(&text);
    }
    free(line);
    free(ids.ids);
    tr_string_free(&text);
    tr_detokenizer_free(detokenizer);
    tr_tokenizer_free(tokenizer);
    return 0;
}
