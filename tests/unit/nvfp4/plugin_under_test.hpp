#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <halftone/format.h>
#include <halftone/plugin.h>

namespace halftone::nvfp4_test {

// The plugin is linked into the test; everything goes through its descriptor. What holds for every format
// (regions, bands, snapping, reading back) is the conformance kit's business; here are NVFP4's own bytes.
const ht_format& table();

// Initialises the plugin with a CPU level for as long as it lives.
class Level {
  public:
    explicit Level(ht_cpu);
    ~Level();
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

  private:
    ht_host host_{};
};

struct Matrix {
    uint64_t rows = 0, cols = 0;
    std::vector<float> values;
};

struct Stored {
    std::vector<uint8_t> codes, scales;
    float tensor_scale = 0;
    std::vector<float> values;  // decoded
    friend bool operator==(const Stored&, const Stored&) = default;
};

struct Asked {
    bool search = false, pad = true;
    uint32_t wants = 0;
    ht_dtype dtype = HT_DTYPE_BF16;
    ht_dialect dialect = HT_DIALECT_COMFY;
    std::vector<float> column_weight = {};
};

// What format and layer know of each other.
class Plan {
  public:
    Plan(uint64_t rows, uint64_t cols, const Asked& = {});  // throws std::runtime_error with the reason
    ~Plan();
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    const ht_facts& facts() const { return *table().facts(plan_); }
    std::string description() const;  // "format=nvfp4 group_size=16 ..."
    Stored quantize(const Matrix&, const std::vector<float>& column_weight = {}) const;
    // What the stored companions and codes say.
    std::vector<float> read(const Stored&) const;

  private:
    uint64_t rows_, cols_;
    void* plan_ = nullptr;
};

// Gives the reason, or an empty text if it is recognized; `source` is what it was recognized as.
std::string recognize(const std::vector<ht_tensor>&, const char* marker, ht_source& source);

}  // namespace halftone::nvfp4_test
