// SPDX-License-Identifier: Apache-2.0
#ifndef KN_BACKEND_H
#define KN_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A backend: a table of entries for its memory, its order of work and its ops, behind a handle.
// Plain-C reference entries are always present, a backend overrides what it does better. What the
// ops compute stands in kernels/ops.h and kernels/measure.h. This folder knows no model and no MPI.

enum kn_status {
    KN_OK = 0,
    KN_ENOMEM = -1,       // the backend has no memory left
    KN_ESHAPE = -2,       // operands disagree in shape or type
    KN_EUNSUPPORTED = -3, // the backend does not offer this type, option or size
    KN_EDEVICE = -4,      // the device or its library failed; the handle's error says how
};

const char *kn_status_text(enum kn_status status);

enum kn_type { KN_F32, KN_F16, KN_BF16 };

// Bytes of one element, and "f32", "f16", "bf16".
size_t kn_type_size(enum kn_type type);
const char *kn_type_name(enum kn_type type);

// Converts `count` elements between types in host memory, rounding to nearest even.
void kn_convert(void *to, enum kn_type to_type, const void *from, enum kn_type from_type,
                int64_t count);

// Lanes are orders in which work is done. Ops, uploads and downloads are done in one lane, in the
// order of the calls. Copies ahead have another lane, so that weights arrive while ops compute. The
// host is the third. Events, which are small integers, tie lanes together: `record` marks what a
// lane has been given so far, and `await` lets a lane go on only when that is done. An event that
// was never recorded is not waited for.
enum kn_lane { KN_LANE_OPS, KN_LANE_COPIES, KN_LANE_HOST };
enum { KN_EVENTS = 16 };

struct kn_backend;
struct kn_graph;

// The ops' operands, as kernels/ops.h and kernels/measure.h have them.
struct kn_product;
struct kn_grouped_product;
struct kn_norm;
struct kn_head_norm;
struct kn_rope;
struct kn_attention;
struct kn_decode_attention;
struct kn_keep;
struct kn_head_product;
struct kn_convolution;
struct kn_scan;
struct kn_copy_heads;
struct kn_gate;
struct kn_scale;
struct kn_route;
struct kn_gather;
struct kn_combine;
struct kn_conversion;
struct kn_embed;
struct kn_block_end;
struct kn_summary;
struct kn_gram;
struct kn_inner_products;
struct kn_second_moment;
struct kn_diagonal;
struct kn_inverse_factor;
struct kn_compensation;
struct kn_squared_outputs;
struct kn_loss;
struct kn_divergence;
struct kn_comparison;
struct kn_advance;

// The table. `self` is the handle; entries are never NULL.
struct kn_ops {
    const char *name;
    // Memory of the backend, 64-byte aligned; upload and download copy from and to host memory.
    enum kn_status (*alloc)(struct kn_backend *self, void **memory_p, size_t bytes);
    void (*free)(struct kn_backend *self, void *memory);
    enum kn_status (*upload)(struct kn_backend *self, void *to, const void *from, size_t bytes);
    enum kn_status (*download)(struct kn_backend *self, void *to, const void *from, size_t bytes);
    enum kn_status (*sync)(struct kn_backend *self);
    // Host memory for copies that overlap with ops: page-locked where the backend has a device.
    // From any thread.
    enum kn_status (*host_alloc)(struct kn_backend *self, void **memory_p, size_t bytes);
    void (*host_free)(struct kn_backend *self, void *memory);
    // An upload in KN_LANE_COPIES; `from` is host_alloc's and stays as it is until the copy is
    // done.
    enum kn_status (*copy_ahead)(struct kn_backend *self, void *to, const void *from, size_t bytes);
    enum kn_status (*record)(struct kn_backend *self, enum kn_lane lane, int event);
    enum kn_status (*await)(struct kn_backend *self, enum kn_lane lane, int event);
    // Seconds from event `from` to event `to`, which is done; 0 where `from` is not done yet or
    // came later, and where no times are kept.
    double (*lag)(struct kn_backend *self, int from, int to);
    // Ops that are called from graph_begin to graph_end are not done but become a graph, which
    // graph_run does as often as it is called, in KN_LANE_OPS: the same ops on the same operands,
    // without the host's part in calling them. Meanwhile nothing else may be called, and no op may
    // need what an earlier call outside of a graph has not made ready (scratch, choices by shape).
    // graph_end gives no graph where an op failed. KN_EUNSUPPORTED from graph_begin where a backend
    // has no graphs.
    enum kn_status (*graph_begin)(struct kn_backend *self);
    enum kn_status (*graph_end)(struct kn_backend *self, struct kn_graph **graph_p);
    enum kn_status (*graph_run)(struct kn_backend *self, struct kn_graph *graph);
    void (*graph_free)(struct kn_backend *self, struct kn_graph *graph); // accepts NULL
    void (*close)(struct kn_backend *self);

    // kernels/ops.h
    enum kn_status (*product)(struct kn_backend *self, const struct kn_product *op);
    enum kn_status (*grouped_product)(struct kn_backend *self, const struct kn_grouped_product *op);
    enum kn_status (*norm)(struct kn_backend *self, const struct kn_norm *op);
    enum kn_status (*head_norm)(struct kn_backend *self, const struct kn_head_norm *op);
    enum kn_status (*rope)(struct kn_backend *self, const struct kn_rope *op);
    enum kn_status (*attention)(struct kn_backend *self, const struct kn_attention *op);
    enum kn_status (*decode_attention)(struct kn_backend *self,
                                       const struct kn_decode_attention *op);
    enum kn_status (*keep)(struct kn_backend *self, const struct kn_keep *op);
    enum kn_status (*head_product)(struct kn_backend *self, const struct kn_head_product *op);
    enum kn_status (*convolution)(struct kn_backend *self, const struct kn_convolution *op);
    enum kn_status (*scan)(struct kn_backend *self, const struct kn_scan *op);
    enum kn_status (*copy_heads)(struct kn_backend *self, const struct kn_copy_heads *op);
    enum kn_status (*gate)(struct kn_backend *self, const struct kn_gate *op);
    enum kn_status (*scale)(struct kn_backend *self, const struct kn_scale *op);
    enum kn_status (*route)(struct kn_backend *self, const struct kn_route *op);
    enum kn_status (*gather)(struct kn_backend *self, const struct kn_gather *op);
    enum kn_status (*combine)(struct kn_backend *self, const struct kn_combine *op);
    enum kn_status (*convert)(struct kn_backend *self, const struct kn_conversion *op);
    enum kn_status (*embed)(struct kn_backend *self, const struct kn_embed *op);

    // kernels/measure.h
    enum kn_status (*block_end)(struct kn_backend *self, const struct kn_block_end *op);
    enum kn_status (*summary)(struct kn_backend *self, const struct kn_summary *op);
    enum kn_status (*gram)(struct kn_backend *self, const struct kn_gram *op);
    enum kn_status (*inner_products)(struct kn_backend *self, const struct kn_inner_products *op);
    enum kn_status (*second_moment)(struct kn_backend *self, const struct kn_second_moment *op);
    enum kn_status (*loss)(struct kn_backend *self, const struct kn_loss *op);
    enum kn_status (*divergence)(struct kn_backend *self, const struct kn_divergence *op);
    enum kn_status (*comparison)(struct kn_backend *self, const struct kn_comparison *op);
    enum kn_status (*advance)(struct kn_backend *self, const struct kn_advance *op);

    // kernels/few_bits.h
    enum kn_status (*diagonal)(struct kn_backend *self, const struct kn_diagonal *op);
    enum kn_status (*inverse_factor)(struct kn_backend *self, const struct kn_inverse_factor *op);
    enum kn_status (*compensation)(struct kn_backend *self, const struct kn_compensation *op);
    enum kn_status (*squared_outputs)(struct kn_backend *self, const struct kn_squared_outputs *op);
};

// A handle: the table first, so that callers write kn->ops->product(kn, &op).
struct kn_backend {
    const struct kn_ops *ops;
    enum kn_type activation_type;     // what norm, product, attention and gate write
    bool unified;                     // backend memory is host memory: no upload needed
    int threads;                      // host threads used, 1 on a device
    size_t memory_free, memory_total; // bytes of the device when it was opened; 0: the host's own
    size_t memory_used, memory_peak;  // bytes that alloc has given, and the most since the caller
                                      // set the peak to what was used
    char description[128];            // library, kernel family, version: recorded with the results
    char error[256];                  // the last KN_EDEVICE in words, "" if none
};

enum kn_kind { KN_REFERENCE, KN_CPU, KN_CUDA };

struct kn_options {
    int threads;       // of the host; 0: as many as the affinity mask allows
    enum kn_type type; // of activations; host backends know KN_F32 alone
    int device;        // index among the visible ones
    char *error;       // [256], why opening failed, in words; or NULL
};

// Opens a backend; options may be NULL: all zero. KN_EUNSUPPORTED when this build lacks the kind or
// the type. Close with kn->ops->close(kn).
enum kn_status kn_open(struct kn_backend **kn_p, enum kn_kind kind,
                       const struct kn_options *options);

// Devices that this build and this machine offer; 0 without CUDA or without a driver.
int kn_device_count(void);

// Begins, in a thread of its own, what opening a backend of a kind takes whatever its options are:
// driver and libraries, and the context where there is one device. Meanwhile the program does other
// things. A hint: what fails there fails in kn_open again, which says why. Before a program ends,
// kn_prepare_end waits for it. Both from one thread.
void kn_prepare(enum kn_kind kind);
void kn_prepare_end(void);

// One of them. `identity` is its UUID (of a part of a divided device, the part's), the same in
// every process that sees it, whatever its index there.
struct kn_device {
    char name[64];
    unsigned char identity[16];
};
// KN_EUNSUPPORTED without CUDA, KN_EDEVICE where there is no such device.
enum kn_status kn_device_describe(struct kn_device *device, int index);

// Seconds that one product y[n,m] = x[n,k] w[m,k]^T of this backend takes, all in the activation
// type, the best of several on random data: the ceiling that runs are compared with. Negative when
// it fails.
double kn_product_seconds(struct kn_backend *kn, int64_t n, int64_t m, int64_t k);

#endif
