#pragma once

#include <optional>
#include <span>

#include "core/checkpoint/checkpoint.hpp"
#include "core/linalg/matrix.hpp"
#include "plugins/format.hpp"

namespace halftone {

// What a layer's output x W' loses by another weight Q, summed over sampled inputs x.
struct OutputSums {
    double squared_output = 0;    // |x W'|^2
    double squared_error = 0;     // |x (W - Q)'|^2
    double squared_run_time = 0;  // |x W' - q(x) Q'|^2, with inputs rounded as the loader rounds them

    void add(const OutputSums&);
    std::optional<double> error() const;     // relative to the output; nothing where that is 0
    std::optional<double> run_time() const;  //
};

// Sampled inputs of a layer, as they are and as its loader multiplies them.
class LayerInputs {
  public:
    // `plan`: how the weight is stored that takes the inputs; null: as plain numbers, which leave inputs as
    // they are. `column_scale`: what loaders multiply them by first; empty: nothing.
    LayerInputs(Matrix inputs, const FormatPlan* plan, std::optional<float> input_scale,
                std::span<const float> column_scale = {});
    static uint64_t held_bytes(uint64_t samples, uint64_t cols) { return 2 * samples * cols * sizeof(float); }

    // For a band of the weight's rows before and after; what is in `after` is lost. Any thread.
    OutputSums sums(ConstMatrixView before, MatrixView after) const;
    static uint64_t scratch_bytes(uint64_t samples, uint64_t rows);

  private:
    Matrix inputs_, rounded_;  // rounded_ is empty where nothing is rounded; in the basis of the inputs
};

// The scale that the file has for the layer's inputs, if any; of a stack of experts the first one's.
// Exit::input if it is none.
std::optional<float> stored_input_scale(const Checkpoint&, const std::string& layer);

}  // namespace halftone
