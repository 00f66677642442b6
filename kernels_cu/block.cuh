// What a block of a convolution works on, and which taps it need not look at.
#pragma once

#include "tile.cuh"

template <class A, class G>
struct Block {
    Volume volume;
    Window window;
    Plan plan;
    Place place;
    int own;  // which of the volumes of its channel this one is
    Tile<A, G> tile;
    A* kernels;               // shared memory after the tile, [tables, slots, KZ, KH, KW]
    int present, tables;      // planes of the block that there are; kernels of theirs, one for all or one for each
    int middle;               // the tap with offset zero in the volume itself
    long long first_volume;   // of the channel, in f and out
    long long first_table;    // where their kernels begin, in kernels
    long long first_element;  // where they begin in f and out

    __device__ Block(Volume v, Window w, Plan p, const int* lists, int points, int channels)
        : volume(v),
          window(w),
          plan(p),
          place(v, p, G::lists),
          own(place.volume % points),
          tile(v, w, p, place, lists + own * w.slots, reinterpret_cast<A*>(shared_memory())) {
        kernels = tile.end();
        const int rest = v.depth - place.first_plane;
        present = rest < p.planes ? rest : p.planes;
        tables = G::lists ? 1 : present;
        middle = w.taps() / 2;
        if constexpr (G::lists) {
            int home = 0;
            while (tile.list[home] != own) home++;
            middle = (2 * home + 1) * (w.taps() / w.slots) / 2;
        }
        first_volume = (long long)(place.volume - own) * v.depth * v.height * v.width;
        first_table = G::lists ? place.volume % (channels * points)
                               : (long long)(place.volume % channels) * v.depth + place.first_plane;
        first_element = ((long long)place.volume * v.depth + place.first_plane) * v.height * v.width;
    }
    __device__ long long at(int z, int y, int x) const {
        return first_element + ((long long)z * volume.height + y) * volume.width + x;
    }
    // The kernel of a plane, and the planes of a kernel.
    __device__ int table(int z) const { return G::lists ? 0 : z; }
    __device__ int first_of(int t) const { return G::lists ? 0 : t; }
    __device__ int end_of(int t) const { return G::lists ? present : t + 1; }

    // The first plane of the window of plane z that is inside the grid, counted through all slots.
    __device__ int first_inside([[maybe_unused]] int z) const {
        if constexpr (G::lists) {
            int slot = 0;
            while (tile.absent(slot)) slot++;
            const int before = window.planes / 2 - place.first_plane - z;
            return slot * window.planes + (before > 0 ? before : 0);
        }
        return 0;
    }
};

// The taps of each kernel that can win somewhere in the block of a dilation, in their order. The tap in the middle
// is inside the image everywhere. One that loses against it even with the largest f against the least can be left out,
// and not a bit of the result changes. In a network more than half of the taps are such.
template <class A, class G>
struct List {
    const Block<A, G>& block;
    int *taps, *offsets, *counts;  // shared memory after the kernels: [tables, taps] codes, and places in the tile for
                                   // the kernel's first plane; [tables] how many

    __device__ explicit List(const Block<A, G>& b) : block(b) {
        const int size = (G::lists ? 1 : b.plan.planes) * b.window.taps();
        taps = reinterpret_cast<int*>(b.kernels + size);
        offsets = taps + size;
        counts = offsets + size;
    }
    __device__ void fill() const {
        const Tile<A, G>& tile = block.tile;
        const Window w = block.window;
        A* const memory = reinterpret_cast<A*>(taps);
        const A most = largest_warp(largest_lane(tile.high), memory);
        const A least = -largest_warp(largest_lane(Lanes<A>(-tile.low)), memory);
        for (int t = thread(); t < block.tables; t += threads()) {
            const A* const k = block.kernels + t * w.taps();
            const A middle = least - k[block.middle];
            int tap = 0, end = t * w.taps();
            for (int slot = 0; slot < w.slots; slot++) {
                if (tile.absent(slot)) {
                    tap += w.taps() / w.slots;
                    continue;
                }
                int plane = tile.begin(slot, t);
                for (int i = 0; i < w.planes; i++, plane = tile.after(plane))
                    for (int j = 0; j < w.rows; j++)
                        for (int l = 0; l < w.columns; l++, tap++) {
                            taps[end] = tap;
                            offsets[end] = (plane * tile.rows + j) * tile.pitch + l;
                            end += !(most - k[tap] < middle);
                        }
            }
            counts[t] = end - t * w.taps();
        }
        __syncthreads();
    }
    // A listed tap takes more loads than one of a whole window.
    __device__ bool pays(int t) const { return 4 * counts[t] <= 3 * block.window.taps(); }
};
