// The convolution over the linear and the logarithmic semiring, backward.
//
//     out[p] = sum over t of f[p + t] k[t]                   out[p] = log of the sum over t of e^(f[p + t] - k[t])
//     d out[p] / d f[p + t] = k[t]                           d out[p] / d f[p + t] =  e^(f[p + t] - k[t] - out[p])
//     d out[p] / d k[t] = f[p + t]                           d out[p] / d k[t]     = -e^(f[p + t] - k[t] - out[p])
//
// where k is the kernel of p, of its plane on a circle, of its volume among neighbours, see tile.cuh. The linear
// gradient of f is the linear convolution of g with the transposed table, by the forward kernel: on a circle
//
//     kT[z, h, j, l] = k[z + h - KZ / 2, KZ - 1 - h, KH - 1 - j, KW - 1 - l]
//
// and among neighbours, with lists of those that see a volume and the slot s' in which they do,
//
//     kT[o, s, h, j, l] = k[listT[o, s], s', KZ - 1 - h, KH - 1 - j, KW - 1 - l]
//
// Layout    g, f, out, grad_f [B, C, O, Z, H, W] of Scalar; k, kT as in semiring_convolution.cu and grad_k
//           [tiles, B, C, tables, taps] of the arithmetic type; the sum over tiles and B is left to the caller.
//           The linear kernel reads neither k nor out. lists [O, S] are those of k or of kT. Contiguous. Every sum has
//           one order.
//
// smooth_gradient_kernel  A warp takes rows of the window, one (table, s, h, j) at a time, and correlates g with the
//           tile. Launch: as the forward kernel, with the same plan.
// logarithmic_gradient_input  A warp takes width<A> neighbouring elements of f and sums over the outputs that saw them.
//           Launch: blocks = B C O Z.
//
// Compiled once for each Scalar, SEMIRING, GRID and number of columns of the window: WINDOW_COLUMNS, or 0 for any.
#include "block.cuh"

using Scalar = SCALAR;
using Semiring = SEMIRING;
using A = Arithmetic<Scalar>;
using Grid = GRID;

constexpr int row_taps = WINDOW_COLUMNS ? WINDOW_COLUMNS : 1;
constexpr bool logarithmic = Semiring::logarithmic;

extern "C" __global__ void smooth_gradient_kernel(const Scalar* g, const Scalar* f, const A* k, const Scalar* out,
                                                  A* grad_k, const int* lists, int volumes, int channels, int points,
                                                  int depth, int height, int image_width, int slots, int planes,
                                                  int rows, int columns, int tile_planes, int tile_rows,
                                                  int tile_columns) {
    const Volume volume{depth, height, image_width};
    const Window window{Grid::lists ? slots : 1, planes, rows, columns};
    const Plan plan{tile_planes, tile_rows, tile_columns};
    Block<A, Grid> block(volume, window, plan, lists, Grid::lists ? points : 1, channels);
    Tile<A, Grid>& tile = block.tile;
    const Place& place = block.place;
    const int end_y = height - place.first_row < tile_rows ? height - place.first_row : tile_rows;
    const int end_x = image_width - place.first_column < tile_columns ? image_width - place.first_column : tile_columns;
    const int parts = columns / row_taps;
    const long long all_tables = (long long)volumes * (Grid::lists ? 1 : depth);
    const long long first_table = Grid::lists ? place.volume : (long long)place.volume * depth + place.first_plane;
    // The tile is filled once for all slots, or for each slot.
    const int fillings = slotwise<Grid> ? window.slots : 1, held_slots = window.slots / fillings;
    for (int filling = 0; filling < fillings; filling++) {
        if (filling > 0) __syncthreads();
        if (!slotwise<Grid> || !tile.absent(filling))
            tile.template fill<Semiring>(f + block.first_volume, A(1), filling);
        __syncthreads();
        for (int n = warp(); n < block.tables * held_slots * planes * rows * parts; n += warps()) {
            const int row_of_window = n / parts, j = row_of_window % rows, i = row_of_window / rows % planes;
            const int slot = filling + row_of_window / (rows * planes) % held_slots;
            const int t = row_of_window / (rows * planes * held_slots), l = n % parts * row_taps;
            const int tap = ((slot * planes + i) * rows + j) * columns + l;
            const A* k_row = k + (block.first_table + t) * window.taps() + tap;

            Lanes<A> sum[row_taps];
            UNROLL
            for (int m = 0; m < row_taps; m++) sum[m] = splat<A>(A(0));
            for (int z = block.first_of(t); z < block.end_of(t) && !tile.absent(slot); z++) {
                const int plane = Grid::lists ? tile.begin(slot, z) + i : (z + i) % tile.planes;
                if (Grid::lists && tile.source(tile.first(slot, z) + i) < 0) continue;
                for (int y = 0; y < end_y; y++) {
                    const long long row = block.at(z, place.first_row + y, place.first_column);
                    const A* tile_row = tile.values + (plane * tile.rows + y + j) * tile.pitch + l;
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
            }
            UNROLL
            for (int m = 0; m < row_taps; m++) {
                const A total = sum_lanes(sum[m]);
                if (first_lane()) {
                    const long long of_partial = place.partial * all_tables + first_table + t;
                    grad_k[of_partial * window.taps() + tap + m] = total;
                }
            }
        }
    }
}
EXPORT_KERNEL(smooth_gradient_kernel)

extern "C" __global__ void logarithmic_gradient_input(const Scalar* g, const Scalar* f, const A* k_transposed,
                                                      const Scalar* out, Scalar* grad_f, const int* lists, int channels,
                                                      int points, int depth, int height, int image_width, int slots,
                                                      int planes, int rows, int columns) {
    const int z = block() % depth, volume = block() / depth, own = Grid::lists ? volume % points : 0;
    const long long area = (long long)height * image_width, base = (long long)(volume - own) * depth * area;
    const int table = Grid::lists ? volume % (channels * points) : volume % channels * depth + z;
    const A* k = k_transposed + (long long)table * (Grid::lists ? slots : 1) * planes * rows * columns;
    const int strips = (image_width + width<A> - 1) / width<A>;
    for (long long n = warp(); n < (long long)height * strips; n += warps()) {
        const int y = int(n / strips), x = int(n % strips) * width<A>;
        const long long row = block() * area + (long long)y * image_width;
        const Lanes<A> value = load_inside(f + row, x, image_width, A(0));
        Lanes<A> sum = splat<A>(A(0));
        const auto add = [&](int plane, const A* k_plane) {
            for (int j = 0; j < rows; j++) {
                const int from_y = y + j - rows / 2;
                if (from_y < 0 || from_y >= height) continue;
                const long long from = base + plane * area + (long long)from_y * image_width;
                for (int l = 0; l < columns; l++) {
                    const int from_x = x + l - columns / 2;
                    const Lanes<A> upstream = load_inside(g + from, from_x, image_width, A(0));
                    const Lanes<A> result = load_inside(out + from, from_x, image_width, infinity<A>());
                    sum += upstream * exponential(value - k_plane[j * columns + l] - result);
                }
            }
        };
        if constexpr (Grid::lists) {
            for (int m = 0; m < slots * planes; m++) {
                const int seen = lists[own * slots + m / planes], from = z + m % planes - planes / 2;
                if (seen >= 0 && from >= 0 && from < depth) add(seen * depth + from, k + m * rows * columns);
            }
        } else {
            for (int i = 0; i < planes; i++) add((z + i + depth - planes / 2) % depth, k + i * rows * columns);
        }
        store_inside(grad_f + row, x, image_width, sum);
    }
}
EXPORT_KERNEL(logarithmic_gradient_input)
