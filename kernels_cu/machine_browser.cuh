// A browser as the machine of spmd.cuh: WebAssembly with vectors of 128 bits, one thread, the grid a loop.
//
// A module holds several units, each compiled by unit.cu in a namespace of its own, and a kernel is seen in its unit
// only. EXPORT_KERNEL makes UNIT_<kernel>(blocks, shared, arguments): shared memory for one block, and one word of 32
// bits for each argument, its value or its address.
#pragma once

#include <utility>

#define __global__ __attribute__((internal_linkage))

#include "vectors.cuh"

struct Whereabouts {
    int block;
    unsigned char* shared;
};
inline Whereabouts here;

inline int block() { return here.block; }
inline unsigned char* shared_memory() { return here.shared; }
inline int thread() { return 0; }
inline int threads() { return 1; }
inline bool any_in_block(bool flag) { return flag; }
inline int warp() { return 0; }
inline int warps() { return 1; }
inline bool first_lane() { return true; }
inline void warp_barrier() {}
inline void __syncthreads() {}

template <class T>
inline void add_in_block(T* address, T value) {
    *address += value;
}
template <class T>
inline void add_in_grid(T* address, T value) {
    *address += value;
}

template <class... P, size_t... I>
void run_grid(void (*kernel)(P...), int blocks, unsigned char* shared, const int32_t* words,
              std::index_sequence<I...>) {
    static_assert(((sizeof(P) == sizeof(int32_t)) && ...), "an argument is one word");
    for (int n = 0; n < blocks; n++) {
        here = {n, shared};
        kernel(same_bits<P>(words[I])...);
    }
}
template <class... P>
void launch_words(void (*kernel)(P...), int blocks, unsigned char* shared, const int32_t* words) {
    run_grid(kernel, blocks, shared, words, std::index_sequence_for<P...>());
}

#define JOIN(unit, kernel) unit##_##kernel
#define IN_UNIT(unit, kernel) JOIN(unit, kernel)
#define EXPORT_KERNEL(kernel)                                                                              \
    extern "C" void IN_UNIT(UNIT, kernel)(int blocks, unsigned char* shared, const int32_t* arguments) { \
        launch_words(kernel, blocks, shared, arguments);                                                   \
    }
