// SPDX-License-Identifier: Apache-2.0
// The CUDA backend's handle: device, streams, events, memory, and errors in words.
#include "cuda_backend.h"

#include "lt.h"
#include "page_locked.h"

extern "C" {
#include "reference.h"
}

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kn_status cuda_check(struct kn_backend *self, cudaError_t code, const char *doing) {
    if (code == cudaSuccess)
        return KN_OK;
    snprintf(self->error, sizeof self->error, "%s: %s", doing, cudaGetErrorString(code));
    return KN_EDEVICE;
}

enum kn_status cuda_launched(struct kn_backend *self, const char *kernel) {
    return cuda_check(self, cudaGetLastError(), kernel);
}

static enum kn_status out_of_memory(struct kn_backend *self, size_t bytes) {
    size_t free_bytes = 0, total = 0;
    cudaGetLastError(); // the failed call's, which is no error of the next launch
    cudaMemGetInfo(&free_bytes, &total);
    snprintf(self->error, sizeof self->error, "asked for %.2f GB, %.2f of %.2f GB are free",
             (double)bytes / 1e9, (double)free_bytes / 1e9, (double)total / 1e9);
    return KN_ENOMEM;
}

static enum kn_status cuda_alloc(struct kn_backend *self, void **memory_p, size_t bytes) {
    void *memory = NULL;
    cudaError_t code = cudaMalloc(&memory, bytes ? bytes : 1);
    if (code == cudaErrorMemoryAllocation)
        return out_of_memory(self, bytes);
    KN_TRY(cuda_check(self, code, "cudaMalloc"));
    if (kn_blocks_add(&cuda_of(self)->blocks, self, memory, bytes) != KN_OK) {
        cudaFree(memory);
        return KN_ENOMEM;
    }
    *memory_p = memory;
    return KN_OK;
}

static void cuda_free(struct kn_backend *self, void *memory) {
    kn_blocks_remove(&cuda_of(self)->blocks, self, memory);
    cudaFree(memory);
}

enum kn_status cuda_reserve(struct kn_backend *self, void **memory_p, size_t bytes) {
    struct cuda_backend *cuda = cuda_of(self);
    if (bytes > cuda->scratch_bytes) {
        cuda_free(self, cuda->scratch); // waits for the ops that use it
        cuda->scratch = NULL;
        cuda->scratch_bytes = 0;
        KN_TRY(cuda_alloc(self, &cuda->scratch, bytes));
        cuda->scratch_bytes = bytes;
    }
    *memory_p = cuda->scratch;
    return KN_OK;
}

static enum kn_status cuda_copy(struct kn_backend *self, void *to, const void *from, size_t bytes,
                                enum cudaMemcpyKind kind, cudaStream_t stream) {
    return bytes ? cuda_check(self, cudaMemcpyAsync(to, from, bytes, kind, stream), "copying")
                 : KN_OK;
}

static enum kn_status cuda_upload(struct kn_backend *self, void *to, const void *from,
                                  size_t bytes) {
    return cuda_copy(self, to, from, bytes, cudaMemcpyHostToDevice, cuda_of(self)->ops);
}

static enum kn_status cuda_download(struct kn_backend *self, void *to, const void *from,
                                    size_t bytes) {
    return cuda_copy(self, to, from, bytes, cudaMemcpyDeviceToHost, cuda_of(self)->ops);
}

static enum kn_status cuda_copy_ahead(struct kn_backend *self, void *to, const void *from,
                                      size_t bytes) {
    return cuda_copy(self, to, from, bytes, cudaMemcpyHostToDevice, cuda_of(self)->copies);
}

static enum kn_status cuda_sync(struct kn_backend *self) {
    return cuda_check(self, cudaStreamSynchronize(cuda_of(self)->ops), "waiting for the device");
}

// Called from any thread, so the device is named anew.
static enum kn_status cuda_host_alloc(struct kn_backend *self, void **memory_p, size_t bytes) {
    void *memory = NULL;
    cudaError_t code = cudaSetDevice(cuda_of(self)->device);
    if (code == cudaSuccess)
        code = page_locked_alloc(&memory, bytes);
    if (code == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        snprintf(self->error, sizeof self->error, "%.2f GB of page-locked host memory",
                 (double)bytes / 1e9);
        return KN_ENOMEM;
    }
    KN_TRY(cuda_check(self, code, "cudaHostRegister"));
    *memory_p = memory;
    return KN_OK;
}

static void cuda_host_free(struct kn_backend *self, void *memory) {
    cudaSetDevice(cuda_of(self)->device);
    page_locked_free(memory);
}

static cudaStream_t stream_of(const struct cuda_backend *cuda, enum kn_lane lane) {
    return lane == KN_LANE_OPS ? cuda->ops : cuda->copies;
}

static enum kn_status cuda_record(struct kn_backend *self, enum kn_lane lane, int event) {
    struct cuda_backend *cuda = cuda_of(self);
    return cuda_check(self, cudaEventRecord(cuda->events[event], stream_of(cuda, lane)),
                      "recording an event");
}

static enum kn_status cuda_await(struct kn_backend *self, enum kn_lane lane, int event) {
    struct cuda_backend *cuda = cuda_of(self);
    cudaError_t code = lane == KN_LANE_HOST
                           ? cudaEventSynchronize(cuda->events[event])
                           : cudaStreamWaitEvent(stream_of(cuda, lane), cuda->events[event], 0);
    return cuda_check(self, code, "waiting for the device");
}

static double cuda_lag(struct kn_backend *self, int from, int to) {
    struct cuda_backend *cuda = cuda_of(self);
    float milliseconds = 0;
    bool both =
        cudaEventQuery(cuda->events[from]) == cudaSuccess &&
        cudaEventElapsedTime(&milliseconds, cuda->events[from], cuda->events[to]) == cudaSuccess;
    cudaGetLastError(); // "not ready" is no error of the next launch
    return both && milliseconds > 0 ? 1e-3 * (double)milliseconds : 0;
}

// ---- graphs ------------------------------------------------------------------------------------

struct kn_graph {
    cudaGraphExec_t exec;
    const void *scratch; // that its ops use
};

static enum kn_status cuda_graph_begin(struct kn_backend *self) {
    KN_TRY(cuda_check(self,
                      cudaStreamBeginCapture(cuda_of(self)->ops, cudaStreamCaptureModeThreadLocal),
                      "beginning a graph"));
    cuda_of(self)->makes_graph = true;
    return KN_OK;
}

static enum kn_status cuda_graph_end(struct kn_backend *self, struct kn_graph **graph_p) {
    struct kn_graph *graph = (struct kn_graph *)calloc(1, sizeof *graph);
    cudaGraph_t captured = NULL;
    cuda_of(self)->makes_graph = false;
    cudaError_t code = cudaStreamEndCapture(cuda_of(self)->ops, &captured);
    if (code == cudaSuccess && graph)
        code = cudaGraphInstantiate(&graph->exec, captured, 0);
    if (captured)
        cudaGraphDestroy(captured);
    cudaGetLastError(); // what the capture did not take is no error of the next launch
    if (code != cudaSuccess || !graph) {
        free(graph);
        return code == cudaSuccess ? KN_ENOMEM : cuda_check(self, code, "making a graph");
    }
    graph->scratch = cuda_of(self)->scratch;
    *graph_p = graph;
    return KN_OK;
}

static enum kn_status cuda_graph_run(struct kn_backend *self, struct kn_graph *graph) {
    if (graph->scratch != cuda_of(self)->scratch) {
        snprintf(self->error, sizeof self->error, "the scratch of a graph is no longer there");
        return KN_EDEVICE;
    }
    return cuda_check(self, cudaGraphLaunch(graph->exec, cuda_of(self)->ops), "running a graph");
}

static void cuda_graph_free(struct kn_backend *self, struct kn_graph *graph) {
    if (!graph)
        return;
    cudaStreamSynchronize(cuda_of(self)->ops);
    cudaGraphExecDestroy(graph->exec);
    free(graph);
}

static enum kn_status only_on_hosts(struct kn_backend *self) {
    snprintf(self->error, sizeof self->error,
             "products of vectors with each other are computed on hosts alone");
    return KN_EUNSUPPORTED;
}

static enum kn_status cuda_gram(struct kn_backend *self, const struct kn_gram *op) {
    (void)op;
    return only_on_hosts(self);
}

static enum kn_status cuda_inner_products(struct kn_backend *self,
                                          const struct kn_inner_products *op) {
    (void)op;
    return only_on_hosts(self);
}

static void cuda_close(struct kn_backend *self) {
    struct cuda_backend *cuda = cuda_of(self);
    if (cuda->ops)
        cudaStreamSynchronize(cuda->ops);
    cuda_products_close(cuda);
    cudaFree(cuda->scratch);
    cudaFree(cuda->counts);
    kn_blocks_free(&cuda->blocks);
    for (int i = 0; i < KN_EVENTS; i++)
        if (cuda->events[i])
            cudaEventDestroy(cuda->events[i]);
    if (cuda->copies)
        cudaStreamDestroy(cuda->copies);
    if (cuda->ops)
        cudaStreamDestroy(cuda->ops);
    free(cuda);
}

static const struct kn_ops cuda_ops = {
    .name = "cuda",
    .alloc = cuda_alloc,
    .free = cuda_free,
    .upload = cuda_upload,
    .download = cuda_download,
    .sync = cuda_sync,
    .host_alloc = cuda_host_alloc,
    .host_free = cuda_host_free,
    .copy_ahead = cuda_copy_ahead,
    .record = cuda_record,
    .await = cuda_await,
    .lag = cuda_lag,
    .graph_begin = cuda_graph_begin,
    .graph_end = cuda_graph_end,
    .graph_run = cuda_graph_run,
    .graph_free = cuda_graph_free,
    .close = cuda_close,
    .product = cuda_product,
    .grouped_product = cuda_grouped_product,
    .norm = cuda_norm,
    .head_norm = cuda_head_norm,
    .rope = cuda_rope,
    .attention = cuda_attention,
    .decode_attention = cuda_decode_attention,
    .keep = cuda_keep,
    .head_product = cuda_head_product,
    .convolution = cuda_convolution,
    .scan = cuda_scan,
    .copy_heads = cuda_copy_heads,
    .gate = cuda_gate,
    .scale = cuda_scale,
    .route = cuda_route,
    .gather = cuda_gather,
    .combine = cuda_combine,
    .convert = cuda_convert,
    .embed = cuda_embed,
    .block_end = cuda_block_end,
    .summary = cuda_summary,
    .gram = cuda_gram,
    .inner_products = cuda_inner_products,
    .second_moment = cuda_second_moment,
    .loss = cuda_loss,
    .divergence = cuda_divergence,
    .comparison = cuda_comparison,
    .advance = cuda_advance,
    .diagonal = cuda_diagonal,
    .inverse_factor = cuda_inverse_factor,
    .compensation = cuda_compensation,
    .squared_outputs = cuda_squared_outputs,
};

static enum kn_status set_up_device(struct kn_backend *self) {
    struct cuda_backend *cuda = cuda_of(self);
    struct cudaDeviceProp properties;
    KN_TRY(cuda_check(self, cudaSetDevice(cuda->device), "choosing the device"));
    KN_TRY(cuda_check(self, cudaGetDeviceProperties(&properties, cuda->device),
                      "reading the device's properties"));
    cuda->processors = properties.multiProcessorCount;
    cuda->capability = properties.major * 10 + properties.minor;
    cuda->shared_bytes = properties.sharedMemPerBlockOptin;
    KN_TRY(cuda_check(self, cudaMemGetInfo(&self->memory_free, &self->memory_total),
                      "reading the device's memory"));
    KN_TRY(cuda_check(self, cudaStreamCreateWithFlags(&cuda->ops, cudaStreamNonBlocking),
                      "making a stream"));
    KN_TRY(cuda_check(self, cudaStreamCreateWithFlags(&cuda->copies, cudaStreamNonBlocking),
                      "making a stream"));
    for (int i = 0; i < KN_EVENTS; i++)
        KN_TRY(cuda_check(self, cudaEventCreateWithFlags(&cuda->events[i], cudaEventBlockingSync),
                          "making an event"));
    KN_TRY(self->ops->alloc(self, (void **)&cuda->counts, CUDA_COUNTS * sizeof *cuda->counts));
    KN_TRY(cuda_check(
        self, cudaMemsetAsync(cuda->counts, 0, CUDA_COUNTS * sizeof *cuda->counts, cuda->ops),
        "clearing counts"));
    KN_TRY(cuda_products_open(cuda));
    static const char *const modes[] = {"f32 pedantic", "f16, sums in f32", "bf16, sums in f32"};
    snprintf(self->description, sizeof self->description, "%.60s, cuBLASLt %zu, %s",
             properties.name, lt->version(), modes[self->activation_type]);
    return KN_OK;
}

enum kn_status kn_cuda_open(struct kn_backend **kn_p, const struct kn_options *options) {
    if (options->device >= kn_cuda_device_count()) {
        if (options->error)
            snprintf(options->error, sizeof((struct kn_backend *)0)->error,
                     "there is no CUDA device %d", options->device);
        return KN_EUNSUPPORTED;
    }
    struct cuda_backend *cuda = (struct cuda_backend *)calloc(1, sizeof *cuda);
    if (!cuda)
        return KN_ENOMEM;
    cuda->table = cuda_ops;
    cuda->device = options->device;
    cuda->base.ops = &cuda->table;
    cuda->base.activation_type = options->type;
    cuda->base.threads = 1;
    enum kn_status status = set_up_device(&cuda->base);
    if (status == KN_OK) {
        *kn_p = &cuda->base;
        return KN_OK;
    }
    if (options->error)
        memcpy(options->error, cuda->base.error, sizeof cuda->base.error);
    cuda_close(&cuda->base);
    return status;
}

int kn_cuda_device_count(void) {
    int count = 0;
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

void kn_cuda_prepare(void) {
    int count = kn_cuda_device_count();
    if (count == 1 && cudaSetDevice(0) == cudaSuccess)
        cudaFree(NULL); // makes the context
    if (count > 0)
        lt_map();
}

enum kn_status kn_cuda_device_describe(struct kn_device *device, int index) {
    struct cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess)
        return KN_EDEVICE;
    *device = {};
    snprintf(device->name, sizeof device->name, "%.63s", properties.name);
    static_assert(sizeof device->identity == sizeof properties.uuid, "a UUID has 16 bytes");
    memcpy(device->identity, &properties.uuid, sizeof device->identity);
    return KN_OK;
}
