#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/matrix.h>

namespace halftone {

using Shape = std::vector<uint64_t>;

namespace dtype {

// The names that safetensors uses: "BF16", "F8_E4M3".
std::string_view name(ht_dtype);  // "unknown" for what is no element type
std::optional<ht_dtype> from_name(std::string_view);
unsigned bits(ht_dtype);  // 0 for what is no element type
bool is_float(ht_dtype);  // of any width, 8-bit and smaller included

// Element types that widen() takes: F64 F32 F16 BF16 F8_E4M3 F8_E5M2.
bool widens(ht_dtype);

}  // namespace dtype

// The product, or nothing if it does not fit into 64 bits anywhere on the way from the left (as safetensors
// counts: a zero at the end does not help). An empty shape has one element.
std::optional<uint64_t> element_count(std::span<const uint64_t> shape);

// Bytes of a tensor, or nothing if that overflows or is no whole number of bytes.
std::optional<uint64_t> byte_count(ht_dtype, std::span<const uint64_t> shape);

std::string to_string(const Shape&);  // "[3072, 64]"

}  // namespace halftone
