// Dilation as one would write it first: a thread computes one output, visits every tap, asks whether it is inside the
// image, and loads what it needs from global memory. Nothing runs it but the benchmark, which counts its instructions.
//
// Layout    f, out [B, C, Or, H, W]; k [C, Or, KOr, KH, KW]; float. Contiguous.
// Launch    blocks = B C Or.
#include "spmd.cuh"

using A = float;

extern "C" __global__ void naive_dilation(const A* f, const A* k, A* out, int channels, int orientations, int height,
                                          int image_width, int planes, int rows, int columns) {
    const int volume = block() / orientations, o = block() % orientations;
    const long long area = (long long)height * image_width, base = (long long)volume * orientations * area;
    const A* const kernel = k + (long long)(volume % channels * orientations + o) * planes * rows * columns;
    for (long long n = thread(); n < area; n += threads()) {
        const int y = int(n / image_width), x = int(n % image_width);
        A best = -infinity<A>();
        for (int i = 0; i < planes; i++) {
            const A* const plane = f + base + (o + i + orientations - planes / 2) % orientations * area;
            for (int j = 0; j < rows; j++)
                for (int l = 0; l < columns; l++) {
                    const int from_y = y + j - rows / 2, from_x = x + l - columns / 2;
                    if (from_y < 0 || from_y >= height || from_x < 0 || from_x >= image_width) continue;
                    const A seen = plane[(long long)from_y * image_width + from_x];
                    const A term = seen - kernel[(i * rows + j) * columns + l];
                    if (term > best) best = term;
                }
        }
        out[base + o * area + n] = best;
    }
}
EXPORT_KERNEL(naive_dilation)
