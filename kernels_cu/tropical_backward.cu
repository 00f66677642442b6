// The convolution over the tropical semirings, backward.
//
// The forward kernel kept, for each output p = (o, z, y, x), the code of its winning tap t. There
//
//     out[p] = f[p + t] - k[t]   (dilation, sign = 1)        out[p] = f[p + t] + k[t]   (erosion, sign = -1)
//
// so that each upstream gradient g[p] goes to one element of f, and with the factor -sign to one of k:
//
//     grad_f[p + t] += g[p]      grad_k[t] -= sign g[p]
//
// Outputs that share a kernel are side by side: a plane of a circle, a volume among neighbours, see tile.cuh; `tables`
// counts either.
//
// Layout    g [B, C, O, Z, H, W] of Scalar, taps likewise of Code; grad_f likewise and grad_k [B, C, tables, taps] of
//           the arithmetic type; the sum of grad_k over B is left to the caller; lists [O, S]. Contiguous.
// Border    a winning tap lies inside the grid, so that no index needs a test.
// Cost      per output: one gradient, one code and one element of grad_f read, one written; no arithmetic to speak of.
//
// tropical_scatter  A thread takes outputs one after the other and adds where they point.
//           Launch: blocks = B C ceil(tables / group). On the host group = tables: a block is one thread that owns a
//           whole channel, so that sums need no atomics and have one order. On a graphics processor the order varies.
// tropical_gather_input, tropical_gather_kernel  The same sums in a fixed order, each by the thread that owns it: for
//           an element of f, over the taps by which an output may have chosen it; for a tap of k, over the outputs.
//           Launch: blocks = B C O Z, and B C tables.
//
// Compiled once for each Scalar, CODE and GRID.
#include "tile.cuh"

using Scalar = SCALAR;
using A = Arithmetic<Scalar>;
using Code = CODE;
using Grid = GRID;

// Neighbouring outputs often choose the same tap: sums in several copies keep them from waiting for each other.
#ifdef __CUDACC__
constexpr int copies = GPU_COPIES, batch = 1;
#else
constexpr int copies = HOST_COPIES, batch = 4;
#endif

extern "C" __global__ void tropical_scatter(const Scalar* g, const Code* taps, A* grad_f, A* grad_k, const int* lists,
                                            int sign, int points, int depth, int height, int image_width, int slots,
                                            int planes, int rows, int columns, int group, int clear) {
    const Window window{Grid::lists ? slots : 1, planes, rows, columns};
    const int tables = Grid::lists ? points : depth, groups = (tables + group - 1) / group;
    const int volume = block() / groups, first = block() % groups * group;
    const int present = tables - first < group ? tables - first : group;
    const long long plane_area = (long long)height * image_width, area = Grid::lists ? depth * plane_area : plane_area;
    const long long base = (long long)volume * tables * area;

    long long* const target = reinterpret_cast<long long*>(shared_memory());  // where a tap points, from its output
    A* const sums = reinterpret_cast<A*>(target + present * window.taps());
    // Divisions cost as much as the outputs of a small volume: one tap is taken apart for all planes.
    for (int tap = thread(); tap < window.taps(); tap += threads()) {
        const int i = tap / (rows * columns) % planes, j = tap / columns % rows, l = tap % columns;
        const long long within = (long long)(j - rows / 2) * image_width + (l - columns / 2);
        for (int n = 0; n < present; n++) {
            const int o = first + n;
            int steps = i - planes / 2;  // in planes
            if constexpr (Grid::lists)
                steps += (lists[o * slots + tap / (planes * rows * columns)] - o) * depth;
            else
                steps += o + steps < 0 ? depth : o + steps >= depth ? -depth : 0;
            target[n * window.taps() + tap] = steps * plane_area + within;
        }
    }
    for (int n = thread(); n < present * window.taps() * copies; n += threads()) sums[n] = A(0);
    if (clear)
        for (long long n = thread(); n < present * area; n += threads()) grad_f[base + first * area + n] = A(0);
    __syncthreads();

    for (int o = 0; o < present; o++) {
        const long long plane = base + (first + o) * area;
        const long long* const target_o = target + o * window.taps();
        A* const sums_o = sums + o * window.taps() * copies;
        const auto scatter = [&](long long n, A value, int tap) {
            add_in_grid(grad_f + plane + n + target_o[tap], value);
            add_in_block(sums_o + tap * copies + n % copies, value);
        };
        for (long long q = thread(); q < area / batch; q += threads()) {
            A value[batch];
            int tap[batch];
            UNROLL
            for (int m = 0; m < batch; m++) {
                value[m] = to_arithmetic(g[plane + q * batch + m]);
                tap[m] = taps[plane + q * batch + m];
            }
            UNROLL
            for (int m = 0; m < batch; m++) scatter(q * batch + m, value[m], tap[m]);
        }
        for (long long n = area / batch * batch + thread(); n < area; n += threads())
            scatter(n, to_arithmetic(g[plane + n]), taps[plane + n]);
    }
    __syncthreads();

    const long long first_sum = ((long long)volume * tables + first) * window.taps();
    for (int n = thread(); n < present * window.taps(); n += threads()) {
        A sum = A(0);
        for (int copy = 0; copy < copies; copy++) sum += sums[n * copies + copy];
        grad_k[first_sum + n] = A(-sign) * sum;
    }
}
EXPORT_KERNEL(tropical_scatter)

// The sum over the outputs of a plane that chose the element (y, x) by the taps from `code` on.
__device__ inline A chosen_on(const Scalar* g, const Code* taps, int code, int y, int x, int height, int image_width,
                              int rows, int columns) {
    A sum = A(0);
    for (int j = 0; j < rows; j++)
        for (int l = 0; l < columns; l++) {
            const int from_y = y - j + rows / 2, from_x = x - l + columns / 2;
            if (from_y < 0 || from_y >= height || from_x < 0 || from_x >= image_width) continue;
            const long long p = (long long)from_y * image_width + from_x;
            if (taps[p] == code + j * columns + l) sum += to_arithmetic(g[p]);
        }
    return sum;
}

extern "C" __global__ void tropical_gather_input(const Scalar* g, const Code* taps, A* grad_f, const int* lists,
                                                 int points, int depth, int height, int image_width, int slots,
                                                 int planes, int rows, int columns) {
    const int z = block() % depth, own = Grid::lists ? block() / depth % points : 0;
    const long long area = (long long)height * image_width, to = block() * area;
    const long long base = (block() - own * depth - z) * area;
    for (long long n = thread(); n < area; n += threads()) {
        const int y = int(n / image_width), x = int(n % image_width);
        A sum = A(0);
        const auto add = [&](int plane, int code) {
            const long long from = base + plane * area;
            sum += chosen_on(g + from, taps + from, code * rows * columns, y, x, height, image_width, rows, columns);
        };
        if constexpr (Grid::lists) {
            for (int m = 0; m < points * slots; m++) {
                if (lists[m] != own) continue;
                for (int i = 0; i < planes; i++) {
                    const int from = z - i + planes / 2;
                    if (from >= 0 && from < depth) add(m / slots * depth + from, m % slots * planes + i);
                }
            }
        } else {
            for (int i = 0; i < planes; i++) add((z + depth - i + planes / 2) % depth, i);
        }
        grad_f[to + n] = sum;
    }
}
EXPORT_KERNEL(tropical_gather_input)

extern "C" __global__ void tropical_gather_kernel(const Scalar* g, const Code* taps, A* grad_k, int sign,
                                                  int rows, int image_width, int window_taps) {
    const long long area = (long long)rows * image_width, base = block() * area;
    for (int tap = thread(); tap < window_taps; tap += threads()) {
        A sum = A(0);
        for (long long n = 0; n < area; n++)
            if (taps[base + n] == tap) sum += to_arithmetic(g[base + n]);
        grad_k[(long long)block() * window_taps + tap] = A(-sign) * sum;
    }
}
EXPORT_KERNEL(tropical_gather_kernel)
