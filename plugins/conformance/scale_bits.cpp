// Numbers of the types that scales have, as far as finding NaN, infinity and signs goes.

#include <cstring>

#include "plugins/conformance/trial.hpp"

namespace halftone::conformance {

namespace {

// A floating-point type by its masks; little-endian as stored.
struct Layout {
    size_t bytes;
    uint64_t sign, exponent, fraction;
    bool infinities;  // false: only all ones is NaN
};

const Layout* layout_of(ht_dtype dtype) {
    static constexpr Layout f16{2, 0x8000, 0x7c00, 0x03ff, true}, bf16{2, 0x8000, 0x7f80, 0x007f, true},
        f32{4, 0x80000000, 0x7f800000, 0x007fffff, true},
        f64{8, 0x8000000000000000, 0x7ff0000000000000, 0x000fffffffffffff, true},
        e5m2{1, 0x80, 0x7c, 0x03, true}, e4m3{1, 0x80, 0x78, 0x07, false}, e8m0{1, 0, 0xff, 0, false};
    switch (dtype) {
        case HT_DTYPE_F16:
            return &f16;
        case HT_DTYPE_BF16:
            return &bf16;
        case HT_DTYPE_F32:
            return &f32;
        case HT_DTYPE_F64:
            return &f64;
        case HT_DTYPE_F8_E5M2:
            return &e5m2;
        case HT_DTYPE_F8_E4M3:
            return &e4m3;
        case HT_DTYPE_F8_E8M0:
            return &e8m0;
        default:
            return nullptr;
    }
}

uint64_t bits_at(const Layout& layout, const std::byte* at) {
    uint64_t bits = 0;
    std::memcpy(&bits, at, layout.bytes);
    return bits;
}

}  // namespace

size_t element_bytes(ht_dtype dtype) {
    const Layout* const layout = layout_of(dtype);
    return layout ? layout->bytes : 0;
}

Odd odd_element(ht_dtype dtype, const std::byte* at) {
    const Layout* const layout = layout_of(dtype);
    if (!layout) return Odd::none;
    const uint64_t bits = bits_at(*layout, at);
    const bool top = (bits & layout->exponent) == layout->exponent;
    const uint64_t fraction = bits & layout->fraction;
    if (top && (layout->infinities ? fraction != 0 : fraction == layout->fraction)) return Odd::nan;
    if (top && layout->infinities) return Odd::infinite;
    const bool zero = (bits & (layout->exponent | layout->fraction)) == 0;
    return (bits & layout->sign) && !zero ? Odd::negative : Odd::none;
}

bool set_nan(ht_dtype dtype, std::byte* at) {
    const Layout* const layout = layout_of(dtype);
    if (!layout) return false;
    const uint64_t bits = layout->exponent | layout->fraction;
    std::memcpy(at, &bits, layout->bytes);
    return true;
}

bool set_negative(ht_dtype dtype, std::byte* at) {
    const Layout* const layout = layout_of(dtype);
    if (!layout || !layout->sign) return false;
    const uint64_t bits = bits_at(*layout, at) | layout->sign;
    std::memcpy(at, &bits, layout->bytes);
    return odd_element(dtype, at) == Odd::negative;
}

bool is_scale(ht_role role) {
    return role == HT_ROLE_SCALE || role == HT_ROLE_SCALE_2 || role == HT_ROLE_ABSMAX ||
           role == HT_ROLE_NESTED_ABSMAX;
}

}  // namespace halftone::conformance
