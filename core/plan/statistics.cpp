#include "core/plan/statistics.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/tensor/dtype.hpp"

namespace halftone {

const Tensor* find_matrix(const Checkpoint& file, const std::string& name, uint64_t rows, uint64_t cols) {
    const Tensor* const found = file.find(name);
    if (!found) return nullptr;
    const bool numbers = found->dtype == HT_DTYPE_F32 || found->dtype == HT_DTYPE_F16 ||
                         found->dtype == HT_DTYPE_BF16 || found->dtype == HT_DTYPE_F64;
    const bool fits = found->shape.size() == 2 && found->shape[0] > 0 && found->shape[1] > 0 &&
                      (rows == 0 || found->shape[0] == rows) && (cols == 0 || found->shape[1] == cols);
    if (!numbers || !fits)
        fail(Exit::input, text::printable(name),
             "is {} {}, where the layer needs floating-point numbers of [{}, {}]", dtype::name(found->dtype),
             to_string(found->shape), rows ? fmt::format("{}", rows) : "any",
             cols ? fmt::format("{}", cols) : "any");
    return found;
}

const Tensor* find_inputs(const Checkpoint& statistics, const std::string& layer, uint64_t cols) {
    return find_matrix(statistics, layer + ".inputs", 0, cols);
}

}  // namespace halftone
