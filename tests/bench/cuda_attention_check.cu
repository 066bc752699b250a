// SPDX-License-Identifier: Apache-2.0
// For people who work on the attention kernels: every kernel against f64 on many shapes, and its
// speed at the shapes of real models.
//   cuda_attention_check [rows|simt|mma|hopper|all] [check|time|both]
#include "attention.cuh"

#include <algorithm>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

enum slopes_kind { NO_SLOPES, SLOPES, SLOPES_BF16 };
enum special { RANDOM, NAN_KEY, NAN_VALUE };

// One matrix holds queries, keys, values from column `first` on, `gap` columns between heads.
struct test_case {
    int sequences, seq_len, heads, kv_heads, dim, v_dim;
    int window = 0;
    float softcap = 0;
    enum slopes_kind slopes = NO_SLOPES;
    int first = 0, gap = 0;
    enum special special = RANDOM;
};

static const test_case cases[] = {
    {1, 1, 1, 1, 1, 1},
    {2, 7, 3, 1, 24, 24},
    {1, 64, 1, 1, 64, 64},
    {1, 128, 1, 1, 128, 128},
    {2, 1, 4, 2, 128, 128},
    {3, 7, 2, 2, 64, 64},
    {2, 130, 2, 2, 16, 16},
    {2, 130, 8, 2, 32, 32},
    {3, 130, 8, 2, 64, 64},
    {3, 130, 8, 2, 128, 128},
    {1, 257, 4, 2, 80, 80},
    {2, 300, 4, 2, 96, 96},
    {1, 300, 4, 4, 192, 192},
    {1, 300, 4, 1, 256, 256},
    {1, 300, 4, 2, 192, 128},
    {1, 300, 2, 2, 24, 80},
    {1, 200, 2, 1, 320, 288},
    {1, 2048, 4, 2, 64, 64},
    {2, 2048, 4, 2, 128, 128},
    {2, 1000, 6, 3, 64, 64},
    {5, 1025, 8, 8, 128, 128},
    {1, 577, 300, 1, 64, 64},
    {1, 577, 3, 3, 128, 128, 0, 0, NO_SLOPES, 8, 8},
    {1, 577, 3, 3, 64, 64, 0, 0, NO_SLOPES, 8, 16},
    {1, 577, 3, 3, 128, 128, 0, 0, NO_SLOPES, 3, 5},
    {2, 130, 3, 3, 24, 24, 0, 0, NO_SLOPES, 1, 0},
    {2, 130, 3, 1, 81, 33, 0, 0, NO_SLOPES, 1, 1},
    {1, 700, 2, 2, 64, 64, 1},
    {1, 700, 2, 2, 64, 64, 63},
    {1, 700, 2, 2, 128, 128, 100},
    {2, 700, 2, 2, 128, 128, 300},
    {1, 700, 2, 2, 128, 128, 700},
    {1, 700, 4, 2, 64, 64, 0, 2.F},
    {1, 700, 4, 2, 256, 256, 200, 50.F},
    {1, 700, 4, 2, 64, 64, 0, 1e6F},
    {1, 700, 4, 2, 64, 64, 0, 0, SLOPES},
    {1, 700, 4, 2, 128, 128, 50, 3.F, SLOPES},
    {1, 700, 4, 2, 64, 64, 0, 0, SLOPES_BF16},
    {1, 700, 4, 2, 32, 32, 90, 3.F, SLOPES_BF16},
    {2, 200, 2, 1, 64, 64, 0, 0, NO_SLOPES, 0, 0, NAN_KEY},
    {2, 200, 2, 1, 64, 64, 0, 0, NO_SLOPES, 0, 0, NAN_VALUE},
    {2, 600, 2, 1, 128, 128, 0, 0, NO_SLOPES, 0, 0, NAN_VALUE},
    {2, 600, 2, 1, 128, 128, 130, 0, NO_SLOPES, 0, 0, NAN_VALUE},
};

static const char *const kernel_names[] = {"hopper", "mma", "simt", "rows"};
static const char *const type_names[] = {"f32", "f16", "bf16"};
static const double tolerances[] = {4e-6, 2e-3, 1e-2}; // of |truth| and of max |truth|

static void check(cudaError_t code, const char *doing) {
    if (code == cudaSuccess)
        return;
    printf("%s: %s\n", doing, cudaGetErrorString(code));
    exit(1);
}

static void check(kn_backend *kn, enum kn_status status) {
    if (status == KN_OK)
        return;
    printf("%s: %s\n", kn_status_text(status), kn->error);
    exit(1);
}

// ---- data --------------------------------------------------------------------------------------

__device__ static unsigned hash(unsigned x) {
    x = (x ^ x >> 16) * 0x7feb352dU;
    x = (x ^ x >> 15) * 0x846ca68bU;
    return x ^ x >> 16;
}

// Normal values (Box & Muller 1958).
template <typename T> __global__ void fill_kernel(T *x, int64_t count, unsigned seed) {
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    unsigned key = hash((unsigned)i ^ hash((unsigned)(i >> 32) + seed));
    float u = ((float)key + 1) * 0x1p-32F, v = (float)hash(key + 1) * 0x1p-32F;
    x[i] = from_float<T>(sqrtf(-2 * logf(u)) * cospif(2 * v));
}

struct problem {
    test_case c;
    enum kn_type type;
    int64_t n, columns;
    void *qkv, *y;
    std::vector<float> slopes;
    kn_attention op;
};

static kn_heads heads_at(const problem &p, const struct kn_matrix &m, int64_t first, int count,
                         int dim) {
    return {m, first, count, dim + p.c.gap, dim};
}

static void fill(problem &p, unsigned seed) {
    int64_t count = p.n * p.columns;
    by_type(p.type, [&](auto e) {
        using T = decltype(e);
        fill_kernel<T><<<blocks_of(count, 256), 256>>>((T *)p.qkv, count, seed);
    });
    check(cudaGetLastError(), "filling");
}

// One entry of key or value 37 of the last sequence is not a number.
static void spoil(problem &p) {
    if (p.c.special == RANDOM)
        return;
    const kn_heads &h = p.c.special == NAN_KEY ? p.op.k : p.op.v;
    int64_t row = (int64_t)(p.c.sequences - 1) * p.c.seq_len + 37;
    size_t size = kn_type_size(p.type);
    char *at = (char *)p.qkv + size * (size_t)(row * p.columns + h.first_col + 5);
    check(cudaMemset(at, 0xff, size), "spoiling");
}

static problem problem_new(const test_case &c, enum kn_type type) {
    problem p = {};
    p.c = c;
    p.type = type;
    p.n = (int64_t)c.sequences * c.seq_len;
    int64_t k_col = c.first + (int64_t)c.heads * (c.dim + c.gap);
    int64_t v_col = k_col + (int64_t)c.kv_heads * (c.dim + c.gap);
    p.columns = v_col + (int64_t)c.kv_heads * (c.v_dim + c.gap);
    size_t size = kn_type_size(type);
    int64_t y_columns = (int64_t)c.heads * c.v_dim;
    check(cudaMalloc(&p.qkv, (size_t)(p.n * p.columns) * size), "memory");
    check(cudaMalloc(&p.y, (size_t)(p.n * (y_columns + c.gap)) * size), "memory");
    struct kn_matrix qkv = kn_matrix(p.qkv, type, p.n, p.columns);
    p.op.y = kn_matrix(p.y, type, p.n, y_columns);
    p.op.y.stride = y_columns + c.gap;
    p.op.q = heads_at(p, qkv, c.first, c.heads, c.dim);
    p.op.k = heads_at(p, qkv, k_col, c.kv_heads, c.dim);
    p.op.v = heads_at(p, qkv, v_col, c.kv_heads, c.v_dim);
    p.op.sequences = kn_whole_sequences(c.seq_len);
    p.op.window = c.window;
    p.op.scale = 1.5F / sqrtf((float)c.dim);
    p.op.softcap = c.softcap;
    p.op.slopes_bf16 = c.slopes == SLOPES_BF16;
    for (int h = 0; h < c.heads; h++)
        p.slopes.push_back(exp2f(-1.F - (float)h));
    fill(p, 1);
    spoil(p);
    return p;
}

static void problem_free(problem &p) {
    cudaFree(p.qkv);
    cudaFree(p.y);
}

// ---- truth -------------------------------------------------------------------------------------

struct truth_heads {
    const void *data;
    int64_t stride, pitch;
};

struct truth_task {
    truth_heads q, k, v;
    double *y; // [n, heads, v_dim]
    int seq_len, window, heads, group, dim, v_dim;
    double scale, softcap;
    const float *slopes; // [heads] on the device, or NULL
    bool slopes_bf16;
};

template <typename T>
__device__ static double at(const truth_heads &h, int64_t row, int head, int i) {
    return (double)to_float(static_cast<const T *>(h.data)[row * h.stride + head * h.pitch + i]);
}

template <typename T>
__device__ static double truth_score(const truth_task &t, int64_t row, int64_t key, int head) {
    double sum = 0;
    for (int i = 0; i < t.dim; i++)
        sum += at<T>(t.q, row, head, i) * at<T>(t.k, key, head / t.group, i);
    sum *= t.scale;
    if (t.slopes && t.slopes_bf16) {
        auto round = [](float v) { return __bfloat162float(__float2bfloat16_rn(v)); };
        float there = round(t.slopes[head] * round((float)(key % t.seq_len)));
        float here = round(t.slopes[head] * round((float)(row % t.seq_len)));
        sum += t.scale * ((double)there - (double)here);
    } else if (t.slopes) {
        sum += (double)t.slopes[head] * (double)(key - row);
    }
    return t.softcap > 0 ? t.softcap * tanh(sum / t.softcap) : sum;
}

// A block a row and head; scores in shared memory.
template <typename T> __global__ void truth_kernel(truth_task t) {
    extern __shared__ double scores[];
    int64_t row = blockIdx.x;
    int head = (int)blockIdx.y, position = (int)(row % t.seq_len);
    int first = t.window > 0 ? max(0, position + 1 - t.window) : 0, count = position + 1 - first;
    int64_t first_row = row - position + first;
    for (int j = (int)threadIdx.x; j < count; j += (int)blockDim.x)
        scores[j] = truth_score<T>(t, row, first_row + j, head);
    __syncthreads();
    double largest = -INFINITY, total = 0;
    for (int j = 0; j < count; j++)
        largest = fmax(largest, scores[j]);
    __syncthreads();
    for (int j = (int)threadIdx.x; j < count; j += (int)blockDim.x)
        scores[j] = exp(scores[j] - largest);
    __syncthreads();
    for (int j = 0; j < count; j++)
        total += scores[j];
    for (int i = (int)threadIdx.x; i < t.v_dim; i += (int)blockDim.x) {
        double sum = 0;
        for (int j = 0; j < count; j++)
            sum += scores[j] * at<T>(t.v, first_row + j, head / t.group, i);
        t.y[(row * t.heads + head) * t.v_dim + i] = sum / total;
    }
}

static truth_heads truth_heads_of(const kn_heads &h) {
    return {(const char *)h.x.data + (size_t)h.first_col * kn_type_size(h.x.type), h.x.stride,
            h.count == 1 ? h.dim : h.pitch};
}

static std::vector<double> truth_of(const problem &p) {
    std::vector<double> y((size_t)(p.n * p.c.heads * p.c.v_dim));
    truth_task t = {};
    float *slopes = NULL;
    t.q = truth_heads_of(p.op.q);
    t.k = truth_heads_of(p.op.k);
    t.v = truth_heads_of(p.op.v);
    t.seq_len = p.c.seq_len;
    t.window = p.c.window;
    t.heads = p.c.heads;
    t.group = p.c.heads / p.c.kv_heads;
    t.dim = p.c.dim;
    t.v_dim = p.c.v_dim;
    t.scale = (double)p.op.scale;
    t.softcap = (double)p.op.softcap;
    t.slopes_bf16 = p.op.slopes_bf16;
    check(cudaMalloc((void **)&t.y, y.size() * sizeof(double)), "memory");
    check(cudaMalloc((void **)&slopes, p.slopes.size() * sizeof(float)), "memory");
    check(cudaMemcpy(slopes, p.slopes.data(), p.slopes.size() * sizeof(float),
                     cudaMemcpyHostToDevice),
          "slopes");
    t.slopes = p.c.slopes == NO_SLOPES ? NULL : slopes;
    dim3 grid((unsigned)p.n, (unsigned)p.c.heads);
    size_t bytes = sizeof(double) * (size_t)p.c.seq_len;
    by_type(p.type, [&](auto e) { truth_kernel<decltype(e)><<<grid, 64, bytes>>>(t); });
    check(cudaMemcpy(y.data(), t.y, y.size() * sizeof(double), cudaMemcpyDeviceToHost), "truth");
    cudaFree(t.y);
    cudaFree(slopes);
    return y;
}

// ---- comparison --------------------------------------------------------------------------------

static void run(kn_backend *kn, problem &p, enum attention_kernel kernel) {
    p.op.slopes = p.c.slopes == NO_SLOPES ? NULL : p.slopes.data();
    check(kn, attention_run(kn, &p.op, kernel));
    check(kn, kn->ops->sync(kn));
}

// y as f32 with its padding, which was poisoned before.
static std::vector<float> result_of(kn_backend *kn, problem &p, enum attention_kernel kernel) {
    size_t count = (size_t)(p.n * p.op.y.stride), size = kn_type_size(p.type);
    std::vector<char> raw(count * size);
    std::vector<float> y(count);
    check(cudaMemset(p.y, 0xff, raw.size()), "poisoning");
    check(cudaDeviceSynchronize(), "poisoning");
    run(kn, p, kernel);
    check(cudaMemcpy(raw.data(), p.y, raw.size(), cudaMemcpyDeviceToHost), "reading");
    kn_convert(y.data(), KN_F32, raw.data(), p.type, (int64_t)count);
    return y;
}

// Where results lie too far from the truth, by 8 x 8 entries of the first head: rows go down.
static void print_map(const problem &p, const std::vector<float> &y,
                      const std::vector<double> &truth, double bound) {
    int rows = std::min<int>(p.c.seq_len, 192), printed = 0;
    for (int r = 0; r < rows; r += 8) {
        printf("      ");
        for (int c = 0; c < p.c.v_dim; c += 8) {
            int bad = 0;
            for (int i = r; i < std::min(r + 8, rows); i++)
                for (int j = c; j < std::min(c + 8, p.c.v_dim); j++)
                    bad += !(fabs((double)y[(size_t)(i * p.op.y.stride + j)] -
                                  truth[(size_t)i * p.c.heads * p.c.v_dim + j]) <= bound);
            putchar(bad == 0 ? '.' : bad == 64 ? '#' : '+');
        }
        putchar('\n');
    }
    for (int i = 0; i < rows && printed < 8; i++)
        for (int j = 0; j < p.c.v_dim && printed < 8; j++) {
            double got = (double)y[(size_t)(i * p.op.y.stride + j)];
            double expected = truth[(size_t)i * p.c.heads * p.c.v_dim + j];
            if (!(fabs(got - expected) <= bound)) {
                printf("      row %d column %d: %g, expected %g\n", i, j, got, expected);
                printed++;
            }
        }
}

static bool compare(kn_backend *kn, problem &p, enum attention_kernel kernel, const char *note) {
    const test_case &c = p.c;
    std::vector<double> truth = truth_of(p);
    std::vector<float> y = result_of(kn, p, kernel), again = result_of(kn, p, kernel);
    double largest = 0, worst = 0, tolerance = tolerances[p.type];
    bool is_padding_kept = true;
    for (double v : truth)
        largest = isnan(v) ? largest : fmax(largest, fabs(v));
    int64_t width = (int64_t)c.heads * c.v_dim, unlike = 0;
    for (int64_t r = 0; r < p.n; r++)
        for (int64_t i = 0; i < p.op.y.stride; i++) {
            float got = y[(size_t)(r * p.op.y.stride + i)];
            if (i >= width) {
                is_padding_kept &= isnan(got);
                continue;
            }
            double expected = truth[(size_t)(r * width + i)];
            if (isnan(expected) || isnan(got)) {
                unlike += isnan(expected) != isnan(got);
                continue;
            }
            worst = fmax(worst, fabs((double)got - expected) / (fabs(expected) + largest));
        }
    bool is_same = memcmp(y.data(), again.data(), y.size() * sizeof(float)) == 0;
    bool passes = worst <= tolerance && unlike == 0 && is_padding_kept && is_same;
    printf("%s %-6s %-4s %dx%d heads %d:%d dim %d,%d window %d cap %g slopes %d first %d gap %d "
           "special %d %s: error %.2e, NaN unlike %lld%s%s\n",
           passes ? "PASS" : "FAIL", kernel_names[kernel], type_names[p.type], c.sequences,
           c.seq_len, c.heads, c.kv_heads, c.dim, c.v_dim, c.window, (double)c.softcap, c.slopes,
           c.first, c.gap, c.special, note, worst, (long long)unlike,
           is_padding_kept ? "" : ", padding written", is_same ? "" : ", two runs differ");
    if (!passes)
        print_map(p, y, truth, tolerance * 2 * largest);
    fflush(stdout);
    return passes;
}

// Writes one head of [rows, dim] from the host.
static void set_head(problem &p, const kn_heads &h, const std::vector<float> &values) {
    size_t size = kn_type_size(p.type);
    std::vector<char> raw(values.size() * size);
    kn_convert(raw.data(), p.type, values.data(), KN_F32, (int64_t)values.size());
    check(cudaMemcpy2D((char *)p.qkv + (size_t)h.first_col * size, (size_t)p.columns * size,
                       raw.data(), (size_t)h.dim * size, (size_t)h.dim * size, (size_t)p.n,
                       cudaMemcpyHostToDevice),
          "writing a head");
}

// Which product is wrong: with queries of zeros the weights are uniform, and y shows the product
// with values alone; with values of ones on a diagonal, y shows the weights of the first keys.
static void diagnose(kn_backend *kn, enum attention_kernel kernel, enum kn_type type, int dim) {
    problem p = problem_new({1, 192, 1, 1, dim, dim}, type);
    std::vector<float> zeros((size_t)(p.n * dim)), diagonal((size_t)(p.n * dim));
    if (attention_choice(kn, &p.op, kernel) == kernel) {
        for (int i = 0; i < std::min<int>(dim, (int)p.n); i++)
            diagonal[(size_t)(i * dim + i)] = 1;
        set_head(p, p.op.v, diagonal);
        compare(kn, p, kernel, "(weights alone)");
        fill(p, 2);
        set_head(p, p.op.q, zeros);
        compare(kn, p, kernel, "(values alone)");
    }
    problem_free(p);
}

static int check_kernel(kn_backend *kn, enum attention_kernel kernel, enum kn_type type) {
    int failed = 0;
    if (kernel == ATTENTION_HOPPER || kernel == ATTENTION_MMA) {
        diagnose(kn, kernel, type, 64);
        diagnose(kn, kernel, type, 128);
    }
    for (const test_case &c : cases) {
        problem p = problem_new(c, type);
        p.op.slopes = c.slopes == NO_SLOPES ? NULL : p.slopes.data();
        if (attention_choice(kn, &p.op, kernel) == kernel)
            failed += !compare(kn, p, kernel, "");
        problem_free(p);
    }
    return failed;
}

// ---- speed -------------------------------------------------------------------------------------

static const struct {
    const char *name;
    test_case c;
} shapes[] = {
    {"7B: 8 x 2048, 32 heads of 128", {8, 2048, 32, 32, 128, 128}},
    {"1.4B: 8 x 2048, 16 heads of 128", {8, 2048, 16, 16, 128, 128}},
    {"160m: 16 x 2048, 12 heads of 64", {16, 2048, 12, 12, 64, 64}},
    {"grouped: 8 x 2048, 32:8 heads of 128", {8, 2048, 32, 8, 128, 128}},
    {"long: 1 x 16384, 32 heads of 128", {1, 16384, 32, 32, 128, 128}},
    {"dim 80: 8 x 2048, 32 heads", {8, 2048, 32, 32, 80, 80}},
    {"dim 256: 8 x 2048, 16 heads", {8, 2048, 16, 16, 256, 256}},
};

// The median of several runs, in milliseconds.
static double median_time(kn_backend *kn, problem &p, enum attention_kernel kernel, int repeats) {
    std::vector<float> times;
    cudaEvent_t begin, end;
    cudaStream_t stream = cuda_of(kn)->ops;
    check(cudaEventCreate(&begin), "event");
    check(cudaEventCreate(&end), "event");
    for (int i = -2; i < repeats; i++) {
        float time;
        check(cudaEventRecord(begin, stream), "event");
        check(kn, attention_run(kn, &p.op, kernel));
        check(cudaEventRecord(end, stream), "event");
        check(cudaEventSynchronize(end), "running");
        check(cudaEventElapsedTime(&time, begin, end), "event");
        if (i >= 0)
            times.push_back(time);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    std::sort(times.begin(), times.end());
    return (double)times[times.size() / 2];
}

static void time_kernel(kn_backend *kn, enum attention_kernel kernel, enum kn_type type) {
    for (const auto &s : shapes) {
        problem p = problem_new(s.c, type);
        if (attention_choice(kn, &p.op, kernel) == kernel) {
            double time = median_time(kn, p, kernel, kernel == ATTENTION_ROWS ? 1 : 9);
            double flop = (double)s.c.sequences * s.c.seq_len * s.c.seq_len * s.c.heads *
                          (s.c.dim + s.c.v_dim);
            printf("TIME %-6s %-4s %-40s %9.3f ms %8.1f TFLOP/s\n", kernel_names[kernel],
                   type_names[type], s.name, time, flop / time / 1e9);
            fflush(stdout);
        }
        problem_free(p);
    }
}

int main(int count, char **arguments) {
    const char *kernel_name = count > 1 ? arguments[1] : "all";
    const char *what = count > 2 ? arguments[2] : "both";
    int failed = 0;
    for (int kernel = ATTENTION_ROWS; kernel >= ATTENTION_HOPPER; kernel--) { // safest first
        if (strcmp(kernel_name, "all") != 0 && strcmp(kernel_name, kernel_names[kernel]) != 0)
            continue;
        for (int type = KN_F32; type <= KN_BF16; type++) {
            char error[256] = "";
            kn_options options = {0, (enum kn_type)type, 0, error};
            kn_backend *kn;
            enum kn_status status = kn_open(&kn, KN_CUDA, &options);
            if (status != KN_OK) {
                printf("%s: %s\n", kn_status_text(status), error);
                return 1;
            }
            if (strcmp(what, "time") != 0)
                failed += check_kernel(kn, (enum attention_kernel)kernel, (enum kn_type)type);
            if (strcmp(what, "check") != 0 && kernel != ATTENTION_ROWS)
                time_kernel(kn, (enum attention_kernel)kernel, (enum kn_type)type);
            kn->ops->close(kn);
        }
    }
    printf("%d failed\n", failed);
    return failed != 0;
}
