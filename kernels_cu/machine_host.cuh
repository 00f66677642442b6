// The host as the machine of spmd.cuh: a block is one thread, and worker threads draw blocks from a counter.
//
// SPMD_TEAMS is the test build: a block is then a team of real threads with a real barrier, so that a race detector
// sees what a graphics processor would do.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#define __global__

#include "vectors.cuh"

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
void call_kernel(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<P*>(arguments[I])...);
}

// Makes launch_<kernel>(launch, arguments) with one pointer for each argument, as the CUDA driver takes them, and
// block_<kernel>(block, shared, arguments) for one block, see pass.cu.
#define EXPORT_KERNEL(kernel)                                                                   \
    extern "C" void launch_##kernel(const Launch* launch, void** arguments) {                   \
        launch_unpacked(kernel, *launch, arguments);                                            \
    }                                                                                           \
    extern "C" void block_##kernel(int block, unsigned char* shared, void** arguments) {        \
        here = {block, 0, 1, shared, nullptr};                                                  \
        call_unpacked(kernel, arguments);                                                       \
    }

template <class... P>
void call_unpacked(void (*kernel)(P...), void** arguments) {
    call_kernel(kernel, arguments, std::index_sequence_for<P...>());
}

template <class... P>
void launch_unpacked(void (*kernel)(P...), const Launch& launch, void** arguments) {
    run_grid(launch, [&] { call_unpacked(kernel, arguments); });
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
