// Group convolution over the linear and the logarithmic semiring, backward.
//
//     out[p] = sum over t of f[p + t] k[o, t]                out[p] = log of the sum over t of e^(f[p + t] - k[o, t])
//     d out[p] / d f[p + t] = k[o, t]                        d out[p] / d f[p + t] =  e^(f[p + t] - k[o, t] - out[p])
//     d out[p] / d k[o, t] = f[p + t]                        d out[p] / d k[o, t]  = -e^(f[p + t] - k[o, t] - out[p])
//
// The linear gradient of f is the linear convolution of g with the transposed table
// kT[o, i, j, l] = k[o + i - KOr / 2, KOr - 1 - i, KH - 1 - j, KW - 1 - l], by the forward kernel.
//
// Layout    g, f, out, grad_f [B, C, Or, H, W] of Scalar; k, kT [C, Or, KOr, KH, KW] and grad_k
//           [tiles, B, C, Or, KOr, KH, KW] of the arithmetic type; the sum over tiles and B is left to the caller.
//           The linear kernel reads neither k nor out. Contiguous. Every sum has one order.
//
// smooth_gradient_kernel  A warp takes rows of the window, one (o, i, j) at a time, and correlates g with the tile.
//           Launch: as the forward kernel, with the same plan.
// logarithmic_gradient_input  A warp takes width<A> neighbouring elements of f and sums over the outputs that saw them.
//           Launch: blocks = B C Or.
//
// Compiled once for each Scalar, SEMIRING and number of columns of the window: WINDOW_COLUMNS, or 0 for any.
#include "block.cuh"

using Scalar = SCALAR;
using Semiring = SEMIRING;
using A = Arithmetic<Scalar>;

constexpr int row_taps = WINDOW_COLUMNS ? WINDOW_COLUMNS : 1;
constexpr bool logarithmic = Semiring::logarithmic;

extern "C" __global__ void smooth_gradient_kernel(const Scalar* g, const Scalar* f, const A* k, const Scalar* out,
                                                  A* grad_k, int volumes, int channels, int orientations, int height,
                                                  int image_width, int planes, int rows, int columns, int group,
                                                  int tile_rows, int tile_columns) {
    const Volume volume{orientations, height, image_width};
    const Window window{planes, rows, columns};
    const Block<A> block(volume, window, Plan{group, tile_rows, tile_columns}, channels);
    const Tile<A>& tile = block.tile;
    const Place& place = block.place;
    tile.template fill<Semiring>(f, A(1), volume, window, place);
    __syncthreads();

    const int end_y = height - place.first_row < tile_rows ? height - place.first_row : tile_rows;
    const int end_x = image_width - place.first_column < tile_columns ? image_width - place.first_column : tile_columns;
    const int parts = columns / row_taps;
    for (int n = warp(); n < block.present * planes * rows * parts; n += warps()) {
        const int o = n / (planes * rows * parts), i = n / (rows * parts) % planes, j = n / parts % rows;
        const int l = n % parts * row_taps, slot = (o + i) % tile.planes;
        const long long plane = (long long)place.volume * orientations + place.first_orientation + o;
        const int tap = (i * rows + j) * columns + l;
        const A* k_row = k + (block.first_plane + o) * window.taps() + tap;

        Lanes<A> sum[row_taps];
        UNROLL
        for (int m = 0; m < row_taps; m++) sum[m] = splat<A>(A(0));
        for (int y = 0; y < end_y; y++) {
            const long long row = block.at(o, place.first_row + y, place.first_column);
            const A* tile_row = tile.values + (slot * tile.rows + y + j) * tile.pitch + l;
            for (int x = 0; x < end_x; x += width<A>) {
                const Lanes<A> upstream = load_inside(g + row, x, end_x, A(0));
                if (logarithmic) {
                    // Beyond the image the weight e^-inf is zero.
                    const Lanes<A> result = load_inside(out + row, x, end_x, infinity<A>());
                    UNROLL
                    for (int m = 0; m < row_taps; m++)
                        sum[m] -= upstream * exponential(load(tile_row, x + m) - k_row[m] - result);
                } else {
                    UNROLL
                    for (int m = 0; m < row_taps; m++) sum[m] += upstream * load(tile_row, x + m);
                }
            }
        }
        UNROLL
        for (int m = 0; m < row_taps; m++) {
            const A total = sum_lanes(sum[m]);
            if (first_lane()) {
                const long long of_partial = (long long)place.partial * volumes * orientations + plane;
                grad_k[of_partial * window.taps() + tap + m] = total;
            }
        }
    }
}
EXPORT_KERNEL(smooth_gradient_kernel)

extern "C" __global__ void logarithmic_gradient_input(const Scalar* g, const Scalar* f, const A* k_transposed,
                                                      const Scalar* out, Scalar* grad_f, int channels, int orientations,
                                                      int height, int image_width, int planes, int rows, int columns) {
    const int volume = block() / orientations, o = block() % orientations;
    const long long area = (long long)height * image_width, base = (long long)volume * orientations * area;
    const A* k = k_transposed + ((long long)(volume % channels) * orientations + o) * planes * rows * columns;
    const int strips = (image_width + width<A> - 1) / width<A>;
    for (long long n = warp(); n < (long long)height * strips; n += warps()) {
        const int y = int(n / strips), x = int(n % strips) * width<A>;
        const long long row = base + o * area + (long long)y * image_width;
        const Lanes<A> value = load_inside(f + row, x, image_width, A(0));
        Lanes<A> sum = splat<A>(A(0));
        for (int i = 0; i < planes; i++) {
            const int seen = (o + i + orientations - planes / 2) % orientations;
            for (int j = 0; j < rows; j++) {
                const int from_y = y + j - rows / 2;
                if (from_y < 0 || from_y >= height) continue;
                const long long from = base + seen * area + (long long)from_y * image_width;
                for (int l = 0; l < columns; l++) {
                    const int from_x = x + l - columns / 2;
                    const Lanes<A> upstream = load_inside(g + from, from_x, image_width, A(0));
                    const Lanes<A> result = load_inside(out + from, from_x, image_width, infinity<A>());
                    sum += upstream * exponential(value - k[(i * rows + j) * columns + l] - result);
                }
            }
        }
        store_inside(grad_f + row, x, image_width, sum);
    }
}
EXPORT_KERNEL(logarithmic_gradient_input)
