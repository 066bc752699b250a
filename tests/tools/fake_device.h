// SPDX-License-Identifier: Apache-2.0
#ifndef FAKE_DEVICE_H
#define FAKE_DEVICE_H

#include "kernels/few_bits.h"
#include "kernels/measure.h"

// A device for tests without one: the CPU backend behind two lanes of queued work. Its memory
// cannot be touched by the host. What was not waited for has not happened, or has happened too
// early:
//   FAKE_LATE_COPIES   ops run when they are called, copies ahead when they are awaited; until then
//                      their destination holds NaN
//   FAKE_LATE_OPS      copies ahead run when they are called, ops when they are awaited; until then
//                      the destination of a download holds NaN
//   FAKE_LATE_ALL      both run when they are awaited
enum fake_order { FAKE_LATE_COPIES, FAKE_LATE_OPS, FAKE_LATE_ALL };

// Close with kn->ops->close(kn). NULL when there is no memory.
struct kn_backend *fake_device_open(enum fake_order order);

// From now on host_alloc gives no more than so many bytes in all.
void fake_device_limit_host(struct kn_backend *kn, size_t bytes);

#endif
