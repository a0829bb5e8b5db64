#include "core/run/stored_numbers.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <vector>

#include "core/base/error.hpp"
#include "core/tensor/convert.hpp"

namespace halftone {
namespace {

struct Rule {
    bool numbers = false, negative_too = false;
};

Rule rule_for(ht_role role) {
    switch (role) {
        case HT_ROLE_SCALE:
        case HT_ROLE_SCALE_2:
        case HT_ROLE_ABSMAX:
        case HT_ROLE_NESTED_ABSMAX:
            return {.numbers = true};
        case HT_ROLE_CODEBOOK:
        case HT_ROLE_NESTED_CODEBOOK:
            return {.numbers = true, .negative_too = true};
        default:
            return {};
    }
}

// The one bit pattern of a type without infinities and signs that is no number.
constexpr std::byte e8m0_nan{0xFF};

class Faults {
  public:
    void add(uint64_t element, float value) {
        if (times_++ > 0) return;
        element_ = element;
        value_ = value;
    }
    void throw_if_any(const FormatPlan& format, const StoredTensor& stored, const char* fault,
                      uint64_t of) const {
        if (times_ == 0) return;
        throw Error(
            Exit::plugin, format.plugin(),
            fmt::format("companion() filled '{}' with numbers that are {}: {} of {}; the first is {}, "
                        "element {}",
                        stored.name, fault, times_, of, value_, element_),
            "the plugin is at fault: tell its authors; a [[rule]] with action = \"keep\" leaves the "
            "matrix as it is");
    }

  private:
    uint64_t times_ = 0, element_ = 0;
    float value_ = 0;
};

}  // namespace

void check_companion(const FormatPlan& format, const StoredTensor& stored, std::span<const std::byte> bytes) {
    const Rule rule = rule_for(stored.role);
    if (!rule.numbers) return;
    Faults nonfinite, negative;
    uint64_t elements = bytes.size();
    if (stored.dtype == HT_DTYPE_F8_E8M0) {
        for (uint64_t i = 0; i < elements; ++i)
            if (bytes[i] == e8m0_nan) nonfinite.add(i, NAN);
    } else if (dtype::widens(stored.dtype)) {
        constexpr uint64_t at_once = 16 * 1024;
        const uint64_t size = dtype::bits(stored.dtype) / 8;
        elements = bytes.size() / size;
        std::vector<float> values(std::min(elements, at_once));
        for (uint64_t first = 0; first < elements; first += at_once) {
            const uint64_t n = std::min(at_once, elements - first);
            widen(stored.dtype, bytes.subspan(first * size, n * size), std::span(values).first(n));
            // The usual answer in one pass that the compiler makes wide.
            const float least = rule.negative_too ? -FLT_MAX : 0;
            bool odd = false;
            for (uint64_t i = 0; i < n; ++i)
                odd |= !(values[i] >= least && values[i] <= FLT_MAX);
            if (!odd) continue;
            for (uint64_t i = 0; i < n; ++i)
                if (!std::isfinite(values[i]))
                    nonfinite.add(first + i, values[i]);
                else if (values[i] < 0 && !rule.negative_too)
                    negative.add(first + i, values[i]);
        }
    }
    nonfinite.throw_if_any(format, stored, "NaN or infinite", elements);
    negative.throw_if_any(format, stored, "negative", elements);
}

}  // namespace halftone
