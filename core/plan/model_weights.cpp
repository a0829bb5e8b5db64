#include "core/plan/model_weights.hpp"

#include <algorithm>
#include <ranges>

namespace halftone {
namespace {

bool is_before_from_behind(std::string_view one, std::string_view other) {
    return std::ranges::lexicographical_compare(std::views::reverse(one), std::views::reverse(other));
}

}  // namespace

ModelWeights::ModelWeights(const Checkpoint& model) : model_(model) {
    for (const Tensor& tensor : model.tensors())
        by_ending_.push_back(&tensor);
    std::ranges::sort(by_ending_, is_before_from_behind, &Tensor::name);
}

const Tensor* ModelWeights::find(const std::string& name) const {
    if (const Tensor* const same = model_.find(name)) return same;
    const std::string ending = "." + name;
    const auto longer =
        std::ranges::lower_bound(by_ending_, std::string_view(ending), is_before_from_behind,
                                 [](const Tensor* tensor) { return std::string_view(tensor->name); });
    if (longer != by_ending_.end() && (*longer)->name.ends_with(ending)) return *longer;
    for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
        if (const Tensor* const shorter = model_.find(std::string_view(name).substr(dot + 1))) return shorter;
    return nullptr;
}

}  // namespace halftone
