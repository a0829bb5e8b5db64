#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <halftone/format.h>
#include <halftone/plugin.h>

namespace halftone::fp8_test {

// The plugin is linked into the test; everything goes through its descriptor, as a host would do it.
const ht_plugin& descriptor();
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

// The values of the option table.
class Values {
  public:
    explicit Values(const std::string& element = "e4m3fn", const std::string& scale_per = "tensor");
    Values(const Values&) = delete;
    Values& operator=(const Values&) = delete;
    ht_values abi() const { return const_at_.data(); }
    ht_value* const* writable() { return at_.data(); }
    std::string choice(const std::string& name) const;

  private:
    std::vector<ht_value> values_;
    std::vector<ht_value*> at_;
    std::vector<const ht_value*> const_at_;
};

struct Matrix {
    uint64_t rows = 0, cols = 0;
    std::vector<float> values;

    float& at(uint64_t i, uint64_t j) { return values[i * cols + j]; }
    float at(uint64_t i, uint64_t j) const { return values[i * cols + j]; }
};

ht_source source_of(uint64_t rows, uint64_t cols, ht_dialect = HT_DIALECT_COMFY, uint32_t wants = 0);

// 64-byte aligned, as the contract says.
using Grid = std::shared_ptr<std::byte[]>;

class Plan {
  public:
    // Throws std::runtime_error with the reason if the plugin refuses.
    Plan(const ht_source&, const Values&);
    ~Plan();
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    const ht_facts& facts() const { return *table().facts(plan_); }
    const void* get() const { return plan_; }
    std::string description() const;  // "format=float8_e4m3fn full_precision_matrix_mult=true"

    Grid make_grid() const;
    // All passes, fit_band, fit_seal; `bands` are the first rows of the bands after the first.
    Grid fit(const Matrix&, const std::vector<uint64_t>& bands = {}) const;
    Grid load(const std::vector<float>& scales) const;

    std::vector<uint8_t> encode(const Grid&, const Matrix&, const std::vector<uint64_t>& bands = {}) const;
    Matrix decode(const Grid&, const std::vector<uint8_t>&) const;
    Matrix snap(const Grid&, const Matrix&) const;
    std::vector<float> scales(const Grid&) const;

  private:
    Matrix like() const;
    ht_source source_;
    void* plan_ = nullptr;
};

struct Stored {
    std::vector<uint8_t> codes;
    std::vector<float> scales;
};

// From weights to bytes at one CPU level.
Stored quantize(const Matrix&, const std::string& element, const std::string& scale_per,
                ht_cpu = HT_CPU_BASELINE);

ht_region whole(const Matrix&);
ht_view view_of(const Matrix&, uint64_t row = 0);

// Bit patterns: NaN equals itself, and 0 differs from -0.
std::vector<uint32_t> bits(const std::vector<float>&);

}  // namespace halftone::fp8_test
