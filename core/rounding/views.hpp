#pragma once

#include <halftone/matrix.h>

#include "core/linalg/matrix.hpp"

namespace halftone {

// As plugins take it; they only read where the contract says "in".
inline ht_view view_of(ConstMatrixView m) {
    return {const_cast<float*>(m.at), static_cast<int64_t>(m.stride), 1};
}

}  // namespace halftone
