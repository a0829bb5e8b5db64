#include "core/plan/inherited.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <vector>

#include <halftone/ext/draft/column_scale.h>

#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

// The only number of a tensor; nothing if it has another number of elements or is no floating-point type.
std::optional<float> single_number(const Checkpoint& checkpoint, const Tensor& tensor) {
    if (!dtype::widens(tensor.dtype) || element_count(tensor.shape) != 1) return std::nullopt;
    float value = 0;
    widen(tensor.dtype, checkpoint.read_all(tensor), {&value, 1});
    return value;
}

bool is_scale(ht_role role) {
    return role == HT_ROLE_SCALE || role == HT_ROLE_SCALE_2 || role == HT_ROLE_ABSMAX;
}

bool copies_weight_scale(const Checkpoint& checkpoint, const StoredMatrix& matrix, float value) {
    for (size_t i = 0; i < matrix.parts.size(); ++i)
        if (matrix.parts[i] && is_scale(matrix.plan->stored()[i].role) &&
            single_number(checkpoint, *matrix.parts[i]) == value)
            return true;
    return false;
}

std::string fault_of(const Checkpoint& checkpoint, const StoredMatrix* stored,
                     const std::optional<float>& value) {
    if (!stored) return "the layer beside it was not quantized";
    if (stored->experts() > 1) return "loaders read none for a stack of experts";
    if (std::ranges::any_of(stored->plan->stored(),
                            [](const StoredTensor& one) { return one.role == HT_ROLE_COLUMN_SCALE; }))
        return "it is for inputs that were multiplied by column scales, which are part of the weight now";
    if (!value) return "loaders take a single number only";
    if (!std::isnormal(*value) || *value < 0) return "it is no positive number";
    if (*value == 1) return "it is 1, which stands for none";
    if (copies_weight_scale(checkpoint, *stored, *value))
        return "it is a copy of the weight's scale, which would cut activations off";
    return {};
}

}  // namespace

InheritedScale inherited_scale(const Checkpoint& checkpoint, const std::string& layer,
                               const StoredMatrix* stored) {
    for (const char* const suffix : {".input_scale", ".scale_input"}) {
        const Tensor* const tensor = checkpoint.find(layer + suffix);
        if (!tensor) continue;
        const std::optional<float> value = single_number(checkpoint, *tensor);
        InheritedScale result{.there = true,
                              .value = value.value_or(0),
                              .activation_max = stored ? stored->plan->facts().activation_max : 0,
                              .why_not = fault_of(checkpoint, stored, value)};
        return result;
    }
    return {};
}

std::optional<float> scale_for(const FormatPlan& plan, const InheritedScale& scale, std::string& why_not) {
    why_not = scale.why_not;
    if (!scale.there || !why_not.empty()) return std::nullopt;
    const float most = plan.facts().activation_max;
    if (plan.facts().input_scale == HT_INPUT_SCALE_NEVER || !(most > 0)) {
        why_not = fmt::format("loaders make nothing of one with {}", plan.plugin());
        return std::nullopt;
    }
    if (!(scale.activation_max > 0)) {
        why_not = "loaders made nothing of it with the format that the layer had";
        return std::nullopt;
    }
    if (most == scale.activation_max) return scale.value;
    const double largest = static_cast<double>(scale.value) * static_cast<double>(scale.activation_max);
    const auto result = static_cast<float>(largest / static_cast<double>(most));
    if (std::isnormal(result)) return result;
    why_not = fmt::format("it is out of range for {}", plan.plugin());
    return std::nullopt;
}

}  // namespace halftone
