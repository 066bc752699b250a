// SPDX-License-Identifier: Apache-2.0
// What the BLAS is told before its first product, and what it says of itself.
#include <stdio.h>
#include <stdlib.h>

#include "cpu.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

// What BLIS and OpenBLAS offer beyond CBLAS; null where another library is linked.
__attribute__((weak)) void bli_thread_set_num_threads(int64_t threads);
__attribute__((weak)) const char *bli_info_get_version_str(void);
__attribute__((weak)) void openblas_set_num_threads(int threads);
__attribute__((weak)) char *openblas_get_config(void);

// ---- kernels -----------------------------------------------------------------------------------

#ifdef __x86_64__
// Models of Intel's family 6 whose every processor multiplies 512 bits in two units: Ice Lake,
// Sapphire Rapids, Emerald Rapids and Granite Rapids of servers.
static bool has_two_units(unsigned model) {
    static const unsigned models[] = {0x6a, 0x6c, 0x8f, 0xcf, 0xad, 0xae};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (models[i] == model)
            return true;
    return false;
}

// The family and model as the processor counts them (Intel's manual 2A, CPUID leaf 1).
static bool is_fast_at_512(void) {
    unsigned a, b, c, d;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") ||
        !__get_cpuid(1, &a, &b, &c, &d))
        return false;
    unsigned family = (a >> 8 & 15) + (a >> 20 & 255), model = (a >> 4 & 15) | (a >> 12 & 240);
    return __builtin_cpu_is("intel") ? family == 6 && has_two_units(model)
                                     : __builtin_cpu_is("amd") && family >= 0x19;
}
#else
static bool is_fast_at_512(void) {
    return false;
}
#endif

// BLIS up to 2 counts the units of 512 bits by the processor's brand, which virtual machines do not
// tell, and knows no AMD processor after Zen 3: it then takes kernels of half the width, or plain
// C. Whoever sets the variable chooses. (0.9 reads a number there, of which "skx" is 0: the same.)
static void choose_kernels(void) {
    const char *version = bli_info_get_version_str ? bli_info_get_version_str() : "";
    if (*version >= '0' && *version <= '2' && is_fast_at_512())
        setenv("BLIS_ARCH_TYPE", "skx", 0); // where it fails, products are slower
}

// ---- threads and names -------------------------------------------------------------------------

void cpu_prepare_blas(void) {
    choose_kernels();
    if (bli_thread_set_num_threads)
        bli_thread_set_num_threads(1);
    else if (openblas_set_num_threads)
        openblas_set_num_threads(1);
}

void cpu_describe_blas(struct kn_backend *kn) {
    const char *blas = "CBLAS", *version = "";
    if (bli_info_get_version_str) {
        blas = "BLIS";
        version = bli_info_get_version_str();
    } else if (openblas_get_config) {
        version = openblas_get_config();
    }
    snprintf(kn->description, sizeof kn->description, "%s %s", blas, version);
}
