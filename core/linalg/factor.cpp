#include "core/linalg/factor.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "core/linalg/blas_call.hpp"
#include "core/linalg/gemm.hpp"
#include "core/linalg/tiles.hpp"

// LAPACK's own names: the C headers for it are a package of their own.
extern "C" {
void dpotrf_(const char*, const int*, double*, const int*, int*);
void dtrtri_(const char*, const char*, const int*, double*, const int*, int*);
void dsyevd_(const char*, const char*, const int*, double*, const int*, double*, double*, const int*, int*,
             const int*, int*);
void sgelqf_(const int*, const int*, float*, const int*, float*, float*, const int*, int*);
void sorglq_(const int*, const int*, const int*, float*, const int*, const float*, float*, const int*, int*);
}

namespace halftone {
namespace {

int whole(uint64_t n) {
    return static_cast<int>(n);
}

// x <- x R^-1 with R' R = g. False where g is not positive definite.
bool cholesky_step(Matrix& x, SquareMatrix g, double shift) {
    for (uint64_t i = 0; i < g.n; ++i)
        g(i, i) += shift;
    if (!cholesky(g)) return false;
    invert_lower(g);
    const Matrix inverse = to_float(g);  // L^-1 = (R^-1)'
    Matrix result(x.rows(), x.cols());
    gemm(1, x, Op::plain, inverse, Op::transpose, 0, result);
    x = std::move(result);
    return true;
}

// Householder reflections, for what Cholesky cannot take. To LAPACK, whose matrices lie column by column, x
// is its own transpose.
void reflect(Matrix& x) {
    const BlasCall call;
    const int n = whole(x.cols()), m = whole(x.rows());
    std::vector<float> tau(x.cols());
    float best = 0;
    int ask = -1, info = 0;
    sgelqf_(&n, &m, x.data(), &n, tau.data(), &best, &ask, &info);
    std::vector<float> work(static_cast<size_t>(best) + 1);
    int size = whole(work.size());
    sgelqf_(&n, &m, x.data(), &n, tau.data(), work.data(), &size, &info);
    if (info == 0) sorglq_(&n, &m, &n, x.data(), &n, tau.data(), &best, &ask, &info);
    work.resize(std::max(work.size(), static_cast<size_t>(best) + 1));
    size = whole(work.size());
    if (info == 0) sorglq_(&n, &m, &n, x.data(), &n, tau.data(), work.data(), &size, &info);
    if (info != 0) throw std::logic_error("orthonormalize: LAPACK takes no such matrix");
}

}  // namespace

SquareMatrix gram(ConstMatrixView x) {
    constexpr uint64_t chunk = 512, tile = 256;
    SquareMatrix result(x.cols);
    const uint64_t across = pieces(x.cols, tile);
    each_tile(across * across, [&](uint64_t index) {
        const uint64_t row = index / across * tile, col = index % across * tile;
        if (col < row) return;
        const uint64_t rows = std::min(tile, x.cols - row), cols = std::min(tile, x.cols - col);
        Matrix part(rows, cols);
        for (uint64_t k = 0; k < x.rows; k += chunk) {
            const uint64_t n = std::min(chunk, x.rows - k);
            gemm_tile(1, x.block(k, row, n, rows), Op::transpose, x.block(k, col, n, cols), Op::plain, 0,
                      part);
            for (uint64_t i = 0; i < rows; ++i)
                for (uint64_t j = 0; j < cols; ++j)
                    result(row + i, col + j) += static_cast<double>(part.view().row(i)[j]);
        }
    });
    for (uint64_t i = 0; i < x.cols; ++i)
        for (uint64_t j = 0; j < i; ++j)
            result(i, j) = result(j, i);
    return result;
}

double departure_from_identity(const SquareMatrix& g) {
    double most = 0;
    for (uint64_t i = 0; i < g.n; ++i)
        for (uint64_t j = 0; j < g.n; ++j) {
            const double d = std::fabs(g(i, j) - (i == j ? 1.0 : 0.0));
            if (!(d <= most)) most = d;  // NaN counts as far
        }
    return most;
}

SquareMatrix to_double(ConstMatrixView m) {
    SquareMatrix result(m.rows);
    for (uint64_t i = 0; i < m.rows; ++i)
        std::copy_n(m.row(i), m.cols, result.at.begin() + static_cast<ptrdiff_t>(i * m.rows));
    return result;
}

Matrix to_float(const SquareMatrix& m) {
    Matrix result(m.n, m.n);
    std::ranges::transform(m.at, result.data(), [](double x) { return static_cast<float>(x); });
    return result;
}

bool cholesky(SquareMatrix& a) {
    const BlasCall call;
    const int n = whole(a.n);
    int info = 0;
    dpotrf_("U", &n, a.at.data(), &n, &info);  // the upper triangle column by column: our lower, row by row
    for (uint64_t i = 0; i < a.n; ++i)
        for (uint64_t j = i + 1; j < a.n; ++j)
            a(i, j) = 0;
    return info == 0;
}

void invert_lower(SquareMatrix& lower) {
    const BlasCall call;
    const int n = whole(lower.n);
    int info = 0;
    dtrtri_("U", "N", &n, lower.at.data(), &n, &info);
    if (info != 0) throw std::logic_error("invert_lower: there is a zero on the diagonal");
}

std::vector<double> eigen(SquareMatrix& a) {
    const BlasCall call;
    const int n = whole(a.n);
    std::vector<double> values(a.n);
    double best = 0;
    int best_whole = 0, ask = -1, info = 0;
    dsyevd_("V", "U", &n, a.at.data(), &n, values.data(), &best, &ask, &best_whole, &ask, &info);
    std::vector<double> work(static_cast<size_t>(best) + 1);
    std::vector<int> whole_work(static_cast<size_t>(best_whole) + 1);
    const int size = whole(work.size()), whole_size = whole(whole_work.size());
    dsyevd_("V", "U", &n, a.at.data(), &n, values.data(), work.data(), &size, whole_work.data(), &whole_size,
            &info);
    if (info != 0) throw std::runtime_error("the eigenvalues of a matrix did not converge");
    return values;
}

void orthonormalize(Matrix& x) {
    if (x.cols() > x.rows()) throw std::logic_error("orthonormalize: more columns than rows");
    constexpr double good = 4e-6;
    for (int pass = 0; pass < 6; ++pass) {
        const SquareMatrix g = gram(x);
        if (departure_from_identity(g) < good) return;
        if (cholesky_step(x, g, 0)) continue;
        double trace = 0;
        for (uint64_t i = 0; i < g.n; ++i)
            trace += g(i, i);
        // Large enough to make up for what rounding took from the smallest directions.
        const double shift = 1e-6 * trace;
        if (!(trace > 0) || !std::isfinite(trace) || !cholesky_step(x, g, shift)) break;
    }
    reflect(x);
}

}  // namespace halftone
