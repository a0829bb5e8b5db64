#include "found.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include <halftone/toolbox/float8.hpp>

#include "grid.hpp"

namespace halftone::asym_w4a8_int8 {

namespace {

// The grid: a codebook, then a step for each row, a scale for each group, and what is added to each.
constexpr uint64_t book_numbers = 16;

template <class Byte>
auto* floats(Byte* grid) {
    return array<float>(grid, 0);
}

float scale_of(const std::byte* grid, uint64_t rows, uint64_t group) {
    return floats(grid)[book_numbers + rows + group];
}

float number_at(const uint8_t* bytes, uint64_t i) {
    float number;
    std::memcpy(&number, bytes + i * sizeof number, sizeof number);
    return number;
}

void demand_scale(float scale, uint64_t i, const std::string& name) {
    if (!(scale >= 0) || scale > FLT_MAX)
        throw Refused("element " + std::to_string(i) + " of " + name + " is " + std::to_string(scale) +
                      ", which is no scale");
}

}  // namespace

Found::Found(const ht_source& source, const Choice& choice)
    : rows_(source.rows), cols_(source.cols), choice_(choice), correction_(correction_dtype(source.dtype)) {}

std::vector<Stored> Found::stored() const {
    std::vector<Stored> all = {{HT_ROLE_WEIGHT, ".weight", HT_DTYPE_I8, {rows_, row_bytes()}},
                               {HT_ROLE_SCALE,
                                ".weight_s_rel",
                                choice_.wide_scales ? HT_DTYPE_F32 : HT_DTYPE_F8_E4M3,
                                {rows_, groups_of_row()}},
                               {HT_ROLE_SCALE_2, ".weight_s_channel", HT_DTYPE_F32, {rows_}}};
    if (choice_.book != Book::none)
        all.push_back({HT_ROLE_CODEBOOK, ".weight_codebook", HT_DTYPE_F32, {book_numbers}});
    if (choice_.corrected)
        all.push_back({HT_ROLE_NESTED_CODEBOOK, ".weight_correction", correction_, {groups_of_row(), rows_}});
    return all;
}

uint64_t Found::grid_bytes() const {
    return sizeof(float) * (book_numbers + rows_ + groups()) +
           (choice_.corrected ? groups() * element_bytes(correction_) : 0);
}

void Found::load(std::span<const uint8_t* const> companions, std::byte* grid) const {
    const std::vector<Stored> all = stored();
    for (size_t i = 1; i < companions.size(); ++i)
        if (!companions[i]) throw Refused("there is no " + all[i].name);
    float* const steps = floats(grid) + book_numbers;
    float* const scales = steps + rows_;
    for (uint64_t g = 0; g < groups(); ++g) {
        if (!choice_.wide_scales && companions[1][g] > toolbox::E4m3fnLayout::most_code)
            throw Refused("element " + std::to_string(g) + " of .weight_s_rel is negative or no number");
        scales[g] =
            choice_.wide_scales ? number_at(companions[1], g) : toolbox::E4m3fn::decode(companions[1][g]);
        demand_scale(scales[g], g, all[1].name);
    }
    for (uint64_t row = 0; row < rows_; ++row) {
        steps[row] = number_at(companions[2], row);
        demand_scale(steps[row], row, all[2].name);
    }
    if (choice_.book != Book::none)
        for (uint64_t i = 0; i < book_numbers; ++i) {
            floats(grid)[i] = number_at(companions[3], i);
            if (!std::isfinite(floats(grid)[i]))
                throw Refused("element " + std::to_string(i) + " of .weight_codebook is not finite");
        }
    if (!choice_.corrected) return;
    std::memcpy(scales + groups(), companions.back(), groups() * element_bytes(correction_));
    for (uint64_t i = 0; i < groups(); ++i)
        if (!std::isfinite(stored_number(companions.back(), i, correction_)))
            throw Refused("element " + std::to_string(i) + " of .weight_correction is not finite");
}

void Found::companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
    const float* const steps = floats(grid) + book_numbers;
    const float* const scales = steps + rows_;
    if (i == 1 && !choice_.wide_scales) {
        for (uint64_t g = 0; g < groups(); ++g)
            out[g] = toolbox::E4m3fn::encode(scales[g]);
    } else if (i == 1) {
        std::memcpy(out, scales, groups() * sizeof(float));
    } else if (i == 2) {
        std::memcpy(out, steps, rows_ * sizeof(float));
    } else if (i == 3 && choice_.book != Book::none) {
        std::memcpy(out, floats(grid), book_numbers * sizeof(float));
    } else {
        std::memcpy(out, scales + groups(), groups() * element_bytes(correction_));
    }
}

// ---- one group

float Found::Group::level(uint32_t code) const {
    const float number = book ? book[code] : static_cast<float>(code) - static_cast<float>(codes / 2);
    // Whole numbers, half to even, by the addition of 1.5 * 2^23. There is no negative zero among them.
    constexpr float aligner = 12582912.0f;
    return (std::clamp(number * scale, -127.0f, 127.0f) + aligner) - aligner;
}

float Found::Group::value(uint32_t code) const {
    return level(code) * step + offset;
}

uint32_t Found::Group::nearest(float x) const {
    const float t = step > 0 ? (x - offset) / step : 0.0f;
    uint32_t best = 0;
    float least = std::numeric_limits<float>::infinity();
    for (uint32_t code = 0; code < codes; ++code)
        if (const float away = std::fabs(t - level(code)); away < least) {
            least = away;
            best = code;
        }
    return best;
}

Found::Group Found::group(const std::byte* grid, uint64_t row, uint64_t col) const {
    const uint64_t k = col / choice_.group, g = row * groups_of_row() + k;
    const auto* const corrections =
        array<const uint8_t>(grid, sizeof(float) * (book_numbers + rows_ + groups()));
    return {choice_.book == Book::none ? nullptr : floats(grid), uint32_t{1} << choice_.bits,
            scale_of(grid, rows_, g), floats(grid)[book_numbers + row],
            choice_.corrected ? stored_number(corrections, k * rows_ + row, correction_) : 0.0f};
}

// ---- codes in a row: four bits of each, two to a byte, then the upper two, four to a byte

uint32_t Found::code_at(const uint8_t* row, uint64_t col) const {
    const uint32_t low = row[col / 2] >> (col % 2 * 4) & 0xF;
    if (choice_.bits == 4) return low;
    return low | (row[cols_ / 2 + col / 4] >> (col % 4 * 2) & 3u) << 4;
}

void Found::put_code(uint32_t code, uint64_t col, uint8_t* row) const {
    row[col / 2] = static_cast<uint8_t>(row[col / 2] | (code & 0xF) << (col % 2 * 4));
    if (choice_.bits == 4) return;
    uint8_t& upper = row[cols_ / 2 + col / 4];
    upper = static_cast<uint8_t>(upper | code >> 4 << (col % 4 * 2));
}

// ---- regions

void Found::encode(const std::byte* grid, const Band& in, uint8_t* bytes) const {
    std::memset(bytes, 0, in.region.rows * row_bytes());
    for (uint64_t i = 0; i < in.region.rows; ++i)
        for (uint64_t j = 0; j < in.region.cols; ++j)
            put_code(group(grid, in.region.row + i, j).nearest(in.at(i, j)), j, bytes + i * row_bytes());
}

void Found::decode(const std::byte* grid, const uint8_t* bytes, const Band& out) const {
    for (uint64_t i = 0; i < out.region.rows; ++i)
        for (uint64_t first = 0; first < out.region.cols; first += choice_.group) {
            const Group of = group(grid, out.region.row + i, first);
            const uint64_t end = std::min(first + choice_.group, out.region.cols);
            for (uint64_t j = first; j < end; ++j)
                out.at(i, j) = of.value(code_at(bytes + i * row_bytes(), j));
        }
}

void Found::snap(const std::byte* grid, const Band& in, const Band& out) const {
    for (uint64_t i = 0; i < in.region.rows; ++i)
        for (uint64_t j = 0; j < in.region.cols; ++j) {
            const Group of = group(grid, in.region.row + i, in.region.col + j);
            out.at(i, j) = of.value(of.nearest(in.at(i, j)));
        }
}

void Found::sigma(const std::byte* grid, const Band& out) const {
    for (uint64_t i = 0; i < out.region.rows; ++i)
        for (uint64_t j = 0; j < out.region.cols; ++j) {
            const float step = group(grid, out.region.row + i, out.region.col + j).step;
            out.at(i, j) = step > 0 ? step : 1.0f;
        }
}

void Found::around(const std::byte* grid, const Band& in, const Band& lo, const Band& hi) const {
    for (uint64_t i = 0; i < in.region.rows; ++i)
        for (uint64_t j = 0; j < in.region.cols; ++j) {
            const Group of = group(grid, in.region.row + i, in.region.col + j);
            const float x = in.at(i, j);
            float least = of.value(0), most = least;
            for (uint32_t code = 1; code < of.codes; ++code) {
                least = std::min(least, of.value(code));
                most = std::max(most, of.value(code));
            }
            float less = least, more = most;
            for (uint32_t code = 0; code < of.codes; ++code) {
                const float value = of.value(code);
                if (value <= x) less = std::max(less, value);
                if (value >= x) more = std::min(more, value);
            }
            lo.at(i, j) = x > most ? most : less;
            hi.at(i, j) = x < least ? least : more;
        }
}

}  // namespace halftone::asym_w4a8_int8
