#pragma once

#include <filesystem>

#include "core/plan/plan.hpp"

namespace halftone {

struct DequantizeSettings {
    std::filesystem::path input, output;
    bool replace = false;
    uint64_t shard_size = 0;  // 0: one file
    ht_dtype dtype = HT_DTYPE_BF16;
    std::shared_ptr<const Checkpoint> model = nullptr;  // tells shapes that the input does not
};

// The plan that makes plain numbers of every quantized layer: casts with the layer's StoredMatrix. Companions
// and markers are removed, stale metadata goes, everything else is copied. Exit::usage if nothing is
// quantized, Exit::input if a layer is of no known format.
Plan make_dequantize_plan(const DequantizeSettings&, Registry&);

}  // namespace halftone
