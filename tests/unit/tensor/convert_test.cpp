#include "core/tensor/convert.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

#include "core/base/error.hpp"

namespace halftone {
namespace {

struct SmallFloat {
    ht_dtype type;
    int exponent_bits, mantissa_bits;
    bool has_infinity;  // otherwise only the code of all ones is special, a NaN

    int bias() const { return (1 << (exponent_bits - 1)) - 1; }
    uint32_t codes() const { return 1u << (1 + exponent_bits + mantissa_bits); }
};

constexpr SmallFloat f16 = {HT_DTYPE_F16, 5, 10, true}, bf16 = {HT_DTYPE_BF16, 8, 7, true},
                     e4m3 = {HT_DTYPE_F8_E4M3, 4, 3, false}, e5m2 = {HT_DTYPE_F8_E5M2, 5, 2, true};

// From the definition of the formats, with ldexp instead of bits.
double value_of(const SmallFloat& format, uint32_t code) {
    const int mantissa = static_cast<int>(code & ((1u << format.mantissa_bits) - 1));
    const int exponent = static_cast<int>(code >> format.mantissa_bits & ((1u << format.exponent_bits) - 1));
    const double sign = code >> (format.mantissa_bits + format.exponent_bits) ? -1 : 1;
    const int all_ones = (1 << format.exponent_bits) - 1;
    if (exponent == all_ones && format.has_infinity)
        return mantissa ? std::numeric_limits<double>::quiet_NaN()
                        : sign * std::numeric_limits<double>::infinity();
    if (exponent == all_ones && mantissa == (1 << format.mantissa_bits) - 1)
        return std::numeric_limits<double>::quiet_NaN();
    const int hidden = exponent ? 1 << format.mantissa_bits : 0;
    return sign * std::ldexp(hidden + mantissa, std::max(exponent, 1) - format.bias() - format.mantissa_bits);
}

std::vector<std::byte> all_codes(const SmallFloat& format) {
    const size_t width = format.codes() > 256 ? 2 : 1;
    std::vector<std::byte> bytes(format.codes() * width);
    for (uint32_t code = 0; code < format.codes(); ++code)
        std::memcpy(bytes.data() + code * width, &code, width);
    return bytes;
}

bool same_number(float a, double b) {
    return std::isnan(b) ? std::isnan(a) : a == b && std::signbit(a) == std::signbit(b);
}

class Convert : public testing::TestWithParam<ht_cpu> {};
INSTANTIATE_TEST_SUITE_P(EveryLevel, Convert, testing::ValuesIn(cpu::available()),
                         [](const auto& info) { return cpu::name(info.param); });

TEST_P(Convert, WidensEveryCodeExactly) {
    for (const SmallFloat& format : {f16, bf16, e4m3, e5m2}) {
        const std::vector<std::byte> codes = all_codes(format);
        std::vector<float> values(format.codes());
        const uint64_t non_finite = widen(format.type, codes, values, GetParam());
        uint64_t expected = 0;
        for (uint32_t code = 0; code < format.codes(); ++code) {
            const double value = value_of(format, code);
            expected += !std::isfinite(value);
            ASSERT_TRUE(same_number(values[code], value)) << dtype::name(format.type) << " code " << code
                                                          << ": " << values[code] << " instead of " << value;
        }
        EXPECT_EQ(non_finite, expected) << dtype::name(format.type);
    }
}

TEST_P(Convert, WidensTheSameBitsAtEveryLevel) {
    for (const SmallFloat& format : {f16, bf16, e4m3, e5m2}) {
        const std::vector<std::byte> codes = all_codes(format);
        std::vector<float> values(format.codes()), baseline(format.codes());
        widen(format.type, codes, values, GetParam());
        widen(format.type, codes, baseline, HT_CPU_BASELINE);
        EXPECT_EQ(std::memcmp(values.data(), baseline.data(), values.size() * sizeof(float)), 0)
            << dtype::name(format.type);
    }
}

// Every length and misalignment reaches other paths of a vector loop.
TEST_P(Convert, WidensAnyLengthAtAnyAddressAndNothingBeyond) {
    std::mt19937 random(1);
    for (const SmallFloat& format : {f16, bf16, e4m3, e5m2}) {
        const size_t width = dtype::bits(format.type) / 8;
        for (size_t n = 0; n < 150; ++n) {
            const size_t shift = n % 7;
            std::vector<std::byte> bytes(shift + n * width);
            std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<std::byte>(random()); });
            std::vector<float> values(n + 2, 7);
            const uint64_t non_finite = widen(format.type, std::span(bytes).subspan(shift),
                                              std::span(values).subspan(1, n), GetParam());
            uint64_t expected = 0;
            for (size_t i = 0; i < n; ++i) {
                uint32_t code = 0;
                std::memcpy(&code, bytes.data() + shift + i * width, width);
                expected += !std::isfinite(value_of(format, code));
                ASSERT_TRUE(same_number(values[i + 1], value_of(format, code)));
            }
            EXPECT_EQ(non_finite, expected);
            EXPECT_EQ(values.front(), 7);
            EXPECT_EQ(values.back(), 7);
        }
    }
}

TEST_P(Convert, CountsMoreThanOneBlockOfNonFiniteValues) {
    const size_t n = (size_t{1} << 21) + 13;
    std::vector<std::byte> bytes(2 * n, std::byte{0xFF});  // all NaN
    std::vector<float> values(n);
    EXPECT_EQ(widen(HT_DTYPE_BF16, bytes, values, GetParam()), n);
}

TEST_P(Convert, CopiesFloat32AndCounts) {
    std::mt19937 random(2);
    std::vector<uint32_t> bits(100'003);
    std::generate(bits.begin(), bits.end(), random);
    std::vector<float> values(bits.size());
    const uint64_t non_finite = widen(HT_DTYPE_F32, std::as_bytes(std::span(bits)), values, GetParam());
    EXPECT_EQ(std::memcmp(bits.data(), values.data(), bits.size() * 4), 0);
    EXPECT_EQ(non_finite,
              std::count_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); }));
    EXPECT_GT(non_finite, 0u);

    std::vector<std::byte> back(bits.size() * 4);
    narrow(HT_DTYPE_F32, values, back, GetParam());
    EXPECT_EQ(std::memcmp(bits.data(), back.data(), back.size()), 0);
}

TEST_P(Convert, RoundsFloat64ToNearestEven) {
    const double infinity = std::numeric_limits<double>::infinity();
    const double half_step = std::ldexp(1, -24);
    const std::vector<double> from = {
        0.0,
        -0.0,
        1 + half_step,
        1 + 3 * half_step,
        -(1 + half_step * 1.000001),
        std::ldexp(1, -149),
        std::ldexp(1, -150),
        std::ldexp(1.000001, -150),
        3.4028235677973366e38,  // half-way to what would follow the largest float
        3.4028235677973362e38,
        infinity,
        -infinity,
        std::nan("")};
    const std::vector<float> expected = {
        0.0f,      -0.0f,      1.0f,         1.0f + 0x1p-22f, -(1.0f + 0x1p-23f),
        0x1p-149f, 0.0f,       0x1p-149f,    HUGE_VALF,       std::numeric_limits<float>::max(),
        HUGE_VALF, -HUGE_VALF, std::nanf("")};
    std::vector<float> to(from.size());
    EXPECT_EQ(widen(HT_DTYPE_F64, std::as_bytes(std::span(from)), to, GetParam()), 4u);
    for (size_t i = 0; i < from.size(); ++i)
        EXPECT_TRUE(same_number(to[i], expected[i])) << from[i] << " became " << to[i];
}

// The nearest code by search among all of them; a tie goes to the even one. What lies half a step or more
// beyond the largest finite value becomes infinite.
class Nearest {
  public:
    explicit Nearest(const SmallFloat& format) {
        const uint32_t infinity = ((1u << format.exponent_bits) - 1) << format.mantissa_bits;
        for (uint32_t code = 0; code < infinity; ++code)
            values_.push_back(value_of(format, code));
        // As if the exponents went on.
        values_.push_back(std::ldexp(1, (1 << format.exponent_bits) - 1 - format.bias()));
    }
    uint16_t operator()(float x) const {
        const double magnitude = std::fabs(static_cast<double>(x));
        const auto above = std::lower_bound(values_.begin(), values_.end(), magnitude);
        auto code =
            static_cast<uint32_t>(std::min<ptrdiff_t>(above - values_.begin(), std::ssize(values_) - 1));
        if (code > 0 && magnitude < values_[code]) {
            const double up = values_[code] - magnitude, down = magnitude - values_[code - 1];
            if (down < up || (down == up && code % 2 == 1)) --code;
        }
        return static_cast<uint16_t>(code | (std::signbit(x) ? 0x8000u : 0u));
    }

  private:
    std::vector<double> values_;
};

std::vector<uint16_t> narrowed(ht_dtype type, std::span<const float> from, ht_cpu level) {
    std::vector<uint16_t> to(from.size());
    narrow(type, from, std::as_writable_bytes(std::span(to)), level);
    return to;
}

TEST_P(Convert, NarrowsBackEveryCode) {
    for (const SmallFloat& format : {f16, bf16}) {
        std::vector<float> values(format.codes());
        widen(format.type, all_codes(format), values, GetParam());
        const std::vector<uint16_t> back = narrowed(format.type, values, GetParam());
        for (uint32_t code = 0; code < format.codes(); ++code)
            if (!std::isnan(values[code])) {
                ASSERT_EQ(back[code], code) << dtype::name(format.type);
            }
    }
}

TEST_P(Convert, NarrowsToTheNearestAndToEvenBetween) {
    for (const SmallFloat& format : {f16, bf16}) {
        std::vector<float> from;
        // Every border between two codes, the numbers right beside it, and both signs.
        for (uint32_t code = 0; code + 1 < format.codes() / 2; ++code) {
            const double middle = (value_of(format, code) + value_of(format, code + 1)) / 2;
            if (!std::isfinite(middle)) continue;
            const auto border = static_cast<float>(middle);
            for (const float x : {border, std::nextafter(border, 0.0f), std::nextafter(border, HUGE_VALF)})
                from.insert(from.end(), {x, -x});
        }
        // Any bits: subnormal and huge numbers among them.
        std::mt19937 random(3);
        for (int i = 0; i < 300'000; ++i)
            from.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
        std::erase_if(from, [](float x) { return std::isnan(x); });
        from.insert(from.end(),
                    {0.0f, -0.0f, HUGE_VALF, -HUGE_VALF, std::numeric_limits<float>::max(), 0x1p-149f,
                     65504.0f, 65519.996f, 65520.0f, 65536.0f, 0x1p-24f, 0x1p-25f, 0x1.8p-24f});
        const Nearest nearest(format);
        const std::vector<uint16_t> to = narrowed(format.type, from, GetParam());
        for (size_t i = 0; i < from.size(); ++i)
            ASSERT_EQ(to[i], nearest(from[i])) << dtype::name(format.type) << " of " << from[i];
    }
}

// What torch 2.13 gives on a CPU; for BF16 on one without AVX2, with it torch writes 0xFFFF for every NaN.
TEST_P(Convert, KeepsNanAsTorchDoes) {
    const std::vector<uint32_t> bits = {0x7fc00000, 0xffc00000, 0x7f800001, 0xff800001,
                                        0x7fffffff, 0xffffffff, 0x7fc12345, 0x7f812345};
    std::vector<float> from(bits.size());
    std::memcpy(from.data(), bits.data(), bits.size() * 4);
    EXPECT_EQ(narrowed(HT_DTYPE_F16, from, GetParam()),
              (std::vector<uint16_t>{0x7e00, 0xfe00, 0x7e00, 0xfe00, 0x7fff, 0xffff, 0x7e09, 0x7e09}));
    EXPECT_EQ(narrowed(HT_DTYPE_BF16, from, GetParam()), std::vector<uint16_t>(bits.size(), 0x7fc0));
}

TEST_P(Convert, NarrowsAnyLengthAtAnyAddressAndNothingBeyond) {
    std::mt19937 random(4);
    std::normal_distribution<float> normal;
    for (const SmallFloat& format : {f16, bf16}) {
        const Nearest nearest(format);
        for (size_t n = 0; n < 100; ++n) {
            std::vector<float> from(n);
            std::generate(from.begin(), from.end(), [&] { return normal(random); });
            std::vector<std::byte> to(2 * n + 3, std::byte{0x55});
            narrow(format.type, from, std::span(to).subspan(1, 2 * n), GetParam());
            for (size_t i = 0; i < n; ++i) {
                uint16_t code = 0;
                std::memcpy(&code, to.data() + 1 + 2 * i, 2);
                ASSERT_EQ(code, nearest(from[i]));
            }
            EXPECT_EQ(to.front(), std::byte{0x55});
            EXPECT_EQ(to[2 * n + 1], std::byte{0x55});
            EXPECT_EQ(to[2 * n + 2], std::byte{0x55});
        }
    }
}

TEST(ConvertMisuse, IsAnErrorInsteadOfAReadBeyondTheBuffer) {
    std::vector<std::byte> bytes(8);
    std::vector<float> values(4);
    EXPECT_THROW(widen(HT_DTYPE_I8, bytes, values), Error);
    EXPECT_THROW(widen(HT_DTYPE_F32, bytes, values), Error);
    EXPECT_THROW(widen(HT_DTYPE_BF16, std::span(bytes).first(7), values), Error);
    EXPECT_THROW(narrow(HT_DTYPE_F8_E4M3, values, bytes), Error);
    EXPECT_THROW(narrow(HT_DTYPE_F32, values, bytes), Error);
    EXPECT_EQ(widen(HT_DTYPE_BF16, bytes, values), 0u);
    EXPECT_EQ(widen(HT_DTYPE_BF16, {}, {}), 0u);
}

}  // namespace
}  // namespace halftone
