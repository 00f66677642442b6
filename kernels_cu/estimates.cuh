// The squares S of the estimates of the distance, and their derivatives by the numbers w of a metric.
//
//     Diagonal       (w1 b1)^2 + (w2 b2)^2 + ..., LENGTHS terms                      rho_c, rho_b, the norm of R^n
//     SubRiemannian  sqrt((nu s(w1, w3))^4 b2^2 + ((w1 b1)^2 + (w3 b3)^2)^2)         rho_b_sr
//     Combined       max(l^2, min(SubRiemannian, Diagonal)), l with both spatial      rho_b_com
//                    weights the smaller; axes exchanged where w2 < w1
//     CombinedAxial  the same where w1 <= w2, Diagonal where w2 < w1                 rho_b_com on M3
//     Axial          Diagonal of three + 2 b3 (w4 b4 - w5 b5), at least 0            rho_c, rho_b of an AxialMetric
//
// with s(w1, w3) = w1 + w3, or 2 sqrt(w1 w3) in the three with Covariant at their end.
// b are the coordinates of the relative element, logarithmic for rho_c and half-angle for the others; on M3, where two
// axes are lateral, b2 is the length of both, and b4 and b5 are its parts in the plane of bending and across. At S = 0
// the derivatives are zero. Each gives square(b, w, nu, slope): S, and slope[m] = dS / dw_m.
#pragma once

#include "spmd.cuh"

// s(w1, w3), the scale of a sideways move made by turning and driving, and its derivatives by both.
struct Sum {
    template <class A>
    static __device__ A value(A w1, A w3, A* by_1, A* by_3) {
        *by_1 = *by_3 = A(1);
        return w1 + w3;
    }
};

struct Product {
    template <class A>
    static __device__ A value(A w1, A w3, A* by_1, A* by_3) {
        const A root = sqrt(w1 * w3);
        *by_1 = root / w1;
        *by_3 = root / w3;
        return 2 * root;
    }
};

// The square of rho_sr for weights (w1, w3), and its derivatives by both.
template <class Scale, class A>
__device__ inline A sub_riemannian(A b1, A b2, A b3, A w1, A w3, A nu, A* by_1, A* by_3) {
    A scale_by_1, scale_by_3;
    const A across = nu * Scale::value(w1, w3, &scale_by_1, &scale_by_3), cube = across * across * across;
    const A along = w1 * w1 * b1 * b1 + w3 * w3 * b3 * b3;
    const A square = sqrt(cube * across * b2 * b2 + along * along);
    const A common = square > A(0) ? A(2) * nu * cube * b2 * b2 / square : A(0);
    const A by_along = square > A(0) ? along / square : A(0);
    *by_1 = common * scale_by_1 + by_along * 2 * w1 * b1 * b1;
    *by_3 = common * scale_by_3 + by_along * 2 * w3 * b3 * b3;
    return square;
}

// The sum of (w b)^2 over so many axes, and its derivatives.
template <int axes, class A>
__device__ inline A squares(const A* b, const A* w, A* slope) {
    A sum = A(0);
    for (int m = 0; m < axes; m++) {
        sum += w[m] * w[m] * b[m] * b[m];
        slope[m] = 2 * w[m] * b[m] * b[m];
    }
    return sum;
}

struct Diagonal {
    template <class A>
    static __device__ A square(const A* b, const A* w, A, A* slope) {
        return squares<LENGTHS>(b, w, slope);
    }
};

struct Axial {
    template <class A>
    static __device__ A square(const A* b, const A* w, A, A* slope) {
        slope[3] = 2 * b[2] * b[3];
        slope[4] = -2 * b[2] * b[4];
        const A sum = squares<3>(b, w, slope) + (w[3] * slope[3] + w[4] * slope[4]);
        if (!(sum < A(0))) return sum;
        for (int m = 0; m < 5; m++) slope[m] = A(0);  // rounding, close to the bound of w4^2 + w5^2
        return A(0);
    }
};

template <class Scale>
struct SubRiemannianWith {
    template <class A>
    static __device__ A square(const A* b, const A* w, A nu, A* slope) {
        slope[1] = A(0);
        return sub_riemannian<Scale>(b[0], b[1], b[2], w[0], w[2], nu, slope, slope + 2);
    }
};

template <class Scale>
struct CombinedWith {
    template <class A>
    static __device__ A square(const A* b, const A* w, A nu, A* slope) {
        const bool exchanged = w[1] < w[0];
        const A b1 = exchanged ? b[1] : b[0], b2 = exchanged ? b[0] : b[1];
        const A low = exchanged ? w[1] : w[0], high = exchanged ? w[0] : w[1];
        const A angular = w[2] * w[2] * b[2] * b[2], by_angle = 2 * w[2] * b[2] * b[2];
        const A lower = low * low * (b1 * b1 + b2 * b2) + angular;
        const A diagonal = low * low * b1 * b1 + high * high * b2 * b2 + angular;
        A sub_by_low, sub_by_angle;
        const A sub = sub_riemannian<Scale>(b1, b2, b[2], low, w[2], nu, &sub_by_low, &sub_by_angle);

        // Equal candidates share the gradient.
        const A upper = sub < diagonal ? sub : diagonal;
        const A of_lower = lower > upper ? A(1) : lower == upper ? A(0.5) : A(0);
        const A of_sub = (1 - of_lower) * (sub < diagonal ? A(1) : sub == diagonal ? A(0.5) : A(0));
        const A of_diagonal = 1 - of_lower - of_sub;
        const A by_low =
            of_lower * 2 * low * (b1 * b1 + b2 * b2) + of_sub * sub_by_low + of_diagonal * 2 * low * b1 * b1;
        const A by_high = of_diagonal * 2 * high * b2 * b2;
        slope[0] = exchanged ? by_high : by_low;
        slope[1] = exchanged ? by_low : by_high;
        slope[2] = (of_lower + of_diagonal) * by_angle + of_sub * sub_by_angle;
        return lower > upper ? lower : upper;
    }
};

// Of two lateral axes none can become the main one.
template <class Scale>
struct CombinedAxialWith {
    template <class A>
    static __device__ A square(const A* b, const A* w, A nu, A* slope) {
        if (w[1] < w[0]) return Diagonal::square(b, w, nu, slope);
        return CombinedWith<Scale>::square(b, w, nu, slope);
    }
};

using SubRiemannian = SubRiemannianWith<Sum>;
using SubRiemannianCovariant = SubRiemannianWith<Product>;
using Combined = CombinedWith<Sum>;
using CombinedCovariant = CombinedWith<Product>;
using CombinedAxial = CombinedAxialWith<Sum>;
using CombinedAxialCovariant = CombinedAxialWith<Product>;
