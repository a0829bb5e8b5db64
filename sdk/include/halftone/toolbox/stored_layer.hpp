// A layer in a checkpoint: for recognize(), tensors by suffix, shapes as text, the marker's members; for
// describe(), members that loaders look for in different places.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/toolbox/json_members.hpp>
#include <halftone/toolbox/python_values.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

inline uint64_t count(const ht_tensor& tensor) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < tensor.rank && i < HT_MAX_RANK; ++i)
        n *= tensor.shape[i];
    return n;
}

// Of its contents; 0 for types of less than a byte.
inline uint64_t bytes(const ht_tensor& tensor) {
    switch (tensor.dtype) {
        case HT_DTYPE_F4:
        case HT_DTYPE_F6_E2M3:
        case HT_DTYPE_F6_E3M2:
            return 0;
        case HT_DTYPE_I16:
        case HT_DTYPE_U16:
        case HT_DTYPE_F16:
        case HT_DTYPE_BF16:
            return 2 * count(tensor);
        case HT_DTYPE_I32:
        case HT_DTYPE_U32:
        case HT_DTYPE_F32:
            return 4 * count(tensor);
        case HT_DTYPE_C64:
        case HT_DTYPE_F64:
        case HT_DTYPE_I64:
        case HT_DTYPE_U64:
            return 8 * count(tensor);
        default:
            return count(tensor);
    }
}

class StoredLayer {
  public:
    explicit StoredLayer(const ht_layer& layer) : layer_(layer) {
        if (layer.marker && *layer.marker) marker_.emplace(layer.marker);
    }

    // "<layer><suffix>", or NULL.
    const ht_tensor* tensor(std::string_view suffix) const {
        const std::string name = std::string(layer_.name) + std::string(suffix);
        for (uint32_t i = 0; i < layer_.n_tensors; ++i)
            if (name == layer_.tensors[i]->name) return layer_.tensors[i];
        return nullptr;
    }

    // The contents of "<layer><suffix>" as text; nothing if there is none, if it is not stored as U8 or is
    // too large to be shown.
    std::optional<std::string_view> text(std::string_view suffix) const {
        const ht_tensor* const wanted = tensor(suffix);
        for (uint32_t i = 0; wanted && i < layer_.n_tensors; ++i)
            if (wanted == layer_.tensors[i] && wanted->dtype == HT_DTYPE_U8 && layer_.bytes[i])
                return std::string_view(reinterpret_cast<const char*>(layer_.bytes[i]),
                                        static_cast<size_t>(count(*wanted)));
        return std::nullopt;
    }

    // A tensor that belongs to the whole file, with or without the model's prefix in front; or NULL.
    const ht_tensor* whole_file(std::string_view name) const {
        for (uint32_t i = 0; i < layer_.n_tensors; ++i) {
            const std::string_view full = layer_.tensors[i]->name;
            if (full == name || (full.ends_with(name) && full[full.size() - name.size() - 1] == '.'))
                return layer_.tensors[i];
        }
        return nullptr;
    }

    const std::optional<JsonMembers>& marker() const { return marker_; }

    // Members of the marker that stand at its root or inside "params", depending on the writer. What stands
    // at the root hides the other, whatever it is. As loaders take them (python_values.hpp): a number may be
    // written as text, and many a value counts as set.
    std::optional<int64_t> number(std::string_view key) const {
        const auto json = value(key);
        return json ? python_int(*json) : std::nullopt;
    }
    // The same for loaders that stop at what is no number.
    int64_t number_or(std::string_view key, int64_t fallback) const {
        const auto json = value(key);
        if (!json) return fallback;
        const auto found = python_int(*json);
        if (!found)
            throw Refused("its marker says " + std::string(json->substr(0, 40)) + " for " + std::string(key) +
                          ", which is no whole number");
        return *found;
    }
    bool is_set(std::string_view key) const {
        const auto json = value(key);
        return json && python_truth(*json);
    }
    std::optional<std::string_view> value(std::string_view key) const {
        if (!marker_) return std::nullopt;
        if (const auto json = marker_->raw(key)) return json;
        const auto params = marker_->object("params");
        return params ? params->raw(key) : std::nullopt;  // of the marker's text, which stays
    }
    // Of a stack, of which the layer is the first; 1 if it is none.
    uint64_t experts() const {
        const auto found = marker_ ? marker_->whole("num_experts") : std::nullopt;
        return found && *found > 1 ? static_cast<uint64_t>(*found) : 1;
    }
    // Loaders look for this one at the root alone.
    uint32_t wants_full_precision() const {
        const auto json = marker_ ? marker_->raw("full_precision_matrix_mult") : std::nullopt;
        return json && python_truth(*json) ? HT_WANTS_FULL_PRECISION_MM : 0;
    }

  private:
    const ht_layer& layer_;
    std::optional<JsonMembers> marker_;
};

// Of scales: hosts hand them over as F32 whatever they are stored as.
inline bool is_float(const ht_tensor& tensor) {
    return tensor.dtype == HT_DTYPE_F32 || tensor.dtype == HT_DTYPE_F16 || tensor.dtype == HT_DTYPE_BF16 ||
           tensor.dtype == HT_DTYPE_F64;
}
// Of weights in bytes: loaders look at the bits of one type in the other.
inline bool is_byte(const ht_tensor& tensor) {
    return tensor.dtype == HT_DTYPE_I8 || tensor.dtype == HT_DTYPE_U8;
}

// Only where it is wanted.
inline void write_full_precision(JsonSink& sink, uint32_t wants) {
    if (wants & HT_WANTS_FULL_PRECISION_MM) sink.flag("full_precision_matrix_mult", true);
}

// In both places where loaders look for it.
inline void write_group_size(JsonSink& sink, uint64_t size) {
    const auto whole = static_cast<int64_t>(size);
    sink.whole("group_size", whole).begin("params").whole("group_size", whole).end();
}

inline std::vector<uint64_t> shape_of(const ht_tensor& tensor) {
    return {tensor.shape, tensor.shape + std::min<uint32_t>(tensor.rank, HT_MAX_RANK)};
}

inline std::string to_string(const std::vector<uint64_t>& shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i)
        text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
