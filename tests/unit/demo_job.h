// SPDX-License-Identifier: Apache-2.0
#ifndef DEMO_JOB_H
#define DEMO_JOB_H

// A job over checkpoints of the demo series, as rank 0 prepares it. Failures end the test. To be
// included after cmocka.h.

#include <string.h>

#include "kernels/backend.h"
#include "kernels/ops.h"
#include "run/fit.h"
#include "run/job.h"

static struct tr_err err;

#define OK(call) assert_ok((call), __LINE__)
static inline void assert_ok(enum tr_status status, int line) {
    if (status != TR_OK)
        fail_msg("line %d: %s", line, err.text);
}

// Rows of the builtin text; step_512 and two more of the series.
enum { DEMO_SAMPLES = 7, DEMO_SEQ_LEN = 512 };
#define DEMO_STEP "tests/series/demo/step_512"

static char *const demo_paths[] = {(char *)DEMO_STEP, (char *)"tests/series/demo/step_1024",
                                   (char *)"tests/series/demo/step_2048"};

struct demo_job {
    struct tr_run_settings settings;
    struct kn_backend *kn;
    struct tr_job job;
    struct tr_string notes;
};

// Settings of a quiet job over the first `count` of the paths.
static inline struct tr_run_settings demo_settings(int64_t count) {
    static const volatile sig_atomic_t never = 0;
    return (struct tr_run_settings){.paths = (char **)demo_paths,
                                    .path_count = count,
                                    .samples = DEMO_SAMPLES,
                                    .seq_len = DEMO_SEQ_LEN,
                                    .quiet = true,
                                    .messages = stderr,
                                    .stop = &never,
                                    .command = "test",
                                    .version = "test",
                                    .build = "test",
                                    .device = KN_CPU};
}

static inline struct tr_rank_bytes bytes_of(const struct tr_job *job, const struct kn_backend *kn,
                                            int64_t wave, int64_t slabs) {
    struct tr_fit fit = {.wave = wave, .slabs = slabs};
    return tr_fit_bytes(job, kn, &fit);
}

// `kn` is closed with the job; NULL: the CPU with one thread.
static inline void demo_job_open(struct demo_job *demo, const struct tr_run_settings *settings,
                                 struct kn_backend *kn) {
    *demo = (struct demo_job){.settings = *settings, .kn = kn};
    if (!kn)
        assert_int_equal(kn_open(&demo->kn, KN_CPU, &(struct kn_options){.threads = 1}), KN_OK);
    OK(tr_job_prepare(&demo->job, &demo->settings, &demo->notes, &err));
    demo->job.threads = 2;
}

static inline void demo_job_close(struct demo_job *demo) {
    tr_string_free(&demo->notes);
    tr_job_free(&demo->job);
    demo->kn->ops->close(demo->kn);
}

#endif
