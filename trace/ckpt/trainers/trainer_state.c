// SPDX-License-Identifier: Apache-2.0
#include "trainer_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strings.h"
#include "scan.h"

enum { LIMIT = 256 << 20 }; // bytes

// A number of the file may be null, as where the trainer did not count.
static enum tr_status read_count(struct tr_scan *scan, char *scratch, int64_t *count_p,
                                 struct tr_err *err) {
    uint64_t count;
    if (!tr_scan_try(scan, 'n')) {
        TR_TRY(tr_scan_u64(scan, &count, err));
        *count_p = count <= INT64_MAX ? (int64_t)count : -1;
        return TR_OK;
    }
    scan->at--;
    return tr_scan_skip(scan, scratch, err);
}

static enum tr_status read_members(struct tr_scan *scan, char *scratch, int64_t *step_p,
                                   int64_t *tokens_p, struct tr_err *err) {
    TR_TRY(tr_scan_expect(scan, '{', err));
    if (tr_scan_try(scan, '}'))
        return TR_OK;
    do {
        TR_TRY(tr_scan_string(scan, scratch, NULL, err));
        TR_TRY(tr_scan_expect(scan, ':', err));
        if (!strcmp(scratch, "global_step"))
            TR_TRY(read_count(scan, scratch, step_p, err));
        else if (!strcmp(scratch, "num_input_tokens_seen"))
            TR_TRY(read_count(scan, scratch, tokens_p, err));
        else
            TR_TRY(tr_scan_skip(scan, scratch, err));
    } while (tr_scan_try(scan, ','));
    return tr_scan_expect(scan, '}', err);
}

static enum tr_status parse(struct tr_trainer_state *state, const char *bytes, size_t size,
                            const char *path, struct tr_err *err) {
    struct tr_scan scan;
    char *scratch;
    int64_t step = -1, tokens = -1;
    TR_TRY(tr_scan_start(&scan, bytes, size, path, err));
    scan.python = true;
    TR_TRY(TR_NEW(&scratch, size + 1, "trainer_state.json", err));
    enum tr_status status = read_members(&scan, scratch, &step, &tokens, err);
    free(scratch);
    TR_TRY(status);
    TR_TRY(tr_scan_finish(&scan, err));
    state->step = step;
    if (tokens > 0 || (tokens == 0 && step == 0))
        state->tokens = (double)tokens;
    return TR_OK;
}

enum tr_status tr_trainer_state_read(struct tr_trainer_state *state, const char *folder,
                                     struct tr_err *err) {
    char *path, *bytes;
    size_t size;
    *state = (struct tr_trainer_state){.step = -1, .tokens = NAN, .file = ""};
    TR_TRY(tr_path_join(&path, folder, "trainer_state.json", err));
    enum tr_status status = TR_OK;
    struct stat info;
    if (!stat(path, &info) && S_ISREG(info.st_mode)) { // a pipe would be waited for
        state->file = "trainer_state.json";
        status = tr_file_load(path, LIMIT, &bytes, &size, err);
        if (status == TR_OK) {
            status = parse(state, bytes, size, path, err);
            free(bytes);
        }
    }
    free(path);
    return status;
}
