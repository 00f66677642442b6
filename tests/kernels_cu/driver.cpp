// Runs the kernels of one source file as a graphics processor would: blocks of several real threads, several blocks at
// a time. Meant to be built with SPMD_TEAMS and a sanitizer; every array is as long as it must be and no longer.
//
// KERNELS names the source file, IS_... what it holds.
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>

#include "spmd.cuh"

#include KERNELS

constexpr int B = 1, C = 2, O = 4, H = 19, W = 21, KO = 3, KH = 5, KW = 5;
#ifdef LISTS
// Four planes as two volumes that see themselves and, the second, the first.
constexpr int N = 2, Z = 2, S = 2;
static const int lists_of[N * S] = {0, -1, 0, 1};
static const int* const lists = lists_of;
#else
constexpr int N = 1, Z = O, S = 1;
[[maybe_unused]] static const int* const lists = nullptr;
#endif
constexpr int taps_in_window = S * KO * KH * KW, tables = S > 1 ? N : O;
constexpr size_t size = size_t(B) * C * O * H * W, table = size_t(C) * tables * taps_in_window;

template <class... P>
void call(void (*launcher)(const Launch*, void**), int threads, long long blocks, long long shared_bytes,
          P... arguments) {
    void* addresses[] = {&arguments...};
    const Launch launch{blocks, shared_bytes, threads, threads > 1 ? 2 : 1, nullptr};
    launcher(&launch, addresses);
}

template <class T>
std::vector<T> numbers(size_t count, double low, double high) {
    static std::mt19937 generator(1);
    std::uniform_real_distribution<double> uniform(low, high);
    std::vector<T> values(count);
    for (T& value : values) value = T(uniform(generator));
    return values;
}

// Runs once with blocks of one thread and once with teams; the results must agree.
int compare(const std::function<std::vector<float>(int)>& run) {
    const std::vector<float> alone = run(1), together = run(4);
    double worst = 0;
    for (size_t n = 0; n < alone.size(); n++) worst = std::fmax(worst, std::fabs(alone[n] - together[n]));
    std::printf("%zu values, largest difference %g\n", alone.size(), worst);
    return worst < 1e-4 ? 0 : 3;
}

[[maybe_unused]] int round_up(int n, int step) { return (n + step - 1) / step * step; }

// Shared memory of a tile, for groups of 2 orientations on 8 x 32 pixels, of their kernels and lists of taps.
[[maybe_unused]] long long tile_bytes() {
    const int tile = S * (2 + KO - 1) * (8 + KH - 1) * round_up(32 + KW - 1, width<float>);
    return (tile + 2 * taps_in_window) * sizeof(float) + 2 * (2 * taps_in_window + 1) * sizeof(int);
}
[[maybe_unused]] constexpr int tile_blocks = B * C * 2 * 3;

int main() {
#if defined(IS_CONVOLUTION)
    return compare([](int threads) {
        static const auto f = numbers<float>(size, -1, 1), k = numbers<float>(table, 0, 1);
        static auto steep = numbers<float>(table, 0, 9);  // most taps cannot win
        for (int t = 0; t < C * tables; t++)
            for (int slot = 0; slot < S; slot++)
                steep[t * taps_in_window + (2 * slot + 1) * (taps_in_window / S) / 2] = 0;
        std::vector<float> out(size);
        std::vector<Code8> taps(size);
        auto careful = f;
        careful[5] = std::nanf("");  // one block takes the careful path
        call(launch_semiring_convolution, threads, tile_blocks, tile_bytes(), f.data(), k.data(), out.data(),
             taps.data(), lists, 1, C, N, Z, H, W, S, KO, KH, KW, 2, 8, 32);
        std::vector<float> result = out;
        call(launch_semiring_convolution, threads, tile_blocks, tile_bytes(), f.data(), steep.data(), out.data(),
             taps.data(), lists, 1, C, N, Z, H, W, S, KO, KH, KW, 2, 8, 32);
        result.insert(result.end(), out.begin(), out.end());
        call(launch_semiring_convolution, threads, tile_blocks, tile_bytes(), careful.data(), k.data(), out.data(),
             taps.data(), lists, -1, C, N, Z, H, W, S, KO, KH, KW, 2, 8, 32);
        for (float value : out) result.push_back(value == value ? value : 77.f);
        return result;
    });
#elif defined(IS_TROPICAL_BACKWARD)
    return compare([](int threads) {
        static const auto g = numbers<float>(size, -1, 1);
        std::vector<Code8> taps(size);
        for (int n = 0; n < int(size); n++) {
            // Any tap that stays inside the grid, of the volume itself.
            const int x = n % W, y = n / W % H, z = n / (H * W) % Z, home = S > 1 ? n / (Z * H * W) % N : 0;
            const int i = S > 1 ? std::min(std::max(n % KO, KO / 2 - z), KO / 2 + Z - 1 - z) : n % KO;
            const int j = std::min(std::max(n % KH, KH / 2 - y), KH / 2 + H - 1 - y);
            const int l = std::min(std::max(n % KW, KW / 2 - x), KW / 2 + W - 1 - x);
            taps[n] = Code8(((home * KO + i) * KH + j) * KW + l);
        }
        std::vector<float> grad_f(size), grad_k(B * table), result;
        const int groups = threads > 1 ? tables : 1;  // a team shares a channel with others, a thread alone owns it
        const long long bytes = (long long)(tables / groups) * taps_in_window * (8 + copies * sizeof(float));
        call(launch_tropical_scatter, threads, B * C * groups, bytes, g.data(), taps.data(), grad_f.data(),
             grad_k.data(), lists, 1, N, Z, H, W, S, KO, KH, KW, tables / groups, int(threads == 1));
        result = grad_f;
        result.insert(result.end(), grad_k.begin(), grad_k.end());
        call(launch_tropical_gather_input, threads, B * C * O, 0, g.data(), taps.data(), grad_f.data(), lists, N, Z, H,
             W, S, KO, KH, KW);
        call(launch_tropical_gather_kernel, threads, B * C * tables, 0, g.data(), taps.data(), grad_k.data(), 1,
             O / tables * H, W, taps_in_window);
        result.insert(result.end(), grad_f.begin(), grad_f.end());
        result.insert(result.end(), grad_k.begin(), grad_k.end());
        return result;
    });
#elif defined(IS_SMOOTH_BACKWARD)
    return compare([](int threads) {
        static const auto f = numbers<float>(size, -1, 1), k = numbers<float>(table, 0, 1),
                          g = numbers<float>(size, -1, 1);
        static const auto out = numbers<float>(size, 4, 5);
        std::vector<float> grad_f(size), grad_k(3 * B * table);
        call(launch_smooth_gradient_kernel, threads, tile_blocks, tile_bytes(), g.data(), f.data(), k.data(),
             out.data(), grad_k.data(), lists, B * C * N, C, N, Z, H, W, S, KO, KH, KW, 2, 8, 32);
        call(launch_logarithmic_gradient_input, threads, B * C * O, 0, g.data(), f.data(), k.data(), out.data(),
             grad_f.data(), lists, C, N, Z, H, W, S, KO, KH, KW);
        std::vector<float> result = grad_f;
        result.insert(result.end(), grad_k.begin(), grad_k.end());
        return result;
    });
#elif defined(IS_SHIFT)
    return compare([](int threads) {
        static const auto f = numbers<float>(size, -1, 1), g = numbers<float>(size, -1, 1),
                          by = numbers<float>(C * O * 3, -30, 30);
        std::vector<float> out(size), grad_f(size), grad_by(B * C * O * 3);
        const long long row = threads * round_up(W, width<float>) * sizeof(float);
        call(launch_shift, threads, B * C * O, row, f.data(), by.data(), out.data(), C, O, H, W,
             PERIODIC);
        call(launch_shift_gradient_input, threads, B * C * O, 2 * row + O * (long long)sizeof(Stencil), g.data(),
             by.data(), grad_f.data(), C, O, H, W, PERIODIC);
        call(launch_shift_gradient_displacement, threads, B * C * O, 3 * row, g.data(), f.data(), by.data(),
             grad_by.data(), C, O, H, W, PERIODIC);
        std::vector<float> result = out;
        result.insert(result.end(), grad_f.begin(), grad_f.end());
        for (float value : grad_by) result.push_back(value / float(H * W));  // sums in another order
        return result;
    });
#elif defined(IS_MIXING)
    return compare([](int threads) {
        // Counts that no block of rows divides, two segments for each image, the last one not full.
        constexpr int D = 5, E = 21, P = O * H * W, points = 1024, segments = (P + points - 1) / points;
        constexpr int rows = 4 * ((C + 3) / 4 + (D + 3) / 4);
        static const auto f = numbers<float>(size_t(B) * C * P, -1, 1), g = numbers<float>(size_t(B) * D * P, -1, 1),
                          w = numbers<float>(E * (C + D), -1, 1), shift = numbers<float>(E, -1, 1);
        std::vector<float> out(size_t(B) * E * P), products(B * segments * D * C), sums(B * segments * D);
        call(launch_mix, threads, B * segments, 0, f.data(), g.data(), w.data(), shift.data(), out.data(), C, D, E, P,
             points);
        call(launch_moments, threads, B * segments, rows * points * (long long)sizeof(float), g.data(), f.data(),
             shift.data(), shift.data() + D, products.data(), sums.data(), D, C, P, points);
        std::vector<float> result = out;
        result.insert(result.end(), products.begin(), products.end());
        result.insert(result.end(), sums.begin(), sums.end());
        return result;
    });
#elif defined(IS_PROJECTION)
    return compare([](int threads) {
        static const auto f = numbers<float>(size, 0, 1), out = numbers<float>(B * C * H * W, 0, 1),
                          g = numbers<float>(B * C * H * W, -1, 1);
        std::vector<float> equal = f, grad_f(size);
        for (int v = 0; v < B * C; v++)
            for (int p = 0; p < H * W; p++) equal[(v * O + p % O) * H * W + p] = out[v * H * W + p];
        call(launch_projection_gradient, threads, B * C, 0, g.data(), equal.data(), out.data(), grad_f.data(), O,
             H * W);
        return grad_f;
    });
#elif defined(IS_TABLES)
    return compare([](int threads) {
        static const auto b = numbers<float>(O * taps_in_window * 3, -3, 3), w = numbers<float>(C * 3, 0.3, 1),
                          g = numbers<float>(table, -1, 1);
        static auto shares = numbers<float>(O * taps_in_window, 0.1, 1);
        for (int n = 0; n < O * taps_in_window; n += 3) shares[n] = 0;  // slots without a neighbour
        const std::vector<float> constants = {1.6f, 0.25f};
        std::vector<float> k(table), grad_w(C * 3);
        const long long bytes = threads * sizeof(float);
        call(launch_kernel_table, threads, C, bytes, k.data(), b.data(), shares.data(), w.data(), constants.data(), O,
             taps_in_window);
        call(launch_kernel_table_backward, threads, C, bytes, g.data(), k.data(), grad_w.data(), b.data(), w.data(),
             constants.data(), O, taps_in_window);
        std::vector<float> result = k;
        result.insert(result.end(), grad_w.begin(), grad_w.end());
        return result;
    });
#endif
}
