#include <algorithm>
#include <bit>
#include <cmath>

#include "core/cli/synth/draw.hpp"
#include "core/cli/synth/mixing.hpp"
#include "core/cli/synth/portable_math.hpp"
#include "core/cli/synth/tensor_maker.hpp"

namespace halftone::synth {

namespace {

// The matrix is R U S V' C:
//   S  the singular values, a power law;
//   U  V  rows and columns of Mixing in a random order and with random signs: orthonormal but for a factor,
//   so that
//      the singular values of U S V' are known exactly without ever computing one;
//   R  C  log-normal sizes of rows and columns, which make the elements' tails heavy and change the spectrum
//   little.
// A row of U is a few operations per element, and V' is applied by a fast transform: making a row costs
// cols * log(cols), and no row needs another.
//
// Outlier columns take a run of the singular values for themselves: they are those columns of U S, rotated
// among each other. They are orthogonal to the other columns, so that the whole spectrum stays the same power
// law.
class MatrixMaker : public TensorMaker {
  public:
    MatrixMaker(uint64_t seed, const TensorSpec& spec, const Traits& traits);
    void row(uint64_t index, std::span<float> out, std::vector<float>& work) const override;

  private:
    static constexpr uint32_t most_blended = 64;

    void place_directions(Draw&, const Traits&);
    void place_outliers(Draw&, const Traits&);
    void size_rows_and_columns(Draw&, const Traits&);
    std::vector<float> blend(uint32_t left_row) const;
    std::vector<float> outlier_values(uint64_t row, std::span<const float> blended) const;
    float left(uint32_t row, uint32_t direction) const {
        return left_.element(row, left_index_[direction]) * static_cast<float>(sign_[direction]);
    }

    uint32_t rank_;
    Mixing left_, right_;               // U, V
    std::vector<uint32_t> left_index_;  // by direction: column of U
    std::vector<int8_t> sign_;          // by direction
    std::vector<uint32_t> slot_;        // by direction: column of V
    std::vector<uint32_t> left_row_;    // by row of the matrix: row of U
    std::vector<uint32_t> right_row_;   // by column of the matrix: row of V
    std::vector<float> amplitude_;      // by direction; 0 for those of outlier columns
    std::vector<uint32_t> slot_bits_;   // by slot: what left_.bits() says of the direction there
    std::vector<std::vector<float>> slot_amplitude_;  // by odd part of a row of U, by slot
    std::vector<float> row_size_, col_size_;
    uint32_t blended_;  // the first directions: see blend()
    uint32_t outlier_first_ = 0;
    std::vector<uint32_t> outlier_cols_;
    std::vector<float> outlier_mix_;  // by direction from outlier_first_, by outlier column
};

// Standard normal quantiles, cut where they would look like outliers.
double score(uint64_t index, uint64_t count) {
    constexpr double most = 2.75;
    return std::clamp(normal_quantile((static_cast<double>(index) + 0.5) / static_cast<double>(count)), -most,
                      most);
}

// Fourth moment over squared second moment of exp(width * score).
double tail_ratio(double width, uint64_t count) {
    const uint64_t n = std::min<uint64_t>(count, 1024);
    double second = 0, fourth = 0;
    for (uint64_t i = 0; i < n; ++i) {
        const double square = exp2(2 * width * score(i, n));
        second += square;
        fourth += square * square;
    }
    return fourth * static_cast<double>(n) / (second * second);
}

// Sizes with a mean square of 1 in a random order.
std::vector<float> sizes(Draw& draw, double width, uint64_t count) {
    std::vector<float> out(count);
    const std::vector<uint32_t> order = draw.permutation(static_cast<uint32_t>(count));
    double sum = 0;
    for (uint64_t i = 0; i < count; ++i) {
        const double size = exp2(width * score(i, count));
        sum += size * size;
        out[order[i]] = static_cast<float>(size);
    }
    const double scale = 1 / std::sqrt(sum / static_cast<double>(count));
    for (float& size : out)
        size = static_cast<float>(size * scale);
    return out;
}

MatrixMaker::MatrixMaker(uint64_t seed, const TensorSpec& spec, const Traits& traits)
    : TensorMaker(spec.shape[0], spec.shape[1]),
      rank_(static_cast<uint32_t>(std::min(rows(), cols()))),
      left_(mix_size_at_least(static_cast<uint32_t>(rows()))),
      right_(mix_size_at_least(static_cast<uint32_t>(cols()))),
      blended_(std::bit_floor(std::min(rank_, most_blended))) {
    Draw draw(seed, spec.name, "elements");
    left_row_ = draw.permutation(left_.size());
    left_row_.resize(rows());
    right_row_ = draw.permutation(right_.size());
    right_row_.resize(cols());
    place_directions(draw, traits);
    size_rows_and_columns(draw, traits);
    place_outliers(draw, traits);
}

void MatrixMaker::place_directions(Draw& draw, const Traits& traits) {
    left_index_ = draw.permutation(left_.size());
    left_index_.resize(rank_);
    slot_ = draw.permutation(right_.size());
    slot_.resize(rank_);
    amplitude_.resize(rank_);
    sign_.resize(rank_);
    double sum = 0;
    const auto is_outlier = [&](uint32_t i) { return i - traits.outlier_first < traits.outliers; };
    for (uint32_t i = 0; i < rank_; ++i) {
        sign_[i] = draw.coin() ? 1 : -1;
        const double amplitude = power(i + 1, -traits.decay);
        amplitude_[i] = static_cast<float>(amplitude);
        if (!is_outlier(i)) sum += amplitude * amplitude;
    }
    const double scale = traits.deviation / std::sqrt(sum);
    for (float& amplitude : amplitude_)
        amplitude = static_cast<float>(amplitude * scale);

    outlier_first_ = traits.outlier_first;
    outlier_mix_.resize(size_t{traits.outliers} * traits.outliers);
    const std::vector<double> mix = cosine_rotation(traits.outliers);
    // In a column of V each direction's weight is spread over all columns; here it falls on few.
    const double gathered = std::sqrt(static_cast<double>(cols()));
    for (uint32_t i = 0; i < traits.outliers; ++i) {
        float& amplitude = amplitude_[traits.outlier_first + i];
        for (uint32_t column = 0; column < traits.outliers; ++column)
            outlier_mix_[i * traits.outliers + column] =
                static_cast<float>(mix[i * traits.outliers + column] * amplitude * gathered);
        amplitude = 0;
    }

    slot_bits_.resize(right_.size());
    slot_amplitude_.assign(left_.parts().odd, std::vector<float>(right_.size()));
    for (uint32_t i = 0; i < rank_; ++i) {
        slot_bits_[slot_[i]] = left_.bits(left_index_[i]);
        for (uint32_t odd = 0; odd < left_.parts().odd; ++odd)
            slot_amplitude_[odd][slot_[i]] = amplitude_[i] * static_cast<float>(sign_[i]) *
                                             left_.odd_element(odd, left_.odd(left_index_[i]));
    }
}

void MatrixMaker::size_rows_and_columns(Draw& draw, const Traits& traits) {
    // Elements of U S V' are sums of many terms and nearly normal; what the sizes add to the kurtosis is a
    // factor.
    const double wanted = (traits.kurtosis + 3) / 3;
    const double row_part = std::sqrt(traits.row_part), col_part = std::sqrt(1 - traits.row_part);
    double least = 0, most = 2;
    for (int i = 0; i < 40; ++i) {
        const double width = (least + most) / 2;
        const bool enough =
            tail_ratio(width * row_part, rows()) * tail_ratio(width * col_part, cols()) >= wanted;
        (enough ? most : least) = width;
    }
    row_size_ = sizes(draw, least * row_part, rows());
    col_size_ = sizes(draw, least * col_part, cols());
    for (float& size : col_size_)
        if (draw.coin()) size = -size;  // a Hadamard rotation of the columns must not undo V'
}

void MatrixMaker::place_outliers(Draw& draw, const Traits& traits) {
    outlier_cols_ = draw.permutation(static_cast<uint32_t>(cols()));
    outlier_cols_.resize(traits.outliers);
    // Among few rows their sizes make a column larger or smaller by chance.
    constexpr uint64_t few = 2048;
    if (outlier_cols_.empty() || rows() > few) return;
    std::vector<double> squares(traits.outliers), wanted(traits.outliers);
    for (uint64_t row = 0; row < rows(); ++row) {
        const std::vector<float> values = outlier_values(row, blend(left_row_[row]));
        for (uint32_t column = 0; column < traits.outliers; ++column)
            squares[column] += static_cast<double>(values[column]) * values[column];
    }
    for (size_t i = 0; i < outlier_mix_.size(); ++i)
        wanted[i % traits.outliers] += static_cast<double>(outlier_mix_[i]) * outlier_mix_[i];
    for (size_t i = 0; i < outlier_mix_.size(); ++i) {
        const size_t column = i % traits.outliers;
        outlier_mix_[i] *=
            static_cast<float>(std::sqrt(wanted[column] * static_cast<double>(rows()) / squares[column]));
    }
}

std::vector<float> MatrixMaker::outlier_values(uint64_t row, std::span<const float> blended) const {
    const size_t count = outlier_cols_.size();
    std::vector<float> values(count);
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t direction = outlier_first_ + i;
        const float strength =
            row_size_[row] * (direction < blended_ ? blended[direction] : left(left_row_[row], direction));
        for (size_t column = 0; column < count; ++column)
            values[column] += strength * outlier_mix_[i * count + column];
    }
    return values;
}

// Elements of U are of one size; sums of 64 of them look like any other numbers. The first directions are
// rotated among each other, which leaves them orthonormal.
std::vector<float> MatrixMaker::blend(uint32_t left_row) const {
    std::vector<float> values(blended_);
    for (uint32_t i = 0; i < blended_; ++i)
        values[i] = left(left_row, i);
    walsh_hadamard(values);
    const float scale = 1 / std::sqrt(static_cast<float>(blended_));
    for (float& value : values)
        value *= scale;
    return values;
}

void MatrixMaker::row(uint64_t index, std::span<float> out, std::vector<float>& work) const {
    work.resize(right_.size());
    const uint32_t left_row = left_row_[index];
    const uint32_t bits = left_.bits(left_row);
    const float* amplitude = slot_amplitude_[left_.odd(left_row)].data();
    for (size_t slot = 0; slot < work.size(); ++slot) {
        uint32_t parity = bits & slot_bits_[slot];
        for (const int shift : {16, 8, 4, 2, 1})
            parity ^= parity >> shift;
        work[slot] = std::bit_cast<float>(std::bit_cast<uint32_t>(amplitude[slot]) ^ (parity << 31));
    }
    const std::vector<float> blended = blend(left_row);
    for (uint32_t i = 0; i < blended_; ++i)
        work[slot_[i]] = amplitude_[i] * blended[i];
    right_.apply(work);

    const float row_size = row_size_[index];
    for (size_t col = 0; col < out.size(); ++col)
        out[col] = work[right_row_[col]] * col_size_[col] * row_size;

    const std::vector<float> outliers = outlier_values(index, blended);
    for (size_t column = 0; column < outliers.size(); ++column)
        out[outlier_cols_[column]] = outliers[column];
}

}  // namespace

std::unique_ptr<TensorMaker> matrix_maker(uint64_t seed, const TensorSpec& spec, const Traits& traits) {
    return std::make_unique<MatrixMaker>(seed, spec, traits);
}

}  // namespace halftone::synth
