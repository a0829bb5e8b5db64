#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/plan/plan.hpp"

namespace halftone {

struct DequantizeSettings {
    std::filesystem::path input, output;
    bool replace = false;
    uint64_t shard_size = 0;  // 0: one file
    ht_dtype dtype = HT_DTYPE_BF16;
    std::shared_ptr<const Checkpoint> model = nullptr;  // tells shapes that the input does not
    // Patterns of tensors that a quantized layer has beside what its format knows.
    std::vector<std::string> keep_unknown = {}, remove_unknown = {};
};

// The plan that makes plain numbers of every quantized layer: casts with the layer's StoredMatrix. Companions
// and markers are removed, stale metadata goes, everything else is copied. Exit::usage if nothing is
// quantized, Exit::input if a layer is of no known format, or has a tensor that its format does not know and
// no pattern names.
Plan make_dequantize_plan(const DequantizeSettings&, Registry&);

}  // namespace halftone
