// From weights to bytes: golden matrices, options, refusals; and what is recognized as such bytes. What holds
// for every format (regions, bands, snapping, reading back) is the conformance kit's business; here are
// NVFP4's own bytes.

#include <cmath>

#include "tests/support/format_promises.hpp"
#include "tests/support/golden_words.hpp"
#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

TEST(Nvfp4Bytes, OfAllGoldenMatricesAtEveryCpuLevel) {
    GoldenWords golden(std::string(HALFTONE_GOLDEN) + "/nvfp4_matrices.txt");
    int seen = 0;
    for (; golden.entry("matrix"); ++seen) {
        const std::string name = golden.word();
        Matrix matrix;
        matrix.rows = golden.count();
        matrix.cols = golden.count();
        const std::string what = name + ", " + golden.word();
        matrix.values = golden.floats(matrix.rows * matrix.cols);
        const Bytes codes = golden.bytes((matrix.rows + 15) / 16 * 16 * ((matrix.cols + 15) / 16 * 8));
        const Bytes scales = golden.runs(golden.count());
        const std::vector<uint32_t> tensor_scale = bits(golden.floats(1));
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(source_of(matrix.rows, matrix.cols));
            const Grid grid = plan.fit(matrix);
            EXPECT_EQ(codes, plan.encode(grid, matrix)) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(scales, plan.companion(grid, ".weight_scale")) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(tensor_scale, numbers<uint32_t>(plan.companion(grid, ".weight_scale_2")))
                << what << ", " << cpu::name(cpu);
        }
    }
    EXPECT_GT(seen, 20);
}

Matrix normal_matrix(std::mt19937_64& random) {
    Matrix matrix{1 + random() % 40, 1 + random() % 90, {}};
    std::normal_distribution<float> normal(0, 0.02f);
    for (uint64_t i = 0; i < matrix.rows * matrix.cols; ++i)
        matrix.values.push_back(normal(random) * (random() % 40 == 0 ? 20.0f : 1.0f));
    return matrix;
}

// From weights to what is stored, and back.
Matrix read_back(const Plan& plan, const Matrix& matrix, const std::vector<float>& column_weight = {}) {
    const Grid grid = plan.fit(matrix, {}, column_weight);
    return plan.decode(plan.load(plan.companions(grid)), plan.encode(grid, matrix));
}

TEST(Nvfp4Search, LeavesLessErrorThanTheLargestValueDoes) {
    std::mt19937_64 random(3);
    double plain = 0, searched = 0, ignorant = 0, informed = 0;
    for (int round = 0; round < 30; ++round) {
        const Matrix matrix = normal_matrix(random);
        std::vector<float> weight(matrix.cols);
        for (float& one : weight)
            one = static_cast<float>(random() % 5);
        const ht_source source = source_of(matrix.rows, matrix.cols);
        const Plan absmax(source), mse(source, {{"scale", "mse"}});
        EXPECT_EQ(absmax.companion(absmax.fit(matrix), ".weight_scale_2"),
                  mse.companion(mse.fit(matrix), ".weight_scale_2"));
        const Matrix base = read_back(absmax, matrix), found = read_back(mse, matrix);
        EXPECT_LE(squared_error(found, matrix), squared_error(base, matrix));
        plain += squared_error(base, matrix);
        searched += squared_error(found, matrix);
        const Matrix weighted = read_back(mse, matrix, weight);
        EXPECT_LE(squared_error(weighted, matrix, weight), squared_error(found, matrix, weight));
        ignorant += squared_error(found, matrix, weight);
        informed += squared_error(weighted, matrix, weight);
    }
    EXPECT_LT(searched, 0.95 * plain);
    EXPECT_LT(informed, 0.97 * ignorant);
}

// The last has rows that are longer than the loops of the kernels take at once.
INSTANTIATE_TEST_SUITE_P(Every, FormatPromises,
                         ::testing::Values(Mode{"absmax", {}, {40, 90}},
                                           Mode{"mse", {{"scale", "mse"}}, {40, 90}},
                                           Mode{"long", {}, {3, 1500}}),
                         name_of_mode);

TEST(Nvfp4Plan, DescribesTheUnpaddedMatrix) {
    EXPECT_EQ(R"({"format":"nvfp4","group_size":16,"orig_dtype":"torch.bfloat16","orig_shape":[20,40],)"
              R"("params":{"group_size":16}})",
              Plan(source_of(20, 40)).description());
    EXPECT_EQ(
        R"({"format":"nvfp4","group_size":16,"orig_dtype":"torch.float16","orig_shape":[16,16],)"
        R"("params":{"group_size":16},"full_precision_matrix_mult":true})",
        Plan(source_of(16, 16, HT_DIALECT_COMFY, HT_WANTS_FULL_PRECISION_MM, HT_DTYPE_F16)).description());
}

TEST(Nvfp4Plan, RefusesWhatLoadersWouldMisread) {
    const auto reason = [](const ht_source& source, const Choices& choices = {}) {
        return refusal([&] { Plan(source, choices); });
    };
    const auto wanting = [](uint64_t rows, uint64_t cols, uint32_t wants) {
        return source_of(rows, cols, HT_DIALECT_COMFY, wants);
    };
    const Choices unpadded{{"pad", "false"}};
    EXPECT_NE(std::string::npos, reason(wanting(32, 32, HT_WANTS_COLUMNS)).find("number of columns"));
    EXPECT_NE(std::string::npos, reason(wanting(33, 32, HT_WANTS_ROWS)).find("33 would be padded to 48"));
    EXPECT_EQ("", reason(wanting(32, 33, HT_WANTS_ROWS)));
    EXPECT_NE(std::string::npos, reason(source_of(32, 33), unpadded).find("not 32 x 33"));
    EXPECT_EQ("", reason(source_of(32, 48), unpadded));
    EXPECT_NE("", reason(source_of(32, 32, HT_DIALECT_LEGACY)));
    EXPECT_NE("", reason(source_of(0, 16)));
}

struct Tensor {
    std::string suffix;
    ht_dtype dtype;
    std::vector<uint64_t> shape;
};
using Tensors = std::vector<Tensor>;

const Tensors stored = {{".weight", HT_DTYPE_U8, {32, 24}},
                        {".weight_scale", HT_DTYPE_F8_E4M3, {128, 4}},
                        {".weight_scale_2", HT_DTYPE_F32, {}}};

ht_source recognized(const Tensors& tensors, const std::string& marker) {
    Layer layer(marker);
    for (const auto& [suffix, dtype, shape] : tensors)
        layer.add(suffix, dtype, shape);
    return layer.recognized().source;
}

TEST(Nvfp4Recognize, TakesTheShapeFromTheMarker) {
    const ht_source told =
        recognized(stored, R"({"format": "nvfp4", "orig_dtype": "torch.float32", "orig_shape": [20, 40]})");
    EXPECT_EQ(20u, told.rows);
    EXPECT_EQ(40u, told.cols);
    EXPECT_EQ(HT_DTYPE_F32, told.dtype);
    const ht_source untold = recognized(stored, R"({"format": "nvfp4", "full_precision_matrix_mult": true})");
    EXPECT_EQ(32u, untold.rows);
    EXPECT_EQ(48u, untold.cols);
    EXPECT_EQ(uint32_t{HT_WANTS_FULL_PRECISION_MM}, untold.wants);
}

TEST(Nvfp4Recognize, RefusesWhatDoesNotFit) {
    const char* const markers[] = {"",  // none
                                   "{}",
                                   R"({"format": "nvfp4)",
                                   R"({"format": "float8_e4m3fn"})",
                                   R"({"format": "nvfp4", "group_size": 32})",
                                   R"({"format": "nvfp4", "orig_shape": [20, 60]})",
                                   R"({"format": "nvfp4", "orig_shape": [-20, 40]})",
                                   R"({"format": "nvfp4", "orig_shape": [20]})"};
    for (const char* marker : markers)
        EXPECT_NE("", refusal([&] { recognized(stored, marker); })) << marker;
    const auto with = [&](size_t i, const Tensor& other) {
        Tensors tensors = stored;
        tensors[i] = other;
        return refusal([&] { recognized(tensors, R"({"format": "nvfp4"})"); });
    };
    EXPECT_NE("", with(0, {".weight", HT_DTYPE_F8_E4M3, {32, 24}}));
    EXPECT_NE("", with(0, {".weight", HT_DTYPE_U8, {20, 24}}));
    EXPECT_NE("", with(1, {".weight_scale", HT_DTYPE_F8_E4M3, {32, 3}}));
    EXPECT_NE("", with(1, {".weight_scale", HT_DTYPE_F32, {128, 4}}));
    EXPECT_NE("", with(2, {".weight_scale_2", HT_DTYPE_F32, {2}}));
    EXPECT_NE("", with(2, {".other", HT_DTYPE_F32, {}}));
}

// Loaders view the bytes of codes and of block scales, and convert the other scale.
TEST(Nvfp4Recognize, TakesOtherTypesAndShapesOfTheSameBytes) {
    const Tensor others[] = {
        {".weight", HT_DTYPE_I8, {32, 24}},        {".weight_scale", HT_DTYPE_U8, {128, 4}},
        {".weight_scale", HT_DTYPE_I8, {4, 128}},  {".weight_scale", HT_DTYPE_F8_E5M2, {512}},
        {".weight_scale", HT_DTYPE_I32, {128, 1}}, {".weight_scale_2", HT_DTYPE_BF16, {}},
        {".weight_scale_2", HT_DTYPE_F16, {1}}};
    for (const Tensor& other : others) {
        Tensors tensors = stored;
        for (Tensor& one : tensors)
            if (one.suffix == other.suffix) one = other;
        EXPECT_EQ("", refusal([&] { recognized(tensors, R"({"format": "nvfp4"})"); })) << other.suffix;
    }
}

TEST(Nvfp4Load, RefusesScalesThatAreNone) {
    const Plan plan(source_of(16, 32));
    const Matrix matrix{16, 32, std::vector<float>(512, 1.5f)};
    const Grid grid = plan.fit(matrix);
    const std::vector<Bytes> good = plan.companions(grid);
    const Bytes codes = plan.encode(grid, matrix);
    EXPECT_EQ(plan.decode(grid, codes).values, plan.decode(plan.load(good), codes).values);
    const auto reason = [&](size_t i, const Bytes& bytes) {
        std::vector<Bytes> companions = good;
        companions[i] = bytes;
        return refusal([&] { plan.load(companions); });
    };
    Bytes bad = good[1];
    bad[1] = 0x7F;
    EXPECT_NE("", reason(1, bad));
    bad = good[1];
    bad[16] = 0x81;
    EXPECT_NE("", reason(1, bad));
    EXPECT_NE("", reason(1, {}));
    for (const float scale : {-1.0f, NAN, INFINITY, 3e38f})
        EXPECT_NE("", reason(2, bytes_of(std::vector{scale}))) << scale;
}

// Converters divide by the scale of all of it.
TEST(Nvfp4Load, TakesZerosWithScalesOfNan) {
    const Plan plan(source_of(16, 32));
    std::vector<Bytes> companions = plan.companions(plan.fit({16, 32, std::vector<float>(512, 0.0f)}));
    std::ranges::fill(companions[1], uint8_t{0x7F});
    companions[2] = bytes_of(std::vector{0.0f});
    const Matrix values = plan.decode(plan.load(companions), Bytes(256, 0x77));
    EXPECT_EQ(std::vector<float>(512, 0.0f), values.values);
}

}  // namespace
}  // namespace halftone::format_test
