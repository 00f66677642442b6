// Displacement by a vector that is constant on each plane of a channel: what convection comes down to, on every space.
//
//     out[b, c, z, y, x] = f[b, c, z - dz, y - dy, x - dx]        (dx, dy, dz) = displacement[c, z]
//
// interpolated trilinearly. With column = floor(-dx), fraction wx = -dx - column, and likewise for y and z, this is one
// stencil of 2 x 2 x 2 taps for the whole plane (c, z):
//
//     out[z, y, x] = sum over p, q, r in {0, 1} of
//                    w(p, wz) w(q, wy) w(r, wx) f[z + plane + p, y + row + q, x + column + r]
//
// where w(0, a) = 1 - a and w(1, a) = a. It is separable: four rows of f are blended to one, which is then interpolated
// along x. The planes are the orientations of M2, one of R^2, or those of a volume: of R^3, or of a direction of M3,
// which is a channel here.
//
// Layout    f, g, out, grad_f [B, C, Z, H, W] of Scalar; displacement [C, Z, 3] and grad_displacement [B, C, Z, 3]
//           of the arithmetic type, the sum over B left to the caller. Contiguous.
// Border    pixels beyond the image read its border; planes come round where periodic, else those beyond the ends read
//           the first and the last.
// A warp    computes one row at a time, width<A> neighbouring x together, by way of a row in shared memory.
// Cost      per output 10 operations, one element read (four times, from the cache) and one written.
// Launch    blocks = B C Z. Shared memory for each warp: one row of W, rounded up to width<A>, three for the gradient
//           of the displacement, two for that of f, which also keeps a stencil for each plane. Every sum has one
//           order.
#include "spmd.cuh"

using Scalar = SCALAR;
using A = Arithmetic<Scalar>;

struct Fraction {
    int whole;
    A part;
};

// floor(-d) and the rest. Beyond +-limit every tap reads the border and the rest has no weight to give.
__device__ inline Fraction split(A d, int limit) {
    const A low = floor(-d);
    if (low > A(-limit) && low < A(limit)) return {int(low), -d - low};
    return {low > A(0) ? limit : -limit, low == low ? A(0) : low};
}

__device__ inline int clamp(int n, int end) { return n < 0 ? 0 : n < end ? n : end - 1; }

struct Volume {
    int depth, height, width, periodic;

    // The plane that stands for the n-th, which may lie beyond the ends.
    __device__ int plane(int n) const { return periodic ? (n % depth + depth) % depth : clamp(n, depth); }
};

struct Stencil {
    Fraction x, y, z;             // z.whole counts from the first plane of the volume
    int first_plane, next_plane;  // those that the taps read

    __device__ Stencil(const A* d, int from, Volume v) {
        x = split(d[0], v.width + 1);
        y = split(d[1], v.height + 1);
        z = split(v.periodic ? d[2] - v.depth * floor(d[2] / v.depth) : d[2], v.depth + 1);
        z.whole += from;
        find_planes(v);
    }
    __device__ void find_planes(Volume v) {
        first_plane = v.plane(z.whole);
        next_plane = v.plane(z.whole + 1);
    }
};

static_assert(sizeof(Stencil) <= STENCIL_BYTES);

// Where the row of a plane starts that stands for y, and the four that an output row reads.
__device__ inline const Scalar* row_at(const Scalar* from, int plane, int y, Volume v) {
    return from + ((long long)plane * v.height + clamp(y, v.height)) * v.width;
}

struct Rows {
    const Scalar* at[2][2];

    __device__ Rows(const Scalar* from, Stencil stencil, int y, Volume v) {
        for (int p = 0; p < 2; p++)
            for (int q = 0; q < 2; q++)
                at[p][q] = row_at(from, p ? stencil.next_plane : stencil.first_plane, y + stencil.y.whole + q, v);
    }
    __device__ Lanes<A> load(int p, int q, int x, int length) const { return load_inside(at[p][q], x, length, A(0)); }
};

__device__ inline int padded(int length) { return (length + width<A> - 1) / width<A> * width<A>; }

extern "C" __global__ void shift(const Scalar* f, const A* displacement, Scalar* out, int channels, int depth,
                                 int height, int image_width, int periodic) {
    const Volume v{depth, height, image_width, periodic};
    const int volume = block() / depth, z = block() % depth;
    const Stencil stencil(displacement + (volume % channels * depth + z) * 3, z, v);
    const Scalar* const from = f + (long long)volume * depth * height * image_width;
    A* const blend = reinterpret_cast<A*>(shared_memory()) + warp() * padded(image_width);
    const A wz = stencil.z.part, wy = stencil.y.part, wx = stencil.x.part;
    for (int y = warp(); y < height; y += warps()) {
        const Rows rows(from, stencil, y, v);
        for (int x = 0; x < image_width; x += width<A>)
            store(blend, x,
                  (rows.load(0, 0, x, image_width) * (1 - wy) + rows.load(0, 1, x, image_width) * wy) * (1 - wz) +
                      (rows.load(1, 0, x, image_width) * (1 - wy) + rows.load(1, 1, x, image_width) * wy) * wz);
        warp_barrier();
        Scalar* const to = out + ((long long)block() * height + y) * image_width;
        for (int x = 0; x < image_width; x += width<A>) {
            const Lanes<A> left = load_clamped(blend, x + stencil.x.whole, image_width);
            const Lanes<A> right = load_clamped(blend, x + stencil.x.whole + 1, image_width);
            store_inside(to, x, image_width, left * (1 - wx) + right * wx);
        }
        warp_barrier();
    }
}
EXPORT_KERNEL(shift)

// Whether a displacement is whole up to the rounding of the cosines it was made of, and if so, exactly: there is the
// kink of the interpolation.
__device__ inline bool at_kink(Fraction* position) {
    constexpr A rounding = 64 * (sizeof(A) == 4 ? A(1.1920929e-7) : A(2.220446049250313e-16));
    if (position->part > rounding && position->part < 1 - rounding) return false;
    if (position->part > A(0.5)) position->whole++;
    position->part = A(0);
    return true;
}

// d out / d displacement = -(d / dx, d / dy, d / dz) of the interpolated f. At a kink this is the mean of the slopes
// on its two sides, half the difference of the neighbours before and after.
extern "C" __global__ void shift_gradient_displacement(const Scalar* g, const Scalar* f, const A* displacement,
                                                       A* grad_displacement, int channels, int depth, int height,
                                                       int image_width, int periodic) {
    const Volume v{depth, height, image_width, periodic};
    const int volume = block() / depth, z = block() % depth;
    Stencil stencil(displacement + (volume % channels * depth + z) * 3, z, v);
    const bool kink_x = at_kink(&stencil.x), kink_y = at_kink(&stencil.y), kink_z = at_kink(&stencil.z);
    stencil.find_planes(v);
    const int plane_before = v.plane(stencil.z.whole - kink_z);
    const Scalar* const from = f + (long long)volume * depth * height * image_width;
    A* const blend = reinterpret_cast<A*>(shared_memory()) + warp() * 3 * padded(image_width);
    A* const along_y = blend + padded(image_width);
    A* const along_z = along_y + padded(image_width);
    const A wz = stencil.z.part, wy = stencil.y.part, wx = stencil.x.part;
    Lanes<A> sum_x = splat<A>(A(0)), sum_y = sum_x, sum_z = sum_x;
    for (int y = warp(); y < height; y += warps()) {
        const Rows rows(from, stencil, y, v);
        const Scalar *before_y[2], *before_z[2];
        for (int n = 0; n < 2; n++) {
            before_y[n] = row_at(from, n ? stencil.next_plane : stencil.first_plane, y + stencil.y.whole - kink_y, v);
            before_z[n] = row_at(from, plane_before, y + stencil.y.whole + n, v);
        }
        for (int x = 0; x < image_width; x += width<A>) {
            const Lanes<A> f00 = rows.load(0, 0, x, image_width), f01 = rows.load(0, 1, x, image_width);
            const Lanes<A> f10 = rows.load(1, 0, x, image_width), f11 = rows.load(1, 1, x, image_width);
            const Lanes<A> near = f00 * (1 - wy) + f01 * wy, far = f10 * (1 - wy) + f11 * wy;
            store(blend, x, near * (1 - wz) + far * wz);
            store(along_y, x, (f01 - load_inside(before_y[0], x, image_width, A(0))) * (1 - wz) +
                                  (f11 - load_inside(before_y[1], x, image_width, A(0))) * wz);
            store(along_z, x, far - (load_inside(before_z[0], x, image_width, A(0)) * (1 - wy) +
                                     load_inside(before_z[1], x, image_width, A(0)) * wy));
        }
        warp_barrier();
        const Scalar* const upstream = g + ((long long)block() * height + y) * image_width;
        for (int x = 0; x < image_width; x += width<A>) {
            const Lanes<A> weight = load_inside(upstream, x, image_width, A(0));
            const int left = x + stencil.x.whole, right = left + 1, before = left - kink_x;
            sum_x -= weight * (load_clamped(blend, right, image_width) - load_clamped(blend, before, image_width));
            sum_y -= weight * (load_clamped(along_y, left, image_width) * (1 - wx) +
                               load_clamped(along_y, right, image_width) * wx);
            sum_z -= weight * (load_clamped(along_z, left, image_width) * (1 - wx) +
                               load_clamped(along_z, right, image_width) * wx);
        }
        warp_barrier();
    }
    const A of_warp[3] = {sum_lanes(sum_x) * (kink_x ? A(0.5) : A(1)), sum_lanes(sum_y) * (kink_y ? A(0.5) : A(1)),
                          sum_lanes(sum_z) * (kink_z ? A(0.5) : A(1))};
    __syncthreads();
    for (int n = 0; n < 3; n++) {
        const A sum = sum_warps(of_warp[n], reinterpret_cast<A*>(shared_memory()));
        if (thread() == 0) grad_displacement[(long long)block() * 3 + n] = sum;
    }
}
EXPORT_KERNEL(shift_gradient_displacement)

// Few columns, as many as the displacement has pixels: not worth a sum over lanes.
__device__ inline A sum_row(const A* row, int from, int end) {
    A sum = A(0);
    for (int x = from; x < end; x++) sum += row[x];
    return sum;
}

// The transposed stencil, from the side of f: a block owns a plane of grad_f and gathers from the planes that read it.
// A pixel on the border was read in place of all beyond it.
extern "C" __global__ void shift_gradient_input(const Scalar* g, const A* displacement, Scalar* grad_f, int channels,
                                                int depth, int height, int image_width, int periodic) {
    const Volume v{depth, height, image_width, periodic};
    const int volume = block() / depth, plane = block() % depth;
    const Scalar* const from = g + (long long)volume * depth * height * image_width;
    A* const blend = reinterpret_cast<A*>(shared_memory()) + warp() * 2 * padded(image_width);
    A* const result = blend + padded(image_width);
    Stencil* const stencils =
        reinterpret_cast<Stencil*>(shared_memory() + warps() * 2 * padded(image_width) * sizeof(A));
    for (int z = thread(); z < depth; z += threads())
        stencils[z] = Stencil(displacement + (volume % channels * depth + z) * 3, z, v);
    __syncthreads();
    for (int row = warp(); row < height; row += warps()) {
        for (int x = 0; x < image_width; x += width<A>) store(result, x, splat<A>(A(0)));
        for (int z = 0; z < depth; z++) {
            const Stencil stencil = stencils[z];
            if (stencil.first_plane != plane && stencil.next_plane != plane) continue;
            const A wz = (stencil.first_plane == plane ? 1 - stencil.z.part : A(0)) +
                         (stencil.next_plane == plane ? stencil.z.part : A(0));
            for (int x = 0; x < image_width; x += width<A>) store(blend, x, splat<A>(A(0)));
            for (int q = 0; q < 2; q++) {
                const A weight = wz * (q ? stencil.y.part : 1 - stencil.y.part);
                const int seen = row - stencil.y.whole - q;
                const int first = row == 0 ? 0 : seen < 0 ? 0 : seen;
                const int last = row == height - 1 ? height - 1 : seen < height ? seen : height - 1;
                for (int y = first; y <= last; y++) {
                    const Scalar* const upstream = from + ((long long)z * height + y) * image_width;
                    for (int x = 0; x < image_width; x += width<A>)
                        store(blend, x, load(blend, x) + load_inside(upstream, x, image_width, A(0)) * weight);
                }
            }
            warp_barrier();
            const int column = stencil.x.whole;
            const A wx = stencil.x.part;
            for (int x = 0; x < image_width; x += width<A>)
                store(result, x,
                      load(result, x) + load_inside(blend, x - column, image_width, A(0)) * (1 - wx) +
                          load_inside(blend, x - column - 1, image_width, A(0)) * wx);
            const A left = sum_row(blend, 0, clamp(-column, image_width + 1)) * (1 - wx) +
                           sum_row(blend, 0, clamp(-column - 1, image_width + 1)) * wx;
            const A right = sum_row(blend, clamp(image_width - column, image_width + 1), image_width) * (1 - wx) +
                            sum_row(blend, clamp(image_width - column - 1, image_width + 1), image_width) * wx;
            warp_barrier();
            if (first_lane()) {
                if (left != A(0)) result[0] += left;
                if (right != A(0)) result[image_width - 1] += right;
            }
            warp_barrier();
        }
        Scalar* const to = grad_f + ((long long)block() * height + row) * image_width;
        for (int x = 0; x < image_width; x += width<A>) store_inside(to, x, image_width, load(result, x));
        warp_barrier();
    }
}
EXPORT_KERNEL(shift_gradient_input)
