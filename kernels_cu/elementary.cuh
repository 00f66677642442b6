// Exponential and logarithm of a vector of vectors.cuh, without branches and without a table.
#pragma once

// What the elementary functions need to know of float and double. log(2) = high + low, where high has so few
// bits that its product with an exponent is exact.
template <class T>
struct Binary {
    static constexpr bool single = sizeof(T) == 4;
    static constexpr int mantissa = single ? 23 : 52, bias = single ? 127 : 1023;
    static constexpr T log2_high = T(0.693145751953125), log2_low = T(1.428606820309417e-06);
};

// e^x = 2^n e^r with |r| <= log(2) / 2, and a Taylor polynomial for e^r. Errs by less than two units in the last place;
// 0 below the smallest normal number, infinite above 2^(bias + 1/2).
template <class V>
inline V exponential(V x) {
    using T = std::remove_reference_t<decltype(x[0])>;
    using I = Lanes<Index<T>>;
    using B = Binary<T>;
    constexpr int degree = B::single ? 7 : 13;
    // In the sum with 3/2 2^mantissa the last bits are those of the nearest integer.
    constexpr T shifter = B::single ? T(12582912) : T(6755399441055744);
    const V shifted = x * T(1.4426950408889634) + shifter, n = shifted - shifter;
    const V r = x - n * B::log2_high - n * B::log2_low;
    V sum = splat<T>(0);
    double factorial[degree + 1] = {1};
    UNROLL
    for (int d = 1; d <= degree; d++) factorial[d] = factorial[d - 1] * d;
    UNROLL
    for (int d = degree; d >= 0; d--) sum = sum * r + T(1 / factorial[d]);
    const V power = same_bits<V>((same_bits<I>(shifted) + B::bias) << B::mantissa);
    const V top = splat<T>(B::single ? 88.37 : 709.43), bottom = splat<T>(B::single ? -87.3 : -708.3);
    return x > top ? splat<T>(infinity<T>()) : x < bottom ? splat<T>(0) : V(sum * power);
}
// log(2^n m) = n log(2) + 2 artanh(s), s = (m - 1) / (m + 1), with m between the roots of 1/2 and 2. For x >= 0 it errs
// by less than three units in the last place, but is -infinite below the smallest normal number.
template <class V>
inline V logarithm(V x) {
    using T = std::remove_reference_t<decltype(x[0])>;
    using I = Lanes<Index<T>>;
    using B = Binary<T>;
    constexpr int terms = B::single ? 5 : 11;
    const I bits = same_bits<I>(x), root = same_bits<I>(splat<T>(0.7071067811865476));
    const I n = (bits - root) >> B::mantissa;
    const V whole = __builtin_convertvector(n, V), m = same_bits<V>(I(bits - (n << B::mantissa)));
    const V s = (m - 1) / (m + 1);
    V sum = splat<T>(0);
    UNROLL
    for (int d = terms - 1; d >= 0; d--) sum = sum * (s * s) + T(2.0 / (2 * d + 1));
    const V result = whole * B::log2_high + (whole * B::log2_low + s * sum);
    const V least = splat<T>(std::numeric_limits<T>::min()), infinite = splat<T>(infinity<T>());
    return x < least ? -infinite : x < infinite ? result : x;
}
