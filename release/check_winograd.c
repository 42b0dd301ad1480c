/* Compares the functions of winograd.c with sums in double precision, without Python: for sanitizers and for emulated
   processors. check_kernel.py compiles and runs it. Prints the worst error of each check; the exit code is the number of
   checks that failed. */

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Parallel)(void (*)(void *), void *, unsigned, unsigned);
void use_threads(Parallel);
const char *supported(void);
double constant(const char *);
void dequantize(const unsigned char *, const float *, const float *, const float *, float *, long, long);
int convolve(const float *, const float *, const void *, const float *, const float *, const float *, const float *, float *,
             unsigned char *, float *, long, long, long, long, long, int, int, long);
void picture_gradient(const float *, const float *, const float *, float *, long, long, long, long, int);
int picture_features(const float *, const float *, const float *, float *, long, long, long, long, int, int);
void pool(const float *, float *, long, long, long, long);
void spread(const float *, const float *, const float *, float *, long, long, long, long);

enum { NONE, RELU, RELU_MAX, RELU_L2 };
enum { BATCH = 2, HEIGHT = 11, WIDTH = 14, THREADS = 3 };

static int failures;

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        abort();
    return memory;
}

static float *random_floats(long count)
{
    float *values = zeros(count, sizeof(float));
    for (long i = 0; i < count; i++)
        values[i] = (float)rand() / (float)RAND_MAX * 2 - 1;
    return values;
}

typedef struct {
    void (*task)(void *);
    void *data;
} Call;

static void *start(void *given)
{
    const Call *call = given;
    call->task(call->data);
    return NULL;
}

static void in_threads(void (*task)(void *), void *data, unsigned count, unsigned flags)
{
    pthread_t threads[THREADS];
    Call call = {task, data};
    (void)count, (void)flags;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, start, &call))
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void compare(const char *what, const float *found, const double *expected, long count, double scale)
{
    double worst = 0;
    for (long i = 0; i < count; i++) {
        const double error = fabs(found[i] - expected[i]) / scale;
        if (!(error <= worst))
            worst = error;
    }
    const int wrong = !(worst < 1e-5);
    failures += wrong;
    printf("%-44s %.1e%s\n", what, worst, wrong ? "  WRONG" : "");
}

/* The convolution by its definition; if turned, the gradient of its input. */
static double *defined(const float *x, const float *weight, const float *bias, long channels, long columns, int turned)
{
    double *y = zeros(BATCH * HEIGHT * WIDTH * columns, sizeof(double));
    for (long b = 0; b < BATCH; b++)
        for (long r = 0; r < HEIGHT; r++)
            for (long c = 0; c < WIDTH; c++)
                for (long k = 0; k < columns; k++) {
                    double sum = bias ? bias[k] : 0;
                    for (int tap = 0; tap < 9; tap++) {
                        const long i = tap / 3 - 1, j = tap % 3 - 1;
                        const long row = turned ? r - i : r + i, column = turned ? c - j : c + j;
                        if (row < 0 || row >= HEIGHT || column < 0 || column >= WIDTH)
                            continue;
                        const float *from = x + ((b * HEIGHT + row) * WIDTH + column) * channels;
                        for (long n = 0; n < channels; n++)
                            sum += (double)from[n] *
                                   (turned ? weight[(n * 9 + tap) * columns + k] : weight[(k * 9 + tap) * channels + n]);
                    }
                    y[((b * HEIGHT + r) * WIDTH + c) * columns + k] = sum;
                }
    return y;
}

static long cell_of(long b, long r, long c) { return (b * (HEIGHT / 2) + r) * (WIDTH / 2) + c; }

static void check_convolution(long channels, long columns, long block)
{
    const long pixels = BATCH * HEIGHT * WIDTH, cells = BATCH * (HEIGHT / 2) * (WIDTH / 2);
    const double scale = sqrt(9.0 * (double)channels);
    float *x = random_floats(pixels * channels), *weight = random_floats(9 * channels * columns), *bias = random_floats(columns);
    float *y = zeros(pixels * columns, sizeof(float)), *pooled = zeros(cells * columns, sizeof(float));
    unsigned char *routes = zeros(pixels * columns, 1);
    double *plain = defined(x, weight, bias, channels, columns, 0), *relu = zeros(pixels * columns, sizeof(double));
    double *small = zeros(cells * columns, sizeof(double));
    char name[64];

#define CHECK(what, found, expected, count)                                                                            \
    (snprintf(name, sizeof name, "%ld to %ld, %ld tiles: %s", channels, columns, block, what),                         \
     compare(name, found, expected, count, scale))
#define RUN(x, mask, bias, y, routes, pooled, from, to, after, turned)                                                 \
    (failures += convolve(x, mask, weight, NULL, NULL, NULL, bias, y, routes, pooled, BATCH, HEIGHT, WIDTH, from, to,  \
                          after, turned, block))
    RUN(x, NULL, bias, y, NULL, NULL, channels, columns, NONE, 0);
    CHECK("value", y, plain, pixels * columns);
    for (long i = 0; i < pixels * columns; i++)
        relu[i] = plain[i] > 0 ? plain[i] : 0;
    RUN(x, NULL, bias, y, routes, NULL, channels, columns, RELU, 0);
    CHECK("ReLU", y, relu, pixels * columns);
    for (long i = 0; i < pixels * columns; i++)
        failures += routes[i] != (y[i] > 0);

    RUN(x, NULL, bias, y, NULL, pooled, channels, columns, RELU_L2, 0);
    for (int most = 0; most < 2; most++) {
        for (long b = 0; b < BATCH; b++)
            for (long r = 0; r < HEIGHT / 2; r++)
                for (long c = 0; c < WIDTH / 2; c++)
                    for (long k = 0; k < columns; k++) {
                        double sum = constant("l2 floor"), largest = 0;
                        for (int corner = 0; corner < 4; corner++) {
                            const long row = 2 * r + corner / 2, column = 2 * c + corner % 2;
                            const double value = relu[((b * HEIGHT + row) * WIDTH + column) * columns + k];
                            sum += value * value;
                            largest = value > largest ? value : largest;
                        }
                        small[cell_of(b, r, c) * columns + k] = most ? largest : constant("l2 scale") * sqrt(sum);
                    }
        if (most)
            RUN(x, NULL, bias, pooled, routes, NULL, channels, columns, RELU_MAX, 0);
        CHECK(most ? "ReLU and max pooling" : "ReLU and L2 pooling", pooled, small, cells * columns);
    }

    /* Gradients: of a convolution from columns to channels. The routes are those of RELU_MAX for its channels, or 0 and 1. */
    float *mask = random_floats(pixels * channels), *masked = zeros(pixels * channels, sizeof(float));
    unsigned char *open = zeros(pixels * channels, 1);
    double *back = defined(x, weight, NULL, channels, columns, 1);
    RUN(x, NULL, NULL, y, NULL, NULL, channels, columns, NONE, 1);
    CHECK("gradient", y, back, pixels * columns);
    free(back);
    for (long i = 0; i < pixels * channels; i++)
        open[i] = mask[i] > 0, masked[i] = open[i] ? x[i] : 0;
    back = defined(masked, weight, NULL, channels, columns, 1);
    RUN(x, mask, NULL, y, NULL, NULL, channels, columns, RELU, 1);
    CHECK("gradient of the ReLU", y, back, pixels * columns);
    RUN(x, NULL, NULL, y, open, NULL, channels, columns, RELU, 1);
    CHECK("gradient of the ReLU by routes", y, back, pixels * columns);
    free(back);
    float *share = random_floats(cells * channels);
    for (int most = 0; most < 2; most++) {
        memset(masked, 0, pixels * channels * sizeof(float));
        for (long i = 0; i < cells * channels; i++)
            open[i] = rand() % 5;
        for (long b = 0; b < BATCH; b++)
            for (long r = 0; r < HEIGHT / 2 * 2; r++)
                for (long c = 0; c < WIDTH / 2 * 2; c++)
                    for (long n = 0; n < channels; n++) {
                        const long place = ((b * HEIGHT + r) * WIDTH + c) * channels + n;
                        const long cell = cell_of(b, r / 2, c / 2) * channels + n;
                        if (most)
                            masked[place] = open[cell] == r % 2 * 2 + c % 2 ? share[cell] : 0;
                        else
                            masked[place] = x[place] * share[cell];
                    }
        back = defined(masked, weight, NULL, channels, columns, 1);
        if (most)
            RUN(share, NULL, NULL, y, open, NULL, channels, columns, RELU_MAX, 1);
        else
            RUN(x, NULL, NULL, y, NULL, share, channels, columns, RELU_L2, 1);
        CHECK(most ? "gradient of max pooling" : "gradient of L2 pooling", y, back, pixels * columns);
        free(back);
    }
    free(x), free(weight), free(bias), free(y), free(pooled), free(routes), free(plain), free(relu), free(small);
    free(mask), free(masked), free(open), free(share);
}

static void check_codes(long rows, long length)
{
    const long count = 9 * rows * length;
    unsigned char *codes = zeros(count, 1);
    float *table = random_floats(256), *outputs = random_floats(rows), *inputs = random_floats(length);
    float *values = zeros(count, sizeof(float));
    double *expected = zeros(count, sizeof(double));
    for (long i = 0; i < count; i++) {
        codes[i] = (unsigned char)rand();
        expected[i] = (double)table[codes[i]] * outputs[i / (9 * length)] * inputs[i % length];
    }
    dequantize(codes, table, outputs, inputs, values, rows, length);
    compare("weights from codes", values, expected, count, 1);
    free(codes), free(table), free(outputs), free(inputs), free(values), free(expected);
}

static long beyond(long place, long side, int border)
{
    if (place >= 0 && place < side)
        return place;
    return border == 0 ? -1 : border == 1 ? (place < 0 ? 0 : side - 1) : (place < 0 ? -place : 2 * side - 2 - place);
}

static void check_picture(long channels, int border)
{
    const long height = 37, width = 15, pixels = BATCH * height * width;
    float *gradient = random_floats(pixels * channels), *weight = random_floats(27 * channels);
    float *out = zeros(3 * pixels, sizeof(float));
    double *expected = zeros(3 * pixels, sizeof(double));
    for (long b = 0; b < BATCH; b++)
        for (long r = 0; r < height; r++)
            for (long c = 0; c < width; c++)
                for (int tap = 0; tap < 9; tap++) {
                    const long row = beyond(r + tap / 3 - 1, height, border), column = beyond(c + tap % 3 - 1, width, border);
                    for (int colour = 0; colour < 3 && row >= 0 && column >= 0; colour++)
                        for (long k = 0; k < channels; k++)
                            expected[((b * 3 + colour) * height + row) * width + column] +=
                                (double)gradient[((b * height + r) * width + c) * channels + k] *
                                weight[k * 27 + tap * 3 + colour];
                }
    picture_gradient(gradient, NULL, weight, out, BATCH, height, width, channels, border);
    char name[64];
    snprintf(name, sizeof name, "gradient of a picture, %ld channels, border %d", channels, border);
    compare(name, out, expected, 3 * pixels, sqrt(27.0 * (double)channels));
    free(gradient), free(weight), free(out), free(expected);
}

static void check_features(long channels, int border, int relu)
{
    const long height = 37, width = 15, pixels = BATCH * height * width;
    float *x = random_floats(3 * pixels), *weight = random_floats(27 * channels), *bias = random_floats(channels);
    float *out = zeros(pixels * channels, sizeof(float));
    double *expected = zeros(pixels * channels, sizeof(double));
    for (long b = 0; b < BATCH; b++)
        for (long r = 0; r < height; r++)
            for (long c = 0; c < width; c++)
                for (long k = 0; k < channels; k++) {
                    double sum = bias[k];
                    for (int tap = 0; tap < 9; tap++) {
                        const long row = beyond(r + tap / 3 - 1, height, border), column = beyond(c + tap % 3 - 1, width, border);
                        for (int colour = 0; colour < 3 && row >= 0 && column >= 0; colour++)
                            sum += (double)x[((b * 3 + colour) * height + row) * width + column] * weight[k * 27 + tap * 3 + colour];
                    }
                    expected[((b * height + r) * width + c) * channels + k] = relu && sum < 0 ? 0 : sum;
                }
    failures += picture_features(x, weight, bias, out, BATCH, height, width, channels, border, relu) != 0;
    char name[64];
    snprintf(name, sizeof name, "features of a picture, %ld channels, border %d", channels, border);
    compare(name, out, expected, pixels * channels, sqrt(27.0));
    free(x), free(weight), free(bias), free(out), free(expected);
}

static void check_pooling(long height, long width, long channels)
{
    const long row = width * channels, small = BATCH * (height / 2) * (width / 2) * channels;
    float *x = random_floats(BATCH * height * row), *pooled = zeros(small, sizeof(float)), *gradient = random_floats(small);
    float *back = random_floats(BATCH * height * row);
    double *expected = zeros(small, sizeof(double)), *expected_back = zeros(BATCH * height * row, sizeof(double));
    for (long b = 0; b < BATCH; b++)
        for (long r = 0; r < height / 2; r++)
            for (long c = 0; c < width / 2; c++)
                for (long k = 0; k < channels; k++) {
                    const long cell = ((b * (height / 2) + r) * (width / 2) + c) * channels + k;
                    const long place = ((b * height + 2 * r) * width + 2 * c) * channels + k;
                    const long corners[] = {place, place + channels, place + row, place + row + channels};
                    double sum = constant("l2 floor");
                    for (int i = 0; i < 4; i++)
                        sum += (double)x[corners[i]] * x[corners[i]];
                    expected[cell] = constant("l2 scale") * sqrt(sum);
                    for (int i = 0; i < 4; i++)
                        expected_back[corners[i]] = constant("l2 scale") / sqrt(sum) * gradient[cell] * x[corners[i]];
                }
    pool(x, pooled, BATCH, height, width, channels);
    spread(x, pooled, gradient, back, BATCH, height, width, channels);
    compare("L2 pooling", pooled, expected, small, 1);
    compare("gradient of L2 pooling alone", back, expected_back, BATCH * height * row, 1);
    free(x), free(pooled), free(gradient), free(back), free(expected), free(expected_back);
}

int main(void)
{
    if (!*supported()) {
        printf("this processor has not the vectors\n");
        return 0;
    }
    printf("vectors: %s\n", supported());
    for (int threads = 0; threads < 2; threads++) {
        use_threads(threads ? in_threads : NULL);
        check_convolution(64, 64, 5);
        check_convolution(32, 96, 48);
        check_codes(32, 64);
        for (int border = 0; border < 3; border++) {
            check_picture(16, border);
            check_picture(64, border);
            check_features(16, border, 1);
            check_features(64, border, 0);
        }
        check_pooling(12, 8, 16);
        check_pooling(9, 7, 5);
    }
    printf("%d checks failed\n", failures);
    return failures > 0;
}
