/* The arithmetic of winograd.c that goes along the rows of a map; winograd_kernel.h includes this file, see there. */

/* Rows first to last - 1 of the gradient of a picture; reads the rows before and after these too. */
static void NAME(picture_rows)(const float *gradient, const float *mask, const float *kernels, float *out, long height,
                               long width, long channels, long first, long last, int border)
{
    float taken[GROUP * CHUNK] = {0}, sums[GROUP * CHUNK];
    for (int c = 0; c < 3; c++)
        for (long place = first * width; place < last * width; place++)
            out[c * height * width + place] = 0;
    for (long row = first > 0 ? first - 1 : 0; row < (last < height ? last + 1 : height); row++)
        for (long left = 0; left < width; left += GROUP) {
            const long count = width - left < GROUP ? width - left : GROUP;
            /* Slots without a pixel hold old values; their products are not used. */
            for (long i = 0; i < count; i++) {
                const long place = (row * width + left + i) * channels;
                for (long c = 0; c < channels; c++)
                    taken[i * CHUNK + c] = !mask || mask[place + c] > 0 ? gradient[place + c] : 0;
            }
            NAME(multiply)(taken, kernels, sums, channels, 1);
            for (int down = 0; down < 3; down++) {
                const long to = repeated(row + down - 1, height, border);
                if (to < first || to >= last)
                    continue;
                for (long i = 0; i < count; i++)
                    for (int across = 0; across < 3; across++) {
                        const long column = repeated(left + i + across - 1, width, border);
                        if (column >= 0)
                            for (int c = 0; c < 3; c++)
                                out[(c * height + to) * width + column] += sums[i * CHUNK + (down * 3 + across) * 3 + c];
                    }
            }
        }
}

#if CHUNK == 64
enum { NAME(PIXELS) = 8 }; /* whose features are computed at once, in registers */

/* Rows first to last - 1 of the features of a picture (3, height, width): (height, width, channels). The kernels are (27,
   channels), with the picture's channels innermost in the taps. The memory holds the rows that a row of features sees. */
static void NAME(feature_rows)(const float *x, const float *kernels, const float *bias, float *y, long height, long width,
                               long channels, long first, long last, int border, int relu, float *memory)
{
    const long wide = width + 2 + NAME(PIXELS); /* the last pixels hold old values; what they give is not used */
    for (long row = first; row < last; row++) {
        for (int down = 0; down < 3; down++)
            for (int c = 0; c < 3; c++) {
                const long from = repeated(row + down - 1, height, border);
                float *to = memory + (down * 3 + c) * wide;
                if (from < 0) {
                    memset(to, 0, (width + 2) * sizeof(float));
                    continue;
                }
                const float *pixels = x + (c * height + from) * width;
                const long before = repeated(-1, width, border), after = repeated(width, width, border);
                to[0] = before < 0 ? 0 : pixels[before];
                memcpy(to + 1, pixels, width * sizeof(float));
                to[width + 1] = after < 0 ? 0 : pixels[after];
            }
        for (long left = 0; left < width; left += NAME(PIXELS))
            for (long column = 0; column < channels; column += LANES) {
                NAME(Vector) sum[NAME(PIXELS)];
#pragma GCC unroll 8
                for (int i = 0; i < NAME(PIXELS); i++)
                    sum[i] = *(const NAME(Vector) *)(bias + column);
                for (int down = 0; down < 3; down++)
                    for (int across = 0; across < 3; across++)
                        for (int c = 0; c < 3; c++) {
                            const float *taken = memory + (down * 3 + c) * wide + left + across;
                            const NAME(Vector) kernel =
                                *(const NAME(Vector) *)(kernels + ((down * 3 + across) * 3 + c) * channels + column);
#pragma GCC unroll 8
                            for (int i = 0; i < NAME(PIXELS); i++)
                                sum[i] += taken[i] * kernel;
                        }
                const long count = width - left < NAME(PIXELS) ? width - left : NAME(PIXELS);
                for (long i = 0; i < count; i++) {
                    float *restrict to = y + (row * width + left + i) * channels + column;
                    for (int c = 0; c < LANES; c++)
                        to[c] = relu && sum[i][c] < 0 ? 0 : sum[i][c]; /* NaN stays NaN */
                }
            }
    }
}

/* A row of the L2 pooling of a map: two rows of x, (2, width, channels) -> (width / 2, channels). */
static void NAME(pool_row)(const float *restrict x, float *restrict y, long width, long channels)
{
    for (long cell = 0; cell < width / 2; cell++) {
        const float *restrict upper = x + 2 * cell * channels, *restrict lower = upper + width * channels;
        float *restrict to = y + cell * channels;
        for (long c = 0; c < channels; c++) {
            const float one = upper[c], two = upper[channels + c], three = lower[c], four = lower[channels + c];
            to[c] = SCALE * sqrtf(FLOOR + one * one + two * two + three * three + four * four);
        }
    }
}

/* Its gradient: two rows, from x, the row of the pooled map and that of its gradient; zero outside all cells. */
static void NAME(spread_row)(const float *restrict x, const float *restrict pooled, const float *restrict gradient,
                             float *restrict back, long width, long channels)
{
    const long cells = width / 2;
    for (long cell = 0; cell < cells; cell++) {
        const long place = 2 * cell * channels, below = place + width * channels;
        for (long c = 0; c < channels; c++) {
            const float share = gradient[cell * channels + c] / pooled[cell * channels + c] * (SCALE * SCALE);
            back[place + c] = share * x[place + c];
            back[place + channels + c] = share * x[place + channels + c];
            back[below + c] = share * x[below + c];
            back[below + channels + c] = share * x[below + channels + c];
        }
    }
    if (width % 2) {
        memset(back + 2 * cells * channels, 0, channels * sizeof(float));
        memset(back + (width + 2 * cells) * channels, 0, channels * sizeof(float));
    }
}
#endif
