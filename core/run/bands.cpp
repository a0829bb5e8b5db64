#include "core/run/bands.hpp"

#include <algorithm>
#include <numeric>

namespace halftone {

Bands::Bands(uint64_t rows, uint64_t cols, uint64_t granule_rows, uint64_t source_granule_rows,
             uint64_t piece_cols)
    : rows_(rows), cols_(cols), cols_of_part_(cols) {
    granule_rows = std::min(granule_rows, std::max<uint64_t>(rows, 1));  // "never split" may be a huge number
    // 128 Ki elements are 512 KiB as float32: with the source beside them they stay in a second-level cache,
    // and the cost of a read call is spread over enough of them.
    constexpr uint64_t wanted = 128 * 1024;
    constexpr uint64_t most_for_both = 4 * wanted, most_of_a_row = 4 * wanted;
    if (source_granule_rows > 1 && source_granule_rows <= rows) {
        const uint64_t both =
            granule_rows / std::gcd(granule_rows, source_granule_rows) * source_granule_rows;
        if (both <= rows && both * std::max<uint64_t>(cols, 1) <= most_for_both) granule_rows = both;
    }
    const uint64_t granule = granule_rows * std::max<uint64_t>(cols, 1);
    per_band_ = std::max<uint64_t>(1, wanted / granule) * granule_rows;
    per_band_ = std::min(per_band_, (rows + granule_rows - 1) / granule_rows * granule_rows);
    if (piece_cols > 0 && granule_rows == 1 && source_granule_rows <= 1 && cols > most_of_a_row) {
        per_band_ = 1;
        cols_of_part_ = std::min(cols, std::max<uint64_t>(1, wanted / piece_cols) * piece_cols);
        parts_ = (cols + cols_of_part_ - 1) / cols_of_part_;
    }
    count_ = rows == 0 ? 0 : (rows + per_band_ - 1) / per_band_;
}

ht_region Bands::region(uint64_t index) const {
    const uint64_t row = index / parts_ * per_band_, col = index % parts_ * cols_of_part_;
    return {row, col, std::min(per_band_, rows_ - row), std::min(cols_of_part_, cols_ - col)};
}

uint64_t common_piece(uint64_t piece_cols, uint64_t other_piece_cols) {
    return piece_cols == 0 || other_piece_cols == 0 ? 0 : std::lcm(piece_cols, other_piece_cols);
}

}  // namespace halftone
