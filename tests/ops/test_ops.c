// SPDX-License-Identifier: Apache-2.0
// Conformance of one backend, named on the command line: every op against the same formula in long
// double, on odd shapes, with guard bands around all memory. Exits with 77 when the build lacks it.
#include "support.h"

#include <stdio.h>
#include <string.h>

int main(int count, char **arguments) {
    static const char *const names[] = {
        [KN_REFERENCE] = "reference", [KN_CPU] = "cpu", [KN_CUDA] = "cuda"};
    int kind = 0;
    while (kind < 3 && (count != 2 || strcmp(arguments[1], names[kind]) != 0)) {
        kind++;
    }
    if (kind == 3) {
        fprintf(stderr, "usage: test_ops reference|cpu|cuda\n");
        return 2;
    }
    test_kind = (enum kn_kind)kind;
    enum kn_status status = kn_open(&kn, test_kind, 2);
    if (status != KN_OK) {
        fprintf(stderr, "%s: %s\n", names[kind], kn_status_text(status));
        return status == KN_EUNSUPPORTED ? 77 : 1;
    }
    int failed = test_products() + test_attention() + test_norms() + test_heads() +
                 test_elementwise() + test_moves() + test_statistics() + test_loss() +
                 test_threads();
    kn->ops->close(kn);
    return failed != 0;
}
