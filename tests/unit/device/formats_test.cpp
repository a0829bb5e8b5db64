// Every format on a device against itself on the CPU, to the bit.
#include <array>
#include <cmath>
#include <cstring>

#include "core/device/device_grid.hpp"
#include "tests/unit/device/on_device.hpp"

namespace halftone {
namespace {

using device_test::downloaded, device_test::machine, device_test::registry, device_test::uploaded;

struct Mode {
    std::string format;
    std::vector<std::pair<std::string, std::string>> choices;
    uint64_t rows_of = 1, cols_of = 1;  // what shapes are multiples of
    int64_t block = 0;
    ht_dialect dialect = HT_DIALECT_COMFY;
    int64_t rotation = 0, group = 0;

    std::string name() const {
        std::string name = format;
        for (const auto& [key, value] : choices)
            name += " " + key + "=" + value;
        if (dialect == HT_DIALECT_BITSANDBYTES) name += " (bitsandbytes)";
        if (rotation) name += " rotation_group=" + std::to_string(rotation);
        if (group) name += " group_size=" + std::to_string(group);
        return name + (block ? " block_size=" + std::to_string(block) : "");
    }
    std::shared_ptr<const FormatPlan> plan(uint64_t rows, uint64_t cols) const {
        const auto made = registry().format(format);
        GivenOptions given;
        for (const auto& [key, value] : choices)
            given[key] = {value, ""};
        if (block) given["block_size"] = {block, ""};
        if (rotation) given["rotation_group"] = {rotation, ""};
        if (group) given["group_size"] = {group, ""};
        const OptionValues values = OptionValues::resolve(made->library().options(), given, format);
        return made->prepare({.dtype = HT_DTYPE_F32,
                              .dialect = dialect,
                              .shape = {rows, cols},
                              .experts = 1,
                              .rows = rows,
                              .cols = cols},
                             values);
    }
};

std::vector<Mode> modes() {
    std::vector<Mode> all;
    const auto there = registry().ids(HT_KIND_FORMAT);
    const auto add = [&](Mode mode) {
        if (std::ranges::count(there, mode.format)) all.push_back(std::move(mode));
    };
    for (const char* element : {"e4m3fn", "e5m2"})
        for (const char* per : {"tensor", "row"})
            for (const char* scale : {"absmax", "mse"})
                add({"fp8", {{"element", element}, {"scaling", per}, {"scale", scale}}});
    for (const char* scale : {"absmax", "mse"}) {
        add({"fp8", {{"scaling", "block"}, {"scale", scale}}, 16, 16, 16});
        add({"fp8", {{"element", "e5m2"}, {"scaling", "block3d"}, {"scale", scale}}, 1, 16, 16});
        add({"int8", {{"scaling", "block"}, {"scale", scale}}, 16, 16, 16});
        add({"int8", {{"scaling", "lode"}, {"scale", scale}}, 1, 16, 16});
        add({"int8", {{"scaling", "tensor"}, {"scale", scale}}});
        add({"int8", {{"scaling", "row"}, {"scale", scale}}});
        add({"nf4", {{"scale", scale}}, 8, 16, 64});
        add({"nf4", {{"scale", scale}}, 1, 1, 64, HT_DIALECT_BITSANDBYTES});
        add({"fp4", {{"scale", scale}}, 8, 16, 64});
        add({"fp4", {{"scale", scale}}, 1, 1, 64, HT_DIALECT_BITSANDBYTES});
        add({"nvfp4", {{"scale", scale}}});
        add({"mxfp8", {{"scale", scale}}});
    }
    for (const uint64_t group : {4, 16, 64, 256, 1024, 4096})
        add({"int8",
             {{"scaling", "row"}, {"rotation", "hadamard"}},
             1,
             group,
             0,
             HT_DIALECT_COMFY,
             static_cast<int64_t>(group)});
    for (const int64_t group : {4, 64})
        add({"convrot_w4a4", {}, 1, 64, 0, HT_DIALECT_COMFY, group});
    add({"convrot_w4a4", {{"scale", "mse"}}, 1, 64});
    for (const char* codebook : {"auto", "fixed", "none"})
        for (const char* scale : {"absmax", "mse"})
            for (const int64_t group : {4, 16, 64, 80})
                add({"asym_w4a8_int8",
                     {{"codebook", codebook}, {"scale", scale}},
                     1,
                     group == 80 ? 80u : 64u,
                     0,
                     HT_DIALECT_COMFY,
                     16,
                     group});
    for (const char* to : {"bf16", "f16", "f32", "e4m3fn", "e5m2"})
        add({"cast", {{"to", to}}});
    add({"acme.thirds", {}});
    return all;
}

// Magnitudes over many binades, zeros of both signs, whole groups of zeros, subnormal numbers.
Matrix numbers(uint64_t rows, uint64_t cols, std::mt19937& random) {
    std::normal_distribution<float> normal(0, 1);
    Matrix m(rows, cols);
    const int kind = static_cast<int>(random() % 6);
    for (uint64_t i = 0; i < rows; ++i)
        for (uint64_t j = 0; j < cols; ++j) {
            float& x = m.view().row(i)[j];
            x = normal(random) * 0.02f;
            if (kind == 1) x = std::ldexp(normal(random), static_cast<int>(random() % 60) - 40);
            if (kind == 2) x = i % 3 ? x : -0.0f;
            if (kind == 3) x = 0;
            if (kind == 4) x = std::ldexp(normal(random), -135);
            if (kind == 5 && random() % 50 == 0) x *= 1000;
        }
    return m;
}

class OnDevice {
  public:
    OnDevice(const Mode& mode, const Matrix& weights)
        : plan_(mode.plan(weights.rows(), weights.cols())),
          stream_(machine().device),
          grid_(machine().device, *plan_),
          weights_(weights),
          region_{0, 0, weights.rows(), weights.cols()},
          at_(uploaded(stream_, weights)),
          host_(plan_->make_grid()) {}

    const FormatPlan& plan() const { return *plan_; }
    bool has(const char* function) const { return grid_.has(function); }

    void fit() {
        const ht_facts& facts = plan_->facts();
        const uint64_t granules = (region_.rows + facts.granule_rows - 1) / facts.granule_rows;
        Grid expected = plan_->make_grid();
        const ht_view cpu = {const_cast<float*>(weights_.data()), static_cast<int64_t>(region_.cols), 1};
        for (uint32_t pass = 0; pass < facts.passes; ++pass) {
            AlignedBytes partials(granules * facts.partial_bytes), ours(granules * facts.partial_bytes);
            plan_->fit_pass(pass, region_, cpu, nullptr, expected, partials.data());
            if (has("fit_pass")) {
                const DeviceBuffer slots(machine().device, partials.size());
                stream_.fill(slots.data(), 0, slots.size());
                grid_.upload(stream_, expected);
                grid_.fit_pass(stream_, pass, region_, view(at_), slots.data());
                stream_.copy(ours.data(), slots.data(), slots.size());
                stream_.wait();
                ASSERT_EQ(0, std::memcmp(partials.data(), ours.data(), partials.size())) << "fit_pass";
            }
            plan_->fit_fold(pass, partials.bytes(), granules, expected);
        }
        if (has("fit_band")) {
            Grid ours = plan_->make_grid();
            std::memcpy(ours.data(), expected.data(), expected.size());
            grid_.upload(stream_, ours);
            grid_.fit_band(stream_, region_, view(at_));
            grid_.download(stream_, ours);
            plan_->fit_band(region_, cpu, nullptr, expected);
            ASSERT_EQ(0, std::memcmp(ours.data(), expected.data(), facts.grid_bytes)) << "fit_band";
        } else {
            plan_->fit_band(region_, cpu, nullptr, expected);
        }
        plan_->fit_seal(expected);
        host_ = std::move(expected);
        grid_.upload(stream_, host_);
    }

    // In place, and bit for bit: what follows is made from it.
    void expect_equal_rotation() {
        if (!has("rotate")) return;
        Matrix expected(region_.rows, region_.cols);
        std::memcpy(expected.data(), weights_.data(), region_.rows * region_.cols * sizeof(float));
        plan_->rotate(false, {expected.data(), static_cast<int64_t>(region_.cols), 1}, region_.rows);
        const DeviceBuffer rows = uploaded(stream_, weights_);
        grid_.upload(stream_, host_);
        grid_.rotate(stream_, false, region_, view(rows));
        const Matrix ours = downloaded(stream_, rows, region_.rows, region_.cols);
        ASSERT_EQ(0, std::memcmp(expected.data(), ours.data(), region_.rows * region_.cols * sizeof(float)))
            << "rotate";
    }

    void expect_equal_codes() {
        std::vector<std::byte> codes(plan_->band_bytes(0, region_.rows)), ours(codes.size());
        const ht_view cpu = {const_cast<float*>(weights_.data()), static_cast<int64_t>(region_.cols), 1};
        plan_->encode(host_, region_, cpu, codes);
        const DeviceBuffer band(machine().device, codes.size());
        if (has("encode")) {
            grid_.encode(stream_, region_, view(at_), band.data());
            stream_.copy(ours.data(), band.data(), ours.size());
            stream_.wait();
            ASSERT_EQ(codes, ours) << "encode";
        }
        if (!has("decode")) return;
        Matrix expected(region_.rows, region_.cols);
        plan_->decode(host_, region_, codes, {expected.data(), static_cast<int64_t>(region_.cols), 1});
        stream_.copy(band.data(), codes.data(), codes.size());
        const DeviceBuffer values = uploaded(stream_, Matrix(region_.rows, region_.cols));
        grid_.decode(stream_, region_, band.data(), view(values));
        expect_same(values, expected, "decode");
    }

    // On some rectangle.
    void expect_equal_values(std::mt19937& random) {
        ht_region part;
        part.row = random() % region_.rows;
        part.col = random() % region_.cols;
        part.rows = 1 + random() % (region_.rows - part.row);
        part.cols = 1 + random() % (region_.cols - part.col);
        Matrix first(region_.rows, region_.cols), second(region_.rows, region_.cols);
        const DeviceBuffer one = uploaded(stream_, first), two = uploaded(stream_, second);
        const ht_view in = at_part(weights_.data(), part), in_device = at_part(at_.as<float>(), part);
        plan_->snap(host_, part, in, at_part(first.data(), part));
        grid_.snap(stream_, part, in_device, at_part(one.as<float>(), part));
        expect_same(one, first, "snap");
        if (has("sigma")) {
            plan_->sigma(host_, part, at_part(first.data(), part));
            grid_.sigma(stream_, part, at_part(one.as<float>(), part));
            expect_same(one, first, "sigma");
        }
        if (has("around")) {
            plan_->around(host_, part, in, at_part(first.data(), part), at_part(second.data(), part));
            grid_.around(stream_, part, in_device, at_part(one.as<float>(), part),
                         at_part(two.as<float>(), part));
            expect_same(one, first, "around, lower");
            expect_same(two, second, "around, upper");
        }
    }

    bool snaps() const { return grid_.snaps(host_); }

  private:
    ht_view view(const DeviceBuffer& m) const {
        return {m.as<float>(), static_cast<int64_t>(region_.cols), 1};
    }
    ht_view at_part(const float* at, const ht_region& part) const {
        return {const_cast<float*>(at) + part.row * region_.cols + part.col,
                static_cast<int64_t>(region_.cols), 1};
    }
    // Numerically: a table has one zero.
    void expect_same(const DeviceBuffer& ours, const Matrix& expected, const char* function) {
        const Matrix m = downloaded(stream_, ours, region_.rows, region_.cols);
        for (uint64_t i = 0; i < region_.rows * region_.cols; ++i)
            ASSERT_TRUE(m.data()[i] == expected.data()[i])
                << function << " at " << i << ": " << m.data()[i] << ", not " << expected.data()[i];
    }

    std::shared_ptr<const FormatPlan> plan_;
    DeviceStream stream_;
    DeviceGrid grid_;
    const Matrix& weights_;
    ht_region region_;
    DeviceBuffer at_;
    Grid host_;
};

TEST(DeviceFormats, GiveTheBitsOfTheCpu) {
    NEEDS_DEVICE();
    ASSERT_FALSE(modes().empty());
    for (const Mode& mode : modes()) {
        std::mt19937 random(11);
        int kernels = 0;
        for (int round = 0; round < 12; ++round) {
            const uint64_t rows = mode.rows_of * (1 + random() % (200 / mode.rows_of + 1));
            const uint64_t cols = mode.cols_of * (1 + random() % (700 / mode.cols_of + 1));
            SCOPED_TRACE(mode.name() + " " + std::to_string(rows) + " x " + std::to_string(cols) +
                         ", round " + std::to_string(round));
            const Matrix weights = numbers(rows, cols, random);
            OnDevice tested(mode, weights);
            tested.expect_equal_rotation();
            tested.fit();
            tested.expect_equal_codes();
            if (tested.snaps()) tested.expect_equal_values(random);
            if (HasFatalFailure()) return;
            for (const char* name :
                 {"rotate", "fit_pass", "fit_band", "encode", "decode", "snap", "sigma", "around"})
                kernels += tested.has(name);
            if (round == 0)
                std::printf("    %-55s kernels: %d, table: %s\n", mode.name().c_str(), kernels,
                            tested.snaps() ? "yes" : "no");
        }
    }
}

// Of what is judged by a sample: more numbers than are fitted, than are judged, than are looked at, then
// several rows to a granule.
TEST(DeviceFormats, JudgeAMatrixByTheNumbersOfTheCpu) {
    NEEDS_DEVICE();
    if (!std::ranges::count(registry().ids(HT_KIND_FORMAT), "asym_w4a8_int8")) GTEST_SKIP();
    std::mt19937 random(12);
    for (const uint64_t rows : {400, 700, 5000, 9000}) {
        SCOPED_TRACE(rows);
        Matrix weights(rows, 1024);
        std::normal_distribution<float> normal(0, 1);
        for (uint64_t i = 0; i < rows * 1024; ++i)
            weights.data()[i] = normal(random) * (i % 16 == 0 ? 12.0f : 1.0f);
        OnDevice tested({"asym_w4a8_int8", {}}, weights);
        tested.fit();
        tested.expect_equal_codes();
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace halftone
