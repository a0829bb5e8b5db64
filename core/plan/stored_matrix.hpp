#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/json_text.hpp"
#include "core/checkpoint/quantized.hpp"
#include "plugins/registry.hpp"

namespace halftone {

// A quantized layer of a checkpoint, and the plan of the format that it was stored with.
struct StoredMatrix {
    std::string layer;  // the weight's name without ".weight"
    std::string shown;  // "acme.int4 block=32"
    std::shared_ptr<const Format> format;
    OptionValues options;
    std::shared_ptr<const FormatPlan> plan;
    const Tensor* weight = nullptr;
    std::vector<const Tensor*> parts;  // of plan->stored(), in its order; null where the file lacks one
    // Tensors of the layer that neither its format nor the host knows, in the order of names. Its numbers may
    // depend on them.
    std::vector<const Tensor*> unclaimed;

    uint64_t experts() const { return plan->source().experts; }  // `plan` is of one
    uint64_t held_bytes() const;  // of memory while it is read: companions and grid
};

// Of experts whose rows lie below each other in a matrix, the marker alone says how many they are; 1 of any
// other weight.
uint64_t flat_experts_of(const std::string& layer, const Tensor& weight, const SortedJson& marker);

// Texts of a fixed length are padded with spaces; others' files have them as long as they happen to be.
bool may_differ_in_length(const StoredTensor&);

// What to do about an unclaimed tensor, by its own name and by a pattern of such tensors.
using UnclaimedAdvice = std::function<std::string(const Tensor&, const std::string& pattern)>;

// Exit::input, with the tensor's name, if a layer has an unclaimed tensor that nothing settles.
void demand_claimed(const StoredMatrix&, const std::function<bool(const Tensor&)>& is_settled,
                    const UnclaimedAdvice&);

// No format can read a layer.
class Unrecognized : public Error {
  public:
    struct Answer {
        std::string format, reason;
        bool knows_label;
    };
    Unrecognized(const QuantizedLayer&, std::vector<Answer>);
    const std::vector<Answer>& answers() const { return answers_; }  // of the formats that were asked

  private:
    std::vector<Answer> answers_;
};

// Finds out, by asking the format plugins, how the quantized layers of a checkpoint are stored. No plugin is
// opened before the first layer is asked about. One thread.
class Recognition {
  public:
    // `model`: what the checkpoint was made from, if that is known. Some layouts leave the shape of the
    // matrix to the model, and its weights tell it.
    Recognition(std::shared_ptr<const Checkpoint>, Registry&,
                std::shared_ptr<const Checkpoint> model = nullptr);
    ~Recognition();

    // Plugins whose id or label the file names are asked first, and no other is opened if one of them knows
    // the layer. Exit::input if none knows it (Unrecognized), with what each said, or if its tensors have
    // other sizes than the format needs. Exit::plugin if two of those that are asked at once claim it.
    std::shared_ptr<const StoredMatrix> recognize(const QuantizedLayer&);

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace halftone
