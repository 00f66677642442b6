// The careful path of a convolution over a semiring: slow, and right where a value is not finite.
#pragma once

#include "block.cuh"

// One output by the definition; it reads f itself where the tile has not all slots.
template <class Semiring, class A, class Grid, class Scalar>
__device__ inline A by_definition(const Block<A, Grid>& block, const Scalar* f, A sign, int z, int y, int x,
                                  int* winner) {
    const Tile<A, Grid>& tile = block.tile;
    const Window w = block.window;
    const A* const k = block.kernels + block.table(z) * w.taps();
    const int image_y = block.place.first_row + y, image_x = block.place.first_column + x;
    A sum = Semiring::template zero<A>();
    bool first = true;
    for (int slot = 0; slot < w.slots; slot++) {
        int plane = tile.first(slot, z);
        for (int i = 0; i < w.planes; i++, plane = tile.after(plane)) {
            const int from = tile.source(plane);
            if (Grid::lists && from < 0) continue;
            const Scalar* const image = f + (long long)from * block.volume.height * block.volume.width;
            for (int j = 0; j < w.rows; j++)
                for (int l = 0; l < w.columns; l++) {
                    const int from_y = image_y + j - w.rows / 2, from_x = image_x + l - w.columns / 2;
                    if (from_y < 0 || from_y >= block.volume.height || from_x < 0 || from_x >= block.volume.width)
                        continue;
                    const int tap = ((slot * w.planes + i) * w.rows + j) * w.columns + l;
                    const A seen =
                        slotwise<Grid> ? sign * to_arithmetic(image[(long long)from_y * block.volume.width + from_x])
                                       : tile.values[(plane * tile.rows + y + j) * tile.pitch + x + l];
                    const A term = Semiring::times(seen, k[tap]);
                    if (first || (sum == sum && !(term <= sum))) *winner = tap;
                    sum = first ? term : Semiring::plus(sum, term);
                    first = false;
                }
        }
    }
    return sum;
}

// All outputs of a block, with their winners where `taps` is not null.
template <class Semiring, class A, class Grid, class Scalar, class Code>
__device__ inline void sweep_carefully(const Block<A, Grid>& block, const Scalar* f, A sign, Scalar* out, Code* taps) {
    const Plan plan = block.plan;
    for (int n = thread(); n < block.present * plan.tile_rows * plan.tile_columns; n += threads()) {
        const int z = n / (plan.tile_rows * plan.tile_columns), y = n / plan.tile_columns % plan.tile_rows;
        const int x = n % plan.tile_columns;
        const int image_y = block.place.first_row + y, image_x = block.place.first_column + x;
        if (image_y >= block.volume.height || image_x >= block.volume.width) continue;
        int winner = 0;
        const A value = by_definition<Semiring>(block, f, sign, z, y, x, &winner);
        out[block.at(z, image_y, image_x)] = from_arithmetic<Scalar>(sign * value);
        if (taps) taps[block.at(z, image_y, image_x)] = Code(winner);
    }
}
