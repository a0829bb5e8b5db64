#include "plugins/format.hpp"

#include <cfenv>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

#include "plugins/call.hpp"
#include "plugins/shared_object.hpp"
#include "tests/unit/plugins/support.hpp"

namespace halftone {
namespace {

using namespace testing_plugins;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool address_sanitizer = true;
#else
constexpr bool address_sanitizer = false;
#endif

Format open(const std::string& id, Watch watch = Watch::yes) {
    const auto file = plugin_file(fixture("format-" + id + SharedObject::suffix()));
    return Format(PluginLibrary::load(file, make_host()), watch);
}

std::shared_ptr<const FormatPlan> prepare(const Format& format, uint64_t rows, uint64_t cols,
                                          const GivenOptions& options = {}) {
    MatrixSource source;
    source.dtype = HT_DTYPE_BF16;
    source.shape = {rows, cols};
    source.rows = rows;
    source.cols = cols;
    return format.prepare(
        source, OptionValues::resolve(format.library().options(), options, format.library().name()));
}

struct Matrix {
    uint64_t rows, cols;
    std::vector<float> values;
    ht_view view(uint64_t row = 0) { return {values.data() + row * cols, static_cast<int64_t>(cols), 1}; }
};

Matrix random_matrix(uint64_t rows, uint64_t cols, unsigned seed) {
    Matrix matrix{rows, cols, {}};
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (uint64_t i = 0; i < rows * cols; ++i)
        matrix.values.push_back(normal(random));
    return matrix;
}

// Fits and encodes in bands of `granules` granules, as the run does.
std::vector<std::byte> stored(const FormatPlan& plan, Matrix matrix, uint64_t granules, Grid& grid) {
    const uint64_t step = plan.facts().granule_rows * granules;
    const uint64_t slot = plan.facts().partial_bytes;
    const uint64_t slots = (matrix.rows + plan.facts().granule_rows - 1) / plan.facts().granule_rows;
    const auto bands = [&](const auto& work) {
        for (uint64_t row = 0; row < matrix.rows; row += step)
            work(ht_region{row, 0, std::min(step, matrix.rows - row), matrix.cols});
    };
    for (uint32_t pass = 0; pass < plan.facts().passes; ++pass) {
        std::vector<std::byte> partials(slots * slot);
        bands([&](const ht_region& region) {
            plan.fit_pass(pass, region, matrix.view(region.row), nullptr, grid,
                          partials.data() + region.row / plan.facts().granule_rows * slot);
        });
        plan.fit_fold(pass, partials, slots, grid);
    }
    bands([&](const ht_region& region) { plan.fit_band(region, matrix.view(region.row), nullptr, grid); });
    plan.fit_seal(grid);
    std::vector<std::byte> bytes(plan.weight_bytes());
    bands([&](const ht_region& region) {
        const std::span<std::byte> band =
            std::span(bytes).subspan(plan.band_offset(region.row), plan.band_bytes(region.row, region.rows));
        plan.encode(grid, region, matrix.view(region.row), band);
    });
    return bytes;
}

TEST(Formats, ASoundOneStoresAMatrixInBandsOfAnySize) {
    std::mt19937 random(1);
    for (Watch watch : {Watch::yes, Watch::no}) {
        const Format format = open("sound", watch);
        for (unsigned seed = 0; seed < 20; ++seed) {
            Matrix matrix = random_matrix(random() % 20 + 1, random() % 9 + 1, seed);
            const auto plan = prepare(format, matrix.rows, matrix.cols);
            Grid grid = plan->make_grid();
            const std::vector<std::byte> bytes = stored(*plan, matrix, random() % 4 + 1, grid);
            ASSERT_EQ(bytes.size(), matrix.values.size() * sizeof(float));
            EXPECT_EQ(std::memcmp(bytes.data(), matrix.values.data(), bytes.size()), 0);
            float largest = 0, scale = 0;
            for (float value : matrix.values)
                largest = std::max(largest, std::abs(value));
            const std::vector<std::byte> companion = plan->companion(grid, 1);
            ASSERT_EQ(companion.size(), sizeof scale);
            std::memcpy(&scale, companion.data(), sizeof scale);
            EXPECT_EQ(scale, largest);

            Matrix back{matrix.rows, matrix.cols, std::vector<float>(matrix.values.size())};
            const ht_region all{0, 0, matrix.rows, matrix.cols};
            plan->decode(grid, all, bytes, back.view());
            EXPECT_EQ(back.values, matrix.values);
        }
    }
}

TEST(Formats, APlanTellsWhatItStores) {
    const Format format = open("sound");
    const auto plan = prepare(format, 5, 3);
    EXPECT_EQ(plan->plugin(), "format 'sound'");
    ASSERT_EQ(plan->stored().size(), 2u);
    EXPECT_EQ(plan->weight_index(), 0u);
    EXPECT_EQ(plan->stored()[0].name, ".weight");
    EXPECT_EQ(plan->stored()[0].bytes, 60u);
    EXPECT_EQ(plan->stored()[1].shape, std::vector<uint64_t>{});
    EXPECT_EQ(plan->stored()[1].bytes, 4u);
    EXPECT_EQ(plan->band_offset(4), 48u);
    EXPECT_EQ(plan->band_bytes(0, 4), 48u);
    EXPECT_EQ(plan->band_bytes(4, 1), 12u) << "the last band takes the short granule";
    EXPECT_EQ(plan->description().dump(), R"({"format":"float32"})");
    ASSERT_EQ(format.labels().size(), 1u);
    EXPECT_EQ(format.labels()[0].loaders, "everyone>=1.0");
}

TEST(Formats, ARefusalCarriesTheFormatsReason) {
    const Format format = open("sound");
    MatrixSource source;
    source.shape = {2, 3, 4};
    source.rows = 6;
    source.cols = 4;
    try {
        format.prepare(source, OptionValues::resolve(format.library().options(), {}, "x"));
        ADD_FAILURE();
    } catch (const Refusal& reason) {
        EXPECT_STREQ(reason.what(), "has 3 dimensions, not 2");
    }
    source.shape.assign(9, 1);
    EXPECT_THROW(format.prepare(source, {}), Refusal);
}

TEST(Formats, APlanKeepsItsLibraryLoaded) {
    std::shared_ptr<const FormatPlan> plan;
    {
        const Format format = open("sound");
        plan = prepare(format, 4, 4);
    }
    EXPECT_EQ(plan->description().dump(), R"({"format":"float32"})");
}

TEST(Formats, ATableThatLacksAFunctionIsRefusedByItsName) {
    expect_failure(Exit::plugin, {"format-short-table", "has no decode()"}, [] { open("short-table"); });
    expect_failure(Exit::plugin, {"format-no-encode", "has no encode()"}, [] { open("no-encode"); });
}

TEST(Formats, FactsThatCannotBeAreRefused) {
    const Format format = open("bad-facts");
    const std::pair<const char*, const char*> cases[] = {
        {"nothing", "facts() returned nothing"},
        {"short_facts", "its facts claim a size of 8 bytes"},
        {"no_stored", "0 stored tensors"},
        {"two_weights", "2 stored tensors with the role of the weight"},
        {"no_weight", "0 stored tensors with the role of the weight"},
        {"file_weight", "a weight ('.weight') that belongs to the whole file"},
        {"two_names", "two stored tensors named '.weight'"},
        {"empty_name", "no name for stored tensor 1"},
        {"odd_suffix", "the suffix 'weight_scale'"},
        {"hosts_suffix", "'.comfy_quant', which the host writes"},
        {"control_name", "the name '.we"},
        {"short_stored", "a size of 8 bytes for its description of stored tensor 1"},
        {"odd_role", "an unknown role (99)"},
        {"odd_dtype", "an unknown element type (99)"},
        {"rank_9", "a rank of 9"},
        {"overflow", "an absurd size for '.weight_scale'"},
        {"half_byte", "12 bits"},
        {"no_granule", "a granule of 0 rows"},
        {"granule_bytes", "too small for 4 granules of 25 bytes"},
        {"no_short_granule", "too small for 4 granules of 24 bytes and a short one"},
        {"many_passes", "1000 passes"},
        {"no_partials", "partial results of 0 bytes"},
        {"huge_grid", "a grid of 1125899906842624 bytes"},
        {"odd_flags", "flags that this host does not know"},
        {"rotates", "it has no rotate()"},
        {"odd_scales", "an unknown kind of scales (77)"},
        {"tile_of_0", "tiles of 0 x 0"},
        {"odd_input_scale", "an unknown rule for input scales (5)"},
    };
    const auto with = [&](const char* fault, uint64_t rows) {
        prepare(format, rows, 3, {{"fault", {std::string(fault), "test"}}});
    };
    EXPECT_NO_THROW(with("none", 9));
    for (const auto& [fault, message] : cases) {
        const bool even = std::string(fault) == "granule_bytes";
        expect_failure(Exit::plugin, {"format 'bad-facts'", "format-bad-facts", message},
                       [&, fault = fault] { with(fault, even ? 8 : 9); });
    }
}

TEST(Formats, ARemarkIsOneLineAndMayBeLacking) {
    const Format format = open("bad-facts");
    const auto remark = [&](const char* fault) {
        return prepare(format, 2, 2, {{"fault", {std::string(fault), "test"}}})->remark();
    };
    EXPECT_EQ(remark("none"), "");
    EXPECT_EQ(remark("remark"), "not so\\nwide");
    EXPECT_EQ(remark("before_remark"), "") << "facts of before there were remarks";
}

TEST(Formats, DescriptionsThatAreNoSoundObjectAreRefused) {
    const Format format = open("bad-description");
    const auto describe = [&](const char* fault) {
        return prepare(format, 2, 2, {{"fault", {std::string(fault), "test"}}})->description();
    };
    EXPECT_EQ(describe("none").dump(), R"({"format":"bad-description"})");
    const std::pair<const char*, const char*> cases[] = {
        {"twice", "the key 'format' is there twice"},
        {"open", "an object is left open"},
        {"closed", "end() without begin()"},
        {"no_number", "a number is not finite"},
        {"no_utf8", "no UTF-8"},
        {"changing", "said something else when asked again"},
    };
    for (const auto& [fault, message] : cases)
        expect_failure(Exit::plugin, {"format-bad-description", message},
                       [&, fault = fault] { describe(fault); });
}

void run_everything(const std::string& id, Watch watch) {
    const Format format = open(id, watch);
    const auto plan = prepare(format, 6, 4);
    Grid grid = plan->make_grid();
    stored(*plan, random_matrix(6, 4, 3), 1, grid);
    plan->companion(grid, 1);
}

TEST(Policing, AFormatThatChangesTheFloatingPointModeIsNamed) {
    expect_failure(Exit::plugin, {"format 'rounding'", "format-rounding", "(rounding direction"},
                   [] { run_everything("rounding", Watch::no); });
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
#if defined(__x86_64__)
    expect_failure(Exit::plugin, {"format 'flush'", "format-flush", "(flush-to-zero)"},
                   [] { run_everything("flush", Watch::no); });
    volatile float tiny = 1e-39f;
    EXPECT_GT(tiny * 1.0f, 0.0f);
#endif
}

TEST(Policing, AFormatThatWritesBesideItsBuffersIsNamed) {
    if (address_sanitizer) GTEST_SKIP() << "the sanitizer would end the process first";
    EXPECT_NO_THROW(run_everything("sound", Watch::yes));
    const struct {
        const char *id, *message;
    } cases[] = {
        {"past-band", "encode() wrote after the 32 bytes"},
        {"before-band", "encode() wrote before the 32 bytes"},
        {"past-companion", "companion() wrote after the 4 bytes"},
        {"past-partials", "fit_pass() wrote after the 4 bytes"},
        {"past-grid", "fit_band() wrote after the 4 bytes"},
    };
    for (const auto& one : cases)
        expect_failure(Exit::plugin, {std::string("format-") + one.id, one.message},
                       [&] { run_everything(one.id, Watch::yes); });
}

TEST(Policing, AFunctionThatReturnsNothingCanSayThatItFailed) {
    for (int i = 0; i < 2; ++i)  // nothing of the first failure is left for the second
        expect_failure(Exit::plugin, {"format-breaks", "encode() failed: the codebook is gone"},
                       [] { run_everything("breaks", Watch::no); });
    run_everything("sound", Watch::no);
}

TEST(Policing, BuffersAreWatchedByDefaultInDebugBuildsOnly) {
#ifdef NDEBUG
    EXPECT_EQ(default_watch, Watch::no);
#else
    EXPECT_EQ(default_watch, Watch::yes);
#endif
}

TEST(Policing, TheHostsOwnMistakesAreNotThePlugins) {
    const Format format = open("sound");
    const auto plan = prepare(format, 6, 4);
    Grid grid = plan->make_grid();
    Matrix matrix = random_matrix(6, 4, 1);
    std::vector<std::byte> band(200);
    const auto encode = [&](ht_region region, size_t bytes) {
        plan->encode(grid, region, matrix.view(), std::span(band).first(bytes));
    };
    EXPECT_NO_THROW(encode({0, 0, 6, 4}, 96));
    for (const ht_region region :
         {ht_region{1, 0, 2, 4}, ht_region{0, 0, 3, 4}, ht_region{0, 1, 2, 3}, ht_region{4, 0, 4, 4}})
        EXPECT_THROW(encode(region, 32), Error);
    EXPECT_THROW(encode({0, 0, 2, 4}, 31), Error);
    EXPECT_THROW(plan->companion(grid, 0), Error);
    EXPECT_THROW(plan->companion(grid, 2), Error);
}

}  // namespace
}  // namespace halftone
