// Compares what a run with a template's format has written with what its rule says, computed here a second
// time. Knows the formats by their description only.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"

namespace {

using halftone::Checkpoint;
using halftone::Tensor;

int problems = 0;

void complain(const std::string& name, const char* what) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), what);
    ++problems;
}

std::vector<float> bf16_values(const std::vector<std::byte>& bytes) {
    std::vector<float> values(bytes.size() / 2);
    for (size_t i = 0; i < values.size(); ++i) {
        const uint32_t bits = (std::to_integer<uint32_t>(bytes[2 * i]) << 16) |
                              (std::to_integer<uint32_t>(bytes[2 * i + 1]) << 24);
        std::memcpy(&values[i], &bits, sizeof bits);
    }
    return values;
}

template <class T>
std::vector<T> as(const std::vector<std::byte>& bytes) {
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
}

std::string marker_of(const Checkpoint& output, const std::string& base) {
    const Tensor* marker = output.find(base + ".comfy_quant");
    if (!marker) return {};
    const std::vector<std::byte> bytes = output.read_all(*marker);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The scale is the mean magnitude of the row; what is larger than half of it in magnitude is one step away
// from zero.
void check_thirds(const Checkpoint& input, const Checkpoint& output, const Tensor& source,
                  const std::string& base) {
    const Tensor* weight = output.find(source.name);
    const Tensor* scale = output.find(base + ".weight_scale");
    if (weight->dtype != HT_DTYPE_I8 || weight->shape != source.shape)
        return complain(source.name, "is no I8 matrix");
    if (!scale || scale->dtype != HT_DTYPE_F32 || scale->shape != halftone::Shape{source.shape[0]})
        return complain(source.name, "has no F32 scale per row");
    const std::vector<float> values = bf16_values(input.read_all(source));
    const auto codes = as<int8_t>(output.read_all(*weight));
    const auto scales = as<float>(output.read_all(*scale));
    const size_t cols = source.shape[1];
    for (size_t row = 0; row < source.shape[0]; ++row) {
        double sum = 0;
        for (size_t col = 0; col < cols; ++col)
            sum += std::fabs(static_cast<double>(values[row * cols + col]));
        const auto mean = static_cast<float>(sum / static_cast<double>(cols));
        if (mean != scales[row]) return complain(source.name, "has another scale");
        for (size_t col = 0; col < cols; ++col) {
            const float value = values[row * cols + col];
            const int expected = value > mean / 2 ? 1 : value < -mean / 2 ? -1 : 0;
            if (codes[row * cols + col] != expected) return complain(source.name, "has another code");
        }
    }
}

// A float32 without its lower half.
void check_truncated(const Checkpoint& input, const Checkpoint& output, const Tensor& source) {
    const auto before = as<uint32_t>(input.read_all(source));
    const auto after = as<uint16_t>(output.read_all(*output.find(source.name)));
    if (before.size() != after.size()) return complain(source.name, "has another number of elements");
    for (size_t i = 0; i < before.size(); ++i)
        if (before[i] >> 16 != after[i]) return complain(source.name, "has another value");
}

void check_same(const Checkpoint& input, const Checkpoint& output, const Tensor& source) {
    const Tensor* kept = output.find(source.name);
    if (!kept || kept->dtype != source.dtype || kept->shape != source.shape ||
        input.read_all(source) != output.read_all(*kept))
        complain(source.name, "is not what it was");
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) return std::fputs("usage: check_output FORMAT INPUT OUTPUT\n", stderr), 2;
    try {
        const std::string format = arguments[1];
        const Checkpoint input = Checkpoint::open(arguments[2]);
        const Checkpoint output = Checkpoint::open(arguments[3]);
        size_t quantized = 0, kept = 0;
        for (const Tensor& source : input.tensors()) {
            const std::string base = source.name.substr(0, source.name.rfind('.'));
            const Tensor* const now = output.find(source.name);
            // What acme.truncate stores is a plain tensor, which has no marker.
            const bool is_ours =
                format == "acme.truncate"
                    ? now && now->dtype == HT_DTYPE_BF16 && source.dtype == HT_DTYPE_F32
                    : source.name == base + ".weight" &&
                          marker_of(output, base).find("\"" + format + "\"") != std::string::npos;
            ++(is_ours ? quantized : kept);
            if (!is_ours)
                check_same(input, output, source);
            else if (format == "acme.truncate")
                check_truncated(input, output, source);
            else
                check_thirds(input, output, source, base);
        }
        std::printf("%s: %zu matrices, %zu other tensors\n", format.c_str(), quantized, kept);
        if (quantized < 5) complain(arguments[3], "has hardly anything quantized");
        if (kept < 5) complain(arguments[3], "has hardly anything kept");
    } catch (const std::exception& problem) {
        complain(arguments[3], problem.what());
    }
    return problems ? 1 : 0;
}
