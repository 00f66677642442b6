// The convolution over a semiring, forward, on every space.
//
//     out[b, c, o, z, y, x] = (+)  f[b, c, n, z + h - cz, y + j - cy, x + l - cx] (x) k[c, o, z, s, h, j, l]
//                           s,h,j,l
//
// with (cz, cy, cx) = (KZ / 2, KH / 2, KW / 2), rounded down, the middle of an odd window, and n = list[o, s]. The two
// kinds of grid are told in tile.cuh: on a circle, M2, O and s have one value and planes come round; among neighbours,
// M3, planes end and k does not depend on z. Dilation is the tropical semiring with sign = 1; erosion, min of f + k, is
// -max(-f - k): sign = -1.
//
// Layout    f, out [B, C, O, Z, H, W] of Scalar; k of its arithmetic type, [C, Z, KZ, KH, KW] on a circle,
//           [C, O, S, KZ, KH, KW] among neighbours; taps as out, of Code; lists [O, S]. All contiguous.
// A warp    computes strips of `Strip` outputs along y, for width<A> neighbouring x, in registers, some abreast. It
//           walks the rows of the tile under the strips; what it reads of a row serves every output with the row in its
//           window. On the host it walks a list of taps instead where many of them cannot win, see block.cuh.
// Border    taps outside the grid, and those of an empty slot, are left out.
// Ties      the winning tap is the first in the order (s, h, j, l); its code is ((s KZ + h) KH + j) KW + l.
// NaN       spreads; infinities stay. A block that holds a NaN, or infinities whose difference could be one, takes
//           the careful path, see careful.cuh, which tests every tap; nothing on the usual path pays for it.
// Cost      per output and tap 2 operations, 3.2 with taps and KW = 5, and 1 / Strip (1 + (Strip - 1) / KH) loads from
//           shared memory; for the logarithmic semiring an exponential more where f or k vary too much for
//           sweep_factors. One element written, and a code; one read, (1 + (KH - 1) / tile_rows)
//           (1 + (KW - 1) / tile_columns) (1 + (KZ - 1) / tile_planes) times, of each slot.
//           Slotwise tiles are filled for one slot after another while a warp keeps the sums of its strip. What is not
//           regular is then met late, and the block begins again on the careful path.
// Launch    tile_rows a multiple of 8, tile_columns of width<A>; any number of warps in a block; shared memory for the
//           tile, for the taps of every kernel and, where lists_taps, for the list; blocks =
//           B C O ceil(Z / tile_planes) ceil(H / tile_rows) ceil(W / tile_columns).
//
// Compiled once for each Scalar, SEMIRING, GRID and window: WINDOW_ROWS x WINDOW_COLUMNS, or 0 x 0 for any; and with
// CODE, the integer type of the taps, to keep the winners.
#include "careful.cuh"

using Scalar = SCALAR;
using Semiring = SEMIRING;
using A = Arithmetic<Scalar>;
using Grid = GRID;
using Share = Block<A, Grid>;

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

// How many strips side by side a warp computes at once: each tap of the kernel is then read once for all of them.
template <class Sum>
constexpr int Abreast = sizeof(Sum) == sizeof(Lanes<A>) ? abreast : 1;

// Takes the part of a window that lies in one volume, which begins on a plane of the tile, for each output of X strips
// side by side; the first output stands at row y, column x.
template <class Sum, int X>
__device__ inline void walk_planes(Sum (&strip)[X][Strip], const Tile<A, Grid>& tile, int plane, int y, int x,
                                   const A* k, int first_tap) {
    const A one = unseen_one<A>();
    const Window w = tile.window;
    const int taps_of_plane = WINDOW_ROWS ? WINDOW_ROWS * WINDOW_COLUMNS : w.rows * w.columns;
    for (int i = 0; i < w.planes; i++) {
        const A* row = tile.values + (plane * tile.rows + y) * tile.pitch + x;
        const int code = first_tap + i * taps_of_plane;
        const A* k_rows = k + code;
#if WINDOW_ROWS
        constexpr int R = Sum::row_taps;
        UNROLL
        for (int first = 0; first < WINDOW_COLUMNS; first += R) {
            UNROLL
            for (int r = 0; r < Strip + WINDOW_ROWS - 1; r++) {
                Lanes<A> f[X][R];
                UNROLL
                for (int n = 0; n < X; n++) {
                    UNROLL
                    for (int l = 0; l < R; l++) f[n][l] = load(row + r * tile.pitch, n * width<A> + first + l);
                }
                UNROLL
                for (int s = 0; s < Strip; s++) {
                    const int j = r - s, tap = j * WINDOW_COLUMNS + first;
                    if (j < 0 || j >= WINDOW_ROWS) continue;
                    UNROLL
                    for (int n = 0; n < X; n++)
                        strip[n][s].take(f[n], k_rows + tap, splat<Index<A>>(code + tap), one);
                }
            }
        }
#else
        for (int j = 0; j < w.rows; j++)
            for (int l = 0; l < w.columns; l++) {
                const int tap = j * w.columns + l;
                UNROLL
                for (int s = 0; s < Strip; s++) {
                    UNROLL
                    for (int n = 0; n < X; n++) {
                        const Lanes<A> f = load(row + (s + j) * tile.pitch, n * width<A> + l);
                        strip[n][s].take(&f, k_rows + tap, splat<Index<A>>(code + tap), one);
                    }
                }
            }
#endif
        plane = tile.after(plane);
    }
}

// What a warp walks for the outputs of X strips on plane z of the block, from row y, column x: the whole window;
struct WindowWalk {
    static constexpr bool halves = false;
    const Share& block;

    template <class Sum, int X>
    __device__ void operator()(Sum (&strip)[X][Strip], int z, int y, int x, bool) const {
        const Window w = block.window;
        const A* const k = block.kernels + block.table(z) * w.taps();
        for (int slot = 0; slot < w.slots; slot++)
            if (!block.tile.absent(slot))
                walk_planes(strip, block.tile, block.tile.begin(slot, z), y, x, k,
                            slot * w.planes * w.rows * w.columns);
    }
};

// the same with the tile filled for one slot after the other, which meets late what is not regular;
struct SlotWalk {
    static constexpr bool halves = false;
    Share& block;
    const Scalar* f;
    A sign;
    bool& careful;

    template <class Sum, int X>
    __device__ void operator()(Sum (&strip)[X][Strip], int z, int y, int x, bool there) const {
        for (int slot = 0; slot < block.window.slots; slot++) {
            if (block.tile.absent(slot)) continue;
            __syncthreads();
            careful |= block.tile.template fill<Semiring>(f, sign, slot);
            __syncthreads();
            if (there)
                walk_planes(strip, block.tile, block.tile.begin(slot, z), y, x, block.kernels,
                            slot * (block.window.taps() / block.window.slots));
        }
    }
};

// the listed taps of one kernel, whose first plane is `from`.
struct ListWalk {
    static constexpr bool halves = true;
    const Share& block;
    const List<A, Grid>& list;
    int first, end, from;
    const A* kernel;

    template <class Sum, int X, int S>
    __device__ void operator()(Sum (&strip)[X][S], int z, int y, int x, bool) const {
        const A one = unseen_one<A>();
        const A* const tile = block.tile.values + ((z - from) * block.tile.rows + y) * block.tile.pitch + x;
        for (int n = first; n < end; n++) {
            const int tap = list.taps[n];
            const Lanes<Index<A>> code = in_register(splat<Index<A>>(tap));
            UNROLL
            for (int s = 0; s < S; s++) {
                UNROLL
                for (int m = 0; m < X; m++) {
                    const Lanes<A> f = load(tile + s * block.tile.pitch, m * width<A> + list.offsets[n]);
                    strip[m][s].take(&f, kernel + tap, code, one);
                }
            }
        }
    }
};

// The outputs of X strips side by side: out = value(what walk sums, plane). Walk is told whether they are inside the
// image, and says itself whether it takes strips of half the outputs, where no more rows are left.
template <class Sum, int S, int X, class Walk, class Value>
__device__ WITHIN void sum_strips(const Share& block, int z, int y, int x, bool there, Scalar* out,
                                  [[maybe_unused]] Code* taps, Walk walk, Value value) {
    const int image_y = block.place.first_row + y, image_x = block.place.first_column + x;
    const int rest = block.volume.height - image_y, high = rest < S ? rest : S, length = block.volume.width;
    const long long first = block.at(z, image_y, 0);
    for (int s = 0; there && s < high; s++) {
        for (int n = 0; n < X; n++) announce_store(out + first + (long long)s * length + image_x + n * width<A>);
#ifdef CODE
        announce_store(taps + first + (long long)s * length + image_x);
#endif
    }
#ifdef CODE
    Sum strip[X][S] = {};
    // Should no tap beat -inf, the first one inside the image has won.
    const Lanes<Index<A>> left = block.window.columns / 2 - image_x - position<A>();
    const Lanes<Index<A>> start = choose(left > 0, left, left - left);
    const int first_row = block.first_inside(z) * block.window.rows;
    for (int s = 0; s < S; s++) {
        const int above = block.window.rows / 2 - image_y - s;
        strip[0][s] = Sum(start + (first_row + (above > 0 ? above : 0)) * block.window.columns);
    }
#else
    Sum strip[X][S];
#endif
    walk(strip, z, y, x, there);
    if (!there) return;
    UNROLL
    for (int s = 0; s < S; s++) {
        if (s == high) break;
        const long long row = first + (long long)s * length;
        UNROLL
        for (int n = 0; n < X; n++)
            store_inside(out + row, image_x + n * width<A>, length, value(strip[n][s].value(), z));
#ifdef CODE
        store_narrow(taps + row, image_x, length, strip[0][s].tap());
#endif
    }
}

// The same for all strips of planes `from` to `to` of the block.
template <class Sum, int S, class Walk, class Value>
__device__ inline void sweep(const Share& block, int from, int to, Scalar* out, Code* taps, Walk walk, Value value) {
    constexpr int X = Abreast<Sum>;
    const Plan plan = block.plan;
    const int strips_y = plan.tile_rows / S, strips_x = (plan.tile_columns / width<A> + X - 1) / X;
    const int strips = (to - from) * strips_y * strips_x;
    // Where the tile is filled in between, all warps walk as often as the first one.
    const int walks = slotwise<Grid> ? (strips + warps() - 1) / warps() * warps() : strips;
    Cells cell(strips_y, strips_x);
    for (int n = warp(); n < walks; n += warps(), cell.next()) {
        const int z = from + cell.z, y = cell.y * S, x = cell.x * X * width<A>;
        const int left = block.volume.width - block.place.first_column - x;
        const bool there = n < strips && block.place.first_row + y < block.volume.height && left > 0;
        if (!slotwise<Grid> && !there) continue;
        if constexpr (Walk::halves)
            if (block.volume.height - block.place.first_row - y <= S / 2) {
                for (int m = 0; m < X && m * width<A> < left && x + m * width<A> < plan.tile_columns; m++)
                    sum_strips<Sum, S / 2, 1>(block, z, y, x + m * width<A>, there, out, taps, walk, value);
                continue;
            }
        if (X == 1 || (left > width<A> && x + X * width<A> <= plan.tile_columns))
            sum_strips<Sum, S, X>(block, z, y, x, there, out, taps, walk, value);
        else
            sum_strips<Sum, S, 1>(block, z, y, x, there, out, taps, walk, value);
    }
}

template <class Sum, class Value>
__device__ inline void sweep_window(const Share& block, int from, int to, Scalar* out, Code* taps, Value value) {
    sweep<Sum, Strip>(block, from, to, out, taps, WindowWalk{block}, value);
}

// Returns whether a value was met that is not regular; then what was written does not count.
template <class Sum, class Value>
__device__ inline bool sweep_slots(Share& block, const Scalar* f, A sign, Scalar* out, Code* taps, Value value) {
    bool careful = false;
    sweep<Sum, Strip>(block, 0, block.present, out, taps, SlotWalk{block, f, sign, careful}, value);
    return any_in_block(careful);
}

template <class Sum, class Value>
__device__ APART void sweep_list(const Share& block, const List<A, Grid>& list, int t, Scalar* out, Code* taps,
                                 Value value) {
    const int first = t * block.window.taps(), from = block.first_of(t);
    const ListWalk walk{block, list, first, first + list.counts[t], from, block.kernels + first};
    sweep<Sum, ListStrip>(block, from, block.end_of(t), out, taps, walk, value);
}

// The logarithmic semiring by e^(f - k) = e^f e^-k: the exponentials are taken once for each element and each tap, and
// what remains is linear. Returns false, with nothing changed, where f and k vary too much for that. Else f lies within
// `reach` of the block's first pixel, and no tap has a k further than that below the k of the tap in the middle. So the
// sum is at least e^-reach, the middle term, and what underflows in e^-k takes from it less than e^reach times the
// smallest normal number.
template <class S>
__device__ inline bool sweep_factors(const Share& block, const Scalar* f, const A* k, Scalar* out, Code* taps) {
    if constexpr (S::logarithmic) {
        constexpr A reach = sizeof(A) == 4 ? A(FLOAT_REACH) : A(DOUBLE_REACH);
        const int count = block.window.taps();
        const A* const k_block = k + block.first_table * count;
        const A level = to_arithmetic(f[block.at(0, block.place.first_row, block.place.first_column)]);
        bool far = !all_lanes((block.tile.low - level >= -reach) & (block.tile.high - level <= reach));
        for (int n = thread(); n < block.tables * count; n += threads())
            far = far || !(k_block[n / count * count + block.middle] - block.kernels[n] <= reach);
        if (any_in_block(far)) return false;

        for (int n = warp() * width<A>; n < block.tile.size(); n += warps() * width<A>)
            store(block.tile.values, n, exponential(load(block.tile.values, n) - level));
        for (int t = warp(); t < block.tables; t += warps())
            for (int n = 0; n < count; n += width<A>) {
                const Lanes<A> value = load_inside(k_block + t * count, n, count, A(0));
                const Lanes<A> difference = k_block[t * count + block.middle] - value;
                store_inside(block.kernels + t * count, n, count, exponential(difference));
            }
        __syncthreads();
        sweep_window<Linear::Accumulator<A, row_taps>>(block, 0, block.present, out, taps, [&](Lanes<A> sum, int z) {
            return Lanes<A>(logarithm(sum) + (level - k_block[block.table(z) * count + block.middle]));
        });
        return true;
    }
    return false;
}

template <class S, class Value>
__device__ inline void sweep_terms(const Share& block, Scalar* out, Code* taps, Value value) {
    if constexpr (lists_taps && S::selective) {
        const List<A, Grid> list(block);
        list.fill();
        for (int t = 0; t < block.tables; t++)
            if (list.pays(t))
                sweep_list<Listed>(block, list, t, out, taps, value);
            else
                sweep_window<Accumulator>(block, block.first_of(t), block.end_of(t), out, taps, value);
    } else {
        sweep_window<Accumulator>(block, 0, block.present, out, taps, value);
    }
}

extern "C" __global__ void semiring_convolution(const Scalar* f, const A* k, Scalar* out, Code* taps, const int* lists,
                                                int sign, int channels, int points, int depth, int height,
                                                int image_width, int slots, int planes, int rows, int columns,
                                                int tile_planes, int tile_rows, int tile_columns) {
    const Volume volume{depth, height, image_width};
    const Window window{Grid::lists ? slots : 1, planes, rows, columns};
    const Plan plan{tile_planes, tile_rows, tile_columns};
    Share block(volume, window, plan, lists, Grid::lists ? points : 1, channels);

    const Scalar* const channel = f + block.first_volume;
    bool careful = false;
    if constexpr (!slotwise<Grid>) careful = block.tile.fill<Semiring>(channel, A(sign));
    for (int n = thread(); n < block.tables * window.taps(); n += threads()) {
        block.kernels[n] = k[block.first_table * window.taps() + n];
        careful = careful || !Semiring::regular_k(block.kernels[n]);
    }
    if (any_in_block(careful)) return sweep_carefully<Semiring>(block, channel, A(sign), out, taps);
    const auto value = [&](Lanes<A> sum, int) { return Lanes<A>(sum * A(sign)); };
    if constexpr (slotwise<Grid>) {
        if (sweep_slots<Accumulator>(block, channel, A(sign), out, taps, value))
            sweep_carefully<Semiring>(block, channel, A(sign), out, taps);
    } else if (!sweep_factors<Semiring>(block, f, k, out, taps)) {
        sweep_terms<Semiring>(block, out, taps, value);
    }
}
EXPORT_KERNEL(semiring_convolution)
