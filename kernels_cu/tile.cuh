// What a block of a group convolution covers, and the tile of the input that it keeps in shared memory.
//
// A channel is a volume [Or, H, W]. A block owns the outputs of `group` neighbouring orientations times a rectangle
// of tile_rows x tile_columns pixels. It needs the input on group + KOr - 1 orientations (all Or of them, once, when
// that is fewer) and on the rectangle with a halo of KH - 1 rows and KW - 1 columns. The tile holds exactly that, with
// the semiring's zero where the image ends, so that no loop over taps has a test for the border.
#pragma once

#include "semiring.cuh"

struct Volume {
    int orientations, height, width;
};
struct Window {
    int planes, rows, columns;  // KOr <= Or, KH, KW, all odd: the tap with offset zero is the middle one

    __device__ int taps() const { return planes * rows * columns; }
};
struct Plan {
    int group, tile_rows, tile_columns;
};

// The block's place: block = ((volume * groups + group) * tiles_y + tile_y) * tiles_x + tile_x.
struct Place {
    int volume, first_orientation, first_row, first_column, partial;

    __device__ Place(Volume v, Plan p) {
        const int groups = (v.orientations + p.group - 1) / p.group;
        const int tiles_y = (v.height + p.tile_rows - 1) / p.tile_rows;
        const int tiles_x = (v.width + p.tile_columns - 1) / p.tile_columns;
        int rest = block();
        const int tile_x = rest % tiles_x;
        rest /= tiles_x;
        const int tile_y = rest % tiles_y;
        rest /= tiles_y;
        volume = rest / groups;
        first_orientation = rest % groups * p.group;
        first_row = tile_y * p.tile_rows;
        first_column = tile_x * p.tile_columns;
        partial = tile_y * tiles_x + tile_x;
    }
};

template <class A>
struct Tile {
    int planes, rows, pitch;
    A* values;

    __device__ Tile(Volume v, Window w, Plan p, A* memory) : values(memory) {
        planes = p.group + w.planes - 1 < v.orientations ? p.group + w.planes - 1 : v.orientations;
        rows = p.tile_rows + w.rows - 1;
        pitch = (p.tile_columns + w.columns - 1 + width<A> - 1) / width<A> * width<A>;
    }
    __device__ int size() const { return planes * rows * pitch; }
    __device__ A* end() const { return values + size(); }

    // Copies sign * f into the tile; returns whether this lane met a value that is not regular.
    template <class Semiring, class T>
    __device__ bool fill(const T* f, A sign, Volume v, Window w, Place place) const {
        const A zero = Semiring::template zero<A>();
        const long long area = (long long)v.height * v.width;
        auto regular = splat<A>(0) == splat<A>(0);
        for (int line = warp(); line < planes * rows; line += warps()) {
            const int slot = line / rows, y = place.first_row - w.rows / 2 + line % rows;
            const int orientation = (place.first_orientation + slot + v.orientations - w.planes / 2) % v.orientations;
            A* to = values + line * pitch;
            if (y < 0 || y >= v.height) {
                for (int x = 0; x < pitch; x += width<A>) store(to, x, splat<A>(zero));
                continue;
            }
            const T* from =
                f + ((long long)place.volume * v.orientations + orientation) * area + (long long)y * v.width;
            for (int x = 0; x < pitch; x += width<A>) {
                const int column = place.first_column - w.columns / 2 + x;
                const Lanes<A> value = load_inside(from, column, v.width, sign * zero) * sign;
                regular &= Semiring::template regular_f<A>(value);
                store(to, x, value);
            }
        }
        return !all_lanes(regular);
    }

    // The extremes of the image in what each lane has filled; low > high where it has filled none of it.
    __device__ void extremes(Volume v, Window w, Place place, Lanes<A>* low, Lanes<A>* high) const {
        const int left = w.columns / 2 - place.first_column, right = left + v.width;
        const int begin = left > 0 ? left : 0, end = right < pitch ? right : pitch;
        *low = splat<A>(infinity<A>());
        *high = splat<A>(-infinity<A>());
        for (int line = warp(); line < planes * rows; line += warps()) {
            const int y = place.first_row - w.rows / 2 + line % rows;
            if (y < 0 || y >= v.height) continue;
            for (int x = begin; x < end; x += width<A>) {
                const Lanes<A> lower = load_inside(values + line * pitch, x, end, infinity<A>());
                *low = choose(lower < *low, lower, *low);
                *high = largest(load_inside(values + line * pitch, x, end, -infinity<A>()), *high);
            }
        }
    }
};
