// The host as the machine of spmd.cuh: a warp is one vector of the processor, a block is one thread, the grid a loop.
//
// Vectors are those of GCC and Clang, as wide as the processor's registers. SPMD_TEAMS is the test build: a block
// is then a team of real threads with a real barrier, so that a race detector sees what a graphics processor would do.
#pragma once

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __launch_bounds__(...)
#define APART __attribute__((noinline))

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class T>
struct HostVector;
template <>
struct HostVector<float> {
    typedef float type __attribute__((vector_size(vector_bytes)));
    using index = int32_t;
};
template <>
struct HostVector<double> {
    typedef double type __attribute__((vector_size(vector_bytes)));
    using index = int64_t;
};
template <>
struct HostVector<int32_t> {
    typedef int32_t type __attribute__((vector_size(vector_bytes)));
};
template <>
struct HostVector<int64_t> {
    typedef int64_t type __attribute__((vector_size(vector_bytes)));
};
template <class T>
using Lanes = typename HostVector<T>::type;
template <class T>
constexpr int width = vector_bytes / sizeof(T);
template <class T>
using Index = typename HostVector<T>::index;
constexpr bool lists_taps = true;
constexpr int row_of_four_winners = 3;

// ---------------------------------------------------------------------------------------------------------------
// The grid: worker threads draw blocks from a counter.

class Barrier {
  public:
    explicit Barrier(int members) : members_(members) {}
    // Waits for the whole team and returns whether any member raised its flag.
    bool wait(bool flag) {
        std::unique_lock<std::mutex> lock(mutex_);
        raised_ |= flag;
        if (++waiting_ == members_) {
            waiting_ = 0;
            verdict_ = raised_;
            raised_ = false;
            round_++;
            all_here_.notify_all();
        } else {
            const unsigned long mine = round_;
            all_here_.wait(lock, [&] { return round_ != mine; });
        }
        return verdict_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable all_here_;
    int members_, waiting_ = 0;
    unsigned long round_ = 0;
    bool raised_ = false, verdict_ = false;
};

struct Whereabouts {
    int block;
    int thread, threads;
    unsigned char* shared;
    Barrier* barrier;
};
inline thread_local Whereabouts here;

inline int block() { return here.block; }
inline unsigned char* shared_memory() { return here.shared; }
#ifdef SPMD_TEAMS
inline int thread() { return here.thread; }
inline int threads() { return here.threads; }
inline bool any_in_block(bool flag) { return here.barrier->wait(flag); }
#else
inline int thread() { return 0; }
inline int threads() { return 1; }
inline bool any_in_block(bool flag) { return flag; }
#endif
inline int warp() { return thread(); }
inline int warps() { return threads(); }
inline bool first_lane() { return true; }
inline void warp_barrier() {}
inline void __syncthreads() { any_in_block(false); }

struct Launch {
    long long blocks;
    long long shared_bytes;
    int threads;  // in a block; 1 but in a test build
    int workers;
    // The caller's own thread pool, as GOMP_parallel; null starts threads for this launch.
    void (*parallel)(void (*body)(void*), void* data, unsigned workers, unsigned flags);
};

class Scratch {
  public:
    explicit Scratch(size_t bytes)
        : memory_(static_cast<unsigned char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64))) {}
    ~Scratch() { std::free(memory_); }
    Scratch(const Scratch&) = delete;
    unsigned char* get() const { return memory_; }

  private:
    unsigned char* memory_;
};

template <class Kernel>
void run_grid(const Launch& launch, Kernel kernel) {
    std::atomic<long long> next{0};
#ifdef SPMD_TEAMS
    auto work = [&] {
        Scratch scratch(launch.shared_bytes);
        Barrier barrier(launch.threads);
        long long current = 0;
        auto member = [&](int rank) {
            for (;;) {
                if (rank == 0) current = next.fetch_add(1);
                barrier.wait(false);
                if (current >= launch.blocks) return;
                here = {int(current), rank, launch.threads, scratch.get(), &barrier};
                kernel();
                barrier.wait(false);
            }
        };
        std::vector<std::thread> team;
        for (int rank = 0; rank < launch.threads; rank++) team.emplace_back(member, rank);
        for (auto& one : team) one.join();
    };
#else
    auto work = [&] {
        // Kept from launch to launch: fresh memory would have to be mapped page by page.
        static thread_local long long held = -1;
        static thread_local std::unique_ptr<Scratch> scratch;
        if (held < launch.shared_bytes) scratch = std::make_unique<Scratch>(held = launch.shared_bytes);
        for (long long current; (current = next.fetch_add(1)) < launch.blocks;) {
            here = {int(current), 0, 1, scratch->get(), nullptr};
            kernel();
        }
    };
#endif
    const unsigned workers = launch.blocks < launch.workers ? unsigned(launch.blocks) : unsigned(launch.workers);
    if (workers <= 1) {
        work();
    } else if (launch.parallel) {
        launch.parallel([](void* data) { (*static_cast<decltype(work)*>(data))(); }, &work, workers, 0);
    } else {
        std::vector<std::thread> crew;
        for (unsigned n = 1; n < workers; n++) crew.emplace_back(work);
        work();
        for (auto& one : crew) one.join();
    }
}

template <class... P, size_t... I>
void launch_kernel(void (*kernel)(P...), const Launch& launch, void** arguments, std::index_sequence<I...>) {
    run_grid(launch, [&] { kernel(*static_cast<P*>(arguments[I])...); });
}

// Makes launch_<kernel>(launch, arguments) with one pointer for each argument, as the CUDA driver takes them.
#define EXPORT_KERNEL(kernel)                                                 \
    extern "C" void launch_##kernel(const Launch* launch, void** arguments) { \
        launch_unpacked(kernel, *launch, arguments);                          \
    }

template <class... P>
void launch_unpacked(void (*kernel)(P...), const Launch& launch, void** arguments) {
    launch_kernel(kernel, launch, arguments, std::index_sequence_for<P...>());
}

// ---------------------------------------------------------------------------------------------------------------
// The lanes: vectors.

template <class T>
inline T infinity() {
    return std::numeric_limits<T>::infinity();
}
#if defined(__x86_64__)
#define IN_REGISTER(value) asm("" : "+v"(value))
#elif defined(__aarch64__)
#define IN_REGISTER(value) asm("" : "+w"(value))
#else
#define IN_REGISTER(value)
#endif
template <class V>
inline V in_register(V values) {
    IN_REGISTER(values);
    return values;
}
// AMD's processors since Zen 3 have a maximum wait for the unit of a sum, but not for that of a product.
template <class T>
inline T unseen_one() {
    T one = 1;
#if defined(__znver3__) || defined(__znver4__) || defined(__znver5__)
    IN_REGISTER(one);
#endif
    return one;
}
template <class T>
inline Lanes<T> splat(T value) {
    return Lanes<T>{} + value;
}
template <class T>
inline Lanes<Index<T>> position() {
    Lanes<Index<T>> lanes;
    for (int n = 0; n < width<T>; n++) lanes[n] = n;
    return lanes;
}
template <class T>
inline Lanes<T> load(const T* row, int x) {
    Lanes<T> values;
    std::memcpy(&values, row + x, sizeof values);
    return values;
}
template <class T>
inline void store(T* row, int x, Lanes<T> values) {
    std::memcpy(row + x, &values, sizeof values);
}
template <class Mask, class V>
inline V choose(Mask mask, V yes, V no) {
    return mask ? yes : no;
}
template <class V>
inline V largest(V a, V b) {
    return a > b ? a : b;
}
template <class To, class From>
inline To same_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

#include "elementary.cuh"

// What follows reads lane by lane; without in_register it would have the vector in memory all its life.
template <class Mask>
inline bool all_lanes(Mask mask) {
    mask = in_register(mask);
    auto all = mask[0];
    for (size_t n = 1; n < sizeof mask / sizeof mask[0]; n++) all &= mask[n];
    return all != 0;
}
template <class V>
inline auto sum_lanes(V values) {
    values = in_register(values);
    auto sum = values[0];
    for (size_t n = 1; n < sizeof values / sizeof values[0]; n++) sum += values[n];
    return sum;
}

template <class V>
inline auto largest_lane(V values) {
    values = in_register(values);
    auto most = values[0];
    for (size_t n = 1; n < sizeof values / sizeof values[0]; n++) most = values[n] > most ? values[n] : most;
    return most;
}
template <class T>
inline T sum_warp(T value) {
    return value;
}

template <class T, class V>
inline void store_narrow(T* row, int x, int length, V values) {
    constexpr int lanes = sizeof(V) / sizeof(values[0]);
    if (x + lanes <= length) {
        typedef T Narrow __attribute__((vector_size(sizeof(T) * lanes)));
        const Narrow narrow = __builtin_convertvector(values, Narrow);
        std::memcpy(row + x, &narrow, sizeof narrow);
    } else {
        for (int n = 0; n < length - x; n++) row[x + n] = T(values[n]);
    }
}

// Sums to which other threads add at the same time: here only the threads of a team do, as kernels that add in the
// grid are launched with blocks that share nothing.
#ifdef SPMD_TEAMS
template <class T>
inline void add_in_block(T* address, T value) {
    T old, sum;
    __atomic_load(address, &old, __ATOMIC_RELAXED);
    do sum = old + value;
    while (!__atomic_compare_exchange(address, &old, &sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}
#else
template <class T>
inline void add_in_block(T* address, T value) {
    *address += value;
}
#endif
template <class T>
inline void add_in_grid(T* address, T value) {
    add_in_block(address, value);
}
