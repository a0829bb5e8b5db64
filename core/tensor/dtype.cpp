#include "core/tensor/dtype.hpp"

#include <array>
#include <fmt/format.h>

namespace halftone {

namespace {

enum class Kind { integer, real, complex };

struct Row {
    ht_dtype dtype;
    std::string_view name;
    unsigned bits;
    Kind kind;
    bool widens;
};

// In the order of their numbers, which start at 1.
constexpr std::array<Row, 22> rows = {{
    {HT_DTYPE_BOOL, "BOOL", 8, Kind::integer, false},
    {HT_DTYPE_F4, "F4", 4, Kind::real, false},
    {HT_DTYPE_F6_E2M3, "F6_E2M3", 6, Kind::real, false},
    {HT_DTYPE_F6_E3M2, "F6_E3M2", 6, Kind::real, false},
    {HT_DTYPE_U8, "U8", 8, Kind::integer, false},
    {HT_DTYPE_I8, "I8", 8, Kind::integer, false},
    {HT_DTYPE_F8_E5M2, "F8_E5M2", 8, Kind::real, true},
    {HT_DTYPE_F8_E4M3, "F8_E4M3", 8, Kind::real, true},
    {HT_DTYPE_F8_E8M0, "F8_E8M0", 8, Kind::real, false},
    {HT_DTYPE_F8_E4M3FNUZ, "F8_E4M3FNUZ", 8, Kind::real, false},
    {HT_DTYPE_F8_E5M2FNUZ, "F8_E5M2FNUZ", 8, Kind::real, false},
    {HT_DTYPE_I16, "I16", 16, Kind::integer, false},
    {HT_DTYPE_U16, "U16", 16, Kind::integer, false},
    {HT_DTYPE_F16, "F16", 16, Kind::real, true},
    {HT_DTYPE_BF16, "BF16", 16, Kind::real, true},
    {HT_DTYPE_I32, "I32", 32, Kind::integer, false},
    {HT_DTYPE_U32, "U32", 32, Kind::integer, false},
    {HT_DTYPE_F32, "F32", 32, Kind::real, true},
    {HT_DTYPE_C64, "C64", 64, Kind::complex, false},
    {HT_DTYPE_F64, "F64", 64, Kind::real, true},
    {HT_DTYPE_I64, "I64", 64, Kind::integer, false},
    {HT_DTYPE_U64, "U64", 64, Kind::integer, false},
}};

constexpr bool in_order() {
    for (size_t i = 0; i < rows.size(); ++i)
        if (rows[i].dtype != static_cast<ht_dtype>(i + 1)) return false;
    return true;
}
static_assert(in_order());

constexpr Row unknown = {0, "unknown", 0, Kind::integer, false};

const Row& row_of(ht_dtype dtype) {
    return dtype >= 1 && static_cast<size_t>(dtype) <= rows.size() ? rows[static_cast<size_t>(dtype) - 1]
                                                                   : unknown;
}

}  // namespace

namespace dtype {

std::string_view name(ht_dtype dtype) {
    return row_of(dtype).name;
}

std::optional<ht_dtype> from_name(std::string_view name) {
    for (const Row& row : rows)
        if (row.name == name) return row.dtype;
    return std::nullopt;
}

unsigned bits(ht_dtype dtype) {
    return row_of(dtype).bits;
}

bool is_float(ht_dtype dtype) {
    return row_of(dtype).kind == Kind::real;
}

bool widens(ht_dtype dtype) {
    return row_of(dtype).widens;
}

}  // namespace dtype

std::optional<uint64_t> element_count(std::span<const uint64_t> shape) {
    uint64_t count = 1;
    for (const uint64_t size : shape)
        if (__builtin_mul_overflow(count, size, &count)) return std::nullopt;
    return count;
}

std::optional<uint64_t> byte_count(ht_dtype dtype, std::span<const uint64_t> shape) {
    const std::optional<uint64_t> count = element_count(shape);
    uint64_t bits = 0;
    if (!count || __builtin_mul_overflow(*count, uint64_t{dtype::bits(dtype)}, &bits) || bits % 8 != 0)
        return std::nullopt;
    return bits / 8;
}

std::string to_string(const Shape& shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace halftone
