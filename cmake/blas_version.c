// SPDX-License-Identifier: Apache-2.0
// Run by configuring: prints which BLAS was found. What a BLAS lacks of these is null.
#include <stdio.h>

__attribute__((weak)) const char *bli_info_get_version_str(void);
__attribute__((weak)) char *openblas_get_config(void);
float cblas_sdot(int n, const float *x, int x_stride, const float *y, int y_stride);

int main(void) {
    float one = 1;
    if (bli_info_get_version_str)
        printf("BLIS %s", bli_info_get_version_str());
    else if (openblas_get_config)
        printf("%s", openblas_get_config());
    return cblas_sdot(1, &one, 1, &one, 1) == 1 ? 0 : 1; // the library is linked, and works
}
