// SPDX-License-Identifier: Apache-2.0
// Feeds every file named, and every file of every folder named, to a fuzz target, for compilers
// without libFuzzer. Fails when an argument gives no file, so that a lost corpus is noticed.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        return 0;
    long size = ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(size > 0 ? (size_t)size : 1); // exact, so that ASan sees overreads
    int good = size >= 0 && bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size;
    if (good)
        LLVMFuzzerTestOneInput(bytes, (size_t)size);
    free(bytes);
    fclose(file);
    return good;
}

static int replay_folder(DIR *folder, const char *path) {
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (!replay_file(file)) {
            fprintf(stderr, "cannot read %s\n", file);
            return 0;
        }
        count++;
    }
    return count;
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        int count = folder ? replay_folder(folder, argv[i]) : replay_file(argv[i]);
        if (folder)
            closedir(folder);
        if (!count) {
            fprintf(stderr, "nothing to replay in %s\n", argv[i]);
            return EXIT_FAILURE;
        }
        total += count;
    }
    printf("%d inputs replayed\n", total);
    return total ? EXIT_SUCCESS : EXIT_FAILURE;
}
