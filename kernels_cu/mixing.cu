// Linear combinations of channels at every point, and the moments of channels: what a layer mixes and normalises with.
//
//     mix       out[b, a, p] = shift[a] + sum_c w[a, c] f[b, c, p] + sum_d w[a, C + d] g[b, d, p]
//     moments   products[n, a, c] = sum_p g'[b, a, p] f'[b, c, p]        sums[n, a] = sum_p g'[b, a, p]
//
// with g' = g - centre_g and f' = f - centre_f. The moments are partial sums, over the points of block n, which the
// caller adds up in double precision. The statistics of w f follow from the moments of f, so that its batch
// normalisation takes no pass over w f and is itself a mix.
//
// Layout    f [B, C, P], g [B, D, P], out [B, Cout, P] of A; P is all points of a channel. Contiguous.
// A block   owns `points` points of one image. For the moments it holds them in a tile: rows of P elements, apart by a
//           power of two, would fall on the same lines of the cache.
// Cost      mix: per point one multiply-add for each weight; moments: one for each product, half of them if g is f.
// Launch    points a multiple of width<A>; blocks = B ceil(P / points); for the moments shared memory for rows of
//           `points`, C and D of them, each rounded up to a multiple of 4.
#include "spmd.cuh"

using A = Arithmetic<SCALAR>;

struct Segment {
    int image, points;
    long long first, length;

    __device__ Segment(long long all, int p) : points(p) {
        const long long segments = (all + p - 1) / p;
        image = int(block() / segments);
        first = block() % segments * p;
        length = all;
    }
    // The tile's row with what is there of a channel, less `centre`; zero beyond. Returns its sum for each lane.
    __device__ Lanes<A> fill(A* to, const A* channel, A centre) const {
        const int present = length - first < points ? int(length - first) : points;
        Lanes<A> sum = splat<A>(A(0));
        for (int x = 0; x < points; x += width<A>) {
            const Lanes<A> value = load_inside(channel + first, x, present, centre) - centre;
            store(to, x, value);
            sum += value;
        }
        return sum;
    }
};

// N outputs at the points of one vector, from `start` or, where there is none, from what is there. All channels are
// read at once, so that none has to stay in the cache.
template <int N>
__device__ inline void mix_rows(const A* f, int channels, const A* w, int pitch, const A* start, A* out,
                                long long length, int present) {
    Lanes<A> sum[N];
    UNROLL
    for (int a = 0; a < N; a++) sum[a] = start ? splat<A>(start[a]) : load_inside(out + a * length, 0, present, A(0));
    for (int c = 0; c < channels; c++) {
        const Lanes<A> value = in_register(load_inside(f + c * length, 0, present, A(0)));
        UNROLL
        for (int a = 0; a < N; a++) sum[a] += value * w[a * pitch + c];
    }
    UNROLL
    for (int a = 0; a < N; a++) store_inside(out + a * length, 0, present, sum[a]);
}

// All outputs at the points of one block.
__device__ inline void mix_points(const A* f, int channels, const A* w, int pitch, const A* start, A* out, int of_out,
                                  int length, int first, int end) {
    for (int x = first + warp() * width<A>; x < end; x += warps() * width<A>) {
        const int present = length - x;
        A* const to = out + x;
        int a = 0;
        for (; a + 16 <= of_out; a += 16)
            mix_rows<16>(f + x, channels, w + a * pitch, pitch, start ? start + a : start, to + (long long)a * length,
                         length, present);
        for (; a + 4 <= of_out; a += 4)
            mix_rows<4>(f + x, channels, w + a * pitch, pitch, start ? start + a : start, to + (long long)a * length,
                        length, present);
        for (; a < of_out; a++)
            mix_rows<1>(f + x, channels, w + a * pitch, pitch, start ? start + a : start, to + (long long)a * length,
                        length, present);
    }
}

extern "C" __global__ void mix(const A* f, const A* g, const A* w, const A* shift, A* out, int of_f, int of_g,
                               int of_out, int length, int points) {
    const int segments = (length + points - 1) / points, pitch = of_f + of_g;
    const int image = block() / segments, first = block() % segments * points;
    const int end = length - first < points ? length : first + points;
    A* const to = out + (long long)image * of_out * length;
    mix_points(f + (long long)image * of_f * length, of_f, w, pitch, shift, to, of_out, length, first, end);
    if (of_g)
        mix_points(g + (long long)image * of_g * length, of_g, w + of_f, pitch, nullptr, to, of_out, length, first, end);
}
EXPORT_KERNEL(mix)

extern "C" __global__ void moments(const A* g, const A* f, const A* centre_g, const A* centre_f, A* products, A* sums,
                                   int of_g, int of_f, int length, int points) {
    constexpr int N = 4;
    const Segment segment(length, points);
    const bool same = g == f;  // one half of a symmetric matrix
    const int rows_g = (of_g + N - 1) / N * N, rows_f = (of_f + N - 1) / N * N;
    A* const tile = reinterpret_cast<A*>(shared_memory());
    A* const tile_f = same ? tile : tile + rows_g * points;
    for (int n = warp(); n < (same ? rows_g : rows_g + rows_f); n += warps()) {
        const bool first = n < rows_g;
        const int channel = first ? n : n - rows_g, count = first ? of_g : of_f;
        if (channel >= count) {
            for (int x = 0; x < points; x += width<A>) store(tile + n * points, x, splat<A>(A(0)));
            continue;
        }
        const A* const row = (first ? g : f) + ((long long)segment.image * count + channel) * length;
        const A sum = sum_lanes(segment.fill(tile + n * points, row, (first ? centre_g : centre_f)[channel]));
        if (first && first_lane()) sums[(long long)block() * of_g + channel] = sum;
    }
    __syncthreads();
    A* const to = products + (long long)block() * of_g * of_f;
    for (int n = warp(); n < rows_g / N * (rows_f / N); n += warps()) {
        const int a = n / (rows_f / N) * N, c = n % (rows_f / N) * N;
        if (same && c < a) continue;
        Lanes<A> sum[N * N];
        UNROLL
        for (int i = 0; i < N * N; i++) sum[i] = splat<A>(A(0));
        for (int x = 0; x < points; x += width<A>) {
            Lanes<A> of_a[N], of_c[N];
            UNROLL
            for (int i = 0; i < N; i++) {
                of_a[i] = load(tile + (a + i) * points, x);
                of_c[i] = load(tile_f + (c + i) * points, x);
            }
            UNROLL
            for (int i = 0; i < N * N; i++) sum[i] += of_a[i / N] * of_c[i % N];
        }
        UNROLL
        for (int i = 0; i < N * N; i++) {
            const int row = a + i / N, column = c + i % N;
            const A total = sum_lanes(sum[i]);
            if (row >= of_g || column >= of_f || !first_lane()) continue;
            to[row * of_f + column] = total;
            if (same && c > a) to[column * of_f + row] = total;
        }
    }
}
EXPORT_KERNEL(moments)
