// An element type as numbers: its levels and where rounding goes from one to the next. Made by asking the
// element's own functions, so that a table cannot contradict them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

struct ScalarLevels {
    std::vector<float> level;  // ascending; one zero, whatever its signs
    std::vector<float> upper;  // the last float32 that still goes to level i or below; infinity at the end
    uint8_t zero = 0;          // the stored code of 0
};

namespace detail {

// Places of floats in ascending order, and back.
constexpr uint32_t float_place(float x) {
    const uint32_t bits = bits_of(x);
    return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}
constexpr float float_at(uint32_t place) {
    return float_of(place & 0x80000000 ? place & 0x7FFFFFFF : ~place);
}

template <class Element>
ScalarLevels make_levels() {
    ScalarLevels result;
    result.zero = static_cast<uint8_t>(Element::encode(0.0f));
    for (typename Element::Code code = Element::lowest;; code = Element::above(code)) {
        result.level.push_back(Element::decode(code));
        if (Element::above(code) == code) break;
    }
    for (size_t i = 0; i + 1 < result.level.size(); ++i) {
        uint32_t low = float_place(result.level[i]), high = float_place(result.level[i + 1]);
        while (high - low > 1) {
            const uint32_t middle = low + (high - low) / 2;
            const bool stays = Element::decode(Element::encode(float_at(middle))) <= result.level[i];
            (stays ? low : high) = middle;
        }
        result.upper.push_back(float_at(low));
    }
    result.upper.push_back(std::numeric_limits<float>::infinity());
    return result;
}

}  // namespace detail

template <class Element>
const ScalarLevels& scalar_levels() {
    static const ScalarLevels levels = detail::make_levels<Element>();
    return levels;
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
