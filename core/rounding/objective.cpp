#include "core/rounding/objective.hpp"

namespace halftone {

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
