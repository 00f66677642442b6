// What a network has beside its PDE terms, for a machine without a library of matrix products.
//
//     combination   out[a, y, x] = bias[a] + sum over t of w[t, a] f[offsets[t] + y pitch + x]
//     projection    out[c, n] = max over o of f[c, o, n]
//
// A combination with the beginnings of the channels as offsets mixes channels; with those of the neighbours of the first
// pixel in every channel of a padded image it is a convolution, hence a lift. A normalisation is in w and bias.
//
// Layout    w [terms, padded], where padded >= outputs is a multiple of 4; bias [padded]; out [outputs, height, width].
// A warp    computes 4 outputs at 2 width<float> neighbouring x in registers: 6 loads for 8 multiply-adds.
// NaN       spreads.
// Launch    combination: blocks = height; projection: blocks = channels. No shared memory.
#include "spmd.cuh"

using A = float;
constexpr int outputs_at_once = 4, vectors_at_once = 2;

extern "C" __global__ void combination(const A* f, const A* w, const A* bias, const int* offsets, A* out, int terms,
                                       int outputs, int height, int image_width, int pitch) {
    constexpr int step = vectors_at_once * width<A>;
    const int y = block(), padded = (outputs + outputs_at_once - 1) / outputs_at_once * outputs_at_once;
    for (int x = warp() * step; x < image_width; x += warps() * step) {
        const bool inside = x + step <= image_width;
        for (int first = 0; first < outputs; first += outputs_at_once) {
            Lanes<A> sum[outputs_at_once][vectors_at_once];
            UNROLL
            for (int a = 0; a < outputs_at_once; a++) {
                UNROLL
                for (int v = 0; v < vectors_at_once; v++) sum[a][v] = splat<A>(bias[first + a]);
            }
            for (int t = 0; t < terms; t++) {
                const A* const row = f + offsets[t] + (long long)y * pitch;
                const A* const weight = w + (long long)t * padded + first;
                Lanes<A> value[vectors_at_once];
                UNROLL
                for (int v = 0; v < vectors_at_once; v++)
                    value[v] = inside ? load(row, x + v * width<A>)
                                      : load_inside(row, x + v * width<A>, image_width, A(0));
                UNROLL
                for (int a = 0; a < outputs_at_once; a++) {
                    UNROLL
                    for (int v = 0; v < vectors_at_once; v++) sum[a][v] += value[v] * weight[a];
                }
            }
            UNROLL
            for (int a = 0; a < outputs_at_once; a++) {
                if (first + a >= outputs) break;
                A* const row = out + ((long long)(first + a) * height + y) * image_width;
                UNROLL
                for (int v = 0; v < vectors_at_once; v++)
                    if (x + v * width<A> < image_width) store_inside(row, x + v * width<A>, image_width, sum[a][v]);
            }
        }
    }
}
EXPORT_KERNEL(combination)

extern "C" __global__ void projection(const A* f, A* out, int orientations, int points) {
    const A* const channel = f + (long long)block() * orientations * points;
    for (int n = warp() * width<A>; n < points; n += warps() * width<A>) {
        Lanes<A> best = load_inside(channel, n, points, A(0));
        for (int o = 1; o < orientations; o++) {
            const Lanes<A> value = load_inside(channel + (long long)o * points, n, points, A(0));
            best = choose((best != best) | (value <= best), best, value);
        }
        store_inside(out + (long long)block() * points, n, points, best);
    }
}
EXPORT_KERNEL(projection)
