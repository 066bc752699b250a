// SPDX-License-Identifier: Apache-2.0
#ifndef TR_BACKEND_STATUS_H
#define TR_BACKEND_STATUS_H

#include "base/status.h"
#include "kernels/backend.h"

// A status of the kernels as a sentence, once.
enum tr_status tr_kernel_failed(const struct kn_backend *kn, enum kn_status status,
                                const char *doing, struct tr_err *err);
#define KN_TRY_ON(kn, call, doing)                                                                 \
    do {                                                                                           \
        enum kn_status kn_try_status_ = (call);                                                    \
        if (kn_try_status_ != KN_OK)                                                               \
            return tr_kernel_failed((kn), kn_try_status_, (doing), err);                           \
    } while (0)

#endif
