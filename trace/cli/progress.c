// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "text.h"

void tr_progress_start(struct tr_progress *p, const struct tr_job *job) {
    *p = (struct tr_progress){.job = job, .start = tr_now(), .last_shown = tr_now()};
    p->terminal = isatty(STDERR_FILENO) == 1;
}

void tr_progress_add(struct tr_progress *p, const struct tr_message *message) {
    p->seconds += message->seconds;
    p->bytes += message->bytes;
    p->flops += message->flops;
    p->tokens += message->tokens;
    p->waited += message->waited;
}

static void clear_line(struct tr_progress *p) {
    if (p->line_shown)
        fputs("\r\033[K", stderr);
    p->line_shown = false;
}

void tr_progress_note(struct tr_progress *p, const char *text) {
    clear_line(p);
    fprintf(stderr, "%s\n", text);
}

void tr_progress_checkpoint(struct tr_progress *p, const char *name, const char *failure) {
    const struct tr_options *options = p->job->options;
    p->finished++;
    p->failed += failure != NULL;
    if (!failure && !options->verbose)
        return;
    clear_line(p);
    fprintf(stderr, failure ? "%s failed: %s\n" : "%s traced%s\n", name, failure ? failure : "");
}

void tr_progress_show(struct tr_progress *p) {
    const struct tr_options *options = p->job->options;
    int64_t period = options->progress_seconds;
    if (period < 0)
        period = p->terminal ? 1 : 30;
    double now = tr_now(), elapsed = now - p->start;
    if (options->quiet || period == 0 || now - p->last_shown < (double)period)
        return;
    p->last_shown = now;
    char rate[TR_HUMAN_MAX], left[TR_HUMAN_MAX], time[TR_TIME_MAX];
    // By tokens, so that the pieces of a split checkpoint count as they come.
    const struct tr_calibration *c = &p->job->calibration;
    double all = (double)p->job->todo_count * (double)(c->sequences * c->seq_len);
    double done = p->tokens + p->partial, speed = done / elapsed;
    clear_line(p);
    fprintf(stderr, "[%s] %lld of %lld checkpoints, %s tokens/s, %s left%s", tr_time_iso(time),
            (long long)p->finished, (long long)p->job->todo_count, tr_human_count(speed, rate),
            tr_human_seconds((all - done) / speed, left), p->terminal ? "" : "\n");
    p->line_shown = p->terminal;
}

void tr_progress_end(struct tr_progress *p, int64_t finished, int64_t failed) {
    clear_line(p);
    if (p->job->options->quiet)
        return;
    double elapsed = tr_now() - p->start;
    char time[TR_HUMAN_MAX], rate[TR_HUMAN_MAX], bytes[TR_HUMAN_MAX];
    fprintf(stderr, "traced %lld checkpoint%s in %s", (long long)(finished - failed),
            finished - failed == 1 ? "" : "s", tr_human_seconds(elapsed, time));
    if (failed)
        fprintf(stderr, ", %lld failed", (long long)failed);
    if (p->job->done_count)
        fprintf(stderr, ", %lld %s already there", (long long)p->job->done_count,
                p->job->done_count == 1 ? "was" : "were");
    if (p->tokens > 0) {
        fprintf(stderr, ": %s tokens/s, %s read", tr_human_count(p->tokens / elapsed, rate),
                tr_human_bytes(p->bytes, bytes));
        fprintf(stderr,
                ", %.3g GFLOP/s (%.0f %% of this machine's sgemm rate), %.0f %% waiting for "
                "the disk",
                p->flops / elapsed / 1e9, 100 * p->flops / elapsed / p->product_rate,
                100 * p->waited / p->seconds);
    }
    fprintf(stderr, "\n%s\n", p->job->options->out);
}
