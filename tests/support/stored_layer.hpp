// A layer as recognize() gets it.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>

#include "tests/support/format_plan.hpp"

namespace halftone::format_test {

class Layer {
  public:
    explicit Layer(std::string marker = "") : marker_(std::move(marker)) {}

    Layer& add(const std::string& suffix, ht_dtype dtype, const std::vector<uint64_t>& shape,
               const std::string& bytes = "") {
        return add_named(name_ + suffix, dtype, shape, bytes);
    }
    // What belongs to the file and not to the layer has a name of its own.
    Layer& add_named(const std::string& name, ht_dtype dtype, const std::vector<uint64_t>& shape,
                     const std::string& bytes = "") {
        names_.push_back(name);
        contents_.push_back(bytes);
        ht_tensor tensor{};
        tensor.size = sizeof tensor;
        tensor.name = names_.back().c_str();
        tensor.dtype = dtype;
        tensor.rank = static_cast<uint32_t>(shape.size());
        std::copy(shape.begin(), shape.end(), tensor.shape);
        tensors_.push_back(tensor);
        return *this;
    }

    // What the plugin makes of it: throws std::runtime_error with the reason if it is none of its own.
    struct Recognized {
        std::unique_ptr<Values> values = std::make_unique<Values>();
        ht_source source{};
    };
    Recognized recognized() const {
        std::vector<const ht_tensor*> tensors;
        std::vector<const uint8_t*> bytes;
        for (size_t i = 0; i < tensors_.size(); ++i) {
            tensors.push_back(&tensors_[i]);
            bytes.push_back(contents_[i].empty() ? nullptr
                                                 : reinterpret_cast<const uint8_t*>(contents_[i].data()));
        }
        ht_layer layer{};
        layer.size = sizeof layer;
        layer.n_tensors = static_cast<uint32_t>(tensors.size());
        layer.name = name_;
        layer.tensors = tensors.data();
        layer.bytes = bytes.data();
        layer.marker = marker_.empty() ? nullptr : marker_.c_str();
        Recognized result;
        result.source.size = sizeof result.source;
        Reported reported;
        const ht_status status =
            table().recognize(&layer, result.values->writable(), &result.source, reported);
        if (status != HT_OK && status != HT_REFUSED) throw std::logic_error("it fails where it may refuse");
        reported.check(status);
        return result;
    }

    bool has(const std::string& suffix, ht_dtype dtype) const {
        return std::ranges::any_of(tensors_, [&](const ht_tensor& tensor) {
            return tensor.name == name_ + suffix && tensor.dtype == dtype;
        });
    }

  private:
    static constexpr const char* name_ = "blocks.0.layer";
    std::string marker_;
    std::deque<std::string> names_, contents_;
    std::deque<ht_tensor> tensors_;
};

// The layer that a plan stores.
inline Layer layer_of(const Plan& plan, const Grid& grid = nullptr, const std::string& marker = "") {
    Layer layer(marker);
    const std::vector<Bytes> companions =
        grid ? plan.companions(grid) : std::vector<Bytes>(plan.facts().n_stored);
    for (uint64_t i = 0; i < plan.facts().n_stored; ++i) {
        const ht_stored& stored = *plan.facts().stored[i];
        layer.add(stored.name, stored.dtype, {stored.shape, stored.shape + stored.rank},
                  std::string(companions[i].begin(), companions[i].end()));
    }
    return layer;
}

// The reason of a refusal; "" if there is none.
template <class Work>
std::string refusal(Work&& work) {
    try {
        work();
        return "";
    } catch (const std::runtime_error& reason) {
        return reason.what();
    }
}

}  // namespace halftone::format_test
