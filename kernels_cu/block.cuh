// What a block of a group convolution works on, and which taps it need not look at.
#pragma once

#include "tile.cuh"

template <class A>
struct Block {
    Volume volume;
    Window window;
    Plan plan;
    Place place;
    Tile<A> tile;
    A* kernels;               // shared memory after the tile, [group, KOr, KH, KW]
    int present;              // orientations of the group that there are
    long long first_plane;    // where their kernels begin, in planes [KOr, KH, KW]
    long long first_element;  // where they begin in f and out

    __device__ Block(Volume v, Window w, Plan p, int channels)
        : volume(v), window(w), plan(p), place(v, p), tile(v, w, p, reinterpret_cast<A*>(shared_memory())) {
        kernels = tile.end();
        const int rest = v.orientations - place.first_orientation;
        present = rest < p.group ? rest : p.group;
        first_plane = (long long)(place.volume % channels) * v.orientations + place.first_orientation;
        first_element = ((long long)place.volume * v.orientations + place.first_orientation) * v.height * v.width;
    }
    __device__ long long at(int o, int y, int x) const {
        return first_element + ((long long)o * volume.height + y) * volume.width + x;
    }
};

// The taps of each orientation that can win somewhere in the block of a dilation, in their order. The tap in the middle
// is inside the image everywhere. One that loses against it even with the largest f against the least can be left out,
// and not a bit of the result changes. In a network more than half of the taps are such.
template <class A>
struct List {
    const Block<A>& block;
    int *taps, *offsets, *counts;  // shared memory after the kernels: [group, KOr KH KW] codes, and places in the tile;
                                   // [group] how many

    __device__ explicit List(const Block<A>& b) : block(b) {
        const int size = b.plan.group * b.window.taps();
        taps = reinterpret_cast<int*>(b.kernels + size);
        offsets = taps + size;
        counts = offsets + size;
    }
    __device__ void fill() const {
        const Tile<A>& tile = block.tile;
        const Window w = block.window;
        Lanes<A> low, high;
        tile.extremes(block.volume, w, block.place, &low, &high);
        A* const memory = reinterpret_cast<A*>(taps);
        const A most = largest_warp(largest_lane(high), memory);
        const A least = -largest_warp(largest_lane(Lanes<A>(-low)), memory);
        for (int o = thread(); o < block.present; o += threads()) {
            const A* const k = block.kernels + o * w.taps();
            const A middle = least - k[w.taps() / 2];
            int tap = 0, end = o * w.taps();
            for (int i = 0; i < w.planes; i++)
                for (int j = 0; j < w.rows; j++) {
                    const int row = ((o + i) % tile.planes * tile.rows + j) * tile.pitch;
                    for (int l = 0; l < w.columns; l++, tap++) {
                        taps[end] = tap;
                        offsets[end] = row + l;
                        end += !(most - k[tap] < middle);
                    }
                }
            counts[o] = end - o * w.taps();
        }
        __syncthreads();
    }
    // A listed tap takes more loads than one of a whole window.
    __device__ bool pays(int o) const { return 4 * counts[o] <= 3 * block.window.taps(); }
};
