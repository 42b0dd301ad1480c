/* 3x3 convolution by Winograd's F(4x4, 3x3), for winograd.py: float32, channels last, zero padding of one pixel.

   Four outputs of a convolution with three taps are a product of polynomials, which its values at six points determine:
   0, +-A, +-B and infinity. These points halve the rounding error of the usual 0, +-1, +-2, infinity. They are also closed
   under p -> 1/p, so a flipped kernel needs no weights of its own: the gradient flips the tiles instead.

   A thread takes a block of tiles through all stages, so that intermediate results stay in its cache. The input tiles are
   transformed first. Then, for CHUNK output channels at a time, the kernels are transformed, multiplied with the tiles, and
   the products are transformed to outputs. Kernels are transformed again in each block: that costs less than storing them,
   as transformed kernels are four times as large as the weights.

   This file has the interface and the threads. winograd_kernel.h has the arithmetic; it is included once for each vector
   width and CHUNK. */

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

/* Constants that library.py has too; it compares them with constant(), at the end of this file. */
#define INTERFACE 6             /* changes whenever the arguments or the meaning of a function do */
#define SCALE 0.78f             /* of L2 pooling */
#define FLOOR 1e-12f            /* under the root of L2 pooling */
#define CHANNEL_MULTIPLE 32     /* convolve() takes multiples of this many channels */
#define MAX_PICTURE_CHANNELS 64 /* of the convolution behind picture_gradient() */
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

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,prefer-vector-width=512")
#define LANES 16
#define CHUNK 64
#define NAME(name) name##_avx512_64
#include "winograd_kernel.h"
#define CHUNK 32
#define NAME(name) name##_avx512_32
#include "winograd_kernel.h"
#undef LANES
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define LANES 8
#define CHUNK 64
#define NAME(name) name##_avx2_64
#include "winograd_kernel.h"
#define CHUNK 32
#define NAME(name) name##_avx2_32
#include "winograd_kernel.h"
#undef LANES
#pragma GCC pop_options

static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

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

/* Whether this processor can run the functions below. */
int supported(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

/* Weights (rows, 3, 3, length) from codes into a table of 256 values, each multiplied by the factors of its output, one a
   row, and of its input. */
void dequantize(const unsigned char *codes, const float *table, const float *outputs, const float *inputs, float *values,
                long rows, long length)
{
    const int wide = has_avx512();
#pragma omp parallel for
    for (long row = 0; row < 9 * rows; row++) {
        const long first = row * length;
        if (wide)
            dequantize_row_avx512_64(codes + first, table, outputs[row / 9], inputs, length, values + first);
        else
            dequantize_row_avx2_64(codes + first, table, outputs[row / 9], inputs, length, values + first);
    }
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
    const long across = (width + TILE - 1) / TILE, total = across * ((height + TILE - 1) / TILE);
    const long blocks = (total + block - 1) / block;
    const int wide = has_avx512();
    const long chunk = channels % 64 || columns % 64 ? 32 : 64, square = chunk * chunk;
    void (*const run)(const Job *, long, long, float *) =
        chunk == 64 ? (wide ? run_avx512_64 : run_avx2_64) : (wide ? run_avx512_32 : run_avx2_32);
    int failed = 0;
    const float *weight = weights;
    if (table) {
        float *values = reserve(&dequantized, 9 * channels * columns);
        if (!values)
            return 1;
        dequantize(weights, table, outputs, inputs, values, turned ? channels : columns, turned ? columns : channels);
        weight = values;
    }
#pragma omp parallel
    {
        const long slots = (block + GROUP - 1) / GROUP * GROUP;
        const long between = (slots * chunk + GAP) * (channels / chunk + 1);
        float *own = reserve(&stages, 9 * square + 36 * (square + GAP + between));
        if (!own) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(dynamic)
        for (long index = 0; index < batch * blocks; index++) {
            const long image = index / blocks, first = index % blocks * block;
            const long count = total - first < block ? total - first : block;
            const long pixels = image * height * width, cells = image * (height / 2) * (width / 2);
            const long from = after == RELU_MAX && turned ? cells : pixels, to = after == RELU_MAX && !turned ? cells : pixels;
            const long routed = (after == RELU_MAX ? cells : pixels) * (turned ? channels : columns);
            const Job job = {x + from * channels,
                             mask ? mask + from * channels : 0,
                             weight,
                             bias,
                             y + to * columns,
                             pooled ? pooled + cells * (turned ? channels : columns) : 0,
                             routes ? routes + routed : 0,
                             height,
                             width,
                             channels,
                             columns,
                             across,
                             after,
                             turned};
            if (own)
                run(&job, first, count, own);
        }
    }
    return failed;
}

/* The gradient of a picture (batch, 3, height, width) under a convolution to at most MAX_PICTURE_CHANNELS channels, from the
   gradient of its outputs; with a mask, the ReLU's output, from the gradient of the ReLU after it. The weights are (channels,
   3, 3, 3), channels last. It is computed directly, since Winograd's algorithm gains nothing with three channels. */
void picture_gradient(const float *gradient, const float *mask, const float *weight, float *out, long batch, long height,
                      long width, long channels, int border)
{
    const int wide = has_avx512();
    const long chunk = channels > 32 ? 64 : 32;
    void (*const picture_rows)(const float *, const float *, const float *, float *, long, long, long, long, long, int) =
        chunk == 64 ? (wide ? picture_rows_avx512_64 : picture_rows_avx2_64)
                    : (wide ? picture_rows_avx512_32 : picture_rows_avx2_32);
    float kernels[MAX_PICTURE_CHANNELS * 64] = {0};
    for (long k = 0; k < channels; k++)
        for (int tap = 0; tap < 27; tap++)
            kernels[k * chunk + tap] = weight[k * 27 + tap];
    const long rows = 16, bands = (height + rows - 1) / rows;
#pragma omp parallel for schedule(dynamic)
    for (long band = 0; band < batch * bands; band++) {
        const long image = band / bands, first = band % bands * rows;
        const long last = first + rows < height ? first + rows : height, pixels = image * height * width;
        picture_rows(gradient + pixels * channels, mask ? mask + pixels * channels : 0, kernels, out + 3 * pixels, height,
                     width, channels, first, last, border);
    }
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
