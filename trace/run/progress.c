// SPDX-License-Identifier: Apache-2.0
#include "run/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"
#include "base/strings.h"
#include "base/wrap.h"

enum { COLUMNS = 80 };

// Columns of the terminal behind a stream, at most COLUMNS; 0 when it is no terminal.
static int terminal_columns(FILE *stream) {
    struct winsize size;
    if (isatty(fileno(stream)) != 1)
        return 0;
    bool narrow =
        ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_col < COLUMNS;
    return narrow ? size.ws_col : COLUMNS;
}

void tr_say(FILE *stream, const char *text) {
    const struct tr_wrap wrap = {.width = terminal_columns(stream), .indent = 2};
    struct tr_string lines = {0};
    const char *left = text;
    enum tr_status status = TR_OK;
    while (wrap.width && *left && status == TR_OK) {
        size_t size = strcspn(left, "\n"), end = left[size] == '\n';
        status = tr_wrap_words(&lines, left, size, &wrap, NULL);
        if (status == TR_OK)
            status = tr_string_append(&lines, "\n", end, NULL);
        left += size + end;
    }
    if (!wrap.width)
        status = tr_string_append(&lines, text, strlen(text), NULL);
    if (lines.size && status == TR_OK)
        fwrite(lines.data, 1, tr_printable(lines.data, lines.size, "\n"), stream);
    tr_string_free(&lines);
}

void tr_progress_start(struct tr_progress *p, const struct tr_job *job) {
    *p = (struct tr_progress){.job = job, .start = tr_now(), .last_shown = tr_now()};
    p->stream = job->settings->messages;
    p->terminal = isatty(fileno(p->stream)) == 1;
    for (int64_t i = 0; i < job->todo_count; i++)
        tr_progress_plan(p, tr_job_is_traced(job, i));
}

void tr_progress_plan(struct tr_progress *p, bool traced) {
    p->planned++;
    p->all_tokens += tr_job_tokens(p->job, traced);
}

static void clear_line(struct tr_progress *p) {
    if (p->line_shown)
        fputs("\r\033[K", p->stream);
    p->line_shown = false;
}

void tr_progress_note(struct tr_progress *p, const char *text) {
    clear_line(p);
    tr_say(p->stream, text);
    fputc('\n', p->stream);
}

void tr_progress_add(struct tr_progress *p, const struct tr_message *message) {
    if (*message->note && p->job->settings->verbose)
        tr_progress_note(p, message->note);
    p->seconds += message->seconds;
    p->bytes += message->bytes;
    p->flops += message->flops;
    p->tokens += message->tokens;
    p->waited += message->waited;
    p->blocks_done += message->blocks_done;
    p->blocks_whole += message->blocks_whole;
}

void tr_progress_begun(struct tr_progress *p) {
    if (p->first_slab == 0)
        p->first_slab = tr_now();
}

static enum tr_status say_checkpoint(struct tr_string *text, const char *name,
                                     const struct tr_message *message) {
    if (message->vanished)
        return tr_string_format(text, NULL, "%s vanished or was written anew before it was traced",
                                name);
    if (message->status != TR_OK)
        return tr_string_format(text, NULL, "%s failed: %s", name, message->text);
    return tr_string_format(text, NULL, "%s traced in %.3f s, %.3f s of them waiting for weights",
                            name, message->seconds, message->waited);
}

void tr_progress_checkpoint(struct tr_progress *p, const char *name,
                            const struct tr_message *message) {
    struct tr_string text = {0};
    p->planned -= message->vanished;
    p->finished += !message->vanished;
    p->failed += message->status != TR_OK && !message->vanished;
    p->last_commit = tr_now();
    if (message->status == TR_OK && !p->job->settings->verbose)
        return;
    clear_line(p);
    if (say_checkpoint(&text, name, message) == TR_OK) {
        tr_printable(text.data, text.size, ""); // a line end in a name is none of ours
        tr_progress_note(p, text.data);
    }
    tr_string_free(&text);
}

void tr_progress_show(struct tr_progress *p) {
    const struct tr_run_settings *settings = p->job->settings;
    int64_t period = settings->progress_seconds;
    if (period < 0)
        period = p->terminal ? 1 : 30;
    double now = tr_now(), elapsed = now - p->start;
    if (settings->quiet || period == 0 || now - p->last_shown < (double)period)
        return;
    p->last_shown = now;
    char rate[TR_HUMAN_MAX], left[TR_HUMAN_MAX], time[TR_TIME_MAX], line[160];
    // By tokens, so that the pieces of a split checkpoint count as they come.
    double all =
        p->all_tokens * (double)(p->planned - p->failed) / (double)(p->planned ? p->planned : 1);
    double done = p->tokens + p->partial, speed = done / elapsed;
    double rest = all > done ? all - done : 0;
    clear_line(p);
    snprintf(line, sizeof line, "%lld of %lld checkpoints, %s tokens/s, %s left",
             (long long)p->finished, (long long)p->planned, tr_human_count(speed, rate),
             tr_human_seconds(rest / speed, left));
    if (p->job->settings->follow) // it has waited, too
        snprintf(line, sizeof line, "%lld checkpoints traced, %lld in hand, more may come",
                 (long long)p->finished, (long long)(p->planned - p->finished));
    if (p->terminal) // a line that wrapped could not be cleared
        fprintf(p->stream, "%.*s", terminal_columns(p->stream) - 1, line);
    else
        fprintf(p->stream, "[%s] %s\n", tr_time_iso(time), line);
    p->line_shown = p->terminal;
}

double tr_progress_seconds(const struct tr_progress *p) {
    return p->finished > 0 ? p->seconds / (double)p->finished : 0;
}

static enum tr_status summary(const struct tr_progress *p, int64_t finished, int64_t failed,
                              struct tr_string *text) {
    double elapsed = tr_now() - p->start;
    char time[TR_HUMAN_MAX], rate[TR_HUMAN_MAX], bytes[TR_HUMAN_MAX];
    TR_TRY(tr_string_format(text, NULL, "traced %lld checkpoint%s in %s",
                            (long long)(finished - failed), finished - failed == 1 ? "" : "s",
                            tr_human_seconds(elapsed, time)));
    if (failed)
        TR_TRY(tr_string_format(text, NULL, ", %lld failed", (long long)failed));
    if (p->job->done_count)
        TR_TRY(tr_string_format(text, NULL, ", %lld were already there",
                                (long long)p->job->done_count));
    if (finished < p->planned)
        TR_TRY(tr_string_format(text, NULL, ", %lld of %lld left for the same command",
                                (long long)(p->planned - finished),
                                (long long)(p->planned + p->job->done_count)));
    if (p->tokens > 0)
        TR_TRY(tr_string_format(text, NULL, ": %s tokens/s, %s read, %.3g GFLOP/s",
                                tr_human_count(p->tokens / elapsed, rate),
                                tr_human_bytes(p->bytes, bytes), p->flops / elapsed / 1e9));
    if (p->tokens > 0 && p->product_rate > 0)
        TR_TRY(tr_string_format(text, NULL, " (%.0f %% of this machine's %s rate)",
                                100 * p->flops / elapsed / p->product_rate,
                                p->job->device == KN_CUDA ? "product" : "sgemm"));
    if (p->tokens > 0 && p->seconds > 0)
        TR_TRY(tr_string_format(text, NULL, ", %.0f %% waiting for weights",
                                100 * p->waited / p->seconds));
    if (p->blocks_whole > 0)
        TR_TRY(tr_string_format(text, NULL,
                                "; costs took %.3f of the work of the blocks in as many whole "
                                "forward passes",
                                p->blocks_done / p->blocks_whole));
    return tr_string_format(text, NULL, "\n");
}

// Without start-up and publishing: what more ranks make shorter.
static void say_span(struct tr_progress *p) {
    char text[160];
    if (!p->job->settings->verbose || p->first_slab == 0 || p->last_commit == 0)
        return;
    snprintf(text, sizeof text,
             "computed for %.3f s, from the first slab, %.3f s after the start, to the last commit",
             p->last_commit - p->first_slab, p->first_slab - p->start);
    tr_progress_note(p, text);
}

void tr_progress_end(struct tr_progress *p, int64_t finished, int64_t failed) {
    clear_line(p);
    say_span(p);
    struct tr_string text = {0};
    if (p->job->settings->quiet)
        return;
    if (summary(p, finished, failed, &text) == TR_OK)
        tr_say(p->stream, text.data);
    tr_string_free(&text);
    tr_progress_note(p, p->job->settings->out);
}
