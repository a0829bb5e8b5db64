#include "core/compare/layer_output.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/linalg/gemm.hpp"
#include "core/rounding/views.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

constexpr uint64_t samples_at_once = 256;

std::optional<double> ratio(double part, double whole) {
    return whole > 0 ? std::optional(part / whole) : std::nullopt;
}

}  // namespace

void OutputSums::add(const OutputSums& more) {
    squared_output += more.squared_output;
    squared_error += more.squared_error;
    squared_run_time += more.squared_run_time;
}

std::optional<double> OutputSums::error() const {
    return ratio(squared_error, squared_output);
}

std::optional<double> OutputSums::run_time() const {
    return ratio(squared_run_time, squared_output);
}

LayerInputs::LayerInputs(Matrix inputs, const FormatPlan* plan, std::optional<float> input_scale,
                         std::span<const float> column_scale)
    : inputs_(std::move(inputs)) {
    if (!plan || !plan->rounds_activations()) return;
    const uint64_t rows = inputs_.rows();
    rounded_ = Matrix(rows, inputs_.cols());
    std::copy_n(inputs_.data(), rows * inputs_.cols(), rounded_.data());
    const ht_view view = view_of(rounded_);
    const auto each_scaled = [&](const auto& change) {
        for (uint64_t i = 0; i < rows; ++i)
            for (uint64_t j = 0; j < column_scale.size(); ++j)
                change(rounded_.view().row(i)[j], column_scale[j]);
    };
    each_scaled([](float& x, float scale) { x *= scale; });
    plan->rotate(false, view, rows);
    plan->round_activations(input_scale, view, rows);
    plan->rotate(true, view, rows);
    // They meet weights that are multiplied by the scale.
    each_scaled([](float& x, float scale) { x = scale == 0 ? 0 : x / scale; });
}

uint64_t LayerInputs::scratch_bytes(uint64_t samples, uint64_t rows) {
    return std::min<uint64_t>(samples_at_once, samples) * rows * sizeof(float);
}

OutputSums LayerInputs::sums(ConstMatrixView before, MatrixView after) const {
    OutputSums sums;
    const uint64_t samples = inputs_.rows(), rows = before.rows, cols = before.cols;
    Matrix outputs(std::min(samples_at_once, samples), rows);
    const auto each_batch = [&](const auto& work) {
        for (uint64_t first = 0; first < samples; first += samples_at_once) {
            const uint64_t n = std::min(samples_at_once, samples - first);
            work(outputs.view().block(0, 0, n, rows),
                 [&](const Matrix& from) { return from.view().block(first, 0, n, cols); });
        }
    };
    each_batch([&](MatrixView out, const auto& batch) {
        gemm_tile(1, batch(inputs_), Op::plain, before, Op::transpose, 0, out);
        sums.squared_output += squared_norm(out);
        if (rounded_.empty()) return;
        gemm_tile(-1, batch(rounded_), Op::plain, after, Op::transpose, 1, out);
        sums.squared_run_time += squared_norm(out);
    });
    // From the difference of the weights, which loses no digits where that is small.
    for (uint64_t i = 0; i < rows; ++i)
        for (uint64_t j = 0; j < cols; ++j)
            after.row(i)[j] -= before.row(i)[j];
    each_batch([&](MatrixView out, const auto& batch) {
        gemm_tile(1, batch(inputs_), Op::plain, after, Op::transpose, 0, out);
        sums.squared_error += squared_norm(out);
    });
    if (rounded_.empty()) sums.squared_run_time = sums.squared_error;
    return sums;
}

std::optional<float> stored_input_scale(const Checkpoint& checkpoint, const std::string& layer) {
    for (const char* const suffix : {".input_scale", ".scale_input"}) {
        const Tensor* const tensor = checkpoint.find(layer + suffix);
        if (!tensor) continue;
        std::vector<float> values(dtype::widens(tensor->dtype) ? element_count(tensor->shape).value_or(0)
                                                               : 0);
        if (!values.empty()) widen(tensor->dtype, checkpoint.read_all(*tensor), values);
        const auto is_scale = [](float value) { return std::isnormal(value) && value > 0; };
        const auto wrong = std::ranges::find_if_not(values, is_scale);
        if (values.empty() || wrong != values.end())
            fail(Exit::input, tensor->name, "is no scale: {} {}", dtype::name(tensor->dtype),
                 values.empty() ? to_string(tensor->shape) : fmt::format("{}", *wrong));
        return values.front();
    }
    return std::nullopt;
}

}  // namespace halftone
