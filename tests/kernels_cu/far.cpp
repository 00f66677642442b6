// Runs one block far out in tensors of more than 2^32 elements, of which only the part exists that it may touch, and
// the first block on the same values: the results must agree. An offset that lost its high bits would read or write where
// there is no memory.
//
// KERNELS names the source file, IS_... what it holds.
#include <cstdio>
#include <functional>
#include <random>

#include "spmd.cuh"

#include KERNELS

constexpr int O = 2, H = 32, W = 48, KO = 1, KH = 5, KW = 5, taps_in_window = KO * KH * KW, far = 2'000'000;
constexpr long long volume_size = O * H * W;
static_assert(far * volume_size > 1ll << 32);

std::vector<float> numbers(size_t count, float low, float high) {
    static std::mt19937 generator(1);
    std::uniform_real_distribution<float> uniform(low, high);
    std::vector<float> values(count);
    for (float& value : values) value = uniform(generator);
    return values;
}

// The address that a tensor would have whose part number `volume` is this one.
template <class T>
T* from_start(std::vector<T>& part, long long volume) {
    return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(part.data()) - volume * part.size() * sizeof(T));
}

template <class Kernel>
void run_block(long long block, Kernel kernel) {
    static Scratch scratch(1 << 20);
    here = {int(block), 0, 1, scratch.get(), nullptr};
    kernel();
}

auto f = numbers(volume_size, -1, 1), g = numbers(volume_size, -1, 1);
auto k = numbers(O * taps_in_window, 0, 1);

std::vector<float> results(int volume) {
    std::vector<float> out(volume_size), table(O * taps_in_window);
#if defined(IS_CONVOLUTION)
    std::vector<Code8> taps(volume_size);
    run_block(volume, [&] {
        semiring_convolution(from_start(f, volume), k.data(), from_start(out, volume), from_start(taps, volume),
                             nullptr, 1, 1, 1, O, H, W, 1, KO, KH, KW, O, H, W);
    });
    for (Code8 tap : taps) out.push_back(tap);
#elif defined(IS_TROPICAL_BACKWARD)
    std::vector<Code8> taps(volume_size, Code8(taps_in_window / 2));
    taps[volume_size / 2] = 0;
    run_block(volume, [&] {
        tropical_scatter(from_start(g, volume), from_start(taps, volume), from_start(out, volume),
                         from_start(table, volume), nullptr, 1, 1, O, H, W, 1, KO, KH, KW, O, 1);
    });
    std::vector<float> gathered(volume_size), gathered_table(O * taps_in_window);
    for (long long plane = 0; plane < O; plane++) {
        run_block((long long)volume * O + plane, [&] {
            tropical_gather_input(from_start(g, volume), from_start(taps, volume), from_start(gathered, volume), nullptr, 1,
                                  O, H, W, 1, KO, KH, KW);
            tropical_gather_kernel(from_start(g, volume), from_start(taps, volume), from_start(gathered_table, volume),
                                   1, H, W, taps_in_window);
        });
    }
    out.insert(out.end(), gathered.begin(), gathered.end());
    out.insert(out.end(), gathered_table.begin(), gathered_table.end());
#elif defined(IS_SMOOTH_BACKWARD)
    static auto result = numbers(volume_size, 4, 5);
    run_block(volume, [&] {
        smooth_gradient_kernel(from_start(g, volume), from_start(f, volume), k.data(), from_start(result, volume),
                               from_start(table, volume), nullptr, volume + 1, 1, 1, O, H, W, 1, KO, KH, KW, O, H,
                               W);
    });
    for (long long plane = 0; plane < O; plane++) {
        run_block((long long)volume * O + plane, [&] {
            logarithmic_gradient_input(from_start(g, volume), from_start(f, volume), k.data(),
                                       from_start(result, volume), from_start(out, volume), nullptr, 1, 1, O, H, W, 1, KO, KH,
                                       KW);
        });
    }
#elif defined(IS_SHIFT)
    static auto by = numbers(O * 3, -3, 3);
    std::vector<float> grad_f(volume_size), grad_by(O * 3);
    for (long long plane = 0; plane < O; plane++) {
        run_block((long long)volume * O + plane, [&] {
            shift(from_start(f, volume), by.data(), from_start(out, volume), 1, O, H, W, 1);
            shift_gradient_input(from_start(g, volume), by.data(), from_start(grad_f, volume), 1, O, H, W, 1);
            shift_gradient_displacement(from_start(g, volume), from_start(f, volume), by.data(),
                                        from_start(grad_by, volume), 1, O, H, W, 1);
        });
    }
    out.insert(out.end(), grad_f.begin(), grad_f.end());
    out.insert(out.end(), grad_by.begin(), grad_by.end());
#elif defined(IS_TABLES)
    auto b = numbers(O * taps_in_window * 3, -3, 3), w = numbers(3, 0.3f, 1);
    static const auto coordinates = b, weights = w;
    b = coordinates, w = weights;
    const std::vector<float> constants = {1.6f, 0.25f};
    std::vector<float> grad_w(3), upstream(g.begin(), g.begin() + O * taps_in_window);
    const long long block = volume * 100ll;
    run_block(block, [&] {
        kernel_table(from_start(table, block), b.data(), nullptr, from_start(w, block), constants.data(), O,
                     taps_in_window);
        kernel_table_backward(from_start(upstream, block), from_start(table, block), from_start(grad_w, block),
                              b.data(), from_start(w, block), constants.data(), O, taps_in_window);
    });
    out = grad_w;
#endif
    out.insert(out.end(), table.begin(), table.end());
    return out;
}

int main() {
    const std::vector<float> near_by = results(0), far_out = results(far);
    double sum = 0;
    for (float value : near_by) sum += value * value;
    std::printf("%zu values, sum of squares %g\n", near_by.size(), sum);
    return sum > 0 && near_by == far_out ? 0 : 3;
}
