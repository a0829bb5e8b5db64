// The numbers of a matrix that decide about its codebook: comfy-kitchen's own choice of them, which follows
// from the shape alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace halftone::asym_w4a8_int8 {

// Numbers are counted along the sampled rows, one after the other.
class Sample {
  public:
    // Shared by all that ask for this shape at a time.
    static std::shared_ptr<const Sample> of(uint64_t rows, uint64_t cols);

    static uint64_t row_count(uint64_t rows, uint64_t cols);  // how many rows are sampled, evenly spaced
    static uint64_t fit_count(uint64_t rows, uint64_t cols);  // how many numbers fit_codebook() gets

    Sample(uint64_t rows, uint64_t cols);

    // Calls visit(row, s) for the sampled rows from `row` on, `rows` of them looked at; s counts sampled
    // rows.
    template <class Visit>
    void each_row(uint64_t row, uint64_t rows, Visit&& visit) const {
        uint64_t s = first_from(row);
        for (uint64_t at = 0; s < count_ && (at = row_at(s)) < row + rows; ++s)
            visit(at, s);
    }

    // Calls visit(column) for what is drawn of sampled row s, as often as it was drawn.
    template <class Visit>
    void each_judged(uint64_t s, Visit&& visit) const {
        each(judged_, s, visit);
    }
    template <class Visit>
    void each_fitted(uint64_t s, Visit&& visit) const {
        each(fitted_, s, visit);
    }

  private:
    uint64_t first_from(uint64_t row) const;
    uint64_t row_at(uint64_t s) const { return rows_.empty() ? s : rows_[s]; }
    std::span<const uint32_t> drawn_of(const std::vector<uint32_t>& drawn, uint64_t s) const;

    template <class Visit>
    void each(const std::vector<uint32_t>& drawn, uint64_t s, Visit&& visit) const {
        if (drawn.empty())
            for (uint64_t j = 0; j < cols_; ++j)
                visit(j);
        else
            for (const uint32_t number : drawn_of(drawn, s))
                visit(number - s * cols_);
    }

    uint64_t cols_, count_;
    std::vector<uint64_t> rows_;             // empty: all
    std::vector<uint32_t> judged_, fitted_;  // ascending; empty: all numbers
};

}  // namespace halftone::asym_w4a8_int8
