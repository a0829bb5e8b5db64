#include "core/rounding/objective.hpp"

namespace halftone {

bool right_factor_first(bool left, bool right, uint64_t rows, uint64_t cols, uint64_t p_rows,
                        uint64_t p_cols) {
    if (!left || !right) return right;
    return rows * p_cols * (cols + p_rows) <= cols * p_rows * (rows + p_cols);
}

double judged(const Judge& judge, const Measured& score, const Measured& nearest) {
    if (score.squared_error > judge.squared_error_cap * nearest.squared_error)
        return std::numeric_limits<double>::infinity();
    double sum = 0, weights = 0;
    for (size_t i = 0; i < judge.terms.size(); ++i) {
        const double weight = judge.terms[i].weight, least = nearest.terms[i], now = score.terms[i];
        weights += weight;
        if (least > 0)
            sum += weight * (now / least);
        else if (now > 0)
            return std::numeric_limits<double>::infinity();
    }
    return weights > 0 ? sum / weights : 0;
}

}  // namespace halftone
