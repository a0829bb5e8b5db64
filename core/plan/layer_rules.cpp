#include "core/plan/layer_rules.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

#include "core/base/text.hpp"
#include "core/plan/arithmetic.hpp"
#include "core/plan/marker_json.hpp"

namespace halftone {
namespace {

constexpr std::string_view weight_name = ".weight", bias_name = ".bias", marker_name = ".comfy_quant";
constexpr std::string_view presence = "has_", dimensions = "rank_";  // "has_weight_codebook"
constexpr unsigned deepest_let = 8;

bool is_name(std::string_view text) {
    return !text.empty() && text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") ==
                                std::string_view::npos;
}

std::string or_list(const std::vector<std::string>& words) {
    if (words.size() < 2) return words.empty() ? "" : words.front();
    const std::vector<std::string> first(words.begin(), words.end() - 1);
    return text::join(first, ", ") + " or " + words.back();
}

// One layer held against one rule.
class Holding {
  public:
    Holding(const LayerRule& rule, const FoundLayerTensors& layer, const std::string& loader)
        : rule_(rule),
          layer_(layer),
          loader_(loader),
          lookup_([this](std::string_view name) { return value(name); }) {}

    LayerFinding run() {
        if (!rule_.refuses.empty())
            refuse(rule_.refuses);
        else
            look_at_everything();
        if (finding_.fault.empty()) list_ignored();
        const auto stored = value("C"), meant = value("K");
        finding_.packs_columns = stored && meant && *stored != *meant;
        return std::move(finding_);
    }

  private:
    void look_at_everything() {
        const std::vector<void (Holding::*)()> steps = {
            &Holding::look_at_weight, &Holding::read_truths,     &Holding::read_numbers,
            &Holding::read_texts,     &Holding::look_at_tensors, &Holding::look_at_conditions};
        for (const auto step : steps) {
            (this->*step)();
            if (!finding_.fault.empty()) return;
        }
        for (const LayerRule::Breaks& one : rule_.breaks)
            if (layer_.find("." + one.name)) return refuse(one.why);
    }

    void refuse(std::string why) {
        if (finding_.fault.empty()) finding_.fault = std::move(why);
    }

    std::optional<int64_t> value(std::string_view name) {
        const auto known = values_.find(name);
        if (known != values_.end()) return known->second;
        if (name.starts_with(presence))
            return layer_.find("." + std::string(name.substr(presence.size()))) ? 1 : 0;
        if (name.starts_with(dimensions)) {
            const FoundTensor* tensor = layer_.find("." + std::string(name.substr(dimensions.size())));
            return tensor ? static_cast<int64_t>(tensor->shape.size()) : 0;
        }
        const auto let = std::ranges::find(rule_.let, name, &std::pair<std::string, std::string>::first);
        if (let == rule_.let.end() || depth_ == deepest_let) return std::nullopt;
        ++depth_;
        const std::optional<int64_t> result = arithmetic::evaluate(let->second, lookup_);
        --depth_;
        return result;
    }
    bool is_known(std::string_view name) { return value(name).has_value(); }
    std::optional<int64_t> evaluated(const std::string& expression) {
        return arithmetic::evaluate(expression, lookup_);
    }

    // "{K} columns" with what K is.
    std::string filled(std::string text) {
        for (size_t at = 0; (at = text.find('{', at)) != std::string::npos;) {
            const size_t end = text.find('}', at);
            if (end == std::string::npos) break;
            const auto number = evaluated(text.substr(at + 1, end - at - 1));
            const std::string shown = number ? std::to_string(*number) : "?";
            text.replace(at, end + 1 - at, shown);
            at += shown.size();
        }
        return text;
    }

    void look_at_weight() {
        const FoundTensor* weight = layer_.find(weight_name);
        if (!weight) return refuse("it has no weight");
        const std::string dtype(dtype::name(weight->dtype));
        if (std::ranges::find(rule_.dtypes, dtype) == rule_.dtypes.end()) {
            const bool converted = !rule_.converted.empty() && dtype::is_float(weight->dtype);
            if (!converted)
                return refuse(
                    fmt::format("its weight is {}, and {} converts it by value to {}: other numbers", dtype,
                                loader_, rule_.dtypes.front()));
            finding_.converts = true;
        }
        Shape shape = weight->shape;
        if (const uint64_t experts = layer_.flat_experts; experts > 1) {
            if (rule_.flat.empty() || evaluated(rule_.flat).value_or(0) == 0)
                return refuse(
                    fmt::format("its weight is a matrix with the rows of {} experts below each other, "
                                "and {} needs three dimensions here",
                                experts, loader_));
            shape.front() /= experts;
            shape.insert(shape.begin(), experts);
        }
        if (shape.size() != rule_.weight.size())
            return refuse(fmt::format("its weight has {}, and {} takes {} here",
                                      text::plural(shape.size(), "dimension"), loader_, rule_.weight.size()));
        for (size_t i = 0; i < rule_.weight.size(); ++i)
            values_[rule_.weight[i]] = static_cast<int64_t>(shape[i]);
        if (std::ranges::find(weight->shape, uint64_t{0}) != weight->shape.end())
            refuse("its weight is empty");
    }

    void read_truths() {
        for (const LayerRule::Truth& truth : rule_.truths) {
            const SortedJson* found = first_of(layer_.marker, truth.keys);
            values_[truth.name] = found && is_true(*found) ? 1 : 0;
        }
    }

    void read_numbers() {
        for (const LayerRule::Number& number : rule_.numbers) {
            if (!number.when.empty() && evaluated(number.when).value_or(0) == 0) continue;
            const SortedJson* found = first_of(layer_.marker, number.keys);
            const std::optional<int64_t> value = found ? as_whole(*found) : number.fallback;
            if (!value)
                return refuse(fmt::format("its marker has {} as {}, which is no whole number",
                                          found ? text::printable(found->dump(-1, ' ', true), 60) : "nothing",
                                          number.keys.front()));
            values_[number.name] = *value;
        }
    }

    void read_texts() {
        for (const LayerRule::Text& text : rule_.texts) {
            const SortedJson* found = first_of(layer_.marker, text.keys);
            const std::string value = !found               ? text.fallback
                                      : found->is_string() ? found->get<std::string>()
                                                           : "";
            if ((found && !found->is_string()) || std::ranges::find(text.only, value) == text.only.end())
                return refuse(fmt::format("its marker has {} as {}, and {} takes {}",
                                          found ? text::printable(found->dump(-1, ' ', true), 60) : "nothing",
                                          text.keys.front(), loader_, or_list(text.only)));
        }
    }

    void look_at_tensors() {
        for (const LayerRule::Needed& needed : rule_.tensors) {
            read_.insert("." + needed.name);
            if (const FoundTensor* tensor = layer_.find("." + needed.name))
                look_at(needed, *tensor);
            else if (!needed.optional)
                refuse(fmt::format("it lacks its '.{}'", needed.name));
            if (!finding_.fault.empty()) return;
        }
    }

    void look_at(const LayerRule::Needed& needed, const FoundTensor& tensor) {
        const std::string dtype(dtype::name(tensor.dtype));
        const auto or_else = [&](const std::string& text) {
            return refuse(needed.why.empty() ? text : filled(needed.why));
        };
        if (!needed.dtypes.empty() && std::ranges::find(needed.dtypes, dtype) == needed.dtypes.end())
            return refuse(fmt::format("its '.{}' is {}, and {} takes {}", needed.name, dtype, loader_,
                                      or_list(needed.dtypes)));
        if (const FoundTensor* other = layer_.find("." + needed.like);
            other && other->dtype != tensor.dtype && other->dtype != HT_DTYPE_F32)
            return refuse(fmt::format("its '.{}' is {} and its '.{}' {}: {} multiplies with one type only",
                                      needed.name, dtype, needed.like, dtype::name(other->dtype), loader_));
        if (!needed.shapes.empty() && std::ranges::none_of(needed.shapes, [&](const std::string& one) {
                return fits(one, tensor.shape);
            }))
            return or_else(fmt::format("its '.{}' has the shape {}, and {} takes {}", needed.name,
                                       to_string(tensor.shape), loader_, or_list(shown_shapes(needed))));
        if (!needed.first.empty() &&
            (tensor.shape.empty() || evaluated(needed.first) != static_cast<int64_t>(tensor.shape.front())))
            return or_else(fmt::format("its '.{}' has the shape {}, and {} takes {} first", needed.name,
                                       to_string(tensor.shape), loader_, filled("{" + needed.first + "}")));
        if (!needed.bytes.empty()) {
            const uint64_t bytes = byte_count(tensor.dtype, tensor.shape).value_or(0);
            if (tensor.shape.empty() || evaluated(needed.bytes) != static_cast<int64_t>(bytes))
                return or_else(fmt::format("its '.{}' has {} bytes, and {} takes {}", needed.name, bytes,
                                           loader_, filled("{" + needed.bytes + "}")));
        }
        if (!needed.must.empty() && evaluated(needed.must).value_or(1) == 0)
            return or_else(fmt::format("its '.{}' has the shape {}, which does not fit the weight",
                                       needed.name, to_string(tensor.shape)));
        if (needed.name == "bias" && tensor.shape.size() == rule_.weight.size() - 1)
            if (const auto rows = value("N"); rows && !tensor.shape.empty())
                finding_.pads_rows = *rows != static_cast<int64_t>(tensor.shape.back());
    }

    // Names that nothing is known of take the side, but only where all the others fit.
    bool fits(const std::string& sides, const Shape& shape) {
        const std::vector<std::string> wanted = words_of(sides);
        if (wanted.size() != shape.size()) return false;
        std::map<std::string, int64_t, std::less<>> taken;
        for (size_t i = 0; i < wanted.size(); ++i) {
            const auto side = static_cast<int64_t>(shape[i]);
            if (is_name(wanted[i]) && !is_known(wanted[i])) {
                if (const auto [at, first] = taken.emplace(wanted[i], side); !first && at->second != side)
                    return false;
            } else if (evaluated(wanted[i]) != side) {
                return false;
            }
        }
        values_.insert(taken.begin(), taken.end());
        return true;
    }

    static std::vector<std::string> words_of(const std::string& sides) {
        std::vector<std::string> words;
        for (const std::string& word : text::split(sides, ' '))
            if (!word.empty()) words.push_back(word);
        return words;
    }

    std::vector<std::string> shown_shapes(const LayerRule::Needed& needed) {
        std::vector<std::string> shown;
        for (const std::string& sides : needed.shapes) {
            std::vector<std::string> numbers;
            for (const std::string& word : words_of(sides)) {
                const auto number = evaluated(word);
                numbers.push_back(number ? std::to_string(*number) : word);
            }
            shown.push_back("[" + text::join(numbers, ", ") + "]");
        }
        return shown;
    }

    void look_at_conditions() {
        for (const LayerRule::Condition& condition : rule_.must)
            if (evaluated(condition.holds).value_or(0) == 0) return refuse(filled(condition.why));
    }

    void list_ignored() {
        for (const FoundTensor& tensor : layer_.tensors)
            if (tensor.name != weight_name && tensor.name != marker_name && tensor.name != bias_name &&
                !read_.contains(tensor.name))
                finding_.ignored.push_back(tensor.name);
    }

    const LayerRule& rule_;
    const FoundLayerTensors& layer_;
    const std::string& loader_;
    const arithmetic::Lookup lookup_;
    std::map<std::string, int64_t, std::less<>> values_;
    std::set<std::string> read_;
    LayerFinding finding_;
    unsigned depth_ = 0;
};

}  // namespace

const FoundTensor* FoundLayerTensors::find(std::string_view name) const {
    const auto found = std::ranges::find(tensors, name, &FoundTensor::name);
    return found == tensors.end() ? nullptr : &*found;
}

bool LayerRule::is_for(const std::string& which, const std::string& label, LayerKind what) const {
    return loader == which && kind == what && std::ranges::find(labels, label) != labels.end();
}

LayerFinding hold_against(const LayerRule& rule, const FoundLayerTensors& layer,
                          const std::string& loader_name) {
    return Holding(rule, layer, loader_name).run();
}

}  // namespace halftone
