// The C++20 face of a model profile: a table of data. Write a header that defines it,
//
//     #include <halftone/profile.hpp>
//
//     constexpr halftone::Rule rules[] = {
//         {"lm_head", HT_ACTION_REMOVE, 0, "the encoder does not use it"},
//         {"norm", HT_ACTION_KEEP, 0, "few numbers that scale everything after them"},
//     };
//     constexpr halftone::Evidence evidence[] = {
//         {100, "encoder.block.23...: T5-XXL",
//         {halftone::has("encoder.block.23.layer.1.DenseReluDense.wi_1.weight"),
//                                               halftone::extent("...wi_1.weight", 0, 10240)}},
//     };
//     constexpr halftone::Profile profile{
//         .info = {"t5xxl", "1.0.0", "T5-XXL text encoders", "MIT"}, .rules = rules, .evidence = evidence};
//
// and let CMake turn it into the library: halftone_add_model(t5xxl profile.hpp).
#pragma once

#include <halftone/plugin.hpp>

namespace halftone {
inline namespace v1 {

// What happens to the tensors whose whole key contains `match`. The first rule that matches decides; a tensor
// that no rule matches is quantized. So removals come first, then what is kept; a rule with
// HT_ACTION_QUANTIZE makes an exception from a later one, or adds flags.
struct Rule {
    const char* match = nullptr;
    ht_action action = HT_ACTION_KEEP;
    uint32_t flags = 0;            // HT_VERDICT_...
    const char* reason = nullptr;  // for a person, no full stop
};

// A condition on a checkpoint's header; keys come without the prefix of the diffusion model.
struct Condition {
    enum Kind : uint8_t { none, exists, absent, any_below, none_below, extent_is };
    Kind kind = none;
    const char* key = nullptr;
    const char* other = nullptr;  // exists, absent: either of the two
    uint32_t dimension = 0;
    uint64_t extent = 0;
};

constexpr Condition has(const char* key) {
    return {Condition::exists, key, nullptr, 0, 0};
}
constexpr Condition has_either(const char* key, const char* other) {
    return {Condition::exists, key, other, 0, 0};
}
constexpr Condition lacks(const char* key) {
    return {Condition::absent, key, nullptr, 0, 0};
}
// Some key starts with the prefix.
constexpr Condition has_below(const char* prefix) {
    return {Condition::any_below, prefix, nullptr, 0, 0};
}
constexpr Condition lacks_below(const char* prefix) {
    return {Condition::none_below, prefix, nullptr, 0, 0};
}
// The key exists and its shape has this extent in this dimension.
constexpr Condition extent(const char* key, uint32_t dimension, uint64_t equals) {
    return {Condition::extent_is, key, nullptr, dimension, equals};
}

// One way to recognize the family: every condition holds. Of several that do, the one with the most points
// counts, then the first; list variants from the special to the general. 100 points say "this family and no
// other".
struct Evidence {
    int32_t points = 0;
    const char* description = nullptr;  // the key that decides, and the variant
    Condition all[12] = {};
};

struct Profile {
    PluginInfo info{};
    std::span<const Rule> rules{};
    std::span<const Evidence> evidence{};
    uint32_t flags = 0;  // HT_VERDICT_... of every tensor
};

namespace detail {

inline ht_tensor tensor_out() {
    ht_tensor tensor{};
    tensor.size = sizeof tensor;
    return tensor;
}

inline bool exists(const ht_header& header, const char* key) {
    ht_tensor ignored = tensor_out();
    return key && header.find(header.self, key, &ignored) != 0;
}

// Names ascend: the first that is not less than the prefix starts with it, or none does.
inline bool any_below(const ht_header& header, std::string_view prefix) {
    uint64_t low = 0, high = header.count(header.self);
    ht_tensor tensor = tensor_out();
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (!header.at(header.self, middle, &tensor)) return false;
        if (std::string_view(tensor.name) < prefix)
            low = middle + 1;
        else
            high = middle;
    }
    return header.at(header.self, low, &tensor) && std::string_view(tensor.name).starts_with(prefix);
}

inline bool holds(const Condition& condition, const ht_header& header) {
    switch (condition.kind) {
        case Condition::exists:
            return exists(header, condition.key) || exists(header, condition.other);
        case Condition::absent:
            return !exists(header, condition.key);
        case Condition::any_below:
            return any_below(header, condition.key);
        case Condition::none_below:
            return !any_below(header, condition.key);
        case Condition::extent_is: {
            ht_tensor tensor = tensor_out();
            return header.find(header.self, condition.key, &tensor) && condition.dimension < tensor.rank &&
                   tensor.shape[condition.dimension] == condition.extent;
        }
        default:
            return true;
    }
}

inline bool holds(const Evidence& evidence, const ht_header& header) {
    for (const Condition& condition : evidence.all)
        if (!holds(condition, header)) return false;
    return true;
}

constexpr bool is_said(const char* text) {
    return text && *text;
}

// What would be a mistake in a table; asked at compile time.
constexpr bool is_sound(const Profile& profile) {
    for (const Rule& rule : profile.rules)
        if (!is_said(rule.match) || rule.action < HT_ACTION_QUANTIZE || rule.action > HT_ACTION_REMOVE ||
            (rule.action != HT_ACTION_QUANTIZE && !is_said(rule.reason)))
            return false;
    for (const Evidence& evidence : profile.evidence) {
        if (evidence.points <= 0 || !is_said(evidence.description) || evidence.all[0].kind == Condition::none)
            return false;
        for (const Condition& condition : evidence.all)
            if (condition.kind != Condition::none && !is_said(condition.key)) return false;
    }
    return true;
}

template <const Profile& P>
struct ProfileTable {
    static_assert(is_sound(P),
                  "a rule needs a match and a reason; evidence needs points, a description and conditions");

    static void score(const ht_header* header, ht_score* out) noexcept {
        for (const Evidence& evidence : P.evidence) {
            if (evidence.points <= out->points || !holds(evidence, *header)) continue;
            out->points = evidence.points;
            std::snprintf(out->evidence, sizeof out->evidence, "%s", evidence.description);
        }
    }

    static ht_status decide(ht_values, const ht_tensor* tensor, ht_verdict* out, ht_error*) noexcept {
        out->action = HT_ACTION_QUANTIZE;
        out->flags = P.flags;
        for (const Rule& rule : P.rules) {
            if (!std::strstr(tensor->name, rule.match)) continue;
            out->action = rule.action;
            out->flags |= rule.flags;
            std::snprintf(out->reason, sizeof out->reason, "%s", rule.reason ? rule.reason : "");
            break;
        }
        return HT_OK;
    }

    static constexpr ht_model table{sizeof(ht_model), 0, score, decide, nullptr};
};

}  // namespace detail
}  // namespace v1
}  // namespace halftone

#define HALFTONE_PROFILE(profile)                                   \
    HT_PLUGIN = {sizeof(ht_plugin),                                 \
                 HT_KIND_MODEL,                                     \
                 (profile).info.host_minor,                         \
                 0,                                                 \
                 (profile).info.id,                                 \
                 (profile).info.version,                            \
                 (profile).info.summary,                            \
                 (profile).info.license,                            \
                 nullptr,                                           \
                 0,                                                 \
                 &halftone::detail::ProfileTable<(profile)>::table, \
                 nullptr,                                           \
                 nullptr};
