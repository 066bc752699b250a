// SPDX-License-Identifier: Apache-2.0
#include "hopper_maps.h"

#include <cudaTypedefs.h>

static enum kn_status find_encoder(struct kn_backend *self,
                                   PFN_cuTensorMapEncodeTiled_v12000 *encode_p) {
    void *function = NULL;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    KN_TRY(cuda_check(self,
                      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                       cudaEnableDefault, &found),
                      "looking for cuTensorMapEncodeTiled"));
    if (!function || found != cudaDriverEntryPointSuccess)
        return cuda_check(self, cudaErrorSymbolNotFound, "looking for cuTensorMapEncodeTiled");
    *encode_p = (PFN_cuTensorMapEncodeTiled_v12000)function;
    return KN_OK;
}

enum kn_status hopper_map(struct kn_backend *self, CUtensorMap *map,
                          const struct hopper_tensor *tensor) {
    PFN_cuTensorMapEncodeTiled_v12000 encode = NULL;
    KN_TRY(find_encoder(self, &encode));
    const cuuint64_t *sizes = (const cuuint64_t *)tensor->sizes;
    const cuuint64_t *strides = (const cuuint64_t *)tensor->strides;
    const cuuint32_t steps[4] = {1, 1, 1, 1};
    CUtensorMapDataType type =
        tensor->type == KN_F16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    CUresult result =
        encode(map, type, 4, const_cast<void *>(tensor->data), sizes, strides, tensor->box, steps,
               CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    return result == CUDA_SUCCESS
               ? KN_OK
               : cuda_check(self, cudaErrorInvalidValue, "describing a tensor to the copy engine");
}
