// Group convolution over a semiring on M2, forward.
//
//     out[b, c, o, y, x] = (+)  f[b, c, (o + i - co) mod Or, y + j - cy, x + l - cx] (x) k[c, o, i, j, l]
//                         i,j,l
//
// with (co, cy, cx) = (KOr / 2, KH / 2, KW / 2), rounded down, the middle of an odd window. Dilation is the tropical
// semiring with sign = 1; erosion, min of f + k, is -max(-f - k): sign = -1. R^2 is the case Or = KOr = 1.
//
// Layout    f, out [B, C, Or, H, W] of Scalar; k [C, Or, KOr, KH, KW] of its arithmetic type; taps as out, of Code.
//           All contiguous.
// A warp    computes strips of `Strip` outputs along y, for width<A> neighbouring x, in registers. It walks the rows
//           of the tile under the strip; the KW values of a row serve every output with the row in its window.
// Border    orientations are periodic; taps outside the image are left out.
// Ties      the winning tap is the first in the order (i, j, l); its code is (i KH + j) KW + l.
// NaN       spreads; infinities stay. A block that holds a NaN, or infinities whose difference could be one, takes
//           the careful path, which is slow and tests every tap; nothing on the usual path pays for it.
// Cost      per output and tap 2 operations, 3.2 with taps and KW = 5, and 1 / Strip (1 + (Strip - 1) / KH) loads from
//           shared memory. One element written, and a code; one read, (1 + (KH - 1) / tile_rows)
//           (1 + (KW - 1) / tile_columns) (1 + (KOr - 1) / group) times.
// Launch    tile_rows a multiple of 8, tile_columns of width<A>; any number of warps in a block; shared memory for the
//           tile and for group x taps kernel values; blocks =
//           B C ceil(Or / group) ceil(H / tile_rows) ceil(W / tile_columns).
//
// Compiled once for each Scalar, SEMIRING and window: WINDOW_ROWS x WINDOW_COLUMNS, or 0 x 0 for any; and with
// CODE, the integer type of the taps, to keep the winners.
#include "tile.cuh"

using Scalar = SCALAR;
using Semiring = SEMIRING;
using A = Arithmetic<Scalar>;

constexpr int row_taps = WINDOW_COLUMNS ? WINDOW_COLUMNS : 1;

#ifdef CODE
using Code = CODE;
using Accumulator = Semiring::WinnerAccumulator<A, row_taps>;
constexpr int Strip = row_taps <= 3 ? 4 : 2;
#else
using Code = Code8;
using Accumulator = Semiring::Accumulator<A, row_taps>;
constexpr int Strip = 8;
#endif

// Takes the whole window of each output of a strip; the first output stands at row y, column x of the tile.
__device__ inline void walk(Accumulator* strip, const Tile<A>& tile, int slot, int y, int x, const A* k, Window w) {
    for (int i = 0; i < w.planes; i++) {
        const A* row = tile.values + (slot * tile.rows + y) * tile.pitch + x;
        const A* k_rows = k + i * w.rows * w.columns;
        const int code = i * w.rows * w.columns;
#if WINDOW_ROWS
        UNROLL
        for (int r = 0; r < Strip + WINDOW_ROWS - 1; r++, row += tile.pitch) {
            Lanes<A> f[WINDOW_COLUMNS];
            UNROLL
            for (int l = 0; l < WINDOW_COLUMNS; l++) f[l] = load(row, l);
            UNROLL
            for (int s = 0; s < Strip; s++) {
                const int j = r - s;
                if (j >= 0 && j < WINDOW_ROWS) strip[s].take(f, k_rows + j * WINDOW_COLUMNS, code + j * WINDOW_COLUMNS);
            }
        }
#else
        for (int j = 0; j < w.rows; j++)
            for (int l = 0; l < w.columns; l++) {
                const int tap = j * w.columns + l;
                UNROLL
                for (int s = 0; s < Strip; s++) {
                    const Lanes<A> f = load(row + (s + j) * tile.pitch, l);
                    strip[s].take(&f, k_rows + tap, code + tap);
                }
            }
#endif
        slot = slot + 1 < tile.planes ? slot + 1 : 0;
    }
}

// One output by the definition: the careful path.
__device__ inline A by_definition(const Tile<A>& tile, int slot, int y, int x, int rows_above, int rows_below,
                                  int columns_left, int columns_right, const A* k, Window w, int* winner) {
    A sum = Semiring::zero<A>();
    bool first = true;
    for (int i = 0; i < w.planes; i++) {
        for (int j = 0; j < w.rows; j++)
            for (int l = 0; l < w.columns; l++) {
                const int dy = j - w.rows / 2, dx = l - w.columns / 2;
                if (dy < -rows_above || dy > rows_below || dx < -columns_left || dx > columns_right) continue;
                const int tap = (i * w.rows + j) * w.columns + l;
                const A term = Semiring::times(tile.values[(slot * tile.rows + y + j) * tile.pitch + x + l], k[tap]);
                if (first || (sum == sum && !(term <= sum))) *winner = tap;
                sum = first ? term : Semiring::plus(sum, term);
                first = false;
            }
        slot = slot + 1 < tile.planes ? slot + 1 : 0;
    }
    return sum;
}

extern "C" __global__ void group_convolution(const Scalar* f, const A* k, Scalar* out, [[maybe_unused]] Code* taps,
                                             int sign, int channels, int orientations, int height, int image_width,
                                             int planes, int rows, int columns, int group, int tile_rows,
                                             int tile_columns) {
    const Volume volume{orientations, height, image_width};
    const Window window{planes, rows, columns};
    const Plan plan{group, tile_rows, tile_columns};
    const Place place(volume, plan);
    const Tile<A> tile(volume, window, plan, reinterpret_cast<A*>(shared_memory()));
    A* const kernels = tile.end();

    bool careful = tile.fill<Semiring>(f, A(sign), volume, window, place);
    const int present = orientations - place.first_orientation < group ? orientations - place.first_orientation : group;
    const long long first_plane = (long long)place.volume % channels * orientations + place.first_orientation;
    for (int n = thread(); n < present * window.taps(); n += threads()) {
        kernels[n] = k[first_plane * window.taps() + n];
        careful = careful || !Semiring::regular_k(kernels[n]);
    }
    careful = any_in_block(careful);

    const long long area = (long long)height * image_width;
    const long long base = ((long long)place.volume * orientations + place.first_orientation) * area;
    if (careful) {
        for (int n = thread(); n < present * tile_rows * tile_columns; n += threads()) {
            const int o = n / (tile_rows * tile_columns), y = n / tile_columns % tile_rows, x = n % tile_columns;
            const int image_y = place.first_row + y, image_x = place.first_column + x;
            if (image_y >= height || image_x >= image_width) continue;
            int winner = 0;
            const A value = by_definition(tile, o % tile.planes, y, x, image_y, height - 1 - image_y, image_x,
                                          image_width - 1 - image_x, kernels + o * window.taps(), window, &winner);
            const long long at = base + o * area + (long long)image_y * image_width + image_x;
            out[at] = from_arithmetic<Scalar>(A(sign) * value);
#ifdef CODE
            taps[at] = Code(winner);
#endif
        }
        return;
    }

    const int strips_y = tile_rows / Strip, strips_x = tile_columns / width<A>;
    for (int n = warp(); n < present * strips_y * strips_x; n += warps()) {
        const int o = n / (strips_y * strips_x), y = n / strips_x % strips_y * Strip, x = n % strips_x * width<A>;
        const int image_y = place.first_row + y, image_x = place.first_column + x;
        if (image_y >= height || image_x >= image_width) continue;
#ifdef CODE
        // Should no tap beat -inf, the first one inside the image has won.
        const Lanes<Index<A>> left = columns / 2 - image_x - position<A>();
        const Lanes<Index<A>> start = choose(left > 0, left, left - left);
        Accumulator strip[Strip] = {};
        for (int s = 0; s < Strip; s++) {
            const int above = rows / 2 - image_y - s;
            strip[s] = Accumulator(start + (above > 0 ? above * columns : 0));
        }
#else
        Accumulator strip[Strip];
#endif
        walk(strip, tile, o % tile.planes, y, x, kernels + o * window.taps(), window);
        UNROLL
        for (int s = 0; s < Strip; s++) {
            if (image_y + s >= height) break;
            const long long row = base + o * area + (long long)(image_y + s) * image_width;
            store_inside(out + row, image_x, image_width, strip[s].value() * A(sign));
#ifdef CODE
            store_narrow(taps + row, image_x, image_width, strip[s].tap());
#endif
        }
    }
}
EXPORT_KERNEL(group_convolution)
