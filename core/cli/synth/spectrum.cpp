#include "core/cli/synth/spectrum.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "core/cli/synth/draw.hpp"

namespace halftone::synth {

namespace {

struct Tridiagonal {
    std::vector<double> diagonal, beside;  // beside[i] is between i and i + 1
};

// `matrix` is symmetric and lost; only its lower triangle is read.
Tridiagonal tridiagonal(std::vector<double>& matrix, size_t n) {
    Tridiagonal result{std::vector<double>(n), std::vector<double>(n)};
    std::vector<double> product(n);
    const auto row = [&](size_t i) { return matrix.data() + i * n; };
    for (size_t k = n - 1; k > 0; --k) {
        // Row k left of the diagonal becomes (0, ..., 0, s) by a reflection of the first k coordinates.
        double* v = row(k);
        double square = 0;
        for (size_t j = 0; j < k; ++j)
            square += v[j] * v[j];
        const double last = v[k - 1];
        result.diagonal[k] = v[k];
        result.beside[k - 1] = last > 0 ? -std::sqrt(square) : std::sqrt(square);
        v[k - 1] -= result.beside[k - 1];
        const double half = square - last * result.beside[k - 1];  // half the squared length of the new v
        if (half <= 0) continue;

        // A <- A - v q' - q v' with q = (A v - v (v' A v) / (2 half)) / half.
        std::fill_n(product.begin(), k, 0.0);
        for (size_t i = 0; i < k; ++i) {
            const double* a = row(i);
            double sum = a[i] * v[i];
            for (size_t j = 0; j < i; ++j) {
                sum += a[j] * v[j];
                product[j] += a[j] * v[i];
            }
            product[i] += sum;
        }
        double inner = 0;
        for (size_t i = 0; i < k; ++i) {
            product[i] /= half;
            inner += product[i] * v[i];
        }
        for (size_t i = 0; i < k; ++i)
            product[i] -= inner / (2 * half) * v[i];
        for (size_t i = 0; i < k; ++i) {
            double* a = row(i);
            for (size_t j = 0; j <= i; ++j)
                a[j] -= v[i] * product[j] + product[i] * v[j];
        }
    }
    result.diagonal[0] = matrix[0];
    return result;
}

// One implicit QL step on the rows from `first` to `last`, shifted towards the eigenvalue at `first`.
void ql_step(std::vector<double>& d, std::vector<double>& e, size_t first, size_t last) {
    const double g0 = (d[first + 1] - d[first]) / (2 * e[first]);
    double g = d[last] - d[first] + e[first] / (g0 + std::copysign(std::hypot(g0, 1.0), g0));
    double s = 1, c = 1, p = 0;
    for (size_t i = last; i-- > first;) {
        const double f = s * e[i], b = c * e[i];
        const double r = std::hypot(f, g);
        e[i + 1] = r;
        if (r == 0) {
            d[i + 1] -= p;
            e[last] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        const double t = (d[i] - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p;
        g = c * t - b;
    }
    d[first] -= p;
    e[first] = g;
    e[last] = 0;
}

// target (n x n) += the product of the transposed band with itself.
void add_columns_gram(std::span<const float> band, size_t n, std::vector<double>& target) {
    for (size_t at = 0; at < band.size(); at += n)
        for (size_t i = 0; i < n; ++i) {
            const double x = band[at + i];
            for (size_t j = 0; j <= i; ++j)
                target[i * n + j] += x * band[at + j];
        }
}

void mirror(std::vector<double>& matrix, size_t n) {
    for (size_t i = 0; i < n; ++i)
        for (size_t j = 0; j < i; ++j)
            matrix[j * n + i] = matrix[i * n + j];
}

std::vector<double> square_roots(std::vector<double> values) {
    for (double& value : values)
        value = std::sqrt(std::max(value, 0.0));
    return values;
}

std::vector<double> all_values(const BandedMatrix& matrix) {
    const size_t rank = std::min(matrix.rows, matrix.cols);
    std::vector<double> gram(rank * rank);
    if (matrix.cols <= matrix.rows) {
        matrix.each_band([&](std::span<const float> band) { add_columns_gram(band, rank, gram); });
    } else {
        std::vector<float> transposed(rank * matrix.cols);
        size_t row = 0;
        matrix.each_band([&](std::span<const float> band) {
            for (size_t at = 0; at < band.size(); at += matrix.cols, ++row)
                for (size_t col = 0; col < matrix.cols; ++col)
                    transposed[col * rank + row] = band[at + col];
        });
        add_columns_gram(transposed, rank, gram);
    }
    mirror(gram, rank);
    return square_roots(eigenvalues(std::move(gram), rank));
}

constexpr size_t block = 96;  // twice the leading values, so that these converge fast

// Columns of `basis` (n x block, row after row) made orthonormal; twice, because once is not enough for
// columns that are nearly parallel.
void orthonormalize(std::vector<float>& basis) {
    const size_t n = basis.size() / block;
    std::vector<double> overlap(block);
    for (size_t column = 0; column < block; ++column)
        for (int round = 0; round < 2; ++round) {
            std::fill(overlap.begin(), overlap.end(), 0.0);
            for (size_t i = 0; i < n; ++i) {
                const float* row = &basis[i * block];
                const double x = row[column];
                for (size_t j = 0; j <= column; ++j)
                    overlap[j] += x * row[j];
            }
            for (size_t i = 0; i < n; ++i) {
                float* row = &basis[i * block];
                double x = row[column];
                for (size_t j = 0; j < column; ++j)
                    x -= overlap[j] * row[j];
                row[column] = static_cast<float>(x);
            }
            double square = 0;
            for (size_t i = 0; i < n; ++i)
                square += static_cast<double>(basis[i * block + column]) * basis[i * block + column];
            const auto scale = static_cast<float>(square > 0 ? 1 / std::sqrt(square) : 0);
            for (size_t i = 0; i < n; ++i)
                basis[i * block + column] *= scale;
        }
}

void add_scaled(float* to, float factor, const float* from) {
    for (size_t i = 0; i < block; ++i)
        to[i] += factor * from[i];
}

// A' A times the basis, in one pass over the matrix.
std::vector<float> applied(const BandedMatrix& matrix, const std::vector<float>& basis) {
    constexpr size_t most_rows = 8;  // the basis is read once for so many rows
    std::vector<float> result(basis.size());
    std::array<std::array<float, block>, most_rows> image;
    matrix.each_band([&](std::span<const float> band) {
        const size_t cols = matrix.cols;
        for (size_t at = 0; at < band.size(); at += most_rows * cols) {
            const size_t rows = std::min(most_rows, (band.size() - at) / cols);
            for (auto& row : image)
                row.fill(0);
            for (size_t col = 0; col < cols; ++col)
                for (size_t row = 0; row < rows; ++row)
                    add_scaled(image[row].data(), band[at + row * cols + col], &basis[col * block]);
            for (size_t col = 0; col < cols; ++col)
                for (size_t row = 0; row < rows; ++row)
                    add_scaled(&result[col * block], band[at + row * cols + col], image[row].data());
        }
    });
    return result;
}

std::vector<double> leading_values(const BandedMatrix& matrix) {
    constexpr int rounds = 4;
    std::vector<float> basis(matrix.cols * block);
    Draw draw(1, "subspace", "start");
    for (float& x : basis)
        x = static_cast<float>(draw.uniform() - 0.5);
    for (int round = 1; round < rounds; ++round) {
        orthonormalize(basis);
        basis = applied(matrix, basis);
    }
    orthonormalize(basis);
    const std::vector<float> image = applied(matrix, basis);
    std::vector<double> small(block * block);
    for (size_t row = 0; row < matrix.cols; ++row)
        for (size_t i = 0; i < block; ++i)
            for (size_t j = 0; j <= i; ++j)
                small[i * block + j] += static_cast<double>(basis[row * block + i]) * image[row * block + j];
    mirror(small, block);
    std::vector<double> values = square_roots(eigenvalues(std::move(small), block));
    values.resize(SingularValues::leading);
    return values;
}

}  // namespace

std::vector<double> eigenvalues(std::vector<double> matrix, size_t size) {
    if (size == 0) return {};
    auto [d, e] = tridiagonal(matrix, size);
    for (size_t first = 0; first < size; ++first) {
        constexpr int most_steps = 60;
        for (int step = 0;; ++step) {
            size_t last = first;
            while (last + 1 < size && std::abs(e[last]) > std::numeric_limits<double>::epsilon() *
                                                              (std::abs(d[last]) + std::abs(d[last + 1])))
                ++last;
            if (last == first) break;
            if (step == most_steps) throw std::runtime_error("eigenvalues do not converge");
            ql_step(d, e, first, last);
        }
    }
    std::ranges::sort(d, std::greater<>());
    return d;
}

SingularValues singular_values(const BandedMatrix& matrix) {
    // A wide matrix is turned around in memory; what is too large for that is treated like one with many
    // values.
    constexpr uint64_t most_turned = 16U << 20;
    const uint64_t rank = std::min(matrix.rows, matrix.cols);
    const bool exact =
        rank <= block || (rank <= SingularValues::exact_rank &&
                          (matrix.cols <= matrix.rows || matrix.rows * matrix.cols <= most_turned));
    return exact ? SingularValues{all_values(matrix), true} : SingularValues{leading_values(matrix), false};
}

double fitted_decay(const SingularValues& found, uint64_t rank) {
    const size_t n = std::clamp<uint64_t>(rank / 4, 2, std::min<uint64_t>(SingularValues::leading, rank));
    // Least squares of log(value) over log(i) with the weight 1/i.
    double weights = 0, xs = 0, ys = 0, xx = 0, xy = 0;
    for (size_t i = 0; i < n && i < found.values.size() && found.values[i] > 0; ++i) {
        const double weight = 1.0 / static_cast<double>(i + 1);
        const double x = std::log(static_cast<double>(i + 1)), y = std::log(found.values[i]);
        weights += weight;
        xs += weight * x;
        ys += weight * y;
        xx += weight * x * x;
        xy += weight * x * y;
    }
    const double spread = weights * xx - xs * xs;
    return spread > 0 ? -(weights * xy - xs * ys) / spread : 0;
}

}  // namespace halftone::synth
