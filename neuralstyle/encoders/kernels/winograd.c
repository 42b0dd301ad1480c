/* 3x3 convolution by Winograd's F(4x4, 3x3), for winograd.py: float32, channels last, zero padding of one pixel.

   Four outputs of a convolution with three taps are a product of polynomials, which its values at six points determine:
   0, +-A, +-B and infinity. These points halve the rounding error of the usual 0, +-1, +-2, infinity. They are also closed
   under p -> 1/p, so a flipped kernel needs no weights of its own: the gradient flips the tiles instead.

   A thread takes a block of tiles through all stages, so that intermediate results stay in its cache. The input tiles are
   transformed first. Then, for CHUNK output channels at a time, the kernels are transformed, multiplied with the tiles, and
   the products are transformed to outputs. Kernels are transformed again in each block: that costs less than storing them,
   as transformed kernels are four times as large as the weights.

   Beside it, the first convolution of a network and L2 pooling are computed directly.

   This file has the interface and the threads. winograd_kernel.h and maps_kernel.h have the arithmetic; they are included
   once for each vector width and CHUNK. */

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

/* Constants that library.py has too; it compares them with constant(), at the end of this file. */
#define INTERFACE 8             /* changes whenever the arguments or the meaning of a function do */
#define SCALE 0.78f             /* of L2 pooling */
#define FLOOR 1e-12f            /* under the root of L2 pooling */
#define CHANNEL_MULTIPLE 32     /* convolve() takes multiples of this many channels */
#define MAX_PICTURE_CHANNELS 64 /* of the convolution behind picture_gradient() */
#define PICTURE_MULTIPLE 16     /* picture_features() computes multiples of this many channels */
#define TILE 4                  /* side of a tile of outputs */
enum { NONE, RELU, RELU_MAX, RELU_L2 }; /* what follows a convolution; the last two are a ReLU and 2x2 pooling */
enum { ZEROS, REPLICATE, REFLECT };     /* what surrounds a picture */

#define A 0.70710678118654752440f
#define B 1.41421356237309504880f
#define GROUP 6 /* tiles whose products are computed at once, in registers */
#define GAP 16  /* floats between two points: without a gap, all points would compete for the same cache lines */

#define INLINE static inline __attribute__((always_inline))

/* One picture of a batch: its arrays, and what to compute. */
typedef struct {
    const float *x, *mask, *weight, *bias;
    float *y, *pooled;
    unsigned char *routes;
    long height, width, channels, columns, across;
    int after, turned;
} Job;

/* The pixel that a border of one pixel repeats at this index of a side; -1 for zeros. */
INLINE long repeated(long place, long side, int border)
{
    const long step = border == REFLECT && side > 1;
    if (place >= 0 && place < side)
        return place;
    return border == ZEROS ? -1 : place < 0 ? step : side - 1 - step;
}

/* TARGET(...) compiles what follows, to END_TARGET, for processors with these extensions. */
#define PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define TARGET(extensions) PRAGMA(clang attribute push(__attribute__((target(extensions))), apply_to = function))
#define WIDE "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"
#define END_TARGET _Pragma("clang attribute pop")
#else
#define TARGET(extensions) _Pragma("GCC push_options") PRAGMA(GCC target(extensions))
#define WIDE "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,prefer-vector-width=512"
#define END_TARGET _Pragma("GCC pop_options")
#endif

/* All versions of a function; the widest that this processor can run is taken at run time. */
#if defined(__x86_64__)
#define VERSIONS(name, chunk) {name##_avx2_##chunk, name##_avx512_##chunk}
#define WIDTHS {"avx2", "avx512"}

TARGET(WIDE)
#define LANES 16
#define CHUNK 64
#define NAME(name) name##_avx512_64
#include "winograd_kernel.h"
#define CHUNK 32
#define NAME(name) name##_avx512_32
#include "winograd_kernel.h"
#undef LANES
END_TARGET

TARGET("avx2,fma")
#define LANES 8
#define CHUNK 64
#define NAME(name) name##_avx2_64
#include "winograd_kernel.h"
#define CHUNK 32
#define NAME(name) name##_avx2_32
#include "winograd_kernel.h"
#undef LANES
END_TARGET

static int level(void)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return -1;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}
#elif defined(__aarch64__)
#define VERSIONS(name, chunk) {name##_neon_##chunk}
#define WIDTHS {"neon"}

#define LANES 4
#define CHUNK 64
#define NAME(name) name##_neon_64
#include "winograd_kernel.h"
#define CHUNK 32
#define NAME(name) name##_neon_32
#include "winograd_kernel.h"
#undef LANES

static int level(void) { return 0; }
#else
#error "there are vector functions for x86-64 and arm64 only"
#endif

/* Threads are those of the OpenMP runtime that the process has already, torch's: library.py hands over its GOMP_parallel, so
   that this library needs no runtime of its own. Without it there is one thread. */
typedef void (*Parallel)(void (*)(void *), void *, unsigned, unsigned);

static Parallel parallel;

void use_threads(Parallel given) { parallel = given; }

typedef struct {
    float *numbers;
    size_t size;
} Memory;

/* Memory that a thread keeps for its next call, since mapping it each time costs as much as a stage. It comes from mmap, not
   from malloc, whose heap would keep a hole for each smaller piece that is replaced by a larger one. */
static _Thread_local Memory stages, dequantized;

static float *reserve(Memory *memory, size_t size)
{
    if (memory->size < size) {
        if (memory->numbers)
            munmap(memory->numbers, memory->size * sizeof(float));
        void *found = mmap(NULL, size * sizeof(float), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memory->numbers = found == MAP_FAILED ? NULL : found;
        memory->size = memory->numbers ? size : 0;
    }
    return memory->numbers;
}

/* A loop whose rounds the threads share. Each thread has some memory of its own, of a number of floats. */
typedef struct {
    void (*round)(const void *call, long index, float *own);
    const void *call;
    long rounds, next;
    size_t floats;
    int failed;
} Loop;

static void take_rounds(void *given)
{
    Loop *loop = given;
    float *own = loop->floats ? reserve(&stages, loop->floats) : NULL;
    if (loop->floats && !own) {
        __atomic_store_n(&loop->failed, 1, __ATOMIC_RELAXED);
        return;
    }
    for (;;) {
        const long index = __atomic_fetch_add(&loop->next, 1, __ATOMIC_RELAXED);
        if (index >= loop->rounds)
            return;
        loop->round(loop->call, index, own);
    }
}

/* Runs all rounds of a loop. Returns 0, or 1 if a thread got no memory. */
static int run_loop(Loop loop)
{
    if (parallel && loop.rounds > 1)
        parallel(take_rounds, &loop, 0, 0);
    else
        take_rounds(&loop);
    return loop.failed;
}

/* The vectors that this processor computes with: "avx512", "avx2" or "neon"; "" if it cannot run the functions below. */
const char *supported(void)
{
    static const char *const names[] = WIDTHS;
    return level() < 0 ? "" : names[level()];
}

typedef struct {
    const unsigned char *codes;
    const float *table, *outputs, *inputs;
    float *values;
    long length;
    void (*dequantize_row)(const unsigned char *, const float *, float, const float *, long, float *);
} Codes;

static void dequantize_output(const void *given, long row, float *own)
{
    const Codes *call = given;
    (void)own;
    for (long tap = 9 * row; tap < 9 * row + 9; tap++)
        call->dequantize_row(call->codes + tap * call->length, call->table, call->outputs[row], call->inputs, call->length,
                             call->values + tap * call->length);
}

/* Weights (rows, 3, 3, length) from codes into a table of 256 values, each multiplied by the factors of its output, one a
   row, and of its input. */
void dequantize(const unsigned char *codes, const float *table, const float *outputs, const float *inputs, float *values,
                long rows, long length)
{
    static void (*const versions[])(const unsigned char *, const float *, float, const float *, long, float *) =
        VERSIONS(dequantize_row, 64);
    const Codes call = {codes, table, outputs, inputs, values, length, versions[level()]};
    run_loop((Loop){.round = dequantize_output, .call = &call, .rounds = rows});
}

/* A call of convolve(). */
typedef struct {
    Job job; /* of the first picture */
    long total, block, blocks;
    void (*run)(const Job *, long, long, float *);
} Blocks;

static void convolve_block(const void *given, long index, float *own)
{
    const Blocks *call = given;
    Job job = call->job;
    const long image = index / call->blocks, first = index % call->blocks * call->block;
    const long count = call->total - first < call->block ? call->total - first : call->block;
    const long pixels = image * job.height * job.width, cells = image * (job.height / 2) * (job.width / 2);
    const long inner = job.turned ? job.channels : job.columns; /* channels of the convolution's output */
    const int pooled = job.after == RELU_MAX;
    const long from = (pooled && job.turned ? cells : pixels) * job.channels;
    job.x += from;
    job.y += (pooled && !job.turned ? cells : pixels) * job.columns;
    if (job.mask)
        job.mask += from;
    if (job.pooled)
        job.pooled += cells * inner;
    if (job.routes)
        job.routes += (pooled ? cells : pixels) * inner;
    call->run(&job, first, count, own);
}

/* y = convolution of x, (batch, height, width, channels) -> (batch, height, width, columns), plus the bias if there is one,
   and the operations after it. The weights are (columns, 3, 3, channels): floats or, with a table, codes for dequantize().
   The routes are bytes that say where a gradient goes. Returns 0, or 1 if there is no memory.

   RELU: if routes are given, in the shape of y, they become 1 where y is positive, else 0.
   RELU_MAX: y has half the height and width. The routes, in its shape, become the corner of the cell that each maximum comes
   from (0 to 3, row by row), or 4 where the maximum is not positive.
   RELU_L2: y is the ReLU, and pooled its L2 pooling, of half the height and width.

   If turned, this is the gradient: x is the gradient of the output, y the gradient of the convolution's input, and the
   weights are (channels, 3, 3, columns).

   RELU: x passes where the routes, or without them the mask, are positive, and is zero elsewhere.
   RELU_MAX: x has half the height and width; each value goes to the corner that its route says, the rest is zero.
   RELU_L2: x is the ReLU itself; each value is multiplied by its cell's value in pooled, and is zero outside all cells.

   Channels and columns are multiples of CHANNEL_MULTIPLE. */
int convolve(const float *x, const float *mask, const void *weights, const float *table, const float *outputs,
             const float *inputs, const float *bias, float *y, unsigned char *routes, float *pooled, long batch, long height,
             long width, long channels, long columns, int after, int turned, long block)
{
    static void (*const wide[])(const Job *, long, long, float *) = VERSIONS(run, 64);
    static void (*const narrow[])(const Job *, long, long, float *) = VERSIONS(run, 32);
    const long across = (width + TILE - 1) / TILE, total = across * ((height + TILE - 1) / TILE);
    const long blocks = (total + block - 1) / block;
    const long chunk = channels % 64 || columns % 64 ? 32 : 64, square = chunk * chunk;
    const float *weight = weights;
    if (table) {
        float *values = reserve(&dequantized, 9 * channels * columns);
        if (!values)
            return 1;
        dequantize(weights, table, outputs, inputs, values, turned ? channels : columns, turned ? columns : channels);
        weight = values;
    }
    const Blocks call = {
        {x, mask, weight, bias, y, pooled, routes, height, width, channels, columns, across, after, turned},
        total,
        block,
        blocks,
        (chunk == 64 ? wide : narrow)[level()],
    };
    const long slots = (block + GROUP - 1) / GROUP * GROUP;
    const long between = (slots * chunk + GAP) * (channels / chunk + 1);
    return run_loop((Loop){.round = convolve_block,
                           .call = &call,
                           .rounds = batch * blocks,
                           .floats = 9 * square + 36 * (square + GAP + between)});
}

enum { BAND = 16 }; /* rows of a picture's gradient that a thread computes at once */

typedef struct {
    const float *gradient, *mask, *kernels;
    float *out;
    long height, width, channels, bands;
    int border;
    void (*picture_rows)(const float *, const float *, const float *, float *, long, long, long, long, long, int);
} Bands;

static void picture_band(const void *given, long index, float *own)
{
    const Bands *call = given;
    (void)own;
    const long image = index / call->bands, first = index % call->bands * BAND;
    const long last = first + BAND < call->height ? first + BAND : call->height, pixels = image * call->height * call->width;
    call->picture_rows(call->gradient + pixels * call->channels, call->mask ? call->mask + pixels * call->channels : 0,
                       call->kernels, call->out + 3 * pixels, call->height, call->width, call->channels, first, last,
                       call->border);
}

/* The gradient of a picture (batch, 3, height, width) under a convolution to at most MAX_PICTURE_CHANNELS channels, from the
   gradient of its outputs; with a mask, the ReLU's output, from the gradient of the ReLU after it. The weights are (channels,
   3, 3, 3), channels last. It is computed directly, since Winograd's algorithm gains nothing with three channels. */
void picture_gradient(const float *gradient, const float *mask, const float *weight, float *out, long batch, long height,
                      long width, long channels, int border)
{
    static void (*const many[])(const float *, const float *, const float *, float *, long, long, long, long, long, int) =
        VERSIONS(picture_rows, 64);
    static void (*const few[])(const float *, const float *, const float *, float *, long, long, long, long, long, int) =
        VERSIONS(picture_rows, 32);
    const long chunk = channels > 32 ? 64 : 32, bands = (height + BAND - 1) / BAND;
    float kernels[MAX_PICTURE_CHANNELS * 64] = {0};
    for (long k = 0; k < channels; k++)
        for (int tap = 0; tap < 27; tap++)
            kernels[k * chunk + tap] = weight[k * 27 + tap];
    const Bands call = {gradient, mask,     kernels, out, height, width, channels, bands,
                        border,   (chunk == 64 ? many : few)[level()]};
    run_loop((Loop){.round = picture_band, .call = &call, .rounds = batch * bands});
}

typedef struct {
    const float *x, *kernels, *bias;
    float *y;
    long height, width, channels, bands;
    int border, relu;
    void (*feature_rows)(const float *, const float *, const float *, float *, long, long, long, long, long, int, int, float *);
} Features;

static void feature_band(const void *given, long index, float *own)
{
    const Features *call = given;
    const long image = index / call->bands, first = index % call->bands * BAND;
    const long last = first + BAND < call->height ? first + BAND : call->height, pixels = image * call->height * call->width;
    call->feature_rows(call->x + 3 * pixels, call->kernels, call->bias, call->y + call->channels * pixels, call->height,
                       call->width, call->channels, first, last, call->border, call->relu, own);
}

/* y = convolution of a picture (batch, 3, height, width) to at most MAX_PICTURE_CHANNELS channels, a multiple of
   PICTURE_MULTIPLE, plus the bias, and the ReLU if asked for: (batch, height, width, channels). The weights are those of
   picture_gradient(). Returns 0, or 1 if there is no memory. */
int picture_features(const float *x, const float *weight, const float *bias, float *y, long batch, long height, long width,
                     long channels, int border, int relu)
{
    static void (*const versions[])(const float *, const float *, const float *, float *, long, long, long, long, long, int,
                                    int, float *) = VERSIONS(feature_rows, 64);
    const long bands = (height + BAND - 1) / BAND;
    float kernels[27 * MAX_PICTURE_CHANNELS];
    for (long k = 0; k < channels; k++)
        for (int tap = 0; tap < 27; tap++)
            kernels[tap * channels + k] = weight[k * 27 + tap];
    const Features call = {x, kernels, bias, y, height, width, channels, bands, border, relu, versions[level()]};
    return run_loop((Loop){.round = feature_band, .call = &call, .rounds = batch * bands, .floats = 9 * (width + 16)});
}

typedef struct {
    const float *x, *pooled, *gradient;
    float *y;
    long height, width, channels;
    void (*pool_row)(const float *, float *, long, long);
    void (*spread_row)(const float *, const float *, const float *, float *, long, long);
} Pooling;

static void pool_pair(const void *given, long index, float *own)
{
    const Pooling *call = given;
    (void)own;
    const long cells = call->height / 2, row = call->width * call->channels, short_row = call->width / 2 * call->channels;
    const long from = (index / cells * call->height + index % cells * 2) * row;
    call->pool_row(call->x + from, call->y + index * short_row, call->width, call->channels);
}

static void spread_pair(const void *given, long index, float *own)
{
    const Pooling *call = given;
    (void)own;
    const long cells = call->height / 2, row = call->width * call->channels, cell = index * (call->width / 2) * call->channels;
    const long from = (index / cells * call->height + index % cells * 2) * row;
    call->spread_row(call->x + from, call->pooled + cell, call->gradient + cell, call->y + from, call->width, call->channels);
    if (call->height % 2 && index % cells == cells - 1)
        memset(call->y + from + 2 * row, 0, row * sizeof(float));
}

/* y = the L2 pooling of x, (batch, height, width, channels) -> (batch, height / 2, width / 2, channels). */
void pool(const float *x, float *y, long batch, long height, long width, long channels)
{
    static void (*const versions[])(const float *, float *, long, long) = VERSIONS(pool_row, 64);
    const Pooling call = {x, 0, 0, y, height, width, channels, versions[level()], 0};
    run_loop((Loop){.round = pool_pair, .call = &call, .rounds = batch * (height / 2)});
}

/* The gradient of x, of its shape, from that of the pooled map. The height is at least 2. */
void spread(const float *x, const float *pooled, const float *gradient, float *back, long batch, long height, long width,
            long channels)
{
    static void (*const versions[])(const float *, const float *, const float *, float *, long, long) =
        VERSIONS(spread_row, 64);
    const Pooling call = {x, pooled, gradient, back, height, width, channels, 0, versions[level()]};
    run_loop((Loop){.round = spread_pair, .call = &call, .rounds = batch * (height / 2)});
}

/* A constant by name, NaN for an unknown one: library.py compares them with its own when it loads the library. */
double constant(const char *name)
{
    static const struct {
        const char *name;
        double value;
    } constants[] = {
        {"interface", INTERFACE},
        {"l2 scale", SCALE},
        {"l2 floor", FLOOR},
        {"channel multiple", CHANNEL_MULTIPLE},
        {"picture channels", MAX_PICTURE_CHANNELS},
        {"picture multiple", PICTURE_MULTIPLE},
        {"tile", TILE},
        {"none", NONE},
        {"relu", RELU},
        {"relu_max", RELU_MAX},
        {"relu_l2", RELU_L2},
        {"zeros", ZEROS},
        {"replicate", REPLICATE},
        {"reflect", REFLECT},
    };
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (!strcmp(name, constants[i].name))
            return constants[i].value;
    return NAN;
}
