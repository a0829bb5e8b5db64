#include "core/tensor/convert.hpp"

#include "core/base/error.hpp"
#include "core/tensor/convert_kernels.hpp"

namespace halftone {

namespace {

// Both are mistakes of the caller, not of the user; reading beyond a buffer would be worse than an error.
[[noreturn]] void refuse_type(const char* action, ht_dtype type) {
    fail(Exit::failed, "", "internal error: asked to {} {}", action, dtype::name(type));
}

void check_sizes(ht_dtype type, size_t stored, size_t elements) {
    if (stored % (dtype::bits(type) / 8) != 0 || stored / (dtype::bits(type) / 8) != elements)
        fail(Exit::failed, "", "internal error: {} elements of {} do not take {} bytes", elements,
             dtype::name(type), stored);
}

ConvertKernels::Widen* widening(ht_dtype type, const ConvertKernels& kernels) {
    switch (type) {
        case HT_DTYPE_F64:
            return kernels.from_f64;
        case HT_DTYPE_F32:
            return kernels.from_f32;
        case HT_DTYPE_F16:
            return kernels.from_f16;
        case HT_DTYPE_BF16:
            return kernels.from_bf16;
        case HT_DTYPE_F8_E4M3:
            return kernels.from_f8_e4m3;
        case HT_DTYPE_F8_E5M2:
            return kernels.from_f8_e5m2;
        default:
            refuse_type("widen", type);
    }
}

ConvertKernels::Narrow* narrowing(ht_dtype type, const ConvertKernels& kernels) {
    switch (type) {
        case HT_DTYPE_F32:
            return kernels.to_f32;
        case HT_DTYPE_F16:
            return kernels.to_f16;
        case HT_DTYPE_BF16:
            return kernels.to_bf16;
        default:
            refuse_type("narrow float32 to", type);
    }
}

}  // namespace

uint64_t widen(ht_dtype type, std::span<const std::byte> from, std::span<float> to, ht_cpu level) {
    ConvertKernels::Widen* kernel = widening(type, convert_kernels(level));
    check_sizes(type, from.size(), to.size());
    return kernel(reinterpret_cast<const unsigned char*>(from.data()), to.data(), to.size());
}

void narrow(ht_dtype type, std::span<const float> from, std::span<std::byte> to, ht_cpu level) {
    ConvertKernels::Narrow* kernel = narrowing(type, convert_kernels(level));
    check_sizes(type, to.size(), from.size());
    kernel(from.data(), reinterpret_cast<unsigned char*>(to.data()), from.size());
}

}  // namespace halftone
