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
//           shared memory; for the logarithmic semiring an exponential more where f or k vary too much for
//           sweep_factors. One element written, and a code; one read, (1 + (KH - 1) / tile_rows)
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

// What a block works on.
struct Block {
    Volume volume;
    Window window;
    Plan plan;
    Place place;
    Tile<A> tile;
    A* kernels;               // [present, KOr, KH, KW]
    int present;              // orientations of the group that there are
    long long first_plane;    // of the whole table of kernels
    long long first_element;  // of f and out

    __device__ Block(Volume v, Window w, Plan p, int channels)
        : volume(v), window(w), plan(p), place(v, p), tile(v, w, p, reinterpret_cast<A*>(shared_memory())) {
        kernels = tile.end();
        const int rest = v.orientations - place.first_orientation;
        present = rest < p.group ? rest : p.group;
        first_plane = (long long)place.volume % channels * v.orientations + place.first_orientation;
        first_element =
            ((long long)place.volume * v.orientations + place.first_orientation) * v.height * v.width;
    }
    __device__ long long at(int o, int y, int x) const {
        return first_element + ((long long)o * volume.height + y) * volume.width + x;
    }
};

// Takes the whole window of each output of a strip; the first output stands at row y, column x of the tile.
template <class Sum>
__device__ inline void walk(Sum* strip, const Tile<A>& tile, int slot, int y, int x, const A* k, Window w) {
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

// All strips of the block: out = value(sum over the window, orientation).
template <class Sum, class Value>
__device__ inline void sweep(const Block& block, Scalar* out, [[maybe_unused]] Code* taps, Value value) {
    const Plan plan = block.plan;
    const int strips_y = plan.tile_rows / Strip, strips_x = plan.tile_columns / width<A>;
    for (int n = warp(); n < block.present * strips_y * strips_x; n += warps()) {
        const int o = n / (strips_y * strips_x), y = n / strips_x % strips_y * Strip, x = n % strips_x * width<A>;
        const int image_y = block.place.first_row + y, image_x = block.place.first_column + x;
        if (image_y >= block.volume.height || image_x >= block.volume.width) continue;
#ifdef CODE
        // Should no tap beat -inf, the first one inside the image has won.
        const Lanes<Index<A>> left = block.window.columns / 2 - image_x - position<A>();
        const Lanes<Index<A>> start = choose(left > 0, left, left - left);
        Sum strip[Strip] = {};
        for (int s = 0; s < Strip; s++) {
            const int above = block.window.rows / 2 - image_y - s;
            strip[s] = Sum(start + (above > 0 ? above * block.window.columns : 0));
        }
#else
        Sum strip[Strip];
#endif
        walk(strip, block.tile, o % block.tile.planes, y, x, block.kernels + o * block.window.taps(), block.window);
        UNROLL
        for (int s = 0; s < Strip; s++) {
            if (image_y + s >= block.volume.height) break;
            const long long row = block.at(o, image_y + s, 0);
            store_inside(out + row, image_x, block.volume.width, value(strip[s].value(), o));
#ifdef CODE
            store_narrow(taps + row, image_x, block.volume.width, strip[s].tap());
#endif
        }
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

__device__ inline void sweep_carefully(const Block& block, Scalar* out, [[maybe_unused]] Code* taps, int sign) {
    const Plan plan = block.plan;
    for (int n = thread(); n < block.present * plan.tile_rows * plan.tile_columns; n += threads()) {
        const int o = n / (plan.tile_rows * plan.tile_columns), y = n / plan.tile_columns % plan.tile_rows;
        const int x = n % plan.tile_columns;
        const int image_y = block.place.first_row + y, image_x = block.place.first_column + x;
        if (image_y >= block.volume.height || image_x >= block.volume.width) continue;
        int winner = 0;
        const A value = by_definition(block.tile, o % block.tile.planes, y, x, image_y,
                                      block.volume.height - 1 - image_y, image_x, block.volume.width - 1 - image_x,
                                      block.kernels + o * block.window.taps(), block.window, &winner);
        out[block.at(o, image_y, image_x)] = from_arithmetic<Scalar>(A(sign) * value);
#ifdef CODE
        taps[block.at(o, image_y, image_x)] = Code(winner);
#endif
    }
}

// The logarithmic semiring by e^(f - k) = e^f e^-k: the exponentials are taken once for each element and each tap, and
// what remains is linear. Returns false, with nothing changed, where f and k vary too much for that. Else f lies within
// `reach` of the block's first pixel, and no tap has a k further than that below the k of the tap in the middle. So the
// sum is at least e^-reach, the middle term, and what underflows in e^-k takes from it less than e^reach times the
// smallest normal number.
template <class S>
__device__ inline bool sweep_factors(const Block& block, const Scalar* f, const A* k, Scalar* out, Code* taps) {
    if constexpr (S::logarithmic) {
        constexpr A reach = sizeof(A) == 4 ? A(28) : A(320);
        const int count = block.window.taps();
        const A* const k_block = k + block.first_plane * count;
        const A level = to_arithmetic(f[block.at(0, block.place.first_row, block.place.first_column)]);
        bool far = !block.tile.within(level, reach, block.volume, block.window, block.place);
        for (int n = thread(); n < block.present * count; n += threads())
            far = far || !(k_block[n / count * count + count / 2] - block.kernels[n] <= reach);
        if (any_in_block(far)) return false;

        for (int n = warp() * width<A>; n < block.tile.size(); n += warps() * width<A>)
            store(block.tile.values, n, exponential(load(block.tile.values, n) - level));
        for (int o = warp(); o < block.present; o += warps())
            for (int n = 0; n < count; n += width<A>) {
                const Lanes<A> value = load_inside(k_block + o * count, n, count, A(0));
                const Lanes<A> difference = k_block[o * count + count / 2] - value;
                store_inside(block.kernels + o * count, n, count, exponential(difference));
            }
        __syncthreads();
        sweep<Linear::Accumulator<A, row_taps>>(block, out, taps, [&](Lanes<A> sum, int o) {
            return Lanes<A>(logarithm(sum) + (level - k_block[o * count + count / 2]));
        });
        return true;
    }
    return false;
}

extern "C" __global__ void group_convolution(const Scalar* f, const A* k, Scalar* out, Code* taps, int sign,
                                             int channels, int orientations, int height, int image_width, int planes,
                                             int rows, int columns, int group, int tile_rows, int tile_columns) {
    const Volume volume{orientations, height, image_width};
    const Window window{planes, rows, columns};
    const Block block(volume, window, Plan{group, tile_rows, tile_columns}, channels);

    bool careful = block.tile.fill<Semiring>(f, A(sign), volume, window, block.place);
    for (int n = thread(); n < block.present * window.taps(); n += threads()) {
        block.kernels[n] = k[block.first_plane * window.taps() + n];
        careful = careful || !Semiring::regular_k(block.kernels[n]);
    }
    if (any_in_block(careful)) return sweep_carefully(block, out, taps, sign);
    if (sweep_factors<Semiring>(block, f, k, out, taps)) return;
    sweep<Accumulator>(block, out, taps, [&](Lanes<A> sum, int) { return Lanes<A>(sum * A(sign)); });
}
EXPORT_KERNEL(group_convolution)
