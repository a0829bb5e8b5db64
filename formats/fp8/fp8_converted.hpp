// e5m2 as loaders of the legacy layout read it: they take every weight for e4m3fn and convert it by value.
#pragma once

#include <halftone/toolbox/float8.hpp>

namespace halftone::fp8 {

// Codes are those of e5m2. Beyond 448 there is nothing in e4m3fn, and below 2^-6 it has fewer numbers.
struct E5m2AsE4m3fn {
    using Stored = toolbox::E5m2;
    using Code = Stored::Code;
    static constexpr Code most_code = 0x5F, lowest = 0x80 | most_code;  // 448
    static constexpr float most = toolbox::E4m3fn::most;

    HT_DEVICE static constexpr float decode(Code code) {
        if ((code & 0x7F) > most_code) return __builtin_nanf("");
        return toolbox::E4m3fn::rounded(Stored::decode(code));
    }
    HT_DEVICE static constexpr Code encode(float t) {
        const float low = t > -most ? t : -most;
        return Stored::encode(low < most ? low : most);
    }

    // Several codes may stand for one number.
    HT_DEVICE static constexpr Code above(Code code) { return next(code, most_code, Stored::above); }
    HT_DEVICE static constexpr Code below(Code code) { return next(code, lowest, Stored::below); }

  private:
    template <class Step>
    HT_DEVICE static constexpr Code next(Code from, Code end, Step step) {
        Code code = from;
        while (code != end && decode(code) == decode(from))
            code = step(code);
        return decode(code) == decode(from) ? from : code;
    }
};

}  // namespace halftone::fp8
