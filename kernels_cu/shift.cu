// Displacement by a vector that is constant on each channel and orientation: what convection comes down to.
//
//     out[b, c, o, y, x] = f[b, c, o - ds, y - dy, x - dx]        (dx, dy, ds) = displacement[c, o]
//
// interpolated trilinearly. With column = floor(-dx), fraction wx = -dx - column, and likewise for y and orientation,
// this is one stencil of 2 x 2 x 2 taps for the whole plane (c, o):
//
//     out[o, y, x] = sum over p, q, r in {0, 1} of
//                    w(p, ws) w(q, wy) w(r, wx) f[o + plane + p, y + row + q, x + column + r]
//
// where w(0, a) = 1 - a and w(1, a) = a. It is separable: four rows of f are blended to one, which is then interpolated
// along x.
//
// Layout    f, g, out, grad_f [B, C, Or, H, W] of Scalar; displacement [C, Or, 3] and grad_displacement [B, C, Or, 3]
//           of the arithmetic type, the sum over B left to the caller. Contiguous.
// Border    orientations are periodic; pixels beyond the image read its border.
// A warp    computes one row at a time, width<A> neighbouring x together, by way of a row in shared memory.
// Cost      per output 10 operations, one element read (four times, from the cache) and one written.
// Launch    blocks = B C Or. Shared memory for each warp: one row of W, rounded up to width<A>, three for the gradient
//           of the displacement, two for that of f, which also keeps a stencil for each orientation. Every sum has one
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

struct Stencil {
    Fraction x, y, s;  // s.whole is the plane that the first taps read
    int next_plane;    // and this the second

    __device__ Stencil(const A* d, int o, int orientations, int height, int image_width) {
        x = split(d[0], image_width + 1);
        y = split(d[1], height + 1);
        s = split(d[2] - orientations * floor(d[2] / orientations), orientations + 1);
        s.whole = ((o + s.whole) % orientations + orientations) % orientations;
        next_plane = (s.whole + 1) % orientations;
    }
};

__device__ inline int clamp(int n, int end) { return n < 0 ? 0 : n < end ? n : end - 1; }

// Where the row of a plane starts that stands for y, and the four that an output row reads.
__device__ inline const Scalar* row_at(const Scalar* volume, int plane, int y, int height, int image_width) {
    return volume + ((long long)plane * height + clamp(y, height)) * image_width;
}

struct Rows {
    const Scalar* at[2][2];

    __device__ Rows(const Scalar* volume, Stencil stencil, int y, int height, int image_width) {
        for (int p = 0; p < 2; p++)
            for (int q = 0; q < 2; q++)
                at[p][q] = row_at(volume, p ? stencil.next_plane : stencil.s.whole, y + stencil.y.whole + q, height,
                                  image_width);
    }
    __device__ Lanes<A> load(int p, int q, int x, int length) const { return load_inside(at[p][q], x, length, A(0)); }
};

__device__ inline int padded(int length) { return (length + width<A> - 1) / width<A> * width<A>; }

extern "C" __global__ void shift(const Scalar* f, const A* displacement, Scalar* out, int channels, int orientations,
                                 int height, int image_width) {
    const int volume = block() / orientations, o = block() % orientations;
    const Stencil stencil(displacement + (volume % channels * orientations + o) * 3, o, orientations, height,
                          image_width);
    const Scalar* const from = f + (long long)volume * orientations * height * image_width;
    A* const blend = reinterpret_cast<A*>(shared_memory()) + warp() * padded(image_width);
    const A ws = stencil.s.part, wy = stencil.y.part, wx = stencil.x.part;
    for (int y = warp(); y < height; y += warps()) {
        const Rows rows(from, stencil, y, height, image_width);
        for (int x = 0; x < image_width; x += width<A>)
            store(blend, x,
                  (rows.load(0, 0, x, image_width) * (1 - wy) + rows.load(0, 1, x, image_width) * wy) * (1 - ws) +
                      (rows.load(1, 0, x, image_width) * (1 - wy) + rows.load(1, 1, x, image_width) * wy) * ws);
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

// d out / d displacement = -(d / dx, d / dy, d / ds) of the interpolated f. At a kink this is the mean of the slopes
// on its two sides, half the difference of the neighbours before and after.
extern "C" __global__ void shift_gradient_displacement(const Scalar* g, const Scalar* f, const A* displacement,
                                                       A* grad_displacement, int channels, int orientations, int height,
                                                       int image_width) {
    const int volume = block() / orientations, o = block() % orientations;
    Stencil stencil(displacement + (volume % channels * orientations + o) * 3, o, orientations, height, image_width);
    const bool kink_x = at_kink(&stencil.x), kink_y = at_kink(&stencil.y), kink_s = at_kink(&stencil.s);
    stencil.s.whole %= orientations;
    stencil.next_plane = (stencil.s.whole + 1) % orientations;
    const int plane_before = (stencil.s.whole + orientations - kink_s) % orientations;
    const Scalar* const from = f + (long long)volume * orientations * height * image_width;
    A* const blend = reinterpret_cast<A*>(shared_memory()) + warp() * 3 * padded(image_width);
    A* const along_y = blend + padded(image_width);
    A* const along_s = along_y + padded(image_width);
    const A ws = stencil.s.part, wy = stencil.y.part, wx = stencil.x.part;
    Lanes<A> sum_x = splat<A>(A(0)), sum_y = sum_x, sum_s = sum_x;
    for (int y = warp(); y < height; y += warps()) {
        const Rows rows(from, stencil, y, height, image_width);
        const Scalar *before_y[2], *before_s[2];
        for (int n = 0; n < 2; n++) {
            before_y[n] = row_at(from, n ? stencil.next_plane : stencil.s.whole, y + stencil.y.whole - kink_y, height,
                                 image_width);
            before_s[n] = row_at(from, plane_before, y + stencil.y.whole + n, height, image_width);
        }
        for (int x = 0; x < image_width; x += width<A>) {
            const Lanes<A> f00 = rows.load(0, 0, x, image_width), f01 = rows.load(0, 1, x, image_width);
            const Lanes<A> f10 = rows.load(1, 0, x, image_width), f11 = rows.load(1, 1, x, image_width);
            const Lanes<A> near = f00 * (1 - wy) + f01 * wy, far = f10 * (1 - wy) + f11 * wy;
            store(blend, x, near * (1 - ws) + far * ws);
            store(along_y, x, (f01 - load_inside(before_y[0], x, image_width, A(0))) * (1 - ws) +
                                  (f11 - load_inside(before_y[1], x, image_width, A(0))) * ws);
            store(along_s, x, far - (load_inside(before_s[0], x, image_width, A(0)) * (1 - wy) +
                                     load_inside(before_s[1], x, image_width, A(0)) * wy));
        }
        warp_barrier();
        const Scalar* const upstream = g + ((long long)block() * height + y) * image_width;
        for (int x = 0; x < image_width; x += width<A>) {
            const Lanes<A> weight = load_inside(upstream, x, image_width, A(0));
            const int left = x + stencil.x.whole, right = left + 1, before = left - kink_x;
            sum_x -= weight * (load_clamped(blend, right, image_width) - load_clamped(blend, before, image_width));
            sum_y -= weight * (load_clamped(along_y, left, image_width) * (1 - wx) +
                               load_clamped(along_y, right, image_width) * wx);
            sum_s -= weight * (load_clamped(along_s, left, image_width) * (1 - wx) +
                               load_clamped(along_s, right, image_width) * wx);
        }
        warp_barrier();
    }
    const A of_warp[3] = {sum_lanes(sum_x) * (kink_x ? A(0.5) : A(1)), sum_lanes(sum_y) * (kink_y ? A(0.5) : A(1)),
                          sum_lanes(sum_s) * (kink_s ? A(0.5) : A(1))};
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
                                                int orientations, int height, int image_width) {
    const int volume = block() / orientations, plane = block() % orientations;
    const Scalar* const from = g + (long long)volume * orientations * height * image_width;
    A* const blend = reinterpret_cast<A*>(shared_memory()) + warp() * 2 * padded(image_width);
    A* const result = blend + padded(image_width);
    Stencil* const stencils =
        reinterpret_cast<Stencil*>(shared_memory() + warps() * 2 * padded(image_width) * sizeof(A));
    for (int o = thread(); o < orientations; o += threads())
        stencils[o] =
            Stencil(displacement + (volume % channels * orientations + o) * 3, o, orientations, height, image_width);
    __syncthreads();
    for (int row = warp(); row < height; row += warps()) {
        for (int x = 0; x < image_width; x += width<A>) store(result, x, splat<A>(A(0)));
        for (int o = 0; o < orientations; o++) {
            const Stencil stencil = stencils[o];
            if (stencil.s.whole != plane && stencil.next_plane != plane) continue;
            const A ws = (stencil.s.whole == plane ? 1 - stencil.s.part : A(0)) +
                         (stencil.next_plane == plane ? stencil.s.part : A(0));
            for (int x = 0; x < image_width; x += width<A>) store(blend, x, splat<A>(A(0)));
            for (int q = 0; q < 2; q++) {
                const A weight = ws * (q ? stencil.y.part : 1 - stencil.y.part);
                const int seen = row - stencil.y.whole - q;
                const int first = row == 0 ? 0 : seen < 0 ? 0 : seen;
                const int last = row == height - 1 ? height - 1 : seen < height ? seen : height - 1;
                for (int y = first; y <= last; y++) {
                    const Scalar* const upstream = from + ((long long)o * height + y) * image_width;
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
