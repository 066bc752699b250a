// SPDX-License-Identifier: Apache-2.0
#include "try_apart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hdf5_util.h"

// Seconds of a processor: some, and one for every 8 MiB.
enum { SECONDS = 5, BYTES_PER_SECOND = 8 << 20 };

// What a crash would print or leave is of no use to anyone.
static void be_quiet(uint64_t bytes) {
    static const int deadly[] = {SIGSEGV, SIGBUS,  SIGABRT, SIGFPE,
                                 SIGILL,  SIGXCPU, SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        signal(deadly[i], SIG_DFL);
    rlim_t seconds = (rlim_t)(SECONDS + bytes / BYTES_PER_SECOND);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_CPU, &(struct rlimit){seconds, seconds + 1});
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nowhere >= 0) {
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
    }
}

static _Noreturn void child(enum tr_status (*work)(const char *path, struct tr_err *err),
                            const char *path, uint64_t bytes, int answer) {
    struct tr_err err = {0};
    tr_hdf5_forked();
    be_quiet(bytes);
    err.code = work(path, &err);
    ssize_t put = write(answer, &err, sizeof err); // fits into a pipe at once
    _exit(put == (ssize_t)sizeof err ? 0 : 1);
}

// False when the child ended without an answer.
static bool read_answer(int fd, struct tr_err *answer) {
    size_t size = 0;
    while (size < sizeof *answer) {
        ssize_t got = read(fd, (char *)answer + size, sizeof *answer - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        size += (size_t)got;
    }
    answer->text[sizeof answer->text - 1] = 0;
    return true;
}

static enum tr_status wait_for(pid_t pid, int fd, const char *path, struct tr_err *err) {
    struct tr_err answer;
    int how = 0;
    bool answered = read_answer(fd, &answer);
    while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
        continue;
    if (answered)
        return answer.code == TR_OK ? TR_OK : tr_fail(err, answer.code, "%s", answer.text);
    bool endless = WIFSIGNALED(how) && (WTERMSIG(how) == SIGXCPU || WTERMSIG(how) == SIGKILL);
    return tr_fail(err, TR_EFORMAT, "%s is damaged: the HDF5 library %s over it", path,
                   endless ? "never ends" : "crashes");
}

enum tr_status tr_try_apart(enum tr_status (*work)(const char *path, struct tr_err *err),
                            const char *path, uint64_t bytes, struct tr_err *err) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return tr_fail(err, TR_ENVIRONMENT, "cannot examine %s: %s", path, strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        child(work, path, bytes, ends[1]);
    int reason = errno;
    close(ends[1]);
    enum tr_status status =
        pid < 0 ? tr_fail(err, TR_ENVIRONMENT, "cannot examine %s: %s", path, strerror(reason))
                : wait_for(pid, ends[0], path, err);
    close(ends[0]);
    return status;
}
