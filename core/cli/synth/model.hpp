#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/checkpoint/writer.hpp"
#include "core/cli/synth/family.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"

namespace halftone::synth {

// Everything that the bytes of a model depend on.
struct ModelChoice {
    const Family* family = nullptr;
    Scale scale = Scale::tiny;
    unsigned layers = 1;
    ht_dtype dtype = 0;  // F32, F16 or BF16
    uint64_t seed = 1;

    std::vector<TensorSpec> tensors() const { return synth::tensors(*family, scale, layers); }
};

// The metadata entry that tells how a model was made: "family=flux scale=tiny layers=2 dtype=BF16 seed=1
// version=1". The version counts changes of what a seed makes.
inline constexpr std::string_view metadata_key = "halftone.synth";
std::string description(const ModelChoice&);
std::optional<ModelChoice> parse_description(std::string_view);

// The files of a model, and how they are filled.
class ModelWriter {
  public:
    struct Settings {
        Output::Settings output;
        uint64_t shard_size = 0;         // 0: one file
        uint64_t band_bytes = 1U << 20;  // made and written at a time
    };
    ModelWriter(const ModelChoice&, Settings);

    const std::vector<FileLayout>& layouts() const { return layouts_; }
    uint64_t tensor_bytes() const { return tensor_bytes_; }
    // Creates, fills and renames the files; returns their names. Memory does not grow with the model.
    std::vector<std::filesystem::path> write(Workers&, Progress&) const;

  private:
    struct Job;
    void make(const Job&, Workers&, Workers::Share&, Progress&, const Output&) const;

    ModelChoice choice_;
    Settings settings_;
    std::vector<FileLayout> layouts_;
    uint64_t tensor_bytes_ = 0;
};

}  // namespace halftone::synth
