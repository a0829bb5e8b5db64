// What a plan of the format is, from options or from a file.
#pragma once

#include <cstdint>

#include <halftone/plugin.hpp>
#include <halftone/toolbox/rotation.hpp>
#include <halftone/toolbox/scale_option.hpp>

namespace halftone::asym_w4a8_int8 {

inline constexpr const char* label_name = "asym_w4a8_int8";
enum class Book { automatic, fixed, none };
inline constexpr const char* book_names[] = {"auto", "fixed", "none", nullptr};
inline constexpr const char* bits_names[] = {"4", "6", nullptr};
inline constexpr const char* scale_names[] = {"e4m3", "f32", nullptr};

struct Choice {
    uint64_t group, rotation;
    Book book;
    bool searches, corrected;
    uint32_t bits = 4;
    bool wide_scales = false;  // group scales in F32

    bool is_only_read() const { return bits != 4 || wide_scales; }
};

// Throws Refused with the reason where loaders do not take it.
Choice chosen(const ht_source&, const Options&);

// What is added to a group may be stored in any type that weights have.
constexpr ht_dtype correction_dtype(ht_dtype of_weights) {
    return of_weights == HT_DTYPE_BF16 || of_weights == HT_DTYPE_F16 ? of_weights : HT_DTYPE_F32;
}

void recognize(const ht_layer&, OptionsOut&, ht_source&);

}  // namespace halftone::asym_w4a8_int8
