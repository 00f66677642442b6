// One program, three machines.
//
// Every kernel in this directory is written for a grid of blocks, a block of warps, a warp of lanes.
//
//                 graphics processor                     host, and a browser
//   lane          one thread                             one element of a SIMD vector
//   warp          32 threads in step                     one thread, which owns the whole vector
//   block         blockDim.x / 32 warps                  one warp (a test build: several real threads)
//   shared        on-chip shared memory                  a scratch buffer that stays in the cache
//   grid          blocks in any order                    blocks shared out over the worker threads; a browser has one
//
// A kernel speaks of Lanes<T>: one value for each lane, side by side along x. There it is a plain T, here a vector
// type of the compiler, so that accumulators stay in vector registers on both. Loops over shared work step by
// warps() or threads(), hence any block size is valid, one warp included.
//
// The words that every machine supplies:
//   Lanes<T>, width<T>          the values of one warp, and how many there are
//   block(), warp(), warps()    where this code runs;  thread(), threads() the same lane by lane
//   shared_memory()             the block's scratch memory;  __syncthreads(), any_in_block(flag)
//   load, load_inside, load_clamped, store, store_inside, store_narrow
//                               neighbouring lanes read and write neighbouring elements of a row
//   announce_store              an address that will soon be written: a store to a line of memory that is not in the
//                               cache waits until it has been fetched
//   infinity, splat, position, choose, largest, exponential, logarithm
//   all_lanes, sum_lanes, largest_lane, sum_warp
//                               over the lanes of a warp; the last over its threads, each of which brings one value
//   add_in_block, add_in_grid   sums that several threads add to
//   in_register                 the same values, which the compiler then will not make anew for each use
//   APART, WITHIN               a function with registers of its own, with those of its caller
//   unseen_one                  1, hidden from the compiler where a multiply-add runs beside a maximum and a
//                               subtraction does not, so that f one - k becomes a multiply-add
//   lists_taps                  whether semiring_convolution.cu lists the taps that can win, see block.cuh
//   slot_by_slot                whether a tile holds one volume of a list at a time, see tile.cuh
//   abreast                     how many strips of sums of one register each have room side by side
//   row_of_four_winners         how many taps a row may have for four outputs to keep their winners in registers
#pragma once

#if defined(__CUDACC__)
#include "machine_gpu.cuh"
#elif defined(__wasm__)
#include "machine_browser.cuh"
#else
#include "machine_host.cuh"
#endif

#include "numbers.cuh"

// The sum or the largest of one value for each warp, in their order, for every thread of the block. `memory` holds a
// value for each.
template <class T, class Combine>
__device__ inline T over_warps(T value, T* memory, Combine combine) {
    if (first_lane()) memory[warp()] = value;
    __syncthreads();
    T total = memory[0];
    for (int n = 1; n < warps(); n++) total = combine(total, memory[n]);
    __syncthreads();
    return total;
}
template <class T>
__device__ inline T sum_warps(T value, T* memory) {
    return over_warps(value, memory, [](T a, T b) { return a + b; });
}
template <class T>
__device__ inline T largest_warp(T value, T* memory) {
    return over_warps(value, memory, [](T a, T b) { return a > b ? a : b; });
}

// The cells of a grid of rows and columns, plane by plane, that this warp takes: its own and every warps()-th after. A
// division would cost as much as a vector of outputs.
struct Cells {
    const int rows, columns;
    int z = 0, y = 0, x;

    __device__ Cells(int of_rows, int of_columns) : rows(of_rows), columns(of_columns), x(warp()) { carry(); }
    __device__ void next() {
        x += warps();
        carry();
    }

  private:
    __device__ void carry() {
        for (; x >= columns; x -= columns) y++;
        for (; y >= rows; y -= rows) z++;
    }
};

// Row access. `row` holds `length` elements; lane n of the warp stands at column x + n. Where that is beyond the row,
// load_inside gives `outside`, load_clamped the element at the end, and store_inside leaves the lane out.

#ifndef __CUDACC__
// The row at the columns given, all of which lie in the row and in [x, x + width) but for those moved to an end.
template <class T>
inline Lanes<Arithmetic<T>> load_columns(const T* row, int x, int length, Lanes<Index<Arithmetic<T>>> columns) {
    using A = Arithmetic<T>;
#ifdef __clang__
    Lanes<A> values;
    for (int n = 0; n < width<A>; n++) values[n] = to_arithmetic(row[columns[n]]);
    return values;
#else
    if (length < width<A>) return __builtin_shuffle(load_first(row, length), columns);
    const int start = x < 0 ? 0 : x < length - width<A> ? x : length - width<A>;
    return __builtin_shuffle(load_lanes(row + start), columns - Index<A>(start));
#endif
}
#endif

template <class T>
__device__ inline Lanes<Arithmetic<T>> load_clamped(const T* row, int x, int length) {
    using A = Arithmetic<T>;
#ifndef __CUDACC__
    if (x >= 0 && x + width<A> <= length) return load_lanes(row + x);
#endif
    const Lanes<Index<A>> column = position<A>() + Index<A>(x), zero = column - column,
                          end = zero + Index<A>(length - 1);
    const Lanes<Index<A>> clamped = choose(column < 0, zero, choose(column > end, end, column));
#ifdef __CUDACC__
    return to_arithmetic(row[clamped]);
#else
    return load_columns(row, x, length, clamped);
#endif
}

template <class T>
__device__ inline Lanes<Arithmetic<T>> load_inside(const T* row, int x, int length, Arithmetic<T> outside) {
    using A = Arithmetic<T>;
#ifdef __CUDACC__
    const int column = x + position<A>();
    return column >= 0 && column < length ? to_arithmetic(row[column]) : outside;
#else
    if (x >= 0 && x + width<A> <= length) return load_lanes(row + x);
    const Lanes<Index<A>> column = position<A>() + Index<A>(x);
    if (x >= 0 && x < length) return choose(column < length, load_first(row + x, length - x), splat<A>(outside));
    return choose((column >= 0) & (column < length), load_clamped(row, x, length), splat<A>(outside));
#endif
}

template <class T>
__device__ inline void store_inside(T* row, int x, int length, Lanes<Arithmetic<T>> values) {
#ifdef __CUDACC__
    const int column = x + position<T>();
    if (column < length) row[column] = from_arithmetic<T>(values);
#else
    using A = Arithmetic<T>;
    if (x + width<A> <= length) return store_lanes(row + x, values);
    if (x < length) store_first(row + x, length - x, values);
#endif
}

// The row `to` of `length` elements, a multiple of the warp's width: what `map` makes of from[x] for begin <= x < end,
// `outside` elsewhere. Some elements are shown to `map` twice.
template <class T, class Map>
__device__ inline void copy_part(Arithmetic<T>* to, int length, const T* from, int begin, int end,
                                 Arithmetic<T> outside, Map map) {
    using A = Arithmetic<T>;
#ifndef __CUDACC__
    if (end - begin >= width<A>) {
        for (int x = 0; x < begin; x += width<A>) store(to, x, splat<A>(outside));
        for (int x = end / width<A> * width<A>; x < length; x += width<A>) store(to, x, splat<A>(outside));
        for (int x = begin; x < end - width<A>; x += width<A>) store(to, x, map(load_lanes(from + x)));
        return store(to, end - width<A>, map(load_lanes(from + end - width<A>)));
    }
#endif
    for (int x = 0; x < length; x += width<A>) {
        const Lanes<Index<A>> column = position<A>() + Index<A>(x);
        const Lanes<A> values = map(load_clamped(from + begin, x - begin, end - begin));
        store(to, x, choose((column >= begin) & (column < end), values, splat<A>(outside)));
    }
}
