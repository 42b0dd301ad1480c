/* The arithmetic of winograd.c, which includes this file for each vector width and CHUNK. Defined before:

   LANES        floats in a vector
   CHUNK        channels that are computed at once, 64 or 32
   NAME(name)   the name with both of them in it

   CHUNK and NAME are undefined again at the end. */

#define KERNELS (CHUNK * CHUNK + GAP)          /* floats from one point of the kernels to the next */
#define VECTORS (LANES == 8 ? 2 : CHUNK / 16)  /* of sums in registers, for each of GROUP tiles */

/* Two vectors interleaved, float by float: their lower halves, and their upper ones. */
#if LANES == 16
#define LOWER(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define UPPER(a, b) SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif LANES == 8
#define LOWER(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define UPPER(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOWER(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define UPPER(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#endif
#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (NAME(Indices)){__VA_ARGS__})
#endif

typedef float NAME(Vector) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int NAME(Indices) __attribute__((vector_size(4 * LANES)));

#if CHUNK == 64
/* A row of weights from their codes into a table. */
static void NAME(dequantize_row)(const unsigned char *restrict codes, const float *restrict table, float output,
                                 const float *restrict inputs, long length, float *restrict values)
{
    for (long c = 0; c < length; c++)
        values[c] = table[codes[c]] * (output * inputs[c]);
}
#endif

/* A 6x6 tile of x, zero outside the picture, transformed to its values at the points. If turned, x first passes backwards
   through the operations after the convolution. */
INLINE void NAME(tile_to_points)(const Job *job, long top, long left, float *out, long stride)
{
    float half_way[6][6][CHUNK], taken[6][CHUNK];
    const long channels = job->channels;
    for (long first = 0; first < channels; first += CHUNK) {
        for (int j = 0; j < 6; j++) {
            const long column = left + (job->turned ? 5 - j : j);
            for (int i = 0; i < 6; i++) {
                const long row = top + (job->turned ? 5 - i : i);
                float *restrict to = taken[i];
                if (row < 0 || row >= job->height || column < 0 || column >= job->width) {
                    for (int c = 0; c < CHUNK; c++)
                        to[c] = 0;
                    continue;
                }
                if (job->turned && job->after == RELU_MAX) {
                    const unsigned char here = row % 2 * 2 + column % 2;
                    const long cell = (row / 2 * (job->width / 2) + column / 2) * channels + first;
                    const int inside = row / 2 < job->height / 2 && column / 2 < job->width / 2;
                    const float *restrict pooled = job->x + (inside ? cell : 0);
                    const unsigned char *restrict route = job->routes + (inside ? cell : 0);
                    for (int c = 0; c < CHUNK; c++)
                        to[c] = inside && route[c] == here ? pooled[c] : 0;
                    continue;
                }
                const long place = (row * job->width + column) * channels + first;
                const float *restrict from = job->x + place;
                if (job->turned && job->after == RELU_L2) {
                    const int inside = row / 2 < job->height / 2 && column / 2 < job->width / 2;
                    const long cell = (row / 2 * (job->width / 2) + column / 2) * channels + first;
                    const float *restrict share = job->pooled + (inside ? cell : 0);
                    for (int c = 0; c < CHUNK; c++)
                        to[c] = inside ? from[c] * share[c] : 0;
                    continue;
                }
                if (job->turned && job->routes) {
                    const unsigned char *restrict open = job->routes + place;
                    for (int c = 0; c < CHUNK; c++)
                        to[c] = open[c] ? from[c] : 0;
                } else if (job->mask) {
                    const float *restrict open = job->mask + place;
                    for (int c = 0; c < CHUNK; c++)
                        to[c] = open[c] > 0 ? from[c] : 0;
                } else {
                    for (int c = 0; c < CHUNK; c++)
                        to[c] = from[c];
                }
            }
            for (int c = 0; c < CHUNK; c++) {
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
            float *restrict to = out + 36 * stride * (first / CHUNK) + 6 * i * stride;
            for (int c = 0; c < CHUNK; c++) {
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

/* Transposes a square of LANES x LANES floats: log2(LANES) times, the rows of the upper and the lower half are interleaved,
   float by float. */
INLINE void NAME(transpose)(const float *from, long step, float *to, long stride)
{
    NAME(Vector) rows[LANES], shuffled[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        rows[i] = *(const NAME(Vector) *)(from + i * step);
#pragma GCC unroll 4
    for (int halved = LANES; halved > 1; halved /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            shuffled[2 * i] = LOWER(rows[i], rows[LANES / 2 + i]);
            shuffled[2 * i + 1] = UPPER(rows[i], rows[LANES / 2 + i]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            rows[i] = shuffled[i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        *(NAME(Vector) *)(to + i * stride) = rows[i];
}

/* Transforms the kernels from CHUNK input to CHUNK output channels to their values at the points: (36, CHUNK, CHUNK),
   output channels last. */
INLINE void NAME(kernels_to_points)(const Job *job, long input, long column, float *restrict weights, float *restrict out)
{
    float taken[9][CHUNK], half_way[6][3][CHUNK];
    const float *first = job->weight + input * 9 * job->columns + column; /* if turned, output channels are innermost */
    long step = 9 * job->columns, tap_step = job->columns;
    if (!job->turned) {
        first = job->weight + column * 9 * job->channels + input;
        for (long to = 0; to < CHUNK; to += LANES)
            for (int tap = 0; tap < 9; tap++)
                for (long from = 0; from < CHUNK; from += LANES)
                    NAME(transpose)(first + (to * 9 + tap) * job->channels + from, 9 * job->channels,
                                    weights + (from * 9 + tap) * CHUNK + to, 9 * CHUNK);
        first = weights, step = 9 * CHUNK, tap_step = CHUNK;
    }
    for (int from = 0; from < CHUNK; from++) {
        const float *weight = first + from * step;
        /* Prefetches the next reads: rows of this chunk, or the weights of the next. */
        const float *next = job->turned ? weight + 4 * step : job->weight + (column + from) * 9 * job->channels + input + CHUNK;
        const long next_step = job->turned ? job->columns : job->channels;
        for (int tap = 0; tap < 9; tap++)
            for (int c = 0; c < CHUNK; c += 16)
                __builtin_prefetch(next + tap * next_step + c);
        for (int tap = 0; tap < 9; tap++)
            for (int c = 0; c < CHUNK; c++)
                taken[tap][c] = weight[tap * tap_step + c];
        for (int j = 0; j < 3; j++)
            for (int c = 0; c < CHUNK; c++) {
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
            float *restrict to = out + 6 * i * KERNELS + from * CHUNK;
            const long stride = KERNELS;
            for (int c = 0; c < CHUNK; c++) {
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

/* Adds the products of GROUP tiles of so many channels and the kernels at one point to the sums, or starts the sums with
   them. */
INLINE void NAME(multiply)(const float *tiles, const float *kernels, float *sums, long channels, int begin)
{
    for (int column = 0; column < CHUNK; column += LANES * VECTORS) {
        NAME(Vector) sum[GROUP][VECTORS];
#pragma GCC unroll 6
        for (int i = 0; i < GROUP; i++)
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++)
                sum[i][j] = begin ? (NAME(Vector)){0}
                                  : *(const NAME(Vector) *)(sums + i * CHUNK + column + j * LANES);
        for (long c = 0; c < channels; c++) {
            NAME(Vector) kernel[VECTORS];
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++)
                kernel[j] = *(const NAME(Vector) *)(kernels + c * CHUNK + column + j * LANES);
#pragma GCC unroll 6
            for (int i = 0; i < GROUP; i++)
#pragma GCC unroll 4
                for (int j = 0; j < VECTORS; j++)
                    sum[i][j] += tiles[i * CHUNK + c] * kernel[j];
        }
#pragma GCC unroll 6
        for (int i = 0; i < GROUP; i++)
#pragma GCC unroll 4
            for (int j = 0; j < VECTORS; j++)
                *(NAME(Vector) *)(sums + i * CHUNK + column + j * LANES) = sum[i][j];
    }
}

/* Transforms CHUNK channels of a tile from products at the points to 4 x 4 outputs, applies the operations after the
   convolution, and writes the outputs that are on the picture. */
INLINE void NAME(points_to_outputs)(const Job *job, const float *restrict sums, long stride, long top, long left, long first)
{
    float half_way[4][6][CHUNK], results[4][4][CHUNK];
    for (int j = 0; j < 6; j++) {
        const float *restrict from = sums + j * stride;
        const long down = 6 * stride;
        for (int c = 0; c < CHUNK; c++) {
            const float m1 = from[c + down], m2 = from[c + 2 * down], m3 = from[c + 3 * down], m4 = from[c + 4 * down];
            const float even_a = m1 + m2, odd_a = m1 - m2, even_b = m3 + m4, odd_b = m3 - m4;
            half_way[0][j][c] = from[c] + B * even_a + A * even_b;
            half_way[1][j][c] = odd_a + odd_b;
            half_way[2][j][c] = A * (even_a + 2 * even_b);
            half_way[3][j][c] = from[c + 5 * down] + odd_a / 2 + 2 * odd_b;
        }
    }
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < CHUNK; c++) {
            const float m1 = half_way[i][1][c], m2 = half_way[i][2][c], m3 = half_way[i][3][c], m4 = half_way[i][4][c];
            const float even_a = m1 + m2, odd_a = m1 - m2, even_b = m3 + m4, odd_b = m3 - m4;
            results[i][0][c] = half_way[i][0][c] + B * even_a + A * even_b;
            results[i][1][c] = odd_a + odd_b;
            results[i][2][c] = A * (even_a + 2 * even_b);
            results[i][3][c] = half_way[i][5][c] + odd_a / 2 + 2 * odd_b;
        }
    const float *restrict bias = job->bias ? job->bias + first : 0;
    if (job->after == RELU_MAX && !job->turned) {
        for (int i = 0; i < 4; i += 2)
            for (int j = 0; j < 4; j += 2)
                if (top + i + 1 < job->height && left + j + 1 < job->width) {
                    const long cell = ((top + i) / 2 * (job->width / 2) + (left + j) / 2) * job->columns + first;
                    float *restrict to = job->y + cell;
                    unsigned char *restrict route = job->routes + cell;
                    for (int c = 0; c < CHUNK; c++) {
                        const float one = results[i][j][c], two = results[i][j + 1][c];
                        const float three = results[i + 1][j][c], four = results[i + 1][j + 1][c];
                        const float upper = two > one || two != two ? two : one;
                        const float lower = four > three || four != four ? four : three;
                        const float most = (lower > upper || lower != lower ? lower : upper) + bias[c];
                        const unsigned char which = lower > upper ? 2 + (four > three) : two > one;
                        to[c] = most < 0 ? 0 : most; /* NaN stays NaN */
                        route[c] = most > 0 ? which : 4;
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
                for (int c = 0; c < CHUNK; c++)
                    to[c] = result[c];
            } else if (job->after) {
                for (int c = 0; c < CHUNK; c++) {
                    const float value = result[c] + bias[c];
                    to[c] = value < 0 ? 0 : value; /* NaN stays NaN */
                }
                if (job->routes) {
                    unsigned char *restrict open = job->routes + (row * job->width + column) * job->columns + first;
                    for (int c = 0; c < CHUNK; c++)
                        open[c] = to[c] > 0;
                }
            } else {
                for (int c = 0; c < CHUNK; c++)
                    to[c] = result[c] + bias[c];
            }
        }
    if (job->after != RELU_L2 || job->turned)
        return;
    for (int i = 0; i < 4; i += 2)
        for (int j = 0; j < 4; j += 2)
            if (top + i + 1 < job->height && left + j + 1 < job->width) {
                const long cell = ((top + i) / 2 * (job->width / 2) + (left + j) / 2) * job->columns + first;
                float *restrict to = job->pooled + cell;
                for (int c = 0; c < CHUNK; c++) {
                    float sum = FLOOR;
                    for (int corner = 0; corner < 4; corner++) {
                        const float value = results[i + corner / 2][j + corner % 2][c] + bias[c];
                        sum += value < 0 ? 0 : value * value; /* NaN stays NaN */
                    }
                    to[c] = SCALE * sqrtf(sum);
                }
            }
}

/* Takes a block of tiles, numbered row by row, through all stages. The memory holds rearranged weights, transformed kernels,
   sums of products, and transformed tiles, (chunks of input channels, points, tiles, channels). */
static void NAME(run)(const Job *job, long first, long count, float *memory)
{
    const long slots = (count + GROUP - 1) / GROUP * GROUP, stride = slots * CHUNK + GAP;
    float *weights = memory, *kernels = weights + 9 * CHUNK * CHUNK, *sums = kernels + 36 * KERNELS;
    float *tiles = sums + 36 * stride;
    for (long tile = 0; tile < count; tile++)
        NAME(tile_to_points)(job, (first + tile) / job->across * 4 - 1, (first + tile) % job->across * 4 - 1,
                             tiles + tile * CHUNK, stride);
    /* Slots without a tile hold old values; their products are not used. */
    for (long column = 0; column < job->columns; column += CHUNK) {
        for (long input = 0; input < job->channels; input += CHUNK) {
            NAME(kernels_to_points)(job, input, column, weights, kernels);
            const float *chunk = tiles + 36 * stride * (input / CHUNK);
            for (int point = 0; point < 36; point++)
                for (long tile = 0; tile < slots; tile += GROUP)
                    NAME(multiply)(chunk + point * stride + tile * CHUNK, kernels + point * KERNELS,
                                   sums + point * stride + tile * CHUNK, CHUNK, input == 0);
        }
        for (long tile = 0; tile < count; tile++)
            NAME(points_to_outputs)(job, sums + tile * CHUNK, stride, (first + tile) / job->across * 4,
                                    (first + tile) % job->across * 4, column);
    }
}

#include "maps_kernel.h"

#undef KERNELS
#undef VECTORS
#undef LOWER
#undef UPPER
#undef SHUFFLE
#undef CHUNK
#undef NAME
