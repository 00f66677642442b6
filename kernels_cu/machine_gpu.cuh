// The graphics processor as the machine of spmd.cuh: a lane is a thread, so that every word is a line.
#pragma once

#define UNROLL _Pragma("unroll")
#define APART inline
#define WITHIN __forceinline__

template <class T>
using Lanes = T;
template <class T>
constexpr int width = 32;
template <class T>
using Index = int;  // what a lane counts with beside values of type T
constexpr bool lists_taps = false;  // one thread would make a list while all others wait
constexpr bool slot_by_slot = true;  // the volumes of a list together are too large for shared memory
constexpr int row_of_four_winners = 5;
constexpr int abreast = 1;

__device__ inline int block() { return blockIdx.x; }
__device__ inline int warp() { return threadIdx.x / 32; }
__device__ inline int warps() { return blockDim.x / 32; }
__device__ inline int thread() { return threadIdx.x; }
__device__ inline int threads() { return blockDim.x; }

extern __shared__ __align__(16) unsigned char dynamic_shared_memory[];
__device__ inline unsigned char* shared_memory() { return dynamic_shared_memory; }
__device__ inline bool any_in_block(bool flag) { return __syncthreads_or(flag); }

__device__ inline void announce_store(const void*) {}

template <class T>
__device__ inline T infinity() {
    return T(__int_as_float(0x7f800000));
}
template <class T>
__device__ inline T in_register(T values) {
    return values;
}
template <class T>
__device__ inline T unseen_one() {
    return T(1);
}
template <class T>
__device__ inline T splat(T value) {
    return value;
}
template <class T>
__device__ inline int position() {
    return threadIdx.x % 32;
}
template <class T>
__device__ inline T load(const T* row, int x) {
    return (row + threadIdx.x % 32)[x];
}
template <class T>
__device__ inline void store(T* row, int x, T values) {
    (row + threadIdx.x % 32)[x] = values;
}
template <class T>
__device__ inline T choose(bool mask, T yes, T no) {
    return mask ? yes : no;
}
__device__ inline float largest(float a, float b) { return fmaxf(a, b); }
__device__ inline double largest(double a, double b) { return fmax(a, b); }
__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }
__device__ inline float logarithm(float x) { return logf(x); }
__device__ inline double logarithm(double x) { return log(x); }
__device__ inline bool all_lanes(bool mask) { return mask; }

template <class T>
__device__ inline T sum_lanes(T value) {
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
    return value;
}
template <class T>
__device__ inline T largest_lane(T value) {
    for (int step = 16; step > 0; step /= 2) value = largest(value, __shfl_xor_sync(0xffffffffu, value, step));
    return value;
}
template <class T>
__device__ inline T sum_warp(T value) {
    return sum_lanes(value);
}
__device__ inline void warp_barrier() { __syncwarp(); }
// What one lane of each warp does for all of them.
__device__ inline bool first_lane() { return threadIdx.x % 32 == 0; }

template <class T>
__device__ inline void store_narrow(T* row, int x, int length, int values) {
    const int column = x + threadIdx.x % 32;
    if (column < length) row[column] = T(values);
}

// Sums to which other threads of the grid, or of the block, add at the same time.
template <class T>
__device__ inline void add_in_grid(T* address, T value) {
    atomicAdd(address, value);
}
template <class T>
__device__ inline void add_in_block(T* address, T value) {
    atomicAdd(address, value);
}

#define EXPORT_KERNEL(kernel)
