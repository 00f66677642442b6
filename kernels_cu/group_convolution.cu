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
//           of the tile under the strip; what it reads of a row serves every output with the row in its window. On the
//           host it walks a list of taps instead where many of them cannot win, see block.cuh.
// Border    orientations are periodic; taps outside the image are left out.
// Ties      the winning tap is the first in the order (i, j, l); its code is (i KH + j) KW + l.
// NaN       spreads; infinities stay. A block that holds a NaN, or infinities whose difference could be one, takes
//           the careful path, which is slow and tests every tap; nothing on the usual path pays for it.
// Cost      per output and tap 2 operations, 3.2 with taps and KW = 5, and 1 / Strip (1 + (Strip - 1) / KH) loads from
//           shared memory; for the logarithmic semiring an exponential more where f or k vary too much for
//           sweep_factors. One element written, and a code; one read, (1 + (KH - 1) / tile_rows)
//           (1 + (KW - 1) / tile_columns) (1 + (KOr - 1) / group) times.
// Launch    tile_rows a multiple of 8, tile_columns of width<A>; any number of warps in a block; shared memory for the
//           tile, for group x taps kernel values and, where lists_taps, for the list; blocks =
//           B C ceil(Or / group) ceil(H / tile_rows) ceil(W / tile_columns).
//
// Compiled once for each Scalar, SEMIRING and window: WINDOW_ROWS x WINDOW_COLUMNS, or 0 x 0 for any; and with
// CODE, the integer type of the taps, to keep the winners.
#include "block.cuh"

using Scalar = SCALAR;
using Semiring = SEMIRING;
using A = Arithmetic<Scalar>;

constexpr int row_taps = WINDOW_COLUMNS ? WINDOW_COLUMNS : 1, ListStrip = 8;

#ifdef CODE
using Code = CODE;
using Listed = Tropical::TapWinner<A>;
#if WINDOW_COLUMNS
using Accumulator = Tropical::RowWinner<A, row_taps>;
#else
using Accumulator = Listed;
#endif
constexpr int Strip = row_taps <= row_of_four_winners ? 4 : 2;
#else
using Code = Code8;
using Listed = Tropical::Accumulator<A, 1>;
using Accumulator = Semiring::Accumulator<A, row_taps>;
constexpr int Strip = 8;
#endif

// Takes the whole window of each output of a strip; the first output stands at row y, column x of the tile.
template <class Sum>
__device__ inline void walk_window(Sum* strip, const Tile<A>& tile, int slot, int y, int x, const A* k, Window w) {
    const A one = unseen_one<A>();
    for (int i = 0; i < w.planes; i++) {
        const A* row = tile.values + (slot * tile.rows + y) * tile.pitch + x;
        const A* k_rows = k + i * w.rows * w.columns;
        const int code = i * w.rows * w.columns;
#if WINDOW_ROWS
        constexpr int R = Sum::row_taps;
        UNROLL
        for (int first = 0; first < WINDOW_COLUMNS; first += R) {
            UNROLL
            for (int r = 0; r < Strip + WINDOW_ROWS - 1; r++) {
                Lanes<A> f[R];
                UNROLL
                for (int l = 0; l < R; l++) f[l] = load(row + r * tile.pitch, first + l);
                UNROLL
                for (int s = 0; s < Strip; s++) {
                    const int j = r - s, tap = j * WINDOW_COLUMNS + first;
                    if (j >= 0 && j < WINDOW_ROWS) strip[s].take(f, k_rows + tap, splat<Index<A>>(code + tap), one);
                }
            }
        }
#else
        for (int j = 0; j < w.rows; j++)
            for (int l = 0; l < w.columns; l++) {
                const int tap = j * w.columns + l;
                UNROLL
                for (int s = 0; s < Strip; s++) {
                    const Lanes<A> f = load(row + (s + j) * tile.pitch, l);
                    strip[s].take(&f, k_rows + tap, splat<Index<A>>(code + tap), one);
                }
            }
#endif
        slot = slot + 1 < tile.planes ? slot + 1 : 0;
    }
}

// All strips of orientations `from` to `to` of the block: out = value(what walk sums, orientation).
template <class Sum, int S, class Walk, class Value>
__device__ inline void sweep(const Block<A>& block, int from, int to, Scalar* out, [[maybe_unused]] Code* taps,
                             Walk walk, Value value) {
    const Plan plan = block.plan;
    const int strips_y = plan.tile_rows / S, strips_x = plan.tile_columns / width<A>;
    for (int n = warp(); n < (to - from) * strips_y * strips_x; n += warps()) {
        const int o = from + n / (strips_y * strips_x), y = n / strips_x % strips_y * S, x = n % strips_x * width<A>;
        const int image_y = block.place.first_row + y, image_x = block.place.first_column + x;
        if (image_y >= block.volume.height || image_x >= block.volume.width) continue;
#ifdef CODE
        // Should no tap beat -inf, the first one inside the image has won.
        const Lanes<Index<A>> left = block.window.columns / 2 - image_x - position<A>();
        const Lanes<Index<A>> start = choose(left > 0, left, left - left);
        Sum strip[S] = {};
        for (int s = 0; s < S; s++) {
            const int above = block.window.rows / 2 - image_y - s;
            strip[s] = Sum(start + (above > 0 ? above * block.window.columns : 0));
        }
#else
        Sum strip[S];
#endif
        walk(strip, o, y, x);
        UNROLL
        for (int s = 0; s < S; s++) {
            if (image_y + s >= block.volume.height) break;
            const long long row = block.at(o, image_y + s, 0);
            store_inside(out + row, image_x, block.volume.width, value(strip[s].value(), o));
#ifdef CODE
            store_narrow(taps + row, image_x, block.volume.width, strip[s].tap());
#endif
        }
    }
}

// The same by the whole window of each orientation, and by the listed taps of one.
template <class Sum, class Value>
__device__ inline void sweep_window(const Block<A>& block, int from, int to, Scalar* out, Code* taps, Value value) {
    const auto walk = [&](Sum* strip, int o, int y, int x) {
        walk_window(strip, block.tile, o % block.tile.planes, y, x, block.kernels + o * block.window.taps(),
                    block.window);
    };
    sweep<Sum, Strip>(block, from, to, out, taps, walk, value);
}

template <class Sum, class Value>
__device__ APART void sweep_list(const Block<A>& block, const List<A>& list, int o, Scalar* out, Code* taps,
                                 Value value) {
    const int first = o * block.window.taps(), end = first + list.counts[o];
    const A* const kernel = block.kernels + first;
    const A one = unseen_one<A>();
    const auto walk = [&](Sum* strip, int, int y, int x) {
        const A* const tile = block.tile.values + y * block.tile.pitch + x;
        for (int n = first; n < end; n++) {
            const int tap = list.taps[n];
            const Lanes<Index<A>> code = in_register(splat<Index<A>>(tap));
            UNROLL
            for (int s = 0; s < ListStrip; s++) {
                const Lanes<A> f = load(tile + s * block.tile.pitch, list.offsets[n]);
                strip[s].take(&f, kernel + tap, code, one);
            }
        }
    };
    sweep<Sum, ListStrip>(block, o, o + 1, out, taps, walk, value);
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

__device__ inline void sweep_carefully(const Block<A>& block, Scalar* out, [[maybe_unused]] Code* taps, int sign) {
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
__device__ inline bool sweep_factors(const Block<A>& block, const Scalar* f, const A* k, Scalar* out, Code* taps) {
    if constexpr (S::logarithmic) {
        constexpr A reach = sizeof(A) == 4 ? A(28) : A(320);
        const int count = block.window.taps();
        const A* const k_block = k + block.first_plane * count;
        const A level = to_arithmetic(f[block.at(0, block.place.first_row, block.place.first_column)]);
        Lanes<A> low, high;
        block.tile.extremes(block.volume, block.window, block.place, &low, &high);
        bool far = !all_lanes((low - level >= -reach) & (high - level <= reach));
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
        sweep_window<Linear::Accumulator<A, row_taps>>(block, 0, block.present, out, taps, [&](Lanes<A> sum, int o) {
            return Lanes<A>(logarithm(sum) + (level - k_block[o * count + count / 2]));
        });
        return true;
    }
    return false;
}

template <class S>
__device__ inline void sweep_terms(const Block<A>& block, Scalar* out, Code* taps, int sign) {
    const auto value = [&](Lanes<A> sum, int) { return Lanes<A>(sum * A(sign)); };
    if constexpr (lists_taps && S::selective) {
        const List<A> list(block);
        list.fill();
        for (int o = 0; o < block.present; o++)
            if (list.pays(o))
                sweep_list<Listed>(block, list, o, out, taps, value);
            else
                sweep_window<Accumulator>(block, o, o + 1, out, taps, value);
    } else {
        sweep_window<Accumulator>(block, 0, block.present, out, taps, value);
    }
}

extern "C" __global__ void group_convolution(const Scalar* f, const A* k, Scalar* out, Code* taps, int sign,
                                             int channels, int orientations, int height, int image_width, int planes,
                                             int rows, int columns, int group, int tile_rows, int tile_columns) {
    const Volume volume{orientations, height, image_width};
    const Window window{planes, rows, columns};
    const Block<A> block(volume, window, Plan{group, tile_rows, tile_columns}, channels);

    bool careful = block.tile.fill<Semiring>(f, A(sign), volume, window, block.place);
    for (int n = thread(); n < block.present * window.taps(); n += threads()) {
        block.kernels[n] = k[block.first_plane * window.taps() + n];
        careful = careful || !Semiring::regular_k(block.kernels[n]);
    }
    if (any_in_block(careful)) return sweep_carefully(block, out, taps, sign);
    if (sweep_factors<Semiring>(block, f, k, out, taps)) return;
    sweep_terms<Semiring>(block, out, taps, sign);
}
EXPORT_KERNEL(group_convolution)
