#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>

#include "core/checkpoint/checkpoint.hpp"
#include "core/cli/synth/measure.hpp"
#include "core/cli/synth/model.hpp"
#include "core/cli/synth/spectrum.hpp"
#include "core/cli/synth/tensor_maker.hpp"
#include "core/cli/synth/traits.hpp"
#include "tests/unit/base/temporary_folder.hpp"

namespace halftone::synth {
namespace {

constexpr uint64_t seeds[] = {1, 2, 3};

BandedMatrix banded(uint64_t rows, uint64_t cols, const std::vector<float>& values, uint64_t band = 7) {
    return {rows, cols, [&values, cols, band](const auto& use) {
                const std::span<const float> all(values);
                for (size_t at = 0; at < all.size(); at += band * cols)
                    use(all.subspan(at, std::min<size_t>(band * cols, all.size() - at)));
            }};
}

TEST(SynthSpectrum, EigenvaluesOfKnownMatrices) {
    EXPECT_EQ(eigenvalues({}, 0).size(), 0U);
    EXPECT_EQ(eigenvalues({5}, 1), std::vector<double>{5});
    const std::vector<double> of_two = eigenvalues({2, 1, 1, 2}, 2);
    EXPECT_NEAR(of_two[0], 3, 1e-14);
    EXPECT_NEAR(of_two[1], 1, 1e-14);

    // The discrete Laplacian.
    constexpr size_t n = 100;
    std::vector<double> laplacian(n * n);
    for (size_t i = 0; i < n; ++i) {
        laplacian[i * n + i] = 2;
        if (i > 0) laplacian[i * n + i - 1] = laplacian[(i - 1) * n + i] = -1;
    }
    const std::vector<double> found = eigenvalues(laplacian, n);
    for (size_t i = 0; i < n; ++i)
        EXPECT_NEAR(found[i], 2 - 2 * std::cos(M_PI * static_cast<double>(n - i) / (n + 1)), 1e-12);
    EXPECT_EQ(eigenvalues(std::vector<double>(9), 3), std::vector<double>(3));
}

TEST(SynthSpectrum, EigenvaluesOfRandomMatricesKeepTraceAndNorm) {
    std::mt19937_64 random(4);
    std::normal_distribution<double> normal;
    for (const size_t n : {3U, 10U, 57U, 128U}) {
        std::vector<double> matrix(n * n);
        double trace = 0, norm = 0;
        for (size_t i = 0; i < n; ++i)
            for (size_t j = 0; j <= i; ++j) {
                const double x = normal(random);
                matrix[i * n + j] = matrix[j * n + i] = x;
                trace += i == j ? x : 0;
                norm += (i == j ? 1 : 2) * x * x;
            }
        double sum = 0, squares = 0;
        for (const double x : eigenvalues(matrix, n)) {
            sum += x;
            squares += x * x;
        }
        EXPECT_NEAR(sum, trace, 1e-10 * static_cast<double>(n));
        EXPECT_NEAR(squares / norm, 1, 1e-11);
    }
}

TEST(SynthSpectrum, SingularValuesOfAMatrixWithAKnownSpectrum) {
    // diag(1 / i) between two Householder reflections, tall and wide.
    for (const auto& [rows, cols] : {std::pair<uint64_t, uint64_t>{90, 40}, {40, 90}, {64, 64}}) {
        const auto reflection = [](uint64_t n, uint64_t i, uint64_t j) {
            return (i == j ? 1.0 : 0.0) - 2.0 / static_cast<double>(n);
        };
        std::vector<float> values(rows * cols);
        const uint64_t rank = std::min(rows, cols);
        for (uint64_t i = 0; i < rows; ++i)
            for (uint64_t j = 0; j < cols; ++j) {
                double sum = 0;
                for (uint64_t k = 0; k < rank; ++k)
                    sum += reflection(rows, i, k) * reflection(cols, k, j) / static_cast<double>(k + 1);
                values[i * cols + j] = static_cast<float>(sum);
            }
        const SingularValues found = singular_values(banded(rows, cols, values));
        EXPECT_TRUE(found.all);
        ASSERT_EQ(found.values.size(), rank);
        for (uint64_t i = 0; i < rank; ++i)
            EXPECT_NEAR(found.values[i], 1.0 / static_cast<double>(i + 1), 1e-5);
        EXPECT_NEAR(fitted_decay(found, rank), 1, 1e-3);
    }
}

TEST(SynthSpectrum, LeadingValuesAgreeWithTheWholeSpectrum) {
    // Larger than what is done exactly, but the same values as a smaller matrix: every row twice, over root
    // two.
    const uint64_t rows = SingularValues::exact_rank, cols = 576;
    const TensorSpec spec{"w", {rows, cols}, Kind::matrix};
    const auto maker = tensor_maker(5, spec);
    std::vector<float> once(rows * cols), twice(2 * rows * cols), work;
    for (uint64_t row = 0; row < rows; ++row) {
        maker->row(row, std::span(once).subspan(row * cols, cols), work);
        for (uint64_t copy = 0; copy < 2; ++copy)
            for (uint64_t col = 0; col < cols; ++col)
                twice[(2 * row + copy) * cols + col] = once[row * cols + col] / std::sqrt(2.0F);
    }
    const SingularValues whole = singular_values(banded(rows, cols, once)),
                         leading = singular_values(banded(2 * rows, cols, twice, 100));
    EXPECT_TRUE(whole.all);
    EXPECT_FALSE(leading.all);
    ASSERT_EQ(leading.values.size(), SingularValues::leading);
    for (size_t i = 0; i < leading.values.size(); ++i)
        EXPECT_NEAR(leading.values[i] / whole.values[i], 1, 0.01) << i;
}

class SynthStatistics : public testing::TestWithParam<std::tuple<std::string_view, Scale>> {
  protected:
    // Calls the function with every matrix of a model of every seed.
    template <class Function>
    void each_matrix(Function function) {
        const auto [family, scale] = GetParam();
        for (const uint64_t seed : seeds) {
            const TemporaryFolder folder;
            const ModelChoice model{find_family(family), scale, 1, HT_DTYPE_BF16, seed};
            ModelWriter::Settings settings;
            settings.output.path = folder.path() / "m";
            Workers workers({.threads = 2, .memory = 0});
            Progress progress;
            ModelWriter(model, settings).write(workers, progress);
            const auto checkpoint = Checkpoint::open(folder.path() / "m");
            for (const TensorSpec& spec : model.tensors()) {
                const Tensor& tensor = *checkpoint.find(spec.name);
                if (!measurable(tensor)) continue;
                SCOPED_TRACE(fmt::format("{} {} seed {}", spec.name, to_string(spec.shape), seed));
                function(draw_traits(seed, spec.name, spec.shape[0], spec.shape[1], spec.kind),
                         measure(checkpoint, tensor), spec.shape);
            }
            if (scale != Scale::tiny) break;  // one seed of a larger model has matrices enough
        }
    }
};

void expect_within_limits(const Measured& found, const Shape& shape) {
    const TraitLimits& limits = trait_limits;
    EXPECT_GE(found.decay, limits.decay_least);
    EXPECT_LE(found.decay, limits.decay_most);
    EXPECT_GE(found.kurtosis, limits.kurtosis_least);
    EXPECT_LE(found.kurtosis, limits.kurtosis_most);
    if (shape[1] < 100) {
        EXPECT_EQ(found.outliers, 0U);
        return;
    }
    const double share = static_cast<double>(found.outliers) / static_cast<double>(shape[1]);
    EXPECT_GE(share, limits.share_least);
    EXPECT_LE(share, limits.share_most);
    EXPECT_GE(found.factor_least, limits.factor_least);
    EXPECT_LE(found.factor_most, limits.factor_most);
}

void expect_as_declared(const Measured& found, const Traits& declared, bool tiny) {
    EXPECT_NEAR(found.decay, declared.decay, tiny ? 0.06 : 0.03);
    EXPECT_NEAR(found.deviation / declared.deviation, 1, 0.05);
    // Decided by few elements, and so more by chance the smaller the matrix.
    EXPECT_NEAR((found.kurtosis + 3) / (declared.kurtosis + 3), 1, tiny ? 0.45 : 0.3);
    ASSERT_EQ(found.outliers, declared.outliers);
    if (declared.outliers == 0) return;
    EXPECT_NEAR(found.factor_least / declared.factor_least, 1, 0.08);
    EXPECT_NEAR(found.factor_most / declared.factor_most, 1, 0.08);
}

TEST_P(SynthStatistics, AreMeasuredAsDeclaredAndWithinTheLimits) {
    const bool tiny = std::get<1>(GetParam()) == Scale::tiny;
    int matrices = 0;
    each_matrix([&](const Traits& declared, const Measured& found, const Shape& shape) {
        ++matrices;
        expect_within_limits(found, shape);
        expect_as_declared(found, declared, tiny);
    });
    EXPECT_GE(matrices, 8);
}

INSTANTIATE_TEST_SUITE_P(Models, SynthStatistics,
                         testing::Combine(testing::Values("flux", "t5xxl"),
                                          testing::Values(Scale::tiny, Scale::small)),
                         [](const auto& info) {
                             return std::string(std::get<0>(info.param)) + "_" +
                                    std::string(scale_names[static_cast<size_t>(std::get<1>(info.param))]);
                         });

TEST(SynthTraits, OfRealMatricesLieWithinTheLimitsForManySeeds) {
    const TraitLimits& limits = trait_limits;
    for (const Family& family : families())
        for (uint64_t seed = 0; seed < 20; ++seed)
            for (const TensorSpec& spec : tensors(family, Scale::full, 1)) {
                if (spec.kind != Kind::matrix) continue;
                const Traits traits = draw_traits(seed, spec.name, spec.shape[0], spec.shape[1], spec.kind);
                EXPECT_GE(traits.decay, limits.decay_least);
                EXPECT_LE(traits.decay, limits.decay_most);
                EXPECT_GE(traits.deviation, 0.02);
                EXPECT_LE(traits.deviation, 0.05);
                if (spec.shape[1] < 100) {
                    EXPECT_EQ(traits.outliers, 0U);
                    continue;
                }
                const double share = traits.outliers / static_cast<double>(spec.shape[1]);
                EXPECT_GE(share, limits.share_least) << spec.name;
                EXPECT_LE(share, limits.share_most) << spec.name;
                EXPECT_GE(traits.factor_least, limits.factor_least) << spec.name;
                EXPECT_LE(traits.factor_most, limits.factor_most) << spec.name;
            }
}

TEST(SynthTraits, VaryFromTensorToTensor) {
    std::vector<double> decays, kurtoses, factors;
    std::vector<uint32_t> outliers;
    for (int i = 0; i < 50; ++i) {
        const Traits traits = draw_traits(1, "tensor " + std::to_string(i), 3072, 12288, Kind::matrix);
        decays.push_back(traits.decay);
        kurtoses.push_back(traits.kurtosis);
        factors.push_back(traits.factor_least);
        outliers.push_back(traits.outliers);
    }
    const auto spread = [](const auto& values) {
        return static_cast<double>(std::ranges::max(values) - std::ranges::min(values));
    };
    EXPECT_GT(spread(decays), 0.15);
    EXPECT_GT(spread(kurtoses), 3);
    EXPECT_GT(spread(factors), 4);
    EXPECT_GT(spread(outliers), 40);
}

TEST(SynthMeasure, APlainNormalMatrixIsMeasuredAsSuch) {
    const TemporaryFolder folder;
    std::mt19937_64 random(6);
    std::normal_distribution<float> normal(0, 0.5F);
    std::vector<float> values(128 * 128);
    for (float& x : values)
        x = normal(random);
    std::vector<FileLayout> layouts = {lay_out({{"w", HT_DTYPE_F32, {128, 128}}}, {})};
    Output output({folder.path() / "m", false, "test"}, layouts, {});
    output.write(0, layouts[0].tensors[0].offset, std::as_bytes(std::span(values)));
    output.commit();
    const auto checkpoint = Checkpoint::open(folder.path() / "m");
    const Measured found = measure(checkpoint, checkpoint.tensors()[0]);
    EXPECT_NEAR(found.deviation, 0.5, 0.02);
    EXPECT_NEAR(found.kurtosis, 0, 0.2);
    EXPECT_EQ(found.outliers, 0U);
    EXPECT_LT(found.decay, 0.3);
}

}  // namespace
}  // namespace halftone::synth
