// Semirings, and accumulators that walk the window of one output row by row.
//
//   Tropical     a (+) b = max(a, b)            f (x) k = f - k      dilation; erosion is the dilation of -f, negated
//   Linear       a (+) b = a + b                f (x) k = f k        linear group convolution
//   Logarithmic  a (+) b = log(e^a + e^b)       f (x) k = f - k      the logarithmic semifield; its limit is Tropical
//
// A semiring gives
//   logarithmic, selective       whether it is Logarithmic; whether a (+) b is one of a and b
//   zero()                       the value that (+) leaves alone: the halo of a tile
//   times(f, k)                  f (x) k
//   regular_f(f), regular_k(k)   false where an accumulator could lose a NaN or make one with the halo; such a block
//                                takes the careful path, one tap at a time with a test for the border
//   Accumulator<A, R>            (+) over taps: take(f, k, first, one) takes f[0..row_taps-1], k[0..row_taps-1], whose
//                                first tap has the code `first`; value() is the sum so far. row_taps is R where it
//                                pays to judge the R taps of a row at once, and 1 otherwise
//
// A difference f - k is written f one - k, see spmd.cuh.
#pragma once

#include "spmd.cuh"

struct Tropical {
    static constexpr bool logarithmic = false, selective = true;

    template <class A>
    static __device__ A zero() {
        return -infinity<A>();
    }
    template <class L>
    static __device__ L times(L f, L k) {
        return f - k;
    }
    // Neither test holds for a NaN. f = inf is safe but where k = inf too; k = -inf would make a NaN with the halo.
    template <class A>
    static __device__ auto regular_f(Lanes<A> f) {
        return f < splat<A>(infinity<A>());
    }
    template <class A>
    static __device__ bool regular_k(A k) {
        return k > -infinity<A>();
    }
    template <class A>
    static __device__ A plus(A sum, A term) {
        return sum != sum || sum > term ? sum : term;
    }

    template <class A, int>
    struct Accumulator {
        static constexpr int row_taps = 1;
        Lanes<A> best = splat<A>(zero<A>());
        __device__ void take(const Lanes<A>* f, const A* k, Lanes<Index<A>>, A one) {
            best = largest(Lanes<A>(*f * one - *k), best);
        }
        __device__ Lanes<A> value() const { return best; }
    };

    // The same with the winning tap, the first among equals.
    template <class A>
    struct TapWinner {
        static constexpr int row_taps = 1;
        Lanes<A> best = splat<A>(zero<A>());
        Lanes<Index<A>> winner;

        TapWinner() = default;
        __device__ explicit TapWinner(Lanes<Index<A>> first) : winner(first) {}
        __device__ void take(const Lanes<A>* f, const A* k, Lanes<Index<A>> tap, A) {
            const Lanes<A> term = *f - *k;
            const auto wins = term > best;
            best = choose(wins, term, best);
            winner = choose(wins, tap, winner);
        }
        __device__ Lanes<A> value() const { return best; }
        __device__ Lanes<Index<A>> tap() const { return winner; }
    };

    // The same for all taps of a window. A comparison and two selections for each tap would double
    // the work. Here a row is judged at once: it wins or not by its maximum, and with it the winner keeps the maxima
    // of the row's beginnings. Those that fall short of the final maximum count how far into its row the winner stands.
    template <class A, int R>
    struct RowWinner {
        static constexpr int row_taps = R;
        Lanes<A> best = splat<A>(zero<A>());
        Lanes<A> beginning[R - 1];
        Lanes<Index<A>> row;  // the code of the winning row's first tap

        RowWinner() = default;
        __device__ explicit RowWinner(Lanes<Index<A>> first) : row(first) {
            UNROLL
            for (int l = 0; l < R - 1; l++) beginning[l] = best;
        }
        __device__ void take(const Lanes<A>* f, const A* k, Lanes<Index<A>> first, A one) {
            Lanes<A> maximum[R];
            maximum[0] = f[0] * one - k[0];
            UNROLL
            for (int l = 1; l < R; l++) maximum[l] = largest(Lanes<A>(f[l] * one - k[l]), maximum[l - 1]);
            const auto wins = maximum[R - 1] > best;
            best = choose(wins, maximum[R - 1], best);
            row = choose(wins, first, row);
            UNROLL
            for (int l = 0; l < R - 1; l++) beginning[l] = choose(wins, maximum[l], beginning[l]);
        }
        __device__ Lanes<A> value() const { return best; }
        __device__ Lanes<Index<A>> tap() const {
            Lanes<Index<A>> code = row;
            UNROLL
            for (int l = 0; l < R - 1; l++) code = choose(beginning[l] < best, Lanes<Index<A>>(code + 1), code);
            return code;
        }
    };
};

struct Linear {
    static constexpr bool logarithmic = false, selective = false;

    template <class A>
    static __device__ A zero() {
        return A(0);
    }
    template <class L>
    static __device__ L times(L f, L k) {
        return f * k;
    }
    template <class A>
    static __device__ auto regular_f(Lanes<A>) {
        return splat<A>(0) == splat<A>(0);
    }
    template <class A>
    static __device__ bool regular_k(A k) {
        return k > -infinity<A>() && k < infinity<A>();
    }
    template <class A>
    static __device__ A plus(A sum, A term) {
        return sum + term;
    }

    template <class A, int>
    struct Accumulator {
        static constexpr int row_taps = 1;
        Lanes<A> sum = splat<A>(A(0));
        __device__ void take(const Lanes<A>* f, const A* k, Lanes<Index<A>>, A) { sum += *f * *k; }
        __device__ Lanes<A> value() const { return sum; }
    };
};

struct Logarithmic : Tropical {
    static constexpr bool logarithmic = true, selective = false;

    // Only for what the careful path meets: the exponentials of terms that are not finite need no accuracy.
    template <class A>
    static __device__ A plus(A sum, A term) {
        if (sum != sum || term != term) return sum + term;
        const A high = sum > term ? sum : term, low = sum > term ? term : sum;
        if (high == low) return high + A(0.6931471805599453);
        if (high == infinity<A>() || low == -infinity<A>()) return high;
        return high + log1p(exp(low - high));
    }

    // log of the sum of e^(f - k), as a reference value and the sum of e^(f - k - reference).
    template <class A, int R>
    struct Accumulator {
        static constexpr int row_taps = R;
        Lanes<A> reference = splat<A>(zero<A>()), sum = splat<A>(A(0));
        __device__ void take(const Lanes<A>* f, const A* k, Lanes<Index<A>>, A one) {
            Lanes<A> term[R], maximum = reference;
            UNROLL
            for (int l = 0; l < R; l++) {
                term[l] = f[l] * one - k[l];
                maximum = largest(term[l], maximum);
            }
            // -inf - -inf would be a NaN: a finite stand-in leaves e^-inf = 0.
            const Lanes<A> shift = largest(maximum, splat<A>(lowest<A>()));
            sum = sum * exponential(reference - shift);
            UNROLL
            for (int l = 0; l < R; l++) sum += exponential(term[l] - shift);
            reference = maximum;
        }
        __device__ Lanes<A> value() const { return reference + logarithm(sum); }
    };
};
