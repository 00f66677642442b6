// What the machine can do at most, to hold the kernels against.
//
// arithmetic_limit  Subtract and max, the two operations of a dilation's tap, on nothing but registers: independent
//           chains, one for each accumulator, as many as it takes to hide the latency of an operation.
//           report = taps of one block; out keeps the result alive, one value for each block.
//           Launch: any number of blocks.
#include "spmd.cuh"

using A = float;

#if defined(__CUDACC__) || defined(__AVX512F__) || defined(__aarch64__)
constexpr int chains = 12;
#else
constexpr int chains = 6;  // and as many values of the kernel fill sixteen registers
#endif

extern "C" __global__ void arithmetic_limit(const A* k, A* out, long long* report, int repeats) {
    Lanes<A> best[chains], kernel[chains];
    UNROLL
    for (int n = 0; n < chains; n++) {
        kernel[n] = splat<A>(k[n]);
        best[n] = splat<A>(-infinity<A>());
    }
    Lanes<A> f = splat<A>(A(0));
    const A one = unseen_one<A>();
    for (int repeat = 0; repeat < repeats; repeat++) {
        UNROLL
        for (int n = 0; n < chains; n++) best[n] = largest(Lanes<A>(f * one - kernel[n]), best[n]);
        f = f + k[0];  // a new value, so that no difference is computed twice
    }
    Lanes<A> total = best[0];
    UNROLL
    for (int n = 1; n < chains; n++) total = largest(best[n], total);
    const A sum = sum_lanes(total);
    if (thread() == 0) {
        out[block()] = sum;
        *report = (long long)warps() * width<A> * chains * repeats;
    }
}
EXPORT_KERNEL(arithmetic_limit)
