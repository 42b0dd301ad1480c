/* 3x3 convolution by Winograd's F(4x4, 3x3), for winograd.py: float32, channels last, padded by one zero.

   Four outputs of a convolution with three taps are a product of polynomials, which its values at six points determine:
   0, +-A, +-B and infinity. These points halve the rounding error of the usual 0, +-1, +-2, infinity, and they are
   closed under p -> 1/p: a kernel turned round needs no weights of its own, only the tiles turned round.

   A thread takes a block of tiles through all stages, so that what lies between them stays in its cache: tiles to points;
   then for 64 output channels at a time, or 32, kernels to points, products, points to outputs. Kernels are transformed
   anew in each block, which costs less than keeping them: they are four times as large as the weights.

   The file includes itself, once for each kind of processor and each number of channels at a time, a PIECE. */

#ifndef LANES

#include <math.h>
#include <stddef.h>
#include <sys/mman.h>

#define APART 16 /* numbers between points: without them all would share the few places that the first cache has for them */
#define GROUP 6  /* tiles whose products are computed at once, in registers */
#define KERNELS (PIECE * PIECE + APART)
#define A 0.70710678118654752440f
#define B 1.41421356237309504880f
#define SCALE 0.78f /* of L2 pooling, as pooling.py has them */
#define FLOOR 1e-12f

typedef struct {
    const float *x, *mask, *weight, *bias;
    float *y, *pooled;
    unsigned char *codes;
    long height, width, channels, columns, across;
    int after, turned;
} Job;

enum { NOTHING, RELU, MAXIMUM, ROOT }; /* what follows a convolution: the last two are a ReLU and 2x2 pooling */

#define INLINE static inline __attribute__((always_inline))

/* Which place of a side a border of one repeats: 0, none, here -1; 1, the outermost; 2, the one within that. */
INLINE long place_of(long place, long side, int border)
{
    const long step = border == 2 && side > 1;
    if (place >= 0 && place < side)
        return place;
    return border == 0 ? -1 : place < 0 ? step : side - 1 - step;
}

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,prefer-vector-width=512")
#define LANES 16
#define PIECE 64
#define VECTORS 4
#define NAME(name) name##_avx512_64
#include "winograd.c"
#undef PIECE
#undef VECTORS
#undef NAME
#define PIECE 32
#define VECTORS 2
#define NAME(name) name##_avx512_32
#include "winograd.c"
#undef LANES
#undef PIECE
#undef VECTORS
#undef NAME
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define LANES 8
#define VECTORS 2
#define PIECE 64
#define NAME(name) name##_avx2_64
#include "winograd.c"
#undef PIECE
#undef NAME
#define PIECE 32
#define NAME(name) name##_avx2_32
#include "winograd.c"
#undef LANES
#undef PIECE
#undef VECTORS
#undef NAME
#pragma GCC pop_options

typedef struct {
    float *numbers;
    size_t size;
} Memory;

/* Memory that a thread keeps for its next call: to ask the system for it each time costs as much as a stage. It is
   asked of the system and not of malloc, in whose heap each smaller piece that it outgrows would leave a hole. */
static _Thread_local Memory stages, decoded;

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

static int has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

/* The number of this interface, which compiled.py compares with its own, where the processor has what is needed. */
int supported(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 5 : 0; }

/* Weights (outputs, 3, 3, inputs) from the places where they stand in a table, each multiplied by the factors of its output
   and of its input. */
void decode(const unsigned char *places, const float *table, const float *outputs, const float *inputs, float *values,
            long rows, long length)
{
    const int wide = has_avx512();
#pragma omp parallel for
    for (long row = 0; row < 9 * rows; row++) {
        const long first = row * length;
        if (wide)
            decode_row_avx512_64(places + first, table, outputs[row / 9], inputs, length, values + first);
        else
            decode_row_avx2_64(places + first, table, outputs[row / 9], inputs, length, values + first);
    }
}

/* y = convolution of x, (batch, height, width, channels) -> (..., columns), plus the bias if there is one, and what comes
   after. The weights are (columns, 3, 3, channels): numbers, or, with a table, what decode() makes them of.
   Returns 0, or 1 where there is no memory.

   RELU: with codes, of the same shape as y, these are 1 where it is positive, and else 0.
   MAXIMUM: y has half the height and width, and the codes, of the same shape, say for each maximum which of the four it is,
   row by row, and 4 where it is not positive.
   ROOT: the ReLU is y, and its L2 pooling, of half the height and width, goes to pooled.

   Turned, x is the gradient of what came after and y that of the convolution's input; the weights are (channels, 3, 3,
   columns), turned round.

   RELU: x counts where codes, or without them the mask, are positive.
   MAXIMUM: x has half the height and width; each number goes to where its code says, and the rest is zero.
   ROOT: x is the ReLU; each number is multiplied by that of its cell in pooled, and is zero where it is in none.

   Channels and columns are multiples of 32. */
int convolve(const float *x, const float *mask, const void *weights, const float *table, const float *outputs,
             const float *inputs, const float *bias, float *y, unsigned char *codes, float *pooled, long batch, long height,
             long width, long channels, long columns, int after, int turned, long block)
{
    const long across = (width + 3) / 4, total = across * ((height + 3) / 4);
    const long blocks = (total + block - 1) / block;
    const int wide = has_avx512();
    const long piece = channels % 64 || columns % 64 ? 32 : 64, square = piece * piece;
    void (*const run)(const Job *, long, long, float *) =
        piece == 64 ? (wide ? run_avx512_64 : run_avx2_64) : (wide ? run_avx512_32 : run_avx2_32);
    int failed = 0;
    const float *weight = weights;
    if (table) {
        float *values = reserve(&decoded, 9 * channels * columns);
        if (!values)
            return 1;
        decode(weights, table, outputs, inputs, values, turned ? channels : columns, turned ? columns : channels);
        weight = values;
    }
#pragma omp parallel
    {
        const long slots = (block + GROUP - 1) / GROUP * GROUP;
        const long between = (slots * piece + APART) * (channels / piece + 1);
        float *own = reserve(&stages, 9 * square + 36 * (square + APART + between));
        if (!own) {
#pragma omp atomic write
            failed = 1;
        }
#pragma omp for schedule(dynamic)
        for (long index = 0; index < batch * blocks; index++) {
            const long image = index / blocks, first = index % blocks * block;
            const long count = total - first < block ? total - first : block;
            const long pixels = image * height * width, cells = image * (height / 2) * (width / 2);
            const long from = after == MAXIMUM && turned ? cells : pixels, to = after == MAXIMUM && !turned ? cells : pixels;
            const long coded = (after == MAXIMUM ? cells : pixels) * (turned ? channels : columns);
            const Job job = {x + from * channels,
                             mask ? mask + from * channels : 0,
                             weight,
                             bias,
                             y + to * columns,
                             pooled ? pooled + cells * (turned ? channels : columns) : 0,
                             codes ? codes + coded : 0,
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

/* The gradient of a picture (batch, 3, height, width) under a convolution to at most 64 channels, from that of its outputs,
   or of those of the ReLU after it, which are then the mask; directly, as there is nothing to gain with three channels.
   The weights are (channels, 3, 3, 3), channels last. The border is as place_of() has it. */
void picture_gradient(const float *gradient, const float *mask, const float *weight, float *out, long batch, long height,
                      long width, long channels, int border)
{
    const int wide = has_avx512();
    const long piece = channels > 32 ? 64 : 32;
    void (*const picture_rows)(const float *, const float *, const float *, float *, long, long, long, long, long, int) =
        piece == 64 ? (wide ? picture_rows_avx512_64 : picture_rows_avx2_64)
                    : (wide ? picture_rows_avx512_32 : picture_rows_avx2_32);
    float kernels[64 * 64] = {0};
    for (long k = 0; k < channels; k++)
        for (int tap = 0; tap < 27; tap++)
            kernels[k * piece + tap] = weight[k * 27 + tap];
    const long rows = 16, bands = (height + rows - 1) / rows;
#pragma omp parallel for schedule(dynamic)
    for (long band = 0; band < batch * bands; band++) {
        const long image = band / bands, first = band % bands * rows;
        const long last = first + rows < height ? first + rows : height, pixels = image * height * width;
        picture_rows(gradient + pixels * channels, mask ? mask + pixels * channels : 0, kernels, out + 3 * pixels, height,
                     width, channels, first, last, border);
    }
}

#else

typedef float NAME(Vector) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int NAME(Places) __attribute__((vector_size(4 * LANES)));

#if PIECE == 64
/* A row of weights from the places where they stand in a table. */
static void NAME(decode_row)(const unsigned char *restrict places, const float *restrict table, float output,
                             const float *restrict inputs, long length, float *restrict values)
{
    for (long c = 0; c < length; c++)
        values[c] = table[places[c]] * (output * inputs[c]);
}
#endif

/* A tile of x, zero outside and, turned, as far as what came after lets it through, to its values at the points. */
INLINE void NAME(tile_to_points)(const Job *job, long top, long left, float *out, long stride)
{
    float half_way[6][6][PIECE], taken[6][PIECE];
    const long channels = job->channels;
    for (long first = 0; first < channels; first += PIECE) {
        for (int j = 0; j < 6; j++) {
            const long column = left + (job->turned ? 5 - j : j);
            for (int i = 0; i < 6; i++) {
                const long row = top + (job->turned ? 5 - i : i);
                float *restrict to = taken[i];
                if (row < 0 || row >= job->height || column < 0 || column >= job->width) {
                    for (int c = 0; c < PIECE; c++)
                        to[c] = 0;
                    continue;
                }
                if (job->turned && job->after == MAXIMUM) {
                    const unsigned char here = row % 2 * 2 + column % 2;
                    const long cell = (row / 2 * (job->width / 2) + column / 2) * channels + first;
                    const int inside = row / 2 < job->height / 2 && column / 2 < job->width / 2;
                    const float *restrict pooled = job->x + (inside ? cell : 0);
                    const unsigned char *restrict code = job->codes + (inside ? cell : 0);
                    for (int c = 0; c < PIECE; c++)
                        to[c] = inside && code[c] == here ? pooled[c] : 0;
                    continue;
                }
                const long place = (row * job->width + column) * channels + first;
                const float *restrict from = job->x + place;
                if (job->turned && job->after == ROOT) {
                    const int inside = row / 2 < job->height / 2 && column / 2 < job->width / 2;
                    const long cell = (row / 2 * (job->width / 2) + column / 2) * channels + first;
                    const float *restrict share = job->pooled + (inside ? cell : 0);
                    for (int c = 0; c < PIECE; c++)
                        to[c] = inside ? from[c] * share[c] : 0;
                    continue;
                }
                if (job->turned && job->codes) {
                    const unsigned char *restrict open = job->codes + place;
                    for (int c = 0; c < PIECE; c++)
                        to[c] = open[c] ? from[c] : 0;
                } else if (job->mask) {
                    const float *restrict open = job->mask + place;
                    for (int c = 0; c < PIECE; c++)
                        to[c] = open[c] > 0 ? from[c] : 0;
                } else {
                    for (int c = 0; c < PIECE; c++)
                        to[c] = from[c];
                }
            }
            for (int c = 0; c < PIECE; c++) {
                const float x1 = taken[1][c], x2 = taken[2][c], x3 = taken[3][c], x4 = taken[4][c];
                const float odd_a = x3 - 2 * x1, even_a = x4 - 2 * x2, odd_b = x3 - x1 / 2, even_b = x4 - x2 / 2;
                half_way[0][j][c] = taken[0][c] + x4 - 2.5f * x2;
                half_way[1][j][c] = even_a + A * odd_a;
                half_way[2][j][c] = even_a - A * odd_a;
                half_way[3][j][c] = even_b + B * odd_b;
                half_way[4][j][c] = even_b - B * odd_b;
                half_way[5][j][c] = x1 + taken[5][c] - 2.5f * x3;
            }
        }
        for (int i = 0; i < 6; i++) {
            float *restrict to = out + 36 * stride * (first / PIECE) + 6 * i * stride;
            for (int c = 0; c < PIECE; c++) {
                const float x1 = half_way[i][1][c], x2 = half_way[i][2][c];
                const float x3 = half_way[i][3][c], x4 = half_way[i][4][c];
                const float odd_a = x3 - 2 * x1, even_a = x4 - 2 * x2, odd_b = x3 - x1 / 2, even_b = x4 - x2 / 2;
                to[c] = half_way[i][0][c] + x4 - 2.5f * x2;
                to[c + stride] = even_a + A * odd_a;
                to[c + 2 * stride] = even_a - A * odd_a;
                to[c + 3 * stride] = even_b + B * odd_b;
                to[c + 4 * stride] = even_b - B * odd_b;
                to[c + 5 * stride] = x1 + half_way[i][5][c] - 2.5f * x3;
            }
        }
    }
}

/* A square of LANES x LANES numbers, transposed: as often as a row can be halved, the rows of its upper half and of its
   lower half are shuffled into each other like cards, number by number. */
INLINE void NAME(transpose)(const float *from, long step, float *to, long stride)
{
    NAME(Vector) rows[LANES], shuffled[LANES];
    NAME(Places) upper;
    for (int i = 0; i < LANES; i++)
        upper[i] = i / 2 + i % 2 * LANES;
    const NAME(Places) lower = upper + LANES / 2;
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        rows[i] = *(const NAME(Vector) *)(from + i * step);
#pragma GCC unroll 4
    for (int halved = LANES; halved > 1; halved /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            shuffled[2 * i] = __builtin_shuffle(rows[i], rows[LANES / 2 + i], upper);
            shuffled[2 * i + 1] = __builtin_shuffle(rows[i], rows[LANES / 2 + i], lower);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            rows[i] = shuffled[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        *(NAME(Vector) *)(to + i * stride) = rows[i];
}

/* The kernels from PIECE input channels to PIECE output channels at the points: (36, PIECE, PIECE), outputs last. */
INLINE void NAME(kernels_to_points)(const Job *job, long input, long column, float *restrict weights, float *restrict out)
{
    float taken[9][PIECE], half_way[6][3][PIECE];
    const float *first = job->weight + input * 9 * job->columns + column; /* turned, outputs lie innermost already */
    long step = 9 * job->columns, tap_step = job->columns;
    if (!job->turned) {
        first = job->weight + column * 9 * job->channels + input;
        for (long to = 0; to < PIECE; to += LANES)
            for (int tap = 0; tap < 9; tap++)
                for (long from = 0; from < PIECE; from += LANES)
                    NAME(transpose)(first + (to * 9 + tap) * job->channels + from, 9 * job->channels,
                                    weights + (from * 9 + tap) * PIECE + to, 9 * PIECE);
        first = weights, step = 9 * PIECE, tap_step = PIECE;
    }
    for (int from = 0; from < PIECE; from++) {
        const float *weight = first + from * step;
        /* What is read next is fetched meanwhile: rows of this piece, or those of which the next will be made. */
        const float *next = job->turned ? weight + 4 * step : job->weight + (column + from) * 9 * job->channels + input + PIECE;
        const long next_step = job->turned ? job->columns : job->channels;
        for (int tap = 0; tap < 9; tap++)
            for (int c = 0; c < PIECE; c += 16)
                __builtin_prefetch(next + tap * next_step + c);
        for (int tap = 0; tap < 9; tap++)
            for (int c = 0; c < PIECE; c++)
                taken[tap][c] = weight[tap * tap_step + c];
        for (int j = 0; j < 3; j++)
            for (int c = 0; c < PIECE; c++) {
                const float g0 = taken[j][c], g1 = taken[3 + j][c] * (1.0f / 3), g2 = taken[6 + j][c];
                const float even_a = -(2 * A / 3) * (g0 + g2 / 2), even_b = (B / 6) * (g0 + 2 * g2);
                half_way[0][j][c] = g0;
                half_way[1][j][c] = even_a - g1;
                half_way[2][j][c] = even_a + g1;
                half_way[3][j][c] = even_b + g1;
                half_way[4][j][c] = even_b - g1;
                half_way[5][j][c] = g2;
            }
        for (int i = 0; i < 6; i++) {
            float *restrict to = out + 6 * i * KERNELS + from * PIECE;
            const long stride = KERNELS;
            for (int c = 0; c < PIECE; c++) {
                const float g0 = half_way[i][0][c], g1 = half_way[i][1][c] * (1.0f / 3), g2 = half_way[i][2][c];
                const float even_a = -(2 * A / 3) * (g0 + g2 / 2), even_b = (B / 6) * (g0 + 2 * g2);
                to[c] = g0;
                to[c + stride] = even_a - g1;
                to[c + 2 * stride] = even_a + g1;
                to[c + 3 * stride] = even_b + g1;
                to[c + 4 * stride] = even_b - g1;
                to[c + 5 * stride] = g2;
            }
        }
    }
}

/* GROUP tiles at one point times kernels at that point, added to the sums unless these begin. */
INLINE void NAME(multiply)(const float *tiles, const float *kernels, float *sums, int begin)
{
    for (int column = 0; column < PIECE; column += LANES * VECTORS) {
        NAME(Vector) sum[GROUP][VECTORS];
#pragma GCC unroll 6
        for (int i = 0; i < GROUP; i++)
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++)
                sum[i][j] = begin ? (NAME(Vector)){0}
                                  : *(const NAME(Vector) *)(sums + i * PIECE + column + j * LANES);
        for (int c = 0; c < PIECE; c++) {
            NAME(Vector) kernel[VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++)
                kernel[j] = *(const NAME(Vector) *)(kernels + c * PIECE + column + j * LANES);
#pragma GCC unroll 6
            for (int i = 0; i < GROUP; i++)
#pragma GCC unroll 4
                for (int j = 0; j < VECTORS; j++)
                    sum[i][j] += tiles[i * PIECE + c] * kernel[j];
        }
#pragma GCC unroll 6
        for (int i = 0; i < GROUP; i++)
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++)
                *(NAME(Vector) *)(sums + i * PIECE + column + j * LANES) = sum[i][j];
    }
}

/* PIECE channels of a tile from its products at the points to 4 x 4 outputs, as far as they lie on the picture. */
INLINE void NAME(points_to_outputs)(const Job *job, const float *restrict sums, long stride, long top, long left, long first)
{
    float half_way[4][6][PIECE], results[4][4][PIECE];
    for (int j = 0; j < 6; j++) {
        const float *restrict from = sums + j * stride;
        const long down = 6 * stride;
        for (int c = 0; c < PIECE; c++) {
            const float m1 = from[c + down], m2 = from[c + 2 * down], m3 = from[c + 3 * down], m4 = from[c + 4 * down];
            const float even_a = m1 + m2, odd_a = m1 - m2, even_b = m3 + m4, odd_b = m3 - m4;
            half_way[0][j][c] = from[c] + B * even_a + A * even_b;
            half_way[1][j][c] = odd_a + odd_b;
            half_way[2][j][c] = A * (even_a + 2 * even_b);
            half_way[3][j][c] = from[c + 5 * down] + odd_a / 2 + 2 * odd_b;
        }
    }
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < PIECE; c++) {
            const float m1 = half_way[i][1][c], m2 = half_way[i][2][c], m3 = half_way[i][3][c], m4 = half_way[i][4][c];
            const float even_a = m1 + m2, odd_a = m1 - m2, even_b = m3 + m4, odd_b = m3 - m4;
            results[i][0][c] = half_way[i][0][c] + B * even_a + A * even_b;
            results[i][1][c] = odd_a + odd_b;
            results[i][2][c] = A * (even_a + 2 * even_b);
            results[i][3][c] = half_way[i][5][c] + odd_a / 2 + 2 * odd_b;
        }
    const float *restrict bias = job->bias ? job->bias + first : 0;
    if (job->after == MAXIMUM && !job->turned) {
        for (int i = 0; i < 4; i += 2)
            for (int j = 0; j < 4; j += 2)
                if (top + i + 1 < job->height && left + j + 1 < job->width) {
                    const long cell = ((top + i) / 2 * (job->width / 2) + (left + j) / 2) * job->columns + first;
                    float *restrict to = job->y + cell;
                    unsigned char *restrict code = job->codes + cell;
                    for (int c = 0; c < PIECE; c++) {
                        const float one = results[i][j][c], two = results[i][j + 1][c];
                        const float three = results[i + 1][j][c], four = results[i + 1][j + 1][c];
                        const float upper = two > one || two != two ? two : one;
                        const float lower = four > three || four != four ? four : three;
                        const float most = (lower > upper || lower != lower ? lower : upper) + bias[c];
                        const unsigned char which = lower > upper ? 2 + (four > three) : two > one;
                        to[c] = most < 0 ? 0 : most; /* NaN stays */
                        code[c] = most > 0 ? which : 4;
                    }
                }
        return;
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            const long row = top + (job->turned ? 3 - i : i), column = left + (job->turned ? 3 - j : j);
            if (row >= job->height || column >= job->width)
                continue;
            const float *restrict result = results[i][j];
            float *restrict to = job->y + (row * job->width + column) * job->columns + first;
            if (!bias) {
                for (int c = 0; c < PIECE; c++)
                    to[c] = result[c];
            } else if (job->after) {
                for (int c = 0; c < PIECE; c++) {
                    const float value = result[c] + bias[c];
                    to[c] = value < 0 ? 0 : value; /* NaN stays */
                }
                if (job->codes) {
                    unsigned char *restrict open = job->codes + (row * job->width + column) * job->columns + first;
                    for (int c = 0; c < PIECE; c++)
                        open[c] = to[c] > 0;
                }
            } else {
                for (int c = 0; c < PIECE; c++)
                    to[c] = result[c] + bias[c];
            }
        }
    if (job->after != ROOT || job->turned)
        return;
    for (int i = 0; i < 4; i += 2)
        for (int j = 0; j < 4; j += 2)
            if (top + i + 1 < job->height && left + j + 1 < job->width) {
                const long cell = ((top + i) / 2 * (job->width / 2) + (left + j) / 2) * job->columns + first;
                float *restrict to = job->pooled + cell;
                for (int c = 0; c < PIECE; c++) {
                    float sum = FLOOR;
                    for (int corner = 0; corner < 4; corner++) {
                        const float value = results[i + corner / 2][j + corner % 2][c] + bias[c];
                        sum += value < 0 ? 0 : value * value; /* NaN stays */
                    }
                    to[c] = SCALE * sqrtf(sum);
                }
            }
}

/* A block of tiles, counted row by row. In memory, last and largest: pieces of input channels, points, tiles, channels. */
static void NAME(run)(const Job *job, long first, long count, float *memory)
{
    const long slots = (count + GROUP - 1) / GROUP * GROUP, stride = slots * PIECE + APART;
    float *weights = memory, *kernels = weights + 9 * PIECE * PIECE, *sums = kernels + 36 * KERNELS;
    float *tiles = sums + 36 * stride;
    for (long tile = 0; tile < count; tile++)
        NAME(tile_to_points)(job, (first + tile) / job->across * 4 - 1, (first + tile) % job->across * 4 - 1,
                             tiles + tile * PIECE, stride);
    /* The slots without a tile hold what was there before; their products are not looked at. */
    for (long column = 0; column < job->columns; column += PIECE) {
        for (long input = 0; input < job->channels; input += PIECE) {
            NAME(kernels_to_points)(job, input, column, weights, kernels);
            const float *piece = tiles + 36 * stride * (input / PIECE);
            for (int point = 0; point < 36; point++)
                for (long tile = 0; tile < slots; tile += GROUP)
                    NAME(multiply)(piece + point * stride + tile * PIECE, kernels + point * KERNELS,
                                   sums + point * stride + tile * PIECE, input == 0);
        }
        for (long tile = 0; tile < count; tile++)
            NAME(points_to_outputs)(job, sums + tile * PIECE, stride, (first + tile) / job->across * 4,
                                    (first + tile) % job->across * 4, column);
    }
}

/* Rows first ... last of the gradient of a picture, to which the rows before and after them belong as well. */
static void NAME(picture_rows)(const float *gradient, const float *mask, const float *kernels, float *out, long height,
                               long width, long channels, long first, long last, int border)
{
    float taken[GROUP * PIECE] = {0}, sums[GROUP * PIECE];
    for (int c = 0; c < 3; c++)
        for (long place = first * width; place < last * width; place++)
            out[c * height * width + place] = 0;
    for (long row = first > 0 ? first - 1 : 0; row < (last < height ? last + 1 : height); row++)
        for (long left = 0; left < width; left += GROUP) {
            const long count = width - left < GROUP ? width - left : GROUP;
            /* In the slots without a pixel is what was there before; their products are not looked at. */
            for (long i = 0; i < count; i++) {
                const long place = (row * width + left + i) * channels;
                for (long c = 0; c < channels; c++)
                    taken[i * PIECE + c] = !mask || mask[place + c] > 0 ? gradient[place + c] : 0;
            }
            NAME(multiply)(taken, kernels, sums, 1);
            for (int down = 0; down < 3; down++) {
                const long to = place_of(row + down - 1, height, border);
                if (to < first || to >= last)
                    continue;
                for (long i = 0; i < count; i++)
                    for (int across = 0; across < 3; across++) {
                        const long column = place_of(left + i + across - 1, width, border);
                        if (column >= 0)
                            for (int c = 0; c < 3; c++)
                                out[(c * height + to) * width + column] += sums[i * PIECE + (down * 3 + across) * 3 + c];
                    }
            }
        }
}

#endif
