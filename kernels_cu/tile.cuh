// What a block of a convolution covers, and the tile of the input that it keeps in shared memory.
//
// A channel is a grid [O, Z, H, W] of O volumes. Each of its two kinds is compiled apart:
//
//   Circle      O = 1; the planes of the volume come round, and each has a kernel of its own. M2: the planes are its
//               orientations. R^2 is the case Z = KZ = 1
//   Neighbours  planes end; a volume has one kernel and reads `slots` volumes, which its list names, itself among them;
//               -1 where there are fewer. M3: the volumes are its directions. R^3 is the case O = slots = 1
//
// A block owns the outputs of `planes` neighbouring planes of one volume times a rectangle of tile_rows x tile_columns
// pixels. Of every volume that it reads it needs planes + KZ - 1 planes (all Z of a circle, once, when that is fewer)
// and the rectangle with a halo of KH - 1 rows and KW - 1 columns. The tile holds exactly that, with the zero of the
// semiring where the grid ends, so that no loop over taps has a test for the border. Where shared memory is small it
// holds one volume of a list at a time, and is filled anew for each while the sums stay in registers.
#pragma once

#include "semiring.cuh"

struct Circle {
    static constexpr bool lists = false;
};
struct Neighbours {
    static constexpr bool lists = true;
};

// Whether the tile holds one volume of a list at a time.
template <class G>
constexpr bool slotwise = slot_by_slot && G::lists;

struct Volume {
    int depth, height, width;
};
struct Window {
    int slots, planes, rows, columns;  // the last three odd: the tap with offset zero is the middle one

    __device__ int taps() const { return slots * planes * rows * columns; }
};
struct Plan {
    int planes, tile_rows, tile_columns;
};

// The block's place: block = ((volume * groups + group) * tiles_y + tile_y) * tiles_x + tile_x, a group being `planes`
// planes, and its number among all blocks that share a kernel in one image.
struct Place {
    int volume, first_plane, first_row, first_column, partial;

    __device__ Place(Volume v, Plan p, bool one_kernel) {
        const int groups = (v.depth + p.planes - 1) / p.planes;
        const int tiles_y = (v.height + p.tile_rows - 1) / p.tile_rows;
        const int tiles_x = (v.width + p.tile_columns - 1) / p.tile_columns;
        int rest = block();
        const int tile_x = rest % tiles_x;
        rest /= tiles_x;
        const int tile_y = rest % tiles_y;
        rest /= tiles_y;
        volume = rest / groups;
        first_plane = rest % groups * p.planes;
        first_row = tile_y * p.tile_rows;
        first_column = tile_x * p.tile_columns;
        partial = ((one_kernel ? rest % groups : 0) * tiles_y + tile_y) * tiles_x + tile_x;
    }
};

template <class A, class G>
struct Tile {
    Volume volume;
    Window window;
    Place place;
    const int* list;                // the volumes that this one reads; null on a circle
    int held, planes, rows, pitch;  // planes of one of them, of the tile, rows of a plane, elements from row to row
    A* values;
    Lanes<A> low, high;  // the extremes of what each lane has filled; low > high where it has filled nothing

    __device__ Tile(Volume v, Window w, Plan p, Place at, const int* sources, A* memory)
        : volume(v), window(w), place(at), list(sources), values(memory) {
        held = p.planes + w.planes - 1;
        if (!G::lists && held > v.depth) held = v.depth;
        planes = slotwise<G> ? held : w.slots * held;
        rows = p.tile_rows + w.rows - 1;
        pitch = (p.tile_columns + w.columns - 1 + width<A> - 1) / width<A> * width<A>;
    }
    __device__ int size() const { return planes * rows * pitch; }
    __device__ A* end() const { return values + size(); }

    // Whether a slot names no volume.
    __device__ bool absent([[maybe_unused]] int slot) const {
        if constexpr (G::lists) return list[slot] < 0;
        return false;
    }
    // The plane of the channel that a plane of the tile is for, counted through all slots; -1 where there is none.
    __device__ int source(int plane) const {
        if constexpr (G::lists) {
            const int from = list[plane / held], z = place.first_plane - window.planes / 2 + plane % held;
            return from < 0 || z < 0 || z >= volume.depth ? -1 : from * volume.depth + z;
        }
        return (place.first_plane + plane + volume.depth - window.planes / 2) % volume.depth;
    }
    // Where the window of plane z of the block begins in the volume of a slot, through all slots and in the tile, and
    // the plane after one.
    __device__ int first(int slot, int z) const { return G::lists ? slot * held + z : z % planes; }
    __device__ int begin(int slot, int z) const { return slotwise<G> ? z : first(slot, z); }
    __device__ int after(int plane) const { return G::lists || plane + 1 < planes ? plane + 1 : 0; }

    // Copies sign * f into the tile, where f begins with the first volume of the channel; returns whether this lane met
    // a value that is not regular, and notes the extremes of what it met. A slotwise one is of one slot.
    template <class Semiring, class T>
    __device__ bool fill(const T* f, A sign, int slot = 0) {
        const A zero = Semiring::template zero<A>();
        const long long area = (long long)volume.height * volume.width;
        const int left = window.columns / 2 - place.first_column, right = left + volume.width;
        const int begin = left > 0 ? left : 0, end = right < pitch ? right : pitch;
        auto regular = splat<A>(0) == splat<A>(0);
        Lanes<A> least = splat<A>(infinity<A>()), most = splat<A>(-infinity<A>());
        const auto seen = [&](Lanes<A> value) {
            value *= sign;
            regular &= Semiring::template regular_f<A>(value);
            least = choose(value < least, value, least);
            most = largest(value, most);
            return value;
        };
        int plane = -1, from_plane = -1;
        for (Cells line(planes, rows); line.z < 1; line.next()) {
            if (line.y != plane) from_plane = source(slot * held + (plane = line.y));
            const int y = place.first_row - window.rows / 2 + line.x;
            A* const to = values + (plane * rows + line.x) * pitch;
            if (y < 0 || y >= volume.height || (G::lists && from_plane < 0)) {
                for (int x = 0; x < pitch; x += width<A>) store(to, x, splat<A>(zero));
                continue;
            }
            copy_part(to, pitch, f + from_plane * area + (long long)y * volume.width - left, begin, end, zero, seen);
        }
        low = least;
        high = most;
        return !all_lanes(regular);
    }
};
