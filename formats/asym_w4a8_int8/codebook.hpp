// The 16 numbers that codes stand for, and where rounding goes from one to the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace halftone::asym_w4a8_int8 {

// Ascending levels, equal ones allowed. The code of t is the first i with t <= upper[i]; the last is
// +infinity.
struct Levels {
    float level[16], upper[16];
};

struct LevelView {
    const float *level, *upper;
};

inline constexpr uint32_t tables = 128;  // one for every e4m3 number >= 0

// Of a normal distribution whose groups are scaled to 1.
extern const float fixed_codebook[16];
// The integers that codes of layers without a codebook stand for.
extern const float plain_codebook[16];

// Fills `upper`: to the nearest level, differences rounded to float32; of equal differences the lower one.
void set_thresholds(Levels&);

// The levels of a group in steps of its row's scale, for every e4m3 group scale: whole numbers.
void make_tables(const float (&codebook)[16], Levels* of_scale);

// The levels of the least squared error, by 25 rounds of Lloyd from 16 quantiles.
void fit_codebook(std::vector<float> numbers, float (&codebook)[16]);

}  // namespace halftone::asym_w4a8_int8
