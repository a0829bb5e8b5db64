#include "core/plan/stored_types.hpp"

namespace halftone {

bool is_converted(const Tensor& tensor, const StoredTensor& stored) {
    const ht_dtype from = tensor.dtype;
    return stored.role != HT_ROLE_WEIGHT && stored.dtype == HT_DTYPE_F32 &&
           (from == HT_DTYPE_F16 || from == HT_DTYPE_BF16 || from == HT_DTYPE_F64);
}

bool stands_for(const Tensor& tensor, const StoredTensor& stored) {
    const auto is_byte = [](ht_dtype dtype) { return dtype == HT_DTYPE_I8 || dtype == HT_DTYPE_U8; };
    if (tensor.dtype == stored.dtype || is_converted(tensor, stored)) return true;
    return stored.role == HT_ROLE_WEIGHT ? is_byte(tensor.dtype) && is_byte(stored.dtype)
                                         : dtype::bits(stored.dtype) == 8;
}

}  // namespace halftone
