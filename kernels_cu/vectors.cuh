// The lanes of a machine without a graphics processor: a warp is one vector of the processor, a block is one thread.
//
// Vectors are those of GCC and Clang, as wide as the processor's registers. How blocks are run is for the machine that
// includes this: machine_host.cuh has threads, machine_browser.cuh has none.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#define __device__
#define __launch_bounds__(...)
#define APART __attribute__((noinline))
#define WITHIN inline __attribute__((always_inline))

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
constexpr bool slot_by_slot = false;
constexpr int row_of_four_winners = 3;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int abreast = 2;  // of 32 registers, sums take 16
#else
constexpr int abreast = 1;
#endif

inline void announce_store(const void* address) { __builtin_prefetch(address, 1); }
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

// The first `count` elements of a row, fewer than there are lanes; the other lanes are zero, and in memory nothing
// behind these elements is touched. Processors of 512 bits have masks for it.
#if defined(__AVX512F__)
inline Lanes<float> load_first(const float* row, int count) {
    return __builtin_ia32_loadups512_mask(row, Lanes<float>{}, (unsigned short)((1u << count) - 1));
}
inline Lanes<double> load_first(const double* row, int count) {
    return __builtin_ia32_loadupd512_mask(row, Lanes<double>{}, (unsigned char)((1u << count) - 1));
}
inline void store_first(float* row, int count, Lanes<float> values) {
    __builtin_ia32_storeups512_mask(row, values, (unsigned short)((1u << count) - 1));
}
inline void store_first(double* row, int count, Lanes<double> values) {
    __builtin_ia32_storeupd512_mask(row, values, (unsigned char)((1u << count) - 1));
}
#endif
template <class T>
inline Lanes<T> load_first(const T* row, int count) {
    Lanes<T> values{};
    std::memcpy(&values, row, count * sizeof(T));
    return values;
}
template <class T>
inline void store_first(T* row, int count, Lanes<T> values) {
    std::memcpy(row, &values, count * sizeof(T));
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
    typedef T Narrow __attribute__((vector_size(sizeof(T) * lanes)));
    const Narrow narrow = __builtin_convertvector(values, Narrow);
    if (x + lanes <= length)
        std::memcpy(row + x, &narrow, sizeof narrow);
    else if (x < length)
        std::memcpy(row + x, &narrow, (length - x) * sizeof(T));
}
