// The gradient of the maximum over orientations. Equal maxima share it; that of NaN is NaN.
//
//     grad_f[v, o, p] = g[v, p] [f[v, o, p] = out[v, p]] / #{o' : f[v, o', p] = out[v, p]}
//
// Layout    f, grad_f [V, Or, P], out, g [V, P] of Scalar; V is images and channels, P the pixels. Contiguous.
// Cost      f read twice, the second time from the cache, grad_f written; no mask is kept.
// Launch    blocks = V; no shared memory.
#include "spmd.cuh"

using Scalar = SCALAR;
using A = Arithmetic<Scalar>;

extern "C" __global__ void projection_gradient(const Scalar* g, const Scalar* f, const Scalar* out, Scalar* grad_f,
                                               int orientations, int pixels) {
    const long long first = (long long)block() * pixels, plane = first * orientations;
    for (int x = warp() * width<A>; x < pixels; x += warps() * width<A>) {
        const Lanes<A> most = load_inside(out + first, x, pixels, A(0));
        const Lanes<A> zero = splat<A>(A(0)), one = splat<A>(A(1)), none = choose(most == most, zero, most);
        Lanes<A> count = zero;
        for (int o = 0; o < orientations; o++) {
            const Lanes<A> value = load_inside(f + plane + (long long)o * pixels, x, pixels, A(0));
            count += choose(value == most, one, zero);
        }
        const Lanes<A> share = load_inside(g + first, x, pixels, A(0)) / count;
        for (int o = 0; o < orientations; o++) {
            const Lanes<A> value = load_inside(f + plane + (long long)o * pixels, x, pixels, A(0));
            store_inside(grad_f + plane + (long long)o * pixels, x, pixels, choose(value == most, share, none));
        }
    }
}
EXPORT_KERNEL(projection_gradient)
