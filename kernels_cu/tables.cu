// Kernel tables: the kernel of each channel's metric, sampled on the window, and its gradient.
//
//     k[c, r, n] = law(S(b[r, n], w[c]))                     of mass 1 for each (c, r) where the law is normalised
//     grad_w[c, m] = sum over r, n of (g[c, r, n] - mean[c, r]) dk/dS[c, r, n] dS/dw_m
//
// where r runs over the points of the fibre (M2: orientations, M3: directions, R^n: one) and n over the window, b[r, n]
// are the coordinates of the relative element, the same for all channels, S is the square of an estimate of the
// distance by a metric of L numbers, see estimates.cuh, and mean = sum over n of g k for a normalised law, zero for others:
//
//     Power           scale S^exponent               dilation and erosion of order 1/2 < alpha <= 1
//     Gaussian        e^(-rate S)                    diffusion of order 1, normalised
//     Poisson<dim>    (1 + rate S)^(-(dim + 1)/2)    diffusion of order 1/2 in so many dimensions, normalised
//
// Where the points of a fibre count differently, or a window has slots without one, SHARES is 1 and shares says so: a
// normalised law is multiplied by them, and Power is infinite at a share of zero.
//
// Layout    b [R, N, L]; shares [R, N], null if SHARES is 0; w, grad_w [C, L]; k, g [C, R, N], all of A. L = LENGTHS. Contiguous.
// Limits    A power above `largest` is +inf with gradient zero; at S = 0 its gradient is zero.
// A thread  computes entries n = thread, thread + threads, ... of its block's channel; the sums have one order.
// Cost      per entry a power or an exponential and a few operations: nothing beside the convolution that uses it.
// Launch    blocks = C; shared memory for one value of each warp.
//
// Compiled once for each SCALAR, LENGTHS, SHARES, ESTIMATE and LAW.
#include "estimates.cuh"

using A = SCALAR;
using Estimate = ESTIMATE;

// Each law reads its own constants and gives value(S) and, from that value k, weighted(g) = g dk/dS; for a normalised
// law k may be any multiple of the value, and S = 0 has the value 1, so that a sum over the window is never zero.
// shared(k, share) is the value of a tap that counts for a share.
struct Power {
    static constexpr bool normalised = false;
    const A exponent, scale, largest;

    __device__ explicit Power(const A* c) : exponent(c[0]), scale(c[1]), largest(c[2]) {}
    __device__ A value(A square) const {
        const A k = scale * pow(square, exponent);
        return k > largest ? infinity<A>() : k;
    }
    __device__ A shared(A k, A share) const { return share > A(0) ? k : infinity<A>(); }
    __device__ A weighted(A g, A square, A k) const {
        return square > A(0) && k < infinity<A>() ? g * exponent * (k / square) : A(0);
    }
};

struct Gaussian {
    static constexpr bool normalised = true;
    const A rate;

    __device__ explicit Gaussian(const A* c) : rate(c[0]) {}
    __device__ A value(A square) const { return exp(-rate * square); }
    __device__ A shared(A k, A share) const { return share * k; }
    __device__ A weighted(A g, A, A k) const { return -g * rate * k; }
};

template <int dim>
struct Poisson {
    static constexpr bool normalised = true;
    const A rate;

    __device__ explicit Poisson(const A* c) : rate(c[0]) {}
    __device__ A value(A square) const {
        const A root = 1 / (1 + rate * square);
        A k = root;
        for (int n = 3; n <= dim; n += 2) k *= root;
        return dim % 2 ? k : k * sqrt(root);
    }
    __device__ A shared(A k, A share) const { return share * k; }
    __device__ A weighted(A g, A square, A k) const {
        return A(-0.5 * (dim + 1)) * g * rate * k / (1 + rate * square);
    }
};

using Law = LAW;

// constants = (nu of the estimate, those of the law)
extern "C" __global__ void kernel_table(A* k, const A* b, const A* shares, const A* w, const A* constants,
                                        int rows, int taps) {
    const Law law(constants + 1);
    const A nu = constants[0];
    A* const memory = reinterpret_cast<A*>(shared_memory());
    for (int r = 0; r < rows; r++) {
        A* const k_r = k + ((long long)block() * rows + r) * taps;
        A mass = A(0), slope[LENGTHS];
        for (int n = thread(); n < taps; n += threads()) {
            k_r[n] = law.value(Estimate::square(b + LENGTHS * (r * taps + n), w + LENGTHS * block(), nu, slope));
            if (SHARES) k_r[n] = law.shared(k_r[n], shares[r * taps + n]);
            mass += k_r[n];
        }
        if (!Law::normalised) continue;
        mass = sum_warps(sum_warp(mass), memory);
        for (int n = thread(); n < taps; n += threads()) k_r[n] /= mass;
    }
}
EXPORT_KERNEL(kernel_table)

extern "C" __global__ void kernel_table_backward(const A* g, const A* k, A* grad_w, const A* b, const A* w,
                                                 const A* constants, int rows, int taps) {
    const Law law(constants + 1);
    const A nu = constants[0];
    A* const memory = reinterpret_cast<A*>(shared_memory());
    A sum[LENGTHS] = {};
    for (int r = 0; r < rows; r++) {
        const long long first = ((long long)block() * rows + r) * taps;
        A mean = A(0);
        if (Law::normalised) {
            for (int n = thread(); n < taps; n += threads()) mean += g[first + n] * k[first + n];
            mean = sum_warps(sum_warp(mean), memory);
        }
        for (int n = thread(); n < taps; n += threads()) {
            A slope[LENGTHS];
            const A square = Estimate::square(b + LENGTHS * (r * taps + n), w + LENGTHS * block(), nu, slope);
            const A weight = law.weighted(g[first + n] - mean, square, k[first + n]);
            for (int m = 0; m < LENGTHS; m++) sum[m] += weight * slope[m];
        }
    }
    for (int m = 0; m < LENGTHS; m++) {
        const A total = sum_warps(sum_warp(sum[m]), memory);
        if (thread() == 0) grad_w[LENGTHS * block() + m] = total;
    }
}
EXPORT_KERNEL(kernel_table_backward)
