#include <algorithm>
#include <string_view>

#include <halftone/toolbox/python_values.hpp>

#include "core/base/error.hpp"
#include "core/base/json_text.hpp"
#include "core/base/text.hpp"
#include "plugins/call.hpp"
#include "plugins/format.hpp"

namespace halftone {
namespace {

constexpr uint32_t known_wants =
    HT_WANTS_FULL_PRECISION_MM | HT_WANTS_ROWS | HT_WANTS_COLUMNS | HT_WANTS_AS_FOUND;

// A layer in the shape of the ABI. Tensors of more dimensions than can be told are left out.
class AbiLayer {
  public:
    explicit AbiLayer(const FoundLayer& from) {
        for (const FoundLayer::Part& part : from.parts) {
            if (part.shape.size() > HT_MAX_RANK) continue;
            ht_tensor tensor{};
            tensor.size = sizeof tensor;
            tensor.dtype = part.dtype;
            tensor.name = part.name.c_str();
            std::ranges::copy(part.shape, tensor.shape);
            tensor.rank = static_cast<uint32_t>(part.shape.size());
            tensors_.push_back(tensor);
            // An empty tensor is known too; NULL would say that it is too large.
            static const uint8_t none = 0;
            const auto* bytes = part.bytes ? reinterpret_cast<const uint8_t*>(part.bytes->data()) : nullptr;
            bytes_.push_back(part.bytes && part.bytes->empty() ? &none : bytes);
        }
        for (const ht_tensor& tensor : tensors_)
            at_.push_back(&tensor);
        layer_ = {sizeof layer_, static_cast<uint32_t>(at_.size()),           from.name.c_str(), at_.data(),
                  bytes_.data(), from.marker ? from.marker->c_str() : nullptr};
    }
    AbiLayer(const AbiLayer&) = delete;
    AbiLayer& operator=(const AbiLayer&) = delete;

    const ht_layer* get() const { return &layer_; }

  private:
    std::vector<ht_tensor> tensors_;
    std::vector<const ht_tensor*> at_;
    std::vector<const uint8_t*> bytes_;
    ht_layer layer_{};
};

bool multiply(uint64_t& product, uint64_t by) {
    return !__builtin_mul_overflow(product, by, &product);
}

// As loaders read it: any value that counts as true in Python.
bool asks_for_full_precision(const std::optional<std::string>& marker) {
    if (!marker) return false;
    const SortedJson parsed = parse_sorted_json(*marker);
    if (!parsed.is_object()) return false;
    const auto found = parsed.find("full_precision_matrix_mult");
    return found != parsed.end() && toolbox::python_truth(found->dump());
}

MatrixSource checked_source(const ht_source& claimed, const std::string& culprit) {
    const auto wrong = [&]<class... Args>(fmt::format_string<Args...> what, Args&&... args) {
        fail(Exit::plugin, culprit, "recognize() claims {}", fmt::format(what, std::forward<Args>(args)...));
    };
    if (claimed.dtype < HT_DTYPE_BOOL || claimed.dtype > HT_DTYPE_U64)
        wrong("an unknown element type ({})", claimed.dtype);
    if (claimed.dialect < HT_DIALECT_COMFY || claimed.dialect > HT_DIALECT_BITSANDBYTES)
        wrong("an unknown dialect ({})", claimed.dialect);
    if (claimed.wants & ~known_wants) wrong("unknown wants ({:#x})", claimed.wants);
    if (claimed.rank == 0 || claimed.rank > HT_MAX_RANK) wrong("a rank of {}", claimed.rank);
    if (claimed.experts == 0) wrong("no experts");
    if (claimed.experts > 1) wrong("{} experts, where one was shown", claimed.experts);
    MatrixSource source{claimed.dtype,   claimed.dialect, claimed.wants, {},
                        claimed.experts, claimed.rows,    claimed.cols};
    source.shape.assign(claimed.shape, claimed.shape + claimed.rank);
    uint64_t elements = claimed.experts, in_shape = 1;
    bool fits = multiply(elements, claimed.rows) && multiply(elements, claimed.cols);
    for (uint64_t extent : source.shape)
        fits = fits && multiply(in_shape, extent);
    if (!fits || elements != in_shape)
        wrong("{} times {} x {} elements for the shape [{}]", claimed.experts, claimed.rows, claimed.cols,
              fmt::join(source.shape, ", "));
    return source;
}

}  // namespace

Recognized Format::recognize(const FoundLayer& found) const {
    const std::string& culprit = library_->culprit();
    const AbiLayer layer(found);
    Recognized result{{}, OptionValues::resolve(library_->options(), {}, library_->name())};
    ht_source source{};
    source.size = sizeof source;
    source.dialect = HT_DIALECT_COMFY;
    source.experts = 1;
    call_checked(culprit, "recognize()", table_.recognize, layer.get(), result.options.writable(), &source);
    result.options.adopt_written(library_->options(), culprit);
    result.source = checked_source(source, culprit);
    // The host writes it, so it reads it as well, whatever the format makes of the rest.
    if (asks_for_full_precision(found.marker)) result.source.wants |= HT_WANTS_FULL_PRECISION_MM;
    return result;
}

}  // namespace halftone
