// SPDX-License-Identifier: Apache-2.0
// Conformance of one backend, named on the command line with the type of its activations: every op
// against the same formula in long double, on odd shapes, with guard bands around all memory. Exits
// with 77 when the build or the machine lacks it.
#include <stdio.h>
#include <string.h>

#include "support.h"

static const char *const kinds[] = {
    [KN_REFERENCE] = "reference", [KN_CPU] = "cpu", [KN_CUDA] = "cuda"};
static const char *const types[] = {[KN_F32] = "f32", [KN_F16] = "f16", [KN_BF16] = "bf16"};

// The index of a name, `count` when there is none.
static size_t find(const char *const *names, size_t count, const char *name) {
    size_t i = 0;
    while (i < count && strcmp(name, names[i]) != 0)
        i++;
    return i;
}

int main(int count, char **arguments) {
    size_t kind = count > 1 ? find(kinds, TEST_ARRAY_SIZE(kinds), arguments[1]) : SIZE_MAX;
    size_t type = count > 2 ? find(types, TEST_ARRAY_SIZE(types), arguments[2]) : KN_F32;
    if (count > 3 || kind >= TEST_ARRAY_SIZE(kinds) || type == TEST_ARRAY_SIZE(types)) {
        fprintf(stderr, "usage: test_ops reference|cpu|cuda [f32|f16|bf16]\n");
        return 2;
    }
    test_kind = (enum kn_kind)kind;
    test_type = (enum kn_type)type;
    char error[256];
    struct kn_options options = {.threads = 2, .type = test_type, .error = error};
    enum kn_status status = kn_open(&kn, test_kind, &options);
    if (status != KN_OK) {
        fprintf(stderr, "%s: %s: %s\n", kinds[kind], kn_status_text(status), error);
        return status == KN_EUNSUPPORTED ? 77 : 1;
    }
    int failed = test_products() + test_attention() + test_cached_attention() + test_norms() +
                 test_heads() + test_scans() + test_elementwise() + test_routing() + test_moves() +
                 test_statistics() + test_second_moments() + test_few_bits() + test_block_ends() +
                 test_summary() + test_loss() + test_divergence() + test_steps() + test_memory() +
                 test_threads();
    kn->ops->close(kn);
    return failed != 0;
}
