#include "plugins/conformance/draw.hpp"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <numbers>

#include "core/base/random.hpp"

namespace halftone::conformance {

uint32_t Random::word() {
    if (at_ % words_.size() == 0) random_words(seed_, stream_, at_, words_);
    return words_[at_++ % words_.size()];
}

uint64_t Random::below(uint64_t n) {
    const uint64_t high = word();
    return (high << 32 | word()) % n;
}

double Random::uniform() {
    return word() / 4294967296.0;
}

float Random::normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return static_cast<float>(radius * std::cos(2 * std::numbers::pi * uniform()));
}

std::vector<Shape> shapes(Random& random) {
    const auto some = [&](uint64_t most) { return 1 + random.below(most); };
    return {{1, 1},
            {some(8), some(40)},
            {128, 256},
            {some(60), some(150)},
            {200 + some(100), some(5)},
            {some(3), 600 + some(300)},
            {16 * some(5), 16 * some(9)},
            {64 * some(3), 64 * some(4)},
            {128, 512},
            {some(40), 256 * some(3)}};
}

const char* name_of(Values values) {
    static constexpr const char* names[] = {"normal",    "few bits", "one outlier", "mixed rows", "zeros",
                                            "subnormal", "tiny",     "huge",        "constant"};
    return names[static_cast<int>(values)];
}

namespace {

float drawn(Random& random, Values values, uint64_t row) {
    switch (values) {
        case Values::few_bits:  // ties, and many equal numbers
            return std::round(random.normal() * 8) / 8;
        case Values::mixed_rows:  // rows of zeros among them, and every size
            return row % 5 == 3 ? (random.one_in(2) ? 0.0f : -0.0f)
                                : std::ldexp(random.normal(), static_cast<int>(row % 7 * 8) - 24);
        case Values::zeros:
            return random.one_in(4) ? -0.0f : 0.0f;
        case Values::subnormal:
            return std::ldexp(random.normal(), -140);
        case Values::tiny:
            return std::ldexp(random.normal(), -60);
        case Values::huge:
            return static_cast<float>((2 * random.uniform() - 1) * FLT_MAX / 2);
        case Values::constant:
            return -0.37f;
        default:
            return random.normal() * 0.02f;
    }
}

}  // namespace

Matrix draw(Random& random, Shape shape, Values values, ht_dtype dtype) {
    Matrix matrix(shape.rows, shape.cols);
    for (uint64_t i = 0; i < shape.rows; ++i)
        for (uint64_t j = 0; j < shape.cols; ++j)
            matrix.values[i * shape.cols + j] = drawn(random, values, i);
    if (values == Values::outlier) matrix.values[random.below(matrix.values.size())] = 57.0f;
    if (values == Values::huge) matrix.values[random.below(matrix.values.size())] = -FLT_MAX / 2;
    if (dtype == HT_DTYPE_BF16)
        for (float& x : matrix.values)
            x = std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0xFFFF0000);
    return matrix;
}

namespace {

// Values worth trying, as a person would have written them.
std::vector<GivenValue> worth_trying(const ht_option& row) {
    const auto given = [](auto value) { return GivenValue{value, "the conformance kit"}; };
    const bool bounded = row.least != 0 || row.most != 0;
    std::vector<GivenValue> all;
    switch (row.type) {
        case HT_BOOL:
            all = {given(false), given(true)};
            break;
        case HT_INT:
        case HT_SIZE:
            if (bounded)
                for (const double value : {row.least, row.most})
                    all.push_back(given(static_cast<int64_t>(std::clamp(value, -9e18, 9e18))));
            // Between the bounds: what is no power of two, and what is beside a bound.
            if (bounded && row.most - row.least > 3 && row.most < 9e15)
                for (const double value : {row.least + 1, std::floor((row.least + row.most) / 2)})
                    all.push_back(given(static_cast<int64_t>(value)));
            // Block sizes and the like are powers of two, and few matrices are multiples of the largest.
            for (int64_t value : {int64_t{2}, int64_t{16}, int64_t{32}, int64_t{64}, int64_t{128}})
                if (!bounded ||
                    (static_cast<double>(value) > row.least && static_cast<double>(value) < row.most))
                    all.push_back(given(value));
            break;
        case HT_FLOAT:
            if (bounded)
                for (const double value : {row.least, (row.least + row.most) / 2, row.most})
                    all.push_back(given(value));
            break;
        case HT_CHOICE:
            for (const std::string& choice : choices_of(row))
                all.push_back(given(choice));
            break;
        default:  // texts and lists: nobody but the plugin knows any
            break;
    }
    return all;
}

}  // namespace

std::vector<OptionChoice> option_choices(Random& random, const OptionTable& table) {
    constexpr size_t most_together = 32, mixtures = 8;
    std::vector<OptionChoice> all = {{}};
    std::vector<std::vector<GivenValue>> values;
    std::vector<OptionChoice> together = {{}};  // choices and flags in all combinations
    for (size_t i = 0; i < table.size(); ++i) {
        const ht_option& row = table.row(i);
        values.push_back(worth_trying(row));
        for (const GivenValue& value : values.back())
            all.push_back({row.name, {{row.name, value}}});
        const bool few = row.type == HT_BOOL || row.type == HT_CHOICE;
        if (!few || together.size() * values.back().size() > most_together) continue;
        std::vector<OptionChoice> more;
        for (const OptionChoice& before : together)
            for (const GivenValue& value : values.back()) {
                more.push_back(before);
                more.back().given.insert_or_assign(row.name, value);
            }
        together = std::move(more);
    }
    if (table.size() < 2) return all;
    all.insert(all.end(), together.begin(), together.end());
    for (size_t mixture = 0; mixture < mixtures; ++mixture) {
        OptionChoice mixed = together[random.below(together.size())];
        for (size_t i = 0; i < table.size(); ++i)
            if (!values[i].empty() && random.one_in(2))
                mixed.given.insert({table.row(i).name, values[i][random.below(values[i].size())]});
        all.push_back(std::move(mixed));
    }
    return all;
}

}  // namespace halftone::conformance
