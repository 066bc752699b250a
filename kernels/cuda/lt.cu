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

enum kn_status lt_check(struct kn_backend *self, cublasStatus_t code, const char *doing) {
    if (code == CUBLAS_STATUS_SUCCESS)
        return KN_OK;
    snprintf(self->error, sizeof self->error, "%s: %s", doing, lt->status_name(code));
    return KN_EDEVICE;
}

enum kn_status lt_wish(struct kn_backend *self, cublasLtMatmulPreference_t *wish_p,
                       size_t workspace, const uint32_t alignment[3]) {
    static const char doing[] = "choosing an algorithm";
    const uint64_t bytes = workspace;
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_NONE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t size;
    } wishes[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes},
                  {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment[0], sizeof *alignment},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &alignment[1], sizeof *alignment},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &alignment[2], sizeof *alignment},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &alignment[2], sizeof *alignment}};
    KN_TRY(lt_check(self, lt->preference_create(wish_p), doing));
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++)
        KN_TRY(lt_check(
            self, lt->preference_set(*wish_p, wishes[i].attribute, wishes[i].value, wishes[i].size),
            doing));
    return KN_OK;
}
