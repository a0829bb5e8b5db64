#include "core/run/objectives.hpp"

#include <cmath>

#include "core/base/error.hpp"
#include "core/linalg/factor.hpp"
#include "core/linalg/gemm.hpp"
#include "core/linalg/svd.hpp"
#include "core/rounding/views.hpp"
#include "core/run/read_matrix.hpp"

namespace halftone {
namespace {

Matrix transposed(const Matrix& m) {
    Matrix result(m.cols(), m.rows());
    for (uint64_t i = 0; i < m.rows(); ++i)
        for (uint64_t j = 0; j < m.cols(); ++j)
            result.view().row(j)[i] = m.view().row(i)[j];
    return result;
}

// B with B B' = H. A little is added to the diagonal, since few samples leave H singular.
Matrix root_of(SquareMatrix h, const std::string& name) {
    double mean = 0;
    for (uint64_t i = 0; i < h.n; ++i)
        mean += h(i, i) / static_cast<double>(h.n);
    for (double damping = 1e-6; damping < 1; damping *= 10) {
        SquareMatrix damped = h;
        for (uint64_t i = 0; i < h.n; ++i)
            damped(i, i) += damping * mean;
        if (mean > 0 && cholesky(damped)) return to_float(damped);
    }
    fail(Exit::input, name, "is no second moment: it is not positive definite");
}

// What stretches nothing: the gain and the step of an optimizer then mean the same for every objective.
void scale(Matrix& m, const Tensor& tensor) {
    const double norm = spectral_norm(m);
    if (!(norm > 0)) fail(Exit::input, tensor.name, "holds nothing but zeros");
    const auto by = static_cast<float>(1 / norm);
    for (uint64_t i = 0; i < m.rows() * m.cols(); ++i)
        m.data()[i] *= by;
}

bool orthonormal_columns(const Matrix& m) {
    return m.cols() <= m.rows() && departure_from_identity(gram(m)) <= 1e-4;
}

Matrix right_of(const PlannedObjective& planned) {
    if (planned.right) return read_matrix(*planned.file, *planned.right);
    if (planned.second_moment)
        return root_of(to_double(read_matrix(*planned.file, *planned.second_moment)),
                       planned.second_moment->name);
    if (!planned.inputs) return {};
    // Few samples are the factor themselves; of many, the second moment has the smaller root.
    const Matrix inputs = read_matrix(*planned.file, *planned.inputs);
    return inputs.rows() <= inputs.cols() ? transposed(inputs) : root_of(gram(inputs), planned.inputs->name);
}

const Tensor& tensor_of_right(const PlannedObjective& planned) {
    return planned.right ? *planned.right : planned.inputs ? *planned.inputs : *planned.second_moment;
}

}  // namespace

Objective make_objective(const PlannedObjective& planned, const FormatPlan& format) {
    Objective result;
    result.name = planned.name;
    result.singular_directions = planned.singular_directions;
    if (result.singular_directions > 0) return result;
    auto factors = std::make_shared<Factors>();
    bool orthonormal = true;
    if (planned.left) {
        factors->left = read_matrix(*planned.file, *planned.left);
        scale(factors->left, *planned.left);
        orthonormal = orthonormal_columns(transposed(factors->left));
    }
    factors->right = right_of(planned);
    if (!factors->right.empty()) {
        scale(factors->right, tensor_of_right(planned));
        orthonormal = orthonormal && orthonormal_columns(factors->right);
        // A column of B meets a row of the error, and those are rotated.
        Matrix rows = transposed(factors->right);
        format.rotate(false, view_of(rows), rows.rows());
        factors->right = transposed(rows);
    }
    factors->orthonormal = orthonormal;
    result.factors = std::move(factors);
    return result;
}

}  // namespace halftone
