#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"

namespace halftone::test {

// A tensor for a checkpoint that a test makes.
struct NewTensor {
    std::string name;
    ht_dtype dtype;
    Shape shape;
    std::vector<std::byte> bytes;
};

// A float tensor with the given values, narrowed to F32, F16 or BF16.
NewTensor float_tensor(std::string name, ht_dtype, Shape, std::span<const float>);

// One with values that look like weights: normal, standard deviation 0.02, from the seed.
NewTensor random_tensor(std::string name, ht_dtype, Shape, uint64_t seed);

void write_checkpoint(const std::filesystem::path&, const std::vector<NewTensor>&, const Metadata& = {});

// A folder that is removed with everything in it.
class TemporaryFolder {
  public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

std::string file_text(const std::filesystem::path&);
void write_text(const std::filesystem::path&, const std::string&);
std::vector<std::string> names_in(const std::filesystem::path& folder);  // sorted, hidden ones included

}  // namespace halftone::test
