// Storage types and the type that computes: float for float and both 16-bit types, double for double.
#pragma once

struct Half {
    unsigned short bits;
};
struct BFloat16 {
    unsigned short bits;
};

// Codes of winning taps: for windows of up to 256 taps, and of up to 65536.
using Code8 = unsigned char;
using Code16 = unsigned short;

template <class T>
struct ArithmeticOf {
    using type = T;
};
template <>
struct ArithmeticOf<Half> {
    using type = float;
};
template <>
struct ArithmeticOf<BFloat16> {
    using type = float;
};
template <class T>
using Arithmetic = typename ArithmeticOf<T>::type;

template <class T>
__device__ inline T lowest() {
    return sizeof(T) == 4 ? T(-3.402823466e38) : T(-1.7976931348623157e308);
}

__device__ inline float to_arithmetic(float value) { return value; }
__device__ inline double to_arithmetic(double value) { return value; }
template <class T>
__device__ inline T from_arithmetic(Arithmetic<T> value);
template <>
__device__ inline float from_arithmetic<float>(float value) {
    return value;
}
template <>
__device__ inline double from_arithmetic<double>(double value) {
    return value;
}

#ifdef __CUDACC__

__device__ inline float to_arithmetic(Half value) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
}
template <>
__device__ inline Half from_arithmetic<Half>(float value) {
    Half result;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
}
__device__ inline float to_arithmetic(BFloat16 value) { return __uint_as_float(unsigned(value.bits) << 16); }
template <>
__device__ inline BFloat16 from_arithmetic<BFloat16>(float value) {
    const unsigned bits = __float_as_uint(value);
    if (value != value) return {(unsigned short)(bits >> 16 | 0x40u)};
    return {(unsigned short)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

#else

// Bit patterns, for one value or a vector of them: U is an unsigned integer, F a float of as many lanes.
template <class F, class U>
inline F half_to_float(U bits) {
    // The exponent is too small by 112; the product restores it, and makes subnormal numbers normal.
    const U sign = (bits & 0x8000u) << 16, rest = (bits & 0x7fffu) << 13;
    const U scaled = same_bits<U>(same_bits<F>(rest) * 0x1p112f);
    return same_bits<F>(sign | scaled | ((bits & 0x7c00u) == 0x7c00u ? U{} + 0x7f800000u : U{}));
}
template <class F, class U>
inline U float_to_half(F value) {
    const U bits = same_bits<U>(value), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    // Below 2^-14 the sum with 0.5 leaves the rounded significand in the low bits.
    const U small = same_bits<U>(same_bits<F>(size) + 0.5f) - 0x3f000000u;
    const U normal = (size - 0x38000000u + 0xfffu + (size >> 13 & 1u)) >> 13;
    const U special = size > 0x7f800000u ? U{} + 0x7e00u : U{} + 0x7c00u;
    return sign | (size < 0x38800000u ? small : size < 0x477ff000u ? normal : special);
}
template <class F, class U>
inline U float_to_bfloat16(F value) {
    const U bits = same_bits<U>(value);
    const U rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded;
}

inline float to_arithmetic(Half value) { return half_to_float<float, unsigned>(value.bits); }
inline float to_arithmetic(BFloat16 value) { return same_bits<float>(unsigned(value.bits) << 16); }
template <>
inline Half from_arithmetic<Half>(float value) {
    return {static_cast<unsigned short>(float_to_half<float, unsigned>(value))};
}
template <>
inline BFloat16 from_arithmetic<BFloat16>(float value) {
    return {static_cast<unsigned short>(float_to_bfloat16<float, unsigned>(value))};
}

typedef unsigned UnsignedLanes __attribute__((vector_size(vector_bytes)));
typedef unsigned short ShortLanes __attribute__((vector_size(vector_bytes / 2)));

inline ShortLanes load_bits(const void* from, int count = width<float>) {
    ShortLanes bits{};
    std::memcpy(&bits, from, count * sizeof(unsigned short));
    return bits;
}
inline void store_bits(void* to, ShortLanes bits, int count = width<float>) {
    std::memcpy(to, &bits, count * sizeof(unsigned short));
}
inline Lanes<float> widen(ShortLanes bits, const Half*) {
    return half_to_float<Lanes<float>>(__builtin_convertvector(bits, UnsignedLanes));
}
inline Lanes<float> widen(ShortLanes bits, const BFloat16*) {
    return same_bits<Lanes<float>>(__builtin_convertvector(bits, UnsignedLanes) << 16);
}
inline ShortLanes narrow(Lanes<float> values, const Half*) {
    return __builtin_convertvector(float_to_half<Lanes<float>, UnsignedLanes>(values), ShortLanes);
}
inline ShortLanes narrow(Lanes<float> values, const BFloat16*) {
    return __builtin_convertvector(float_to_bfloat16<Lanes<float>, UnsignedLanes>(values), ShortLanes);
}

// All lanes, and as load_first and store_first of vectors.cuh the first ones; lane by lane where a storage type has no
// faster way.
template <class T, class = std::enable_if_t<!std::is_same_v<T, Arithmetic<T>>>>
inline Lanes<Arithmetic<T>> load_first(const T* from, int count) {
    Lanes<Arithmetic<T>> values{};
    for (int n = 0; n < count; n++) values[n] = to_arithmetic(from[n]);
    return values;
}
template <class T, class = std::enable_if_t<!std::is_same_v<T, Arithmetic<T>>>>
inline void store_first(T* to, int count, Lanes<Arithmetic<T>> values) {
    for (int n = 0; n < count; n++) to[n] = from_arithmetic<T>(Arithmetic<T>(values[n]));
}
inline Lanes<float> load_lanes(const float* from) { return load(from, 0); }
inline Lanes<double> load_lanes(const double* from) { return load(from, 0); }
inline Lanes<float> load_lanes(const Half* from) { return widen(load_bits(from), from); }
inline Lanes<float> load_lanes(const BFloat16* from) { return widen(load_bits(from), from); }
inline Lanes<float> load_first(const Half* from, int count) { return widen(load_bits(from, count), from); }
inline Lanes<float> load_first(const BFloat16* from, int count) { return widen(load_bits(from, count), from); }
inline void store_lanes(float* to, Lanes<float> values) { store(to, 0, values); }
inline void store_lanes(double* to, Lanes<double> values) { store(to, 0, values); }
inline void store_lanes(Half* to, Lanes<float> values) { store_bits(to, narrow(values, to)); }
inline void store_lanes(BFloat16* to, Lanes<float> values) { store_bits(to, narrow(values, to)); }
inline void store_first(Half* to, int count, Lanes<float> values) { store_bits(to, narrow(values, to), count); }
inline void store_first(BFloat16* to, int count, Lanes<float> values) { store_bits(to, narrow(values, to), count); }

#endif
