// What a format says that loaders do to activations.

#include <cmath>
#include <optional>

#include "plugins/conformance/canvas.hpp"
#include "plugins/conformance/trial.hpp"

namespace halftone::conformance {

namespace {

// A batch of a layer's inputs; some are zeros alone, and some have one that is far larger than the others.
Matrix batch_of(Trial& trial, uint64_t rows) {
    Matrix batch(rows, trial.source.cols);
    const float size = std::ldexp(1.0f, static_cast<int>(trial.random.below(16)) - 8);
    for (uint64_t i = 0; i < rows; ++i) {
        if (trial.random.one_in(6)) continue;
        for (uint64_t j = 0; j < batch.cols; ++j)
            batch.values[i * batch.cols + j] = size * trial.random.normal();
        if (trial.random.one_in(3)) batch.values[i * batch.cols + trial.random.below(batch.cols)] *= 300;
    }
    return batch;
}

Canvas rounded(const FormatPlan& plan, const Matrix& batch, std::optional<float> scale, uint64_t layout) {
    Canvas canvas(batch.rows, batch.cols, layout);
    canvas.fill(batch, batch.region());
    plan.round_activations(scale, canvas.view(), batch.rows);
    return canvas;
}

Outcome activations(Trial& trial) {
    const FormatPlan& plan = *trial.plan;
    if (!plan.rounds_activations()) return Outcome::not_applicable;
    for (const std::optional<float> scale : {std::optional<float>(), std::optional(0.0625f)}) {
        const Matrix batch = batch_of(trial, 1 + trial.random.below(9));
        const std::string with = scale ? fmt::format("with input_scale {}", *scale) : "without input_scale";
        const Canvas first = rounded(plan, batch, scale, 0);
        for (uint64_t layout = 0; layout < Canvas::layouts; ++layout) {
            const Canvas again = rounded(plan, batch, scale, layout);
            if (!again.untouched_between()) broken("round_activations() {} writes outside of its view", with);
            for (uint64_t i = 0; i < batch.rows; ++i)
                for (uint64_t j = 0; j < batch.cols; ++j) {
                    const float was = batch.at(i, j), is = again.at(i, j);
                    if (!std::isfinite(is) || (was == 0 && is != 0))
                        broken("round_activations() {} turns {} at row {}, column {} of {} into {}", with,
                               number(was), i, j, batch.rows, number(is));
                    if (!same_bits(is, first.at(i, j)))
                        broken(
                            "round_activations() {} makes {} of {} at row {}, column {}, and {} where the "
                            "same batch lies in memory in another way",
                            with, number(first.at(i, j)), number(was), i, j, number(is));
                }
        }
    }
    return Outcome::ok;
}

}  // namespace

std::vector<Check> activation_checks() {
    return {{"activations", "a batch of inputs is rounded alike, wherever it lies, to finite numbers",
             activations}};
}

}  // namespace halftone::conformance
