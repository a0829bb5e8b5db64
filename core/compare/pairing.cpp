#include "core/compare/pairing.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

#include "core/base/text.hpp"
#include "core/plan/profile.hpp"

namespace halftone {
namespace {

// What a checkpoint has to be compared.
class Side {
  public:
    Side(const std::shared_ptr<const Checkpoint>& checkpoint, Registry& registry)
        : prefix_(common_prefix(*checkpoint)) {
        Recognition recognition(checkpoint, registry);
        std::set<std::string, std::less<>> companions;
        for (const QuantizedLayer& layer : quantized_layers(*checkpoint)) {
            auto matrix = recognition.recognize(layer);
            for (const Tensor* part : matrix->parts)
                if (part && part != matrix->weight) companions.insert(part->name);
            companions.insert(layer.companions.begin(), layer.companions.end());
            tensors_[matrix->weight->name] = {matrix->weight, matrix};
        }
        for (std::string& marker : whole_file_markers(*checkpoint))
            companions.insert(std::move(marker));
        for (const Tensor& tensor : checkpoint->tensors())
            if (!companions.contains(tensor.name) && !is_dummy(*checkpoint, tensor.name))
                tensors_.try_emplace(tensor.name, Comparable{&tensor, nullptr});
        for (const auto& [name, comparable] : tensors_)
            by_bare_name_.try_emplace(bare(name), &comparable);
    }

    const std::map<std::string, Comparable, std::less<>>& tensors() const { return tensors_; }

    std::string_view bare(std::string_view name) const {
        return name.starts_with(prefix_) ? name.substr(prefix_.size()) : name;
    }
    const Comparable* find(std::string_view name, std::string_view bare_name) const {
        if (const auto found = tensors_.find(name); found != tensors_.end()) return &found->second;
        const auto found = by_bare_name_.find(bare_name);
        return found == by_bare_name_.end() ? nullptr : found->second;
    }

  private:
    static bool is_dummy(const Checkpoint& checkpoint, const std::string& name) {
        return std::ranges::any_of(companion_suffixes(), [&](std::string_view suffix) {
            return name.ends_with(suffix) &&
                   checkpoint.find(name.substr(0, name.size() - suffix.size()) + ".weight");
        });
    }

    std::string prefix_;
    std::map<std::string, Comparable, std::less<>> tensors_;
    std::map<std::string_view, const Comparable*> by_bare_name_;
};

// Why two tensors of one name cannot be compared; "" if they can.
std::string obstacle(const Comparable& reference, const Comparable& other) {
    if (!reference.is_number() || !other.is_number())
        return fmt::format("{} and {}", reference.shown(), other.shown());
    if (element_count(reference.shape()) != element_count(other.shape()))
        return fmt::format("{} there, {} here", to_string(reference.shape()), to_string(other.shape()));
    const auto cols = [](const Comparable& one) { return one.stored ? one.stored->plan->source().cols : 0; };
    if (cols(reference) != 0 && cols(other) != 0 && cols(reference) != cols(other))
        return fmt::format("rows of {} there, of {} here", cols(reference), cols(other));
    return {};
}

bool same_bytes_kind(const Comparable& reference, const Comparable& other) {
    return !reference.stored && !other.stored && !reference.is_number() &&
           reference.tensor->dtype == other.tensor->dtype && reference.tensor->shape == other.tensor->shape;
}

}  // namespace

std::string Comparable::shown() const {
    return stored ? stored->shown : std::string(dtype::name(tensor->dtype));
}

bool Comparable::is_number() const {
    return stored || dtype::widens(tensor->dtype);
}

Pairing pair_up(std::shared_ptr<const Checkpoint> reference, std::shared_ptr<const Checkpoint> other,
                Registry& registry) {
    const Side first(reference, registry), second(other, registry);
    Pairing pairing;
    std::set<const Comparable*> paired;
    for (const auto& [name, comparable] : first.tensors()) {
        const Comparable* counterpart = second.find(name, first.bare(name));
        if (!counterpart) {
            pairing.only_in_reference.push_back(name);
            continue;
        }
        paired.insert(counterpart);
        const std::string why = obstacle(comparable, *counterpart);
        if (why.empty())
            pairing.pairs.push_back({name, comparable, *counterpart});
        else if (!same_bytes_kind(comparable, *counterpart))
            pairing.incomparable.push_back(fmt::format("{}: {}", text::printable(name), why));
    }
    for (const auto& [name, comparable] : second.tensors())
        if (!paired.contains(&comparable)) pairing.only_in_other.push_back(name);
    return pairing;
}

}  // namespace halftone
