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

    // Members of the marker that stand at its root or inside "params", depending on the writer.
    std::optional<int64_t> number(std::string_view key) const {
        if (!marker_) return std::nullopt;
        if (const auto whole = marker_->whole(key)) return whole;
        const auto params = marker_->object("params");
        return params ? params->whole(key) : std::nullopt;
    }
    uint32_t wants_full_precision() const {
        return is_set("full_precision_matrix_mult") ? HT_WANTS_FULL_PRECISION_MM : 0;
    }
    bool is_set(std::string_view key) const {
        if (!marker_) return false;
        if (const auto flag = marker_->flag(key)) return *flag;
        const auto params = marker_->object("params");
        return params && params->flag(key).value_or(false);
    }

  private:
    const ht_layer& layer_;
    std::optional<JsonMembers> marker_;
};

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
