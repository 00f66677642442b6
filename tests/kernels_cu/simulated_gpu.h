// A graphics processor for tests, simulated on the host: runs the source as NVRTC would see it, with the words of
// machine_gpu.cuh, warps of 32 lanes and blocks of any number of threads.
//
// Every thread of a block is a fiber. Fibers run one after the other, each until it has to wait: for its warp in a
// shuffle, for its block at a barrier. Whoever leaves out a barrier reads what others have not written yet, in one
// order of the fibers or in the reverse one. Shared memory is full of NaN before a block begins, and behind its end.
//
// KERNELS names the source file, KERNEL one kernel of it.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace simulated {

constexpr int warp_size = 32, stack_bytes = 256 << 10, most_shared_bytes = 227 << 10;

enum State { ready, at_warp, at_block, done };

struct Fiber {
    ucontext_t context;
    std::unique_ptr<unsigned char[]> stack{new unsigned char[stack_bytes]};
    State state = ready;
    unsigned char sent[8];  // what a shuffle passes on
};

inline std::vector<Fiber> fibers;
inline ucontext_t scheduler;
inline std::function<void()> kernel;
inline int current;
inline bool vote, verdict;
inline const char* fault;

inline void wait(State where) {
    Fiber& self = fibers[current];
    self.state = where;
    swapcontext(&self.context, &scheduler);
}

inline void body() {
    kernel();
    fibers[current].state = done;
}

}  // namespace simulated

struct Coordinate {
    unsigned x;
};
inline Coordinate threadIdx, blockIdx, blockDim;
alignas(64) unsigned char dynamic_shared_memory[simulated::most_shared_bytes + 4096];

#define __CUDACC__
#define __device__
#define __global__
#define __forceinline__ inline
#define __shared__
#define __align__(bytes)
#define __launch_bounds__(...)

template <class To, class From>
inline To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
inline float __int_as_float(int bits) { return bits_as<float>(bits); }
inline float __uint_as_float(unsigned bits) { return bits_as<float>(bits); }
inline unsigned __float_as_uint(float value) { return bits_as<unsigned>(value); }
inline float half_as_float(unsigned short bits) { return bits_as<_Float16>(bits); }
inline unsigned short float_as_half(float value) { return bits_as<unsigned short>(_Float16(value)); }

inline void __syncwarp() { simulated::wait(simulated::at_warp); }
inline int __syncthreads_or(int flag) {
    simulated::vote |= flag != 0;
    simulated::wait(simulated::at_block);
    return simulated::verdict;
}
inline void __syncthreads() { __syncthreads_or(0); }

template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int step) {
    using namespace simulated;
    if (mask != 0xffffffffu) fault = "a shuffle without the whole warp";
    std::memcpy(fibers[current].sent, &value, sizeof value);
    __syncwarp();
    std::memcpy(&value, fibers[current ^ step].sent, sizeof value);
    __syncwarp();
    return value;
}
template <class T>
inline T atomicAdd(T* address, T value) {
    return std::exchange(*address, *address + value);
}

namespace simulated {

// Lets whoever waits for nobody any more go on; false where that is nobody.
inline bool release() {
    const int threads = int(fibers.size());
    const auto all = [&](int from, int to, State state) {
        for (int t = from; t < to; t++)
            if (fibers[t].state != state) return false;
        return true;
    };
    bool found = false;
    for (int first = 0; first < threads; first += warp_size)
        if (all(first, first + warp_size, at_warp)) {
            for (int t = first; t < first + warp_size; t++) fibers[t].state = ready;
            found = true;
        }
    if (found || !all(0, threads, at_block)) return found;
    for (Fiber& fiber : fibers) fiber.state = ready;
    verdict = std::exchange(vote, false);
    return true;
}

inline void run_block(int threads, bool backwards) {
    fibers.resize(threads);
    vote = false;
    for (Fiber& fiber : fibers) {
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = stack_bytes;
        fiber.context.uc_link = &scheduler;
        fiber.state = ready;
        makecontext(&fiber.context, body, 0);
    }
    do {
        for (int n = 0; n < threads; n++) {
            current = backwards ? threads - 1 - n : n;
            if (fibers[current].state != ready) continue;
            threadIdx.x = current;
            swapcontext(&scheduler, &fibers[current].context);
        }
    } while (!fault && release());
    for (const Fiber& fiber : fibers)
        if (!fault && fiber.state != done) fault = "threads wait for others that do not come";
}

// Runs a grid. Returns null, or what went wrong.
template <class... P, size_t... I>
const char* run_grid(void (*function)(P...), long long blocks, int threads, long long shared_bytes, bool backwards,
                     void** arguments, std::index_sequence<I...>) {
    if (threads < 1 || threads > 1024 || threads % warp_size) return "a block must have 1 to 32 whole warps";
    if (blocks < 1 || blocks > 0x7fffffff) return "a grid must have 1 to 2^31 - 1 blocks";
    if (shared_bytes > most_shared_bytes) return "more shared memory than there is";
    fault = nullptr;
    kernel = [=] { function(*static_cast<P*>(arguments[I])...); };
    blockDim.x = threads;
    for (long long n = 0; n < blocks && !fault; n++) {
        blockIdx.x = unsigned(backwards ? blocks - 1 - n : n);
        std::memset(dynamic_shared_memory, 0xff, sizeof dynamic_shared_memory);
        run_block(threads, backwards);
        for (size_t b = shared_bytes; b < sizeof dynamic_shared_memory; b++)
            if (!fault && dynamic_shared_memory[b] != 0xff) fault = "a write behind the end of shared memory";
    }
    return fault;
}

template <class... P>
const char* run(void (*function)(P...), long long blocks, int threads, long long shared_bytes, bool backwards,
                void** arguments) {
    return run_grid(function, blocks, threads, shared_bytes, backwards, arguments, std::index_sequence_for<P...>());
}

}  // namespace simulated

#include KERNELS

extern "C" const char* simulate(long long blocks, int threads, long long shared_bytes, int backwards,
                                void** arguments) {
    return simulated::run(KERNEL, blocks, threads, shared_bytes, backwards, arguments);
}
