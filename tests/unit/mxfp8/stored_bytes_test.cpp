// From weights to bytes: golden matrices, options, refusals; and what is recognized as such bytes. What holds
// for every format is the conformance kit's business, and padding is tested with NVFP4; here are MXFP8's own
// bytes.

#include <bit>
#include <cmath>

#include "formats/mxfp8/mxfp8_blocks.hpp"
#include "tests/support/format_promises.hpp"
#include "tests/support/golden_words.hpp"
#include "tests/support/stored_layer.hpp"

namespace halftone::format_test {
namespace {

TEST(Mxfp8Scale, IsTheLeastPowerOfTwoThatTakesAllTo448) {
    const auto scale = [](float amax) { return int{mxfp8::Blocks::scale(amax, 1)}; };
    for (int exponent = -126; exponent < 119; ++exponent) {
        const float most = std::ldexp(448.0f, exponent);
        EXPECT_EQ(exponent + 127, scale(most));
        EXPECT_EQ(exponent + 128, scale(std::nextafter(most, INFINITY)));
    }
    std::mt19937_64 random(1);
    for (int round = 0; round < 20000; ++round) {
        const float amax = std::bit_cast<float>(static_cast<uint32_t>(random() % 0x7F800000));
        const double step = std::ldexp(1.0, scale(amax) - 127);
        ASSERT_TRUE(static_cast<double>(amax) <= 448 * step) << amax;
        ASSERT_TRUE(scale(amax) == 0 || static_cast<double>(amax) > 224 * step) << amax;
    }
    EXPECT_EQ(0, scale(0));
    EXPECT_EQ(0, scale(std::ldexp(448.0f, -127)));
    EXPECT_EQ(1, scale(std::nextafter(std::ldexp(448.0f, -127), 1.0f)));
    EXPECT_EQ(247, scale(std::numeric_limits<float>::max()));
}

TEST(Mxfp8Scale, AllButZeroHaveAnInverse) {
    for (int scale = 1; scale <= 254; ++scale) {
        const auto [pre, post] = mxfp8::Blocks::step(static_cast<uint8_t>(scale), 1);
        EXPECT_EQ(std::ldexp(1.0f, scale - 127), post);
        EXPECT_EQ(1.0, static_cast<double>(pre) * static_cast<double>(post));
    }
    EXPECT_EQ(0, mxfp8::Blocks::step(0, 1).post);
}

TEST(Mxfp8Bytes, OfAllGoldenMatricesAtEveryCpuLevel) {
    GoldenWords golden(std::string(HALFTONE_GOLDEN) + "/mxfp8_matrices.txt");
    int seen = 0;
    for (; golden.entry("matrix"); ++seen) {
        const std::string name = golden.word();
        Matrix matrix;
        matrix.rows = golden.count();
        matrix.cols = golden.count();
        const std::string what = name + ", " + golden.word();
        matrix.values = golden.floats(matrix.rows * matrix.cols);
        const Bytes codes = golden.runs(golden.count()), scales = golden.runs(golden.count());
        for (const ht_cpu cpu : cpu::available()) {
            const Level level(cpu);
            const Plan plan(source_of(matrix.rows, matrix.cols));
            const Grid grid = plan.fit(matrix);
            EXPECT_EQ(codes, plan.encode(grid, matrix)) << what << ", " << cpu::name(cpu);
            EXPECT_EQ(scales, plan.companion(grid, ".weight_scale")) << what << ", " << cpu::name(cpu);
        }
    }
    EXPECT_GT(seen, 20);
}

const Mode mse{"mse", {{"scale", "mse"}}, {40, 120}};

INSTANTIATE_TEST_SUITE_P(Every, FormatPromises, ::testing::Values(Mode{"absmax", {}, {40, 120}}, mse),
                         name_of_mode);

TEST(Mxfp8Search, NeverLosesToTheLargestMagnitude) {
    expect_searched_scales_to_be_better(mse, 8, 1 + 1e-9);
}

// It becomes 448 with either scale, and what is small gains a bit from the smaller one.
TEST(Mxfp8Search, TakesTheSmallerScaleWhereTheLargestNumberLosesNothing) {
    Matrix matrix{1, 32, std::vector<float>(32, 0.0019f)};
    matrix.values[5] = 448.0625f;
    const Plan plain(source_of(1, 32)), searching(source_of(1, 32), {{"scale", "mse"}});
    EXPECT_EQ(128, plain.companion(plain.fit(matrix), ".weight_scale")[0]);
    EXPECT_EQ(127, searching.companion(searching.fit(matrix), ".weight_scale")[0]);
}

// Where the outlier does not count, the scale is for the others.
TEST(Mxfp8Search, HonoursTheWeightsOfColumns) {
    Matrix matrix{1, 32, {}};
    for (int i = 0; i < 32; ++i)
        matrix.values.push_back(0.001f + 0.0001f * static_cast<float>(i));
    matrix.values[5] = 448;
    std::vector<float> weight(32, 1.0f);
    weight[5] = 0;
    const Plan plan(source_of(1, 32), {{"scale", "mse"}});
    EXPECT_EQ(127, plan.companion(plan.fit(matrix), ".weight_scale")[0]);
    EXPECT_EQ(124, plan.companion(plan.fit(matrix, {}, weight), ".weight_scale")[0]);
}

TEST(Mxfp8Plan, DescribesTheUnpaddedMatrix) {
    EXPECT_EQ(R"({"format":"mxfp8","group_size":32,"orig_dtype":"torch.bfloat16","orig_shape":[20,40],)"
              R"("params":{"group_size":32}})",
              Plan(source_of(20, 40)).description());
    const Plan plan(source_of(33, 40));
    EXPECT_EQ((std::vector<uint64_t>{64, 64}), plan.shape(".weight"));
    EXPECT_EQ((std::vector<uint64_t>{128, 4}), plan.shape(".weight_scale"));
    EXPECT_EQ(HT_DTYPE_F8_E4M3, plan.stored(".weight").dtype);
    EXPECT_EQ(HT_DTYPE_U8, plan.stored(".weight_scale").dtype);
    EXPECT_EQ(HT_INPUT_SCALE_NEVER, plan.facts().input_scale);
}

TEST(Mxfp8Plan, RefusesWhatLoadersWouldMisread) {
    const auto reason = [](uint64_t rows, uint64_t cols, uint32_t wants, const Choices& choices = {}) {
        return refusal([&] { Plan(source_of(rows, cols, HT_DIALECT_COMFY, wants), choices); });
    };
    EXPECT_EQ("", reason(32, 64, HT_WANTS_COLUMNS));
    EXPECT_NE(std::string::npos, reason(32, 33, HT_WANTS_COLUMNS).find("33 would be padded to 64"));
    EXPECT_NE(std::string::npos, reason(33, 32, HT_WANTS_ROWS).find("33 would be padded to 64"));
    EXPECT_EQ("", reason(32, 33, HT_WANTS_ROWS));
    EXPECT_NE(std::string::npos, reason(48, 64, 0, {{"pad", "false"}}).find("multiples of 32, not 48 x 64"));
    EXPECT_EQ("", reason(64, 32, 0, {{"pad", "false"}}));
    EXPECT_NE("", refusal([] { Plan(source_of(32, 32, HT_DIALECT_LEGACY)); }));
    EXPECT_NE("", reason(0, 32, 0));
}

struct Found {
    ht_dtype weight = HT_DTYPE_F8_E4M3;
    std::vector<uint64_t> shape = {64, 96};
    ht_dtype scale = HT_DTYPE_U8;
    std::vector<uint64_t> scale_shape = {128, 4};
};

ht_source recognized(const Found& found, const std::string& marker) {
    return Layer(marker)
        .add(".weight", found.weight, found.shape)
        .add(".weight_scale", found.scale, found.scale_shape)
        .add(".weight_scalar", HT_DTYPE_F32, {})
        .recognized()
        .source;
}

TEST(Mxfp8Recognize, TakesBothLabelsAndBothTypesOfScales) {
    for (const std::string label : {"mxfp8", "hybrid_mxfp8"})
        for (const ht_dtype scale : {HT_DTYPE_U8, HT_DTYPE_F8_E8M0}) {
            Found found;
            found.scale = scale;
            const std::string start = R"({"format": ")" + label + "\"";
            const ht_source told = recognized(
                found,
                start + R"(, "orig_shape": [50, 83], "group_size": 32, "orig_dtype": "torch.float16"})");
            EXPECT_EQ(50u, told.rows);
            EXPECT_EQ(83u, told.cols);
            EXPECT_EQ(HT_DTYPE_F16, told.dtype);
            const ht_source untold = recognized(found, start + R"(, "full_precision_matrix_mult": true})");
            EXPECT_EQ(64u, untold.rows);
            EXPECT_EQ(96u, untold.cols);
            // The number more is a part of the hybrid alone.
            const uint32_t as_found = label == "mxfp8" ? 0 : HT_WANTS_AS_FOUND;
            EXPECT_EQ(uint32_t{HT_WANTS_FULL_PRECISION_MM} | as_found, untold.wants);
            const Plan plan(untold);
            EXPECT_EQ(as_found ? 3u : 2u, plan.facts().n_stored);
        }
}

// Of their scales loaders view the bytes.
TEST(Mxfp8Recognize, TakesBlockScalesInAnyTypeAndShapeOfAsManyBytes) {
    const std::string good = R"({"format": "mxfp8"})";
    const std::pair<ht_dtype, std::vector<uint64_t>> scales[] = {
        {HT_DTYPE_I8, {128, 4}},        {HT_DTYPE_F8_E4M3, {4, 128}}, {HT_DTYPE_U8, {512}},
        {HT_DTYPE_F8_E5M2, {2, 64, 4}}, {HT_DTYPE_I32, {128, 1}},     {HT_DTYPE_BF16, {256}}};
    for (const auto& [dtype, shape] : scales)
        EXPECT_EQ("", refusal([&] {
                      recognized({HT_DTYPE_F8_E4M3, {64, 96}, dtype, shape}, good);
                  }))
            << dtype;
    for (const auto& [dtype, shape] : scales)
        EXPECT_NE(
            "", refusal([&] {
                recognized({HT_DTYPE_F8_E4M3, {160, 96}, dtype, shape}, good);  // whose scales are 1 KiB
            }));
}

TEST(Mxfp8Recognize, RefusesWhatDoesNotFit) {
    const std::string good = R"({"format": "mxfp8"})";
    const auto reason = [](const Found& found, const std::string& marker) {
        return refusal([&] { recognized(found, marker); });
    };
    EXPECT_EQ("", reason({}, good));
    for (const char* marker : {"", "{}", R"({"format": "nvfp4"})", R"({"format": "mxfp8", "group_size": 16})",
                               R"({"format": "mxfp8", "orig_shape": [20, 96]})"})
        EXPECT_NE("", reason({}, marker)) << marker;
    EXPECT_NE("", reason({HT_DTYPE_U8, {64, 96}, HT_DTYPE_U8, {128, 4}}, good));
    EXPECT_NE("", reason({HT_DTYPE_F8_E4M3, {48, 96}, HT_DTYPE_U8, {128, 4}}, good));
    EXPECT_NE("", reason({HT_DTYPE_F8_E4M3, {64, 96}, HT_DTYPE_U8, {64, 3}}, good));
    EXPECT_NE("", reason({HT_DTYPE_F8_E4M3, {64, 96}, HT_DTYPE_F32, {128, 4}}, good));
}

TEST(Mxfp8Load, RefusesAScaleOfNan) {
    const Plan plan(source_of(2, 40));
    const Matrix matrix{2, 40, std::vector<float>(80, 1.5f)};
    const Grid grid = plan.fit(matrix);
    std::vector<Bytes> companions = plan.companions(grid);
    const Bytes codes = plan.encode(grid, matrix);
    EXPECT_EQ(plan.decode(grid, codes).values, plan.decode(plan.load(companions), codes).values);
    companions[1][1] = 254;
    EXPECT_EQ("", refusal([&] { plan.load(companions); }));
    companions[1][1] = 255;
    EXPECT_NE(std::string::npos, refusal([&] { plan.load(companions); }).find("block 1 of row 0"));
}

}  // namespace
}  // namespace halftone::format_test
