#include "core/run/weight_reader.hpp"

#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <random>

#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/run/bands.hpp"
#include "tests/support/checkpoints.hpp"

namespace halftone {
namespace {

using namespace test;

class Readers : public testing::Test {
  protected:
    static Log& log() {
        static Log silent({.style = Log::Style::human, .least = Level::error, .color = false});
        return silent;
    }
    static std::shared_ptr<Registry> registry() {
        return std::make_shared<Registry>(
            PluginFolders{.extra = {HALFTONE_FIXTURE_PLUGINS}, .environment = {}, .user = {}, .bundled = {}},
            std::make_shared<PluginHost>(log(), cpu::level()));
    }
    std::shared_ptr<const Checkpoint> write(const std::vector<NewTensor>& tensors) {
        write_checkpoint(folder_ / "m.safetensors", tensors);
        return std::make_shared<const Checkpoint>(Checkpoint::open(folder_ / "m.safetensors"));
    }
    static NewTensor marker(const std::string& text) {
        const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
        return {"a.comfy_quant", HT_DTYPE_U8, {text.size()}, {bytes, bytes + text.size()}};
    }
    static std::vector<float> values(uint64_t n, uint64_t seed) {
        std::mt19937_64 random(seed);
        std::normal_distribution<float> normal;
        std::vector<float> values(n);
        for (float& value : values)
            value = normal(random);
        return values;
    }

    TemporaryFolder folder_;
};

void expect_rows(const WeightReader& reader, const std::vector<float>& all, uint64_t row, uint64_t rows) {
    Scratch scratch;
    const uint64_t cols = reader.cols();
    const WidenedBand band = reader.read({row, 0, rows, cols}, scratch);
    ASSERT_EQ(band.view.col_stride, 1);
    for (uint64_t i = 0; i < rows; ++i)
        ASSERT_EQ(std::memcmp(band.view.at + static_cast<int64_t>(i) * band.view.row_stride,
                              all.data() + (row + i) * cols, cols * sizeof(float)),
                  0)
            << "row " << row + i;
    EXPECT_LE(scratch.source.size() + scratch.values.size(), reader.scratch_bytes(rows, cols));
}

// The fixture has granules of two rows; bands may start and end anywhere.
TEST_F(Readers, GiveAnyRowsOfPlainAndStoredMatrices) {
    std::mt19937_64 random(1);
    const auto plugins = registry();
    for (uint64_t seed = 0; seed < 25; ++seed) {
        const uint64_t rows = random() % 40 + 1, cols = random() % 30 + 1;
        const std::vector<float> all = values(rows * cols, seed);
        const auto checkpoint = write({float_tensor("a.weight", HT_DTYPE_F32, {rows, cols}, all),
                                       float_tensor("a.weight_scale", HT_DTYPE_F32, {}, std::vector{1.0F}),
                                       marker("{\"format\": \"float32\"}")});
        Recognition recognition(checkpoint, *plugins);
        const auto matrix = recognition.recognize(quantized_layers(*checkpoint).at(0));
        EXPECT_EQ(matrix->shown, "recognizes level=5");
        const std::unique_ptr<WeightReader> readers[] = {
            open_reader(*checkpoint, *checkpoint->find("a.weight"), cols), open_reader(*checkpoint, matrix)};
        for (const auto& reader : readers) {
            ASSERT_EQ(reader->rows(), rows);
            ASSERT_EQ(reader->cols(), cols);
            for (int i = 0; i < 10; ++i) {
                const uint64_t row = random() % rows;
                expect_rows(*reader, all, row, random() % (rows - row) + 1);
            }
            const Bands bands(rows, cols, 3, reader->granule_rows());
            uint64_t bytes = 0;
            for (uint64_t band = 0; band < bands.count(); ++band)
                bytes += reader->bytes_of(bands.region(band));
            EXPECT_EQ(bytes, reader->total_bytes());
        }
        EXPECT_EQ(readers[1]->granule_rows(), std::min<uint64_t>(2, rows));
    }
}

TEST_F(Readers, GivePartsOfARow) {
    const std::vector<float> all = values(3 * 50, 4);
    const auto checkpoint = write({float_tensor("a.weight", HT_DTYPE_F32, {3, 50}, all)});
    const auto reader = open_reader(*checkpoint, *checkpoint->find("a.weight"), 50);
    ASSERT_EQ(reader->piece_cols(), 1u);
    Scratch scratch;
    const WidenedBand part = reader->read({2, 17, 1, 20}, scratch);
    EXPECT_EQ(std::memcmp(part.view.at, all.data() + 2 * 50 + 17, 20 * sizeof(float)), 0);
    EXPECT_LE(scratch.bytes(), reader->scratch_bytes(1, 20));
    EXPECT_EQ(reader->bytes_of({2, 17, 1, 20}), 80u);
}

TEST_F(Readers, CountWhatIsNoNumberInTheRowsAskedFor) {
    std::vector<float> all = values(12, 1);
    all[5] = std::numeric_limits<float>::quiet_NaN();
    all[9] = -std::numeric_limits<float>::infinity();
    const auto checkpoint = write({float_tensor("a.weight", HT_DTYPE_F32, {4, 3}, all),
                                   float_tensor("a.weight_scale", HT_DTYPE_F32, {}, std::vector{1.0F}),
                                   marker("{\"format\": \"float32\"}")});
    const auto plugins = registry();
    Recognition recognition(checkpoint, *plugins);
    const auto matrix = recognition.recognize(quantized_layers(*checkpoint).at(0));
    const std::unique_ptr<WeightReader> readers[] = {
        open_reader(*checkpoint, *checkpoint->find("a.weight"), 3), open_reader(*checkpoint, matrix)};
    for (const auto& reader : readers) {
        Scratch scratch;
        EXPECT_EQ(reader->read({0, 0, 4, 3}, scratch).nonfinite, 2u);
        EXPECT_EQ(reader->read({1, 0, 2, 3}, scratch).nonfinite, 1u);
        EXPECT_EQ(reader->read({0, 0, 1, 3}, scratch).nonfinite, 0u);
    }
}

TEST_F(Readers, WrongSizesAndMissingCompanionsAreErrorsOfTheInput) {
    const auto plugins = registry();
    const std::string label = "{\"format\": \"float32\"}";
    const auto weight = float_tensor("a.weight", HT_DTYPE_F32, {4, 3}, values(12, 1));
    const auto half = float_tensor("a.weight", HT_DTYPE_F16, {4, 3}, values(12, 1));
    const auto scale = float_tensor("a.weight_scale", HT_DTYPE_F32, {}, std::vector{1.0F});
    const auto two = float_tensor("a.weight_scale", HT_DTYPE_F32, {2}, std::vector{1.0F, 2.0F});
    const std::pair<std::vector<NewTensor>, std::string> broken[] = {
        {{half, scale, marker(label)}, "a.weight: has 24 bytes of data; recognizes level=5 of a 4 x 3"},
        {{weight, two, marker(label)}, "a.weight_scale: has 8 bytes of data"},
        {{weight, marker(label)}, "a: recognizes level=5 cannot be read: the scale is missing"},
    };
    for (const auto& [tensors, words] : broken) {
        const auto checkpoint = write(tensors);
        try {
            Recognition recognition(checkpoint, *plugins);
            open_reader(*checkpoint, recognition.recognize(quantized_layers(*checkpoint).at(0)));
            ADD_FAILURE() << words;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Exit::input);
            EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
        }
    }
}

// Opening libraries runs their code: not without need.
TEST_F(Readers, NoPluginIsOpenedWithoutAQuantizedLayer) {
    const auto plugins = registry();
    const auto checkpoint = write({float_tensor("a.weight", HT_DTYPE_F32, {4, 3}, values(12, 1))});
    const Recognition recognition(checkpoint, *plugins);
    EXPECT_TRUE(quantized_layers(*checkpoint).empty());
    EXPECT_TRUE(plugins->loaded().empty());
}

TEST(BandsForTwo, AreMadeOfWholeGranulesOfBothWhereThatIsCheap) {
    const Bands both(10'000, 64, 6, 4);
    for (uint64_t i = 0; i + 1 < both.count(); ++i)
        EXPECT_EQ(both.region(i).row % 12, 0u);
    const Bands dear(10'000, 20'000, 3, 4'096);
    EXPECT_LE(dear.largest_elements(), 1'000'000u);
    for (uint64_t i = 0; i < dear.count(); ++i)
        EXPECT_EQ(dear.region(i).row % 3, 0u);
}

}  // namespace
}  // namespace halftone
