// Coordinates of elements of SE(2), and the elements q^-1 p that a kernel is sampled at.
//
//     relative      for p = (0, 0, theta_o) and q = (x[n], y[n], theta_o + s[n]):  p[o, n] = q^-1 p
//     half_angle    b = (R_{theta/2}^-1 (x, y), theta)                                          of rho_b and its kin
//     logarithmic   b = ((theta/2) / sin(theta/2) R_{theta/2}^-1 (x, y), theta)                  of rho_c
//
// Layout    q [N, 3] = (x, y, s), pixels and radians; p [Or, N, 3] = (x, y, theta); b as p. Contiguous.
// A thread  computes every threads-th element. Angles are taken in double: they are few.
// Launch    relative: blocks = Or. The others: one block for `count` elements.
#include "spmd.cuh"

using A = float;

extern "C" __global__ void relative(const A* q, A* p, int orientations, int count) {
    const double theta = 6.283185307179586 * block() / orientations;
    for (int n = thread(); n < count; n += threads()) {
        const double angle = theta + q[3 * n + 2], c = cos(angle), s = sin(angle);
        A* const to = p + ((long long)block() * count + n) * 3;
        to[0] = A(-c * q[3 * n] - s * q[3 * n + 1]);
        to[1] = A(s * q[3 * n] - c * q[3 * n + 1]);
        to[2] = -q[3 * n + 2];
    }
}
EXPORT_KERNEL(relative)

__device__ inline void turned_by_half(const A* p, double ratio, A* b) {
    const double c = cos(p[2] / 2.0), s = sin(p[2] / 2.0);
    b[0] = A(ratio * (c * p[0] + s * p[1]));
    b[1] = A(ratio * (c * p[1] - s * p[0]));
    b[2] = p[2];
}

extern "C" __global__ void half_angle(const A* p, A* b, int count) {
    for (int n = thread(); n < count; n += threads()) turned_by_half(p + 3 * n, 1, b + 3 * n);
}
EXPORT_KERNEL(half_angle)

extern "C" __global__ void logarithmic(const A* p, A* b, int count) {
    for (int n = thread(); n < count; n += threads()) {
        const double half = p[3 * n + 2] / 2.0;
        // Below, the quotient is 1 + half^2 / 6 to the last bit of a float.
        const double ratio = half < 1e-3 && half > -1e-3 ? 1 + half * half / 6 : half / sin(half);
        turned_by_half(p + 3 * n, ratio, b + 3 * n);
    }
}
EXPORT_KERNEL(logarithmic)
