// The elementary functions of the lanes over an array, for test_functions.py. A thread takes width<A> neighbours.
#include "spmd.cuh"

using A = SCALAR;

extern "C" __global__ void functions(const A* x, A* exponentials, A* logarithms, int length) {
    for (int n = warp() * width<A>; n < length; n += warps() * width<A>) {
        const Lanes<A> value = load_inside(x, n, length, A(1));
        store_inside(exponentials, n, length, exponential(value));
        store_inside(logarithms, n, length, logarithm(value));
    }
}
EXPORT_KERNEL(functions)
