// From weights to bytes: golden matrices, options, refusals; and what is recognized as such bytes.

#include <bit>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <sstream>

#include "core/base/cpu.hpp"
#include "tests/unit/nvfp4/plugin_under_test.hpp"

namespace halftone::nvfp4_test {
namespace {

struct Golden {
    std::string name;
    Matrix weights;
    Stored stored;
};

uint32_t hexadecimal(std::istream& in) {
    std::string word;
    if (!(in >> word)) throw std::runtime_error("a golden file ends too early");
    return static_cast<uint32_t>(std::stoul(word, nullptr, 16));
}

// tests/interop/golden: what other people's code made of hard inputs (tests/interop/make_golden.py).
std::vector<Golden> golden_matrices() {
    std::ifstream in(std::string(HALFTONE_GOLDEN) + "/nvfp4_matrices.txt");
    std::vector<Golden> all;
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string kind;
        Golden golden;
        words >> kind >> golden.name >> golden.weights.rows >> golden.weights.cols;
        if (kind != "matrix") continue;
        const uint64_t rows = golden.weights.rows, cols = golden.weights.cols;
        for (uint64_t i = 0; i < rows * cols; ++i)
            golden.weights.values.push_back(std::bit_cast<float>(hexadecimal(in)));
        for (uint64_t i = 0; i < (rows + 15) / 16 * 16 * ((cols + 15) / 16 * 8); ++i)
            golden.stored.codes.push_back(static_cast<uint8_t>(hexadecimal(in)));
        uint64_t runs = 0;
        in >> std::dec >> runs;
        for (std::string run; runs > 0; --runs) {
            in >> run;
            const size_t star = run.find('*');
            golden.stored.scales.insert(golden.stored.scales.end(), std::stoul(run.substr(star + 1)),
                                        static_cast<uint8_t>(std::stoul(run.substr(0, star), nullptr, 16)));
        }
        golden.stored.tensor_scale = std::bit_cast<float>(hexadecimal(in));
        all.push_back(std::move(golden));
    }
    return all;
}

TEST(Nvfp4Bytes, OfAllGoldenMatricesAtEveryCpuLevel) {
    const auto matrices = golden_matrices();
    ASSERT_GT(matrices.size(), 20u);
    for (const Golden& golden : matrices)
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Stored stored = Plan(golden.weights.rows, golden.weights.cols).quantize(golden.weights);
            const std::string what = golden.name + ", " + std::string(cpu::name(cpu));
            EXPECT_EQ(golden.stored.codes, stored.codes) << what;
            EXPECT_EQ(golden.stored.scales, stored.scales) << what;
            EXPECT_EQ(golden.stored.tensor_scale, stored.tensor_scale) << what;
        }
}

Matrix random_matrix(std::mt19937_64& random) {
    Matrix matrix{1 + random() % 40, 1 + random() % 90, {}};
    std::normal_distribution<float> normal(0, 0.02f);
    for (uint64_t i = 0; i < matrix.rows * matrix.cols; ++i)
        matrix.values.push_back(normal(random) * (random() % 40 == 0 ? 20.0f : 1.0f));
    return matrix;
}

double error_of(const Matrix& matrix, const std::vector<float>& values, const std::vector<float>& weight) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
        const double off = static_cast<double>(values[i]) - static_cast<double>(matrix.values[i]);
        sum += off * off * (weight.empty() ? 1.0 : static_cast<double>(weight[i % matrix.cols]));
    }
    return sum;
}

TEST(Nvfp4Search, LeavesLessErrorThanTheLargestValueDoes) {
    std::mt19937_64 random(3);
    double plain = 0, searched = 0, ignorant = 0, informed = 0;
    for (int round = 0; round < 30; ++round) {
        const Matrix matrix = random_matrix(random);
        std::vector<float> weight(matrix.cols);
        for (float& one : weight)
            one = static_cast<float>(random() % 5);
        const Plan absmax(matrix.rows, matrix.cols), mse(matrix.rows, matrix.cols, {.search = true});
        const Stored base = absmax.quantize(matrix), found = mse.quantize(matrix);
        EXPECT_EQ(base.tensor_scale, found.tensor_scale);
        EXPECT_LE(error_of(matrix, found.values, {}), error_of(matrix, base.values, {}));
        plain += error_of(matrix, base.values, {});
        searched += error_of(matrix, found.values, {});
        const Stored weighted = mse.quantize(matrix, weight);
        EXPECT_LE(error_of(matrix, weighted.values, weight), error_of(matrix, found.values, weight));
        ignorant += error_of(matrix, found.values, weight);
        informed += error_of(matrix, weighted.values, weight);
    }
    EXPECT_LT(searched, 0.95 * plain);
    EXPECT_LT(informed, 0.97 * ignorant);
}

TEST(Nvfp4Search, IsTheSameAtEveryCpuLevel) {
    std::mt19937_64 random(4);
    for (int round = 0; round < 10; ++round) {
        const Matrix matrix = random_matrix(random);
        const auto quantized = [&](ht_cpu cpu) {
            const Level level(cpu);
            return Plan(matrix.rows, matrix.cols, {.search = true}).quantize(matrix);
        };
        for (const ht_cpu cpu : cpu::available())
            EXPECT_TRUE(quantized(HT_CPU_BASELINE) == quantized(cpu)) << cpu::name(cpu);
    }
}

TEST(Nvfp4Plan, DescribesTheUnpaddedMatrix) {
    EXPECT_EQ(
        "format=nvfp4 group_size=16 orig_dtype=torch.bfloat16 orig_shape=[20,40] params={ group_size=16 }",
        Plan(20, 40).description());
    EXPECT_EQ(
        "format=nvfp4 group_size=16 orig_dtype=torch.float16 orig_shape=[16,16] params={ group_size=16 } "
        "full_precision_matrix_mult=true",
        Plan(16, 16, {.wants = HT_WANTS_FULL_PRECISION_MM, .dtype = HT_DTYPE_F16}).description());
}

std::string refusal(uint64_t rows, uint64_t cols, const Asked& asked) {
    try {
        const Plan plan(rows, cols, asked);
    } catch (const std::runtime_error& reason) {
        return reason.what();
    }
    return "";
}

TEST(Nvfp4Plan, RefusesWhatLoadersWouldMisread) {
    EXPECT_NE(std::string::npos, refusal(32, 32, {.wants = HT_WANTS_COLUMNS}).find("number of columns"));
    EXPECT_NE(std::string::npos, refusal(33, 32, {.wants = HT_WANTS_ROWS}).find("33 would be padded to 48"));
    EXPECT_EQ("", refusal(32, 33, {.wants = HT_WANTS_ROWS}));
    EXPECT_NE(std::string::npos, refusal(32, 33, {.pad = false}).find("not 32 x 33"));
    EXPECT_EQ("", refusal(32, 48, {.pad = false}));
    EXPECT_NE("", refusal(32, 32, {.dialect = HT_DIALECT_LEGACY}));
    EXPECT_NE("", refusal(0, 16, {}));
}

ht_tensor tensor(const char* name, ht_dtype dtype, std::vector<uint64_t> shape) {
    ht_tensor one{};
    one.size = sizeof one;
    one.name = name;
    one.dtype = dtype;
    one.rank = static_cast<uint32_t>(shape.size());
    std::copy(shape.begin(), shape.end(), one.shape);
    return one;
}

std::vector<ht_tensor> layer() {
    return {tensor("a.weight", HT_DTYPE_U8, {32, 24}), tensor("a.weight_scale", HT_DTYPE_F8_E4M3, {128, 4}),
            tensor("a.weight_scale_2", HT_DTYPE_F32, {})};
}

TEST(Nvfp4Recognize, TakesTheShapeFromTheMarker) {
    ht_source source{};
    EXPECT_EQ("", recognize(layer(),
                            R"({"format": "nvfp4", "orig_dtype": "torch.float32", "orig_shape": [20, 40]})",
                            source));
    EXPECT_EQ(20u, source.rows);
    EXPECT_EQ(40u, source.cols);
    EXPECT_EQ(HT_DTYPE_F32, source.dtype);
    EXPECT_EQ("", recognize(layer(), R"({"format": "nvfp4", "full_precision_matrix_mult": true})", source));
    EXPECT_EQ(32u, source.rows);
    EXPECT_EQ(48u, source.cols);
    EXPECT_EQ(uint32_t{HT_WANTS_FULL_PRECISION_MM}, source.wants);
}

TEST(Nvfp4Recognize, RefusesWhatDoesNotFit) {
    ht_source source{};
    const char* const good = R"({"format": "nvfp4"})";
    const char* const markers[] = {nullptr,
                                   "{}",
                                   R"({"format": "nvfp4)",
                                   R"({"format": "float8_e4m3fn"})",
                                   R"({"format": "nvfp4", "group_size": 32})",
                                   R"({"format": "nvfp4", "orig_shape": [20, 60]})",
                                   R"({"format": "nvfp4", "orig_shape": [-20, 40]})",
                                   R"({"format": "nvfp4", "orig_shape": [20]})"};
    for (const char* marker : markers)
        EXPECT_NE("", recognize(layer(), marker, source)) << (marker ? marker : "none");
    const auto with = [&](size_t i, const ht_tensor& other) {
        auto tensors = layer();
        tensors[i] = other;
        return recognize(tensors, good, source);
    };
    EXPECT_NE("", with(0, tensor("a.weight", HT_DTYPE_I8, {32, 24})));
    EXPECT_NE("", with(0, tensor("a.weight", HT_DTYPE_U8, {20, 24})));
    EXPECT_NE("", with(1, tensor("a.weight_scale", HT_DTYPE_F8_E4M3, {32, 3})));
    EXPECT_NE("", with(1, tensor("a.weight_scale", HT_DTYPE_F32, {128, 4})));
    EXPECT_NE("", with(2, tensor("a.weight_scale_2", HT_DTYPE_F32, {2})));
    EXPECT_NE("", with(2, tensor("a.other", HT_DTYPE_F32, {})));
}

TEST(Nvfp4Load, RefusesScalesThatAreNone) {
    const Plan plan(16, 32);
    Stored stored = plan.quantize({16, 32, std::vector<float>(512, 1.5f)});
    EXPECT_EQ(stored.values, plan.read(stored));
    Stored bad = stored;
    bad.scales[1] = 0x7F;
    EXPECT_THROW(plan.read(bad), std::runtime_error);
    bad = stored;
    bad.scales[16] = 0x81;
    EXPECT_THROW(plan.read(bad), std::runtime_error);
    for (const float scale : {-1.0f, NAN, INFINITY, 3e38f}) {
        bad = stored;
        bad.tensor_scale = scale;
        EXPECT_THROW(plan.read(bad), std::runtime_error) << scale;
    }
    bad = stored;
    bad.scales.clear();
    EXPECT_THROW(plan.read(bad), std::runtime_error);
}

}  // namespace
}  // namespace halftone::nvfp4_test
