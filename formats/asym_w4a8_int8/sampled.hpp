// What the choice of a codebook looks at and what it keeps of it, for both sides: lists in the grid, and what
// a granule of rows has found.
#pragma once

#include <cstdint>

#include <halftone/toolbox/device.hpp>

namespace halftone::asym_w4a8_int8 {

struct SampleSize {
    uint64_t rows;            // that are sampled
    uint64_t listed_rows;     // as many; 0: all rows are sampled
    uint64_t judged, fitted;  // numbers drawn; 0: all of the sampled rows
    uint64_t granule_rows, most_fitted;
};

// Numbers are counted along the sampled rows, one after the other.
struct SampleView {
    uint64_t cols;
    SampleSize size;
    const uint64_t* rows;
    const uint32_t *judged, *fitted;  // ascending

    // What is drawn of one row.
    struct Drawn {
        const uint32_t* numbers;  // NULL: all
        uint64_t count, first;
        HT_DEVICE uint64_t column(uint64_t i) const { return numbers ? numbers[i] - first : i; }
    };

    HT_DEVICE uint64_t row_at(uint64_t s) const { return size.listed_rows ? rows[s] : s; }
    // The first sampled row from `row` on.
    HT_DEVICE uint64_t first_from(uint64_t row) const {
        return size.listed_rows ? lower_bound(rows, size.listed_rows, row) : row;
    }
    HT_DEVICE Drawn judged_of(uint64_t s) const { return drawn_of(judged, size.judged, s); }
    HT_DEVICE Drawn fitted_of(uint64_t s) const { return drawn_of(fitted, size.fitted, s); }

  private:
    template <class T>
    HT_DEVICE static uint64_t lower_bound(const T* ascending, uint64_t n, uint64_t wanted) {
        uint64_t first = 0;
        while (n > 0) {
            const uint64_t half = n / 2;
            const bool less = ascending[first + half] < wanted;
            first = less ? first + half + 1 : first;
            n = less ? n - half - 1 : half;
        }
        return first;
    }
    HT_DEVICE Drawn drawn_of(const uint32_t* drawn, uint64_t n, uint64_t s) const {
        if (n == 0) return {nullptr, cols, 0};
        const uint64_t first = lower_bound(drawn, n, s * cols);
        return {drawn + first, lower_bound(drawn, n, (s + 1) * cols) - first, s * cols};
    }
};

// Sums over the numbers that decide whether the codebook is fitted, and numbers to fit it to; of one granule.
struct Seen {
    double count, sums[4];  // of powers
    uint64_t fitted;        // how many numbers follow

    HT_DEVICE const float* numbers() const { return reinterpret_cast<const float*>(this + 1); }
    HT_DEVICE float* numbers() { return reinterpret_cast<float*>(this + 1); }

    HT_DEVICE void judge(float number) {
        const auto x = static_cast<double>(number);
        const double square = x * x;
        count += 1;
        sums[0] += x;
        sums[1] += square;
        sums[2] += square * x;
        sums[3] += square * square;
    }

    HT_DEVICE static uint64_t bytes(uint64_t most_fitted) {
        return sizeof(Seen) + (most_fitted + 1) / 2 * 2 * sizeof(float);
    }
};

}  // namespace halftone::asym_w4a8_int8
