#include "tests/support/checkpoints.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>

#include "core/checkpoint/writer.hpp"
#include "core/tensor/convert.hpp"

namespace halftone::test {

NewTensor float_tensor(std::string name, ht_dtype dtype, Shape shape, std::span<const float> values) {
    NewTensor tensor{std::move(name), dtype, std::move(shape), {}};
    tensor.bytes.resize(values.size() * dtype::bits(dtype) / 8);
    narrow(dtype, values, tensor.bytes);
    return tensor;
}

NewTensor random_tensor(std::string name, ht_dtype dtype, Shape shape, uint64_t seed) {
    std::mt19937_64 generator(seed);
    std::normal_distribution<float> weights(0.0f, 0.02f);
    std::vector<float> values(element_count(shape).value());
    std::ranges::generate(values, [&] { return weights(generator); });
    return float_tensor(std::move(name), dtype, std::move(shape), values);
}

void write_checkpoint(const std::filesystem::path& path, const std::vector<NewTensor>& tensors,
                      const Metadata& metadata) {
    std::vector<OutputTensor> outputs;
    for (const NewTensor& tensor : tensors)
        outputs.push_back({tensor.name, tensor.dtype, tensor.shape, 0, 0});
    FileLayout layout = lay_out(std::move(outputs), metadata);
    const std::vector<OutputTensor> placed = layout.tensors;
    Output output({.path = path, .replace = true, .tag = "test"}, {std::move(layout)}, {});
    for (const OutputTensor& place : placed) {
        const auto tensor = std::ranges::find(tensors, place.name, &NewTensor::name);
        if (tensor->bytes.size() != place.bytes)
            throw std::logic_error("the bytes of " + place.name + " do not fit its shape");
        output.write(0, place.offset, tensor->bytes);
    }
    output.commit();
}

TemporaryFolder::TemporaryFolder() {
    static std::atomic<unsigned> counter = 0;
    std::random_device random;
    do {
        path_ = std::filesystem::temp_directory_path() /
                ("halftone-test-" + std::to_string(random()) + "-" + std::to_string(counter++));
    } while (!std::filesystem::create_directory(path_));
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string file_text(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path.string());
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void write_text(const std::filesystem::path& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::vector<std::string> names_in(const std::filesystem::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
}

}  // namespace halftone::test
