// SPDX-License-Identifier: Apache-2.0
// trace-ckpts on a machine that seems to have devices: linked so that the functions of
// kernels/backend.h that find and open devices are these. FAKE_DEVICES names the ones that this
// process sees, a letter each ("ab"): the same letter in two processes is the same device. Each has
// FAKE_MEMORY bytes (default: 8e9).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_device.h"

int __real_kn_device_count(void);
enum kn_status __real_kn_open(struct kn_backend **kn_p, enum kn_kind kind,
                              const struct kn_options *options);
int __wrap_kn_device_count(void);
enum kn_status __wrap_kn_device_describe(struct kn_device *device, int index);
enum kn_status __wrap_kn_open(struct kn_backend **kn_p, enum kn_kind kind,
                              const struct kn_options *options);
double __wrap_kn_product_seconds(struct kn_backend *kn, int64_t n, int64_t m, int64_t k);

// The product by which a device is measured is far too large for a CPU that plays one.
double __wrap_kn_product_seconds(struct kn_backend *kn, int64_t n, int64_t m, int64_t k) {
    (void)kn;
    return 2e-11 * (double)n * (double)m * (double)k;
}

static const char *visible(void) {
    const char *names = getenv("FAKE_DEVICES");
    return names ? names : "";
}

int __wrap_kn_device_count(void) {
    return (int)strlen(visible());
}

enum kn_status __wrap_kn_device_describe(struct kn_device *device, int index) {
    if (index >= __wrap_kn_device_count()) {
        return KN_EDEVICE;
    }
    *device = (struct kn_device){.name = "fake"};
    memset(device->identity, visible()[index], sizeof device->identity);
    return KN_OK;
}

enum kn_status __wrap_kn_open(struct kn_backend **kn_p, enum kn_kind kind,
                              const struct kn_options *options) {
    const char *memory = getenv("FAKE_MEMORY");
    if (kind != KN_CUDA) {
        return __real_kn_open(kn_p, kind, options);
    }
    if (options->device >= __wrap_kn_device_count() || options->type != KN_F32) {
        return KN_EUNSUPPORTED;
    }
    *kn_p = fake_device_open(FAKE_LATE_ALL);
    if (!*kn_p) {
        return KN_ENOMEM;
    }
    (*kn_p)->memory_free = (*kn_p)->memory_total = memory ? strtoull(memory, NULL, 10) : 8000000000;
    return KN_OK;
}
