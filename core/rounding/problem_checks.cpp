#include "core/rounding/problem_checks.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/error.hpp"

namespace halftone {

void MatrixAllowance::take(Extent wanted) {
    if (wanted.rows == 0 || wanted.cols == 0)
        fail(Exit::plugin, "", "mat() was asked for a matrix without elements");
    const bool small = wanted.cols < weights_.rows * weights_.cols / wanted.rows;
    if (wanted == projection_ && projections_left_ > 0)
        --projections_left_;
    else if (wanted == weights_ && large_left_ > 0)
        --large_left_;
    else if (!small || wanted == projection_)
        fail(Exit::plugin, "", "mat() was asked for another matrix of {} x {}, beyond what mats() told",
             wanted.rows, wanted.cols);
}

size_t matrix_index(ht_mat handle, size_t made) {
    if (handle < HT_MAT_FIRST || handle - HT_MAT_FIRST >= made)
        fail(Exit::plugin, "", "used {} as a matrix, and there is none of that number", handle);
    return handle - HT_MAT_FIRST;
}

size_t number_index(ht_num handle, size_t made) {
    if (handle >= made)
        fail(Exit::plugin, "", "used {} as a number, and there is none of that number", handle);
    return handle;
}

void require_writable(ht_mat handle) {
    if (handle < HT_MAT_FIRST) fail(Exit::plugin, "", "would write to matrix {}, which is read only", handle);
}

void require_same(Extent a, Extent b, const char* function) {
    if (a != b)
        fail(Exit::plugin, "", "{} was given matrices of {} x {} and {} x {}", function, a.rows, a.cols,
             b.rows, b.cols);
}

void require_projection(Extent p, const Problem::Shape& shape) {
    if (p != Extent{shape.p_rows, shape.p_cols})
        fail(Exit::plugin, "", "used a matrix of {} x {} where the objective's is {} x {}", p.rows, p.cols,
             shape.p_rows, shape.p_cols);
}

void require_product(Extent a, bool ta, Extent b, bool tb, Extent c) {
    if (ta) std::swap(a.rows, a.cols);
    if (tb) std::swap(b.rows, b.cols);
    if (a.rows != c.rows || b.cols != c.cols || a.cols != b.rows)
        fail(Exit::plugin, "", "gemm() was given shapes that do not match");
}

void require_space(ht_space space) {
    if (space != HT_SPACE_VALUES && space != HT_SPACE_STEPS)
        fail(Exit::plugin, "", "{} is no space of numbers", space);
}

void require_stored_as_judged(const FormatPlan& format, double told, double stored) {
    if (std::fabs(stored - told) <= 1e-6 * std::max(stored, told)) return;
    fail(Exit::plugin, format.plugin(),
         "its stored bytes are not what its snap() told: a squared error of {:g} was judged, and {:g} is "
         "stored",
         told, stored);
}

}  // namespace halftone
