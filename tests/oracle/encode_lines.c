// SPDX-License-Identifier: Apache-2.0
// encode_lines TOKENIZER [MODEL_TYPE]: reads strings from stdin, each a little-endian uint32 of its
// size and its bytes; writes a line of ids for each, or "! STATUS: sentence" when it is refused.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "text/tokenizer.h"

static void print_ids(const struct tr_ids *ids) {
    for (int64_t i = 0; i < ids->count; i++)
        printf("%s%d", i ? " " : "", ids->ids[i]);
    putchar('\n');
}

// False at the end of the input.
static bool read_string(char **text_p, size_t *size_p) {
    unsigned char length[4];
    if (fread(length, 1, 4, stdin) != 4)
        return false;
    size_t size =
        length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24;
    char *text = malloc(size + 1);
    if (!text || fread(text, 1, size, stdin) != size) {
        free(text);
        return false;
    }
    *text_p = text;
    *size_p = size;
    return true;
}

int main(int argc, char **argv) {
    struct tr_tokenizer *tokenizer;
    struct tr_ids ids = {0};
    struct tr_err err;
    char *text;
    size_t size;
    if (argc < 2 || argc > 3 ||
        tr_tokenizer_open(&tokenizer, argv[1], argc == 3 ? argv[2] : NULL, &err) != TR_OK) {
        fprintf(stderr, "%s\n",
                argc == 2 || argc == 3 ? err.text : "usage: encode_lines TOKENIZER [MODEL_TYPE]");
        return 1;
    }
    while (read_string(&text, &size)) {
        ids.count = 0;
        if (tr_tokenizer_encode(tokenizer, text, size, &ids, &err) == TR_OK)
            print_ids(&ids);
        else
            printf("! %s: %s\n", tr_status_text(err.code), err.text);
        free(text);
    }
    free(ids.ids);
    tr_tokenizer_free(tokenizer);
    return 0;
}
