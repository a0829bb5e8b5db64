// The order of codes that are sign and magnitude: codes of one sign rise with their values.
#pragma once

#include <halftone/toolbox/device.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

// The sign is the uppermost bit of a code; `most` is the largest magnitude.
template <class Code, int32_t most>
struct SignMagnitude {
    // The codes of the next greater and the next smaller value; at the ends the code itself.
    HT_DEVICE static constexpr Code above(Code code) {
        const int32_t place = place_of(code) + 1;
        return code_at(place < most ? place : most);
    }
    HT_DEVICE static constexpr Code below(Code code) {
        const int32_t place = place_of(code) - 1;
        return code_at(place > -most ? place : -most);
    }

  private:
    static constexpr int32_t sign_place = 8 * sizeof(Code) - 1, sign_bit = 1 << sign_place;

    // Values in order, zero at 0.
    HT_DEVICE static constexpr int32_t place_of(Code code) {
        const int32_t size = code & (sign_bit - 1), sign = -(code >> sign_place);
        return (size ^ sign) - sign;
    }
    HT_DEVICE static constexpr Code code_at(int32_t place) {
        const int32_t sign = place >> 31;
        return static_cast<Code>(((place ^ sign) - sign) | (sign & sign_bit));
    }
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
