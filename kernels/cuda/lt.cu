// SPDX-License-Identifier: Apache-2.0
#include "lt.h"

#include <dlfcn.h>
#include <stdio.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define SONAME "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR)

static struct lt_functions functions;
const struct lt_functions *lt = &functions;

static const struct {
    const char *name;
    void *entry;
} entries[] = {{"cublasLtGetVersion", &functions.version},
               {"cublasLtCreate", &functions.create},
               {"cublasLtDestroy", &functions.destroy},
               {"cublasLtGetStatusName", &functions.status_name},
               {"cublasLtMatmul", &functions.matmul},
               {"cublasLtMatmulAlgoGetHeuristic", &functions.heuristic},
               {"cublasLtMatmulDescCreate", &functions.desc_create},
               {"cublasLtMatmulDescDestroy", &functions.desc_destroy},
               {"cublasLtMatmulDescSetAttribute", &functions.desc_set},
               {"cublasLtMatrixLayoutCreate", &functions.layout_create},
               {"cublasLtMatrixLayoutDestroy", &functions.layout_destroy},
               {"cublasLtMatrixLayoutSetAttribute", &functions.layout_set},
               {"cublasLtMatmulPreferenceCreate", &functions.preference_create},
               {"cublasLtMatmulPreferenceDestroy", &functions.preference_destroy},
               {"cublasLtMatmulPreferenceSetAttribute", &functions.preference_set}};

// By the loader's search path, then where the build found it.
static void *open_library(void) {
    void *library = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
    return library ? library : dlopen(KN_CUBLAS_FOLDER "/" SONAME, RTLD_NOW | RTLD_LOCAL);
}

void lt_map(void) {
    open_library();
}

enum kn_status lt_load(struct kn_backend *self) {
    void *library = open_library();
    if (!library) {
        snprintf(self->error, sizeof self->error, "%s", dlerror());
        return KN_EDEVICE;
    }
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        void *symbol = dlsym(library, entries[i].name);
        if (!symbol) {
            snprintf(self->error, sizeof self->error, "%s has no %s", SONAME, entries[i].name);
            return KN_EDEVICE;
        }
        *(void **)entries[i].entry = symbol;
    }
    return KN_OK;
}
