#include "core/compare/pairing.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

#include "core/base/text.hpp"

namespace halftone {
namespace {

// What a checkpoint has to be compared.
class Side {
  public:
    Side(const std::shared_ptr<const Checkpoint>& checkpoint, const std::shared_ptr<const Checkpoint>& model,
         Registry& registry, const IsIgnored& is_ignored) {
        Recognition recognition(checkpoint, registry, model);
        std::set<std::string, std::less<>> companions;
        for (const QuantizedLayer& layer : quantized_layers(*checkpoint)) {
            auto matrix = recognition.recognize(layer);
            demand_claimed(*matrix, is_ignored, [](const Tensor&, const std::string& pattern) {
                return fmt::format("--ignore '{}' compares such layers without it", pattern);
            });
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
    }

    const std::map<std::string, Comparable, std::less<>>& tensors() const { return tensors_; }

    const Comparable* find(std::string_view name) const {
        const auto found = tensors_.find(name);
        return found == tensors_.end() ? nullptr : &found->second;
    }

    // What most of the other side's names have to be preceded by to be names of this one; "" where they need
    // nothing.
    std::string prefix_before(const Side& other) const {
        constexpr size_t enough_to_tell = 64;
        std::map<std::string_view, size_t> votes;
        size_t asked = 0;
        for (const auto& [name, comparable] : other.tensors_) {
            if (find(name)) continue;
            if (++asked > enough_to_tell) break;
            const std::string ending = "." + name;
            for (const auto& [mine, mine_too] : tensors_)
                if (mine.ends_with(ending))
                    ++votes[std::string_view(mine).substr(0, mine.size() - name.size())];
        }
        const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
        return most == votes.end() ? std::string() : std::string(most->first);
    }

  private:
    static bool is_dummy(const Checkpoint& checkpoint, const std::string& name) {
        return std::ranges::any_of(companion_suffixes(), [&](std::string_view suffix) {
            return name.ends_with(suffix) &&
                   checkpoint.find(name.substr(0, name.size() - suffix.size()) + ".weight");
        });
    }

    std::map<std::string, Comparable, std::less<>> tensors_;
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
                Registry& registry, const IsIgnored& is_ignored) {
    const Side first(reference, other, registry, is_ignored), second(other, reference, registry, is_ignored);
    const std::string before_first = second.prefix_before(first), before_second = first.prefix_before(second);
    const auto counterpart_of = [&](const std::string& name) {
        const Comparable* found = second.find(name);
        if (!found && !before_first.empty()) found = second.find(before_first + name);
        if (!found && !before_second.empty() && name.starts_with(before_second))
            found = second.find(std::string_view(name).substr(before_second.size()));
        return found;
    };
    Pairing pairing;
    std::set<const Comparable*> paired;
    for (const auto& [name, comparable] : first.tensors()) {
        const Comparable* counterpart = counterpart_of(name);
        if (!counterpart) {
            pairing.only_in_reference.push_back(name);
            continue;
        }
        paired.insert(counterpart);
        const std::string why = obstacle(comparable, *counterpart);
        if (why.empty())
            pairing.pairs.push_back({name, comparable, *counterpart});
        else if (same_bytes_kind(comparable, *counterpart))
            pairing.not_numbers.push_back({name, comparable, *counterpart});
        else
            pairing.incomparable.push_back(fmt::format("{}: {}", text::printable(name), why));
    }
    for (const auto& [name, comparable] : second.tensors())
        if (!paired.contains(&comparable)) pairing.only_in_other.push_back(name);
    return pairing;
}

}  // namespace halftone
