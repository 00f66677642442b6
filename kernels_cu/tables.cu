// Kernel tables: the kernel of each channel's metric, sampled on the window, and its gradient.
//
//     k[c, o, n] = law(S(b[o, n], w[c]))                     of mass 1 for each (c, o) where the law is normalised
//     grad_w[c, m] = sum over o, n of (g[c, o, n] - mean[c, o]) dk/dS[c, o, n] dS/dw_m
//
// where n runs over the window, b[o, n] are the coordinates of the relative group element, the same for all channels,
// S is the square of an estimate of the distance, see estimates.cuh, and mean = sum over n of g k for a normalised law,
// zero for others:
//
//     Power      scale S^exponent       dilation and erosion of order 1/2 < alpha <= 1
//     Gaussian   e^(-rate S)            diffusion of order 1, normalised
//     Poisson    (1 + rate S)^-2        diffusion of order 1/2, normalised
//
// Layout    b [Or, N, 3]; w, grad_w [C, 3]; k, g [C, Or, N], all of A. Contiguous.
// Limits    A power above `largest` is +inf with gradient zero; at S = 0 its gradient is zero.
// A thread  computes entries n = thread, thread + threads, ... of its block's channel; the sums have one order.
// Cost      per entry a power or an exponential and a few operations: nothing beside the convolution that uses it.
// Launch    blocks = C; shared memory for one value of each warp.
//
// Compiled once for each SCALAR, ESTIMATE and LAW.
#include "estimates.cuh"

using A = SCALAR;
using Estimate = ESTIMATE;

// Each law reads its own constants and gives value(S) and, from that value k, weighted(g) = g dk/dS; for a normalised
// law k may be any multiple of the value, and S = 0 has the value 1, so that a sum over the window is never zero.
struct Power {
    static constexpr bool normalised = false;
    const A exponent, scale, largest;

    __device__ explicit Power(const A* c) : exponent(c[0]), scale(c[1]), largest(c[2]) {}
    __device__ A value(A square) const {
        const A k = scale * pow(square, exponent);
        return k > largest ? infinity<A>() : k;
    }
    __device__ A weighted(A g, A square, A k) const {
        return square > A(0) && k < infinity<A>() ? g * exponent * (k / square) : A(0);
    }
};

struct Gaussian {
    static constexpr bool normalised = true;
    const A rate;

    __device__ explicit Gaussian(const A* c) : rate(c[0]) {}
    __device__ A value(A square) const { return exp(-rate * square); }
    __device__ A weighted(A g, A, A k) const { return -g * rate * k; }
};

struct Poisson {
    static constexpr bool normalised = true;
    const A rate;

    __device__ explicit Poisson(const A* c) : rate(c[0]) {}
    __device__ A value(A square) const {
        const A root = 1 / (1 + rate * square);
        return root * root;
    }
    __device__ A weighted(A g, A square, A k) const { return -2 * g * rate * k / (1 + rate * square); }
};

using Law = LAW;

// constants = (nu of the estimate, those of the law)
extern "C" __global__ void kernel_table(A* k, const A* b, const A* w, const A* constants, int orientations, int taps) {
    const Law law(constants + 1);
    const A nu = constants[0];
    A* const memory = reinterpret_cast<A*>(shared_memory());
    for (int o = 0; o < orientations; o++) {
        A* const k_o = k + ((long long)block() * orientations + o) * taps;
        A mass = A(0), slope[3];
        for (int n = thread(); n < taps; n += threads()) {
            k_o[n] = law.value(Estimate::square(b + 3 * (o * taps + n), w + 3 * block(), nu, slope));
            mass += k_o[n];
        }
        if (!Law::normalised) continue;
        mass = sum_warps(sum_warp(mass), memory);
        for (int n = thread(); n < taps; n += threads()) k_o[n] /= mass;
    }
}
EXPORT_KERNEL(kernel_table)

extern "C" __global__ void kernel_table_backward(const A* g, const A* k, A* grad_w, const A* b, const A* w,
                                                 const A* constants, int orientations, int taps) {
    const Law law(constants + 1);
    const A nu = constants[0];
    A* const memory = reinterpret_cast<A*>(shared_memory());
    A sum[3] = {A(0), A(0), A(0)};
    for (int o = 0; o < orientations; o++) {
        const long long first = ((long long)block() * orientations + o) * taps;
        A mean = A(0);
        if (Law::normalised) {
            for (int n = thread(); n < taps; n += threads()) mean += g[first + n] * k[first + n];
            mean = sum_warps(sum_warp(mean), memory);
        }
        for (int n = thread(); n < taps; n += threads()) {
            A slope[3];
            const A square = Estimate::square(b + 3 * (o * taps + n), w + 3 * block(), nu, slope);
            const A weight = law.weighted(g[first + n] - mean, square, k[first + n]);
            for (int m = 0; m < 3; m++) sum[m] += weight * slope[m];
        }
    }
    for (int m = 0; m < 3; m++) {
        const A total = sum_warps(sum_warp(sum[m]), memory);
        if (thread() == 0) grad_w[3 * block() + m] = total;
    }
}
EXPORT_KERNEL(kernel_table_backward)
