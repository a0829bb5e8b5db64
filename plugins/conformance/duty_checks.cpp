// What the host asks of a matrix beside its numbers (ht_source.wants): kept, or refused.

#include "plugins/call.hpp"
#include "plugins/conformance/trial.hpp"
#include "plugins/wants.hpp"

namespace halftone::conformance {

namespace {

struct Asked {
    const char* name;
    uint32_t wants;
};
constexpr Asked asked[] = {{"HT_WANTS_ROWS", HT_WANTS_ROWS},
                           {"HT_WANTS_COLUMNS", HT_WANTS_COLUMNS},
                           {"HT_WANTS_ROWS | HT_WANTS_COLUMNS", HT_WANTS_ROWS | HT_WANTS_COLUMNS}};

}  // namespace

Result check_wants(const Format& format, uint64_t seed) {
    Result result{"wants",
                  "rows and columns that loaders read are kept, or the matrix is refused",
                  Outcome::not_applicable,
                  0,
                  {}};
    Random random(seed, 999'997);
    const std::vector<Shape> all_shapes = shapes(random);
    for (const OptionChoice& choice : option_choices(random, format.library().options())) {
        const OptionValues options =
            OptionValues::resolve(format.library().options(), choice.given, format.library().name());
        for (const ht_dialect dialect : all_dialects)
            for (const Shape shape : all_shapes)
                for (const Asked& one : asked) {
                    MatrixSource source = source_of(shape, HT_DTYPE_BF16, dialect);
                    source.wants |= one.wants;
                    try {
                        ++result.cases;
                        result.outcome = Outcome::ok;
                        const std::string lost = unkept_wants(*format.prepare(source, options));
                        if (lost.empty()) continue;
                        result.outcome = Outcome::failed;
                        result.detail = fmt::format("prepare() takes a matrix with {}: {} [{}]", one.name,
                                                    lost, circumstances(source, options));
                        return result;
                    } catch (const Refusal&) {
                    }
                }
    }
    return result;
}

}  // namespace halftone::conformance
