#include "plugins/format_facts.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include <halftone/ext/draft/column_scale.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "plugins/abi_copy.hpp"

namespace halftone {
namespace {

constexpr uint64_t most_stored = 32, most_passes = 16;
constexpr uint64_t slack = uint64_t{64} << 20;  // tables, padding of tiny matrices
constexpr uint64_t widest_padding = 256;        // that rows and columns may be rounded up to
constexpr uint32_t known_flags = HT_FACT_ROTATES | HT_FACT_NOT_IDEMPOTENT | HT_FACT_ANY_RANK |
                                 HT_FACT_ENCODE_BEFORE_SEAL | HT_FACT_FOLDS_IN_PARTS;

// Bits of an element; 0 for a type that does not exist.
uint64_t bits_of(ht_dtype dtype) {
    switch (dtype) {
        case HT_DTYPE_F4:
            return 4;
        case HT_DTYPE_F6_E2M3:
        case HT_DTYPE_F6_E3M2:
            return 6;
        case HT_DTYPE_BOOL:
        case HT_DTYPE_U8:
        case HT_DTYPE_I8:
        case HT_DTYPE_F8_E5M2:
        case HT_DTYPE_F8_E4M3:
        case HT_DTYPE_F8_E8M0:
        case HT_DTYPE_F8_E4M3FNUZ:
        case HT_DTYPE_F8_E5M2FNUZ:
            return 8;
        case HT_DTYPE_I16:
        case HT_DTYPE_U16:
        case HT_DTYPE_F16:
        case HT_DTYPE_BF16:
            return 16;
        case HT_DTYPE_I32:
        case HT_DTYPE_U32:
        case HT_DTYPE_F32:
            return 32;
        case HT_DTYPE_C64:
        case HT_DTYPE_F64:
        case HT_DTYPE_I64:
        case HT_DTYPE_U64:
            return 64;
        default:
            return 0;
    }
}

// Products of sizes that a plugin claims; stays at the top once it has overflowed.
uint64_t times(uint64_t a, uint64_t b) {
    constexpr uint64_t top = std::numeric_limits<uint64_t>::max();
    return b != 0 && a > top / b ? top : a * b;
}

uint64_t padded(uint64_t n) {
    return times(n / widest_padding + (n % widest_padding != 0), widest_padding);
}

class FactsCheck {
  public:
    FactsCheck(const MatrixSource& source, const std::string& culprit) : source_(source), culprit_(culprit) {
        // No format of ours or a sane one stores a value in more than 8 bytes, padding included. Where one
        // column becomes many by padding, that is a lot for a matrix, and still no nonsense.
        const uint64_t elements = times(padded(source.rows), padded(source.cols));
        most_bytes_ = std::max(times(elements, 8), slack) + slack;
        if (most_bytes_ < slack) most_bytes_ = std::numeric_limits<uint64_t>::max();
    }

    void check_stored(const ht_facts& facts, CheckedFacts& result) const {
        if (facts.n_stored == 0 || facts.n_stored > most_stored || !facts.stored)
            wrong("{} stored tensors; 1 to {} are possible", facts.n_stored, most_stored);
        size_t weights = 0, column_scales = 0;
        for (uint64_t i = 0; i < facts.n_stored; ++i) {
            StoredTensor one = stored_tensor(facts.stored[i], i);
            const auto same_name = [&](const StoredTensor& other) { return other.name == one.name; };
            if (std::ranges::any_of(result.stored, same_name))
                wrong("two stored tensors named '{}'", one.name);
            if (one.role == HT_ROLE_WEIGHT) {
                ++weights;
                result.weight = result.stored.size();
                if (one.whole_file) wrong("a weight ('{}') that belongs to the whole file", one.name);
            }
            if (one.role == HT_ROLE_COLUMN_SCALE) {
                check_column_scale(one);
                if (++column_scales > 1) wrong("two scales of columns");
            }
            result.stored.push_back(std::move(one));
        }
        if (weights != 1) wrong("{} stored tensors with the role of the weight; it must be one", weights);
    }

    void check_granules(const ht_facts& facts, const CheckedFacts& result) const {
        const uint64_t weight_bytes = result.stored[result.weight].bytes;
        if (facts.granule_rows == 0) wrong("a granule of 0 rows");
        const uint64_t whole = source_.rows / facts.granule_rows;
        const uint64_t in_granules = times(whole, facts.granule_bytes);
        const bool rows_left = source_.rows % facts.granule_rows != 0;
        if (in_granules > weight_bytes || (rows_left && in_granules == weight_bytes))
            wrong("a weight of {} bytes, too small for {} granules of {} bytes{}", weight_bytes, whole,
                  facts.granule_bytes, rows_left ? " and a short one" : "");
        if (whole > 1 && source_.cols > 0 && facts.granule_bytes == 0) wrong("granules of 0 bytes");
        if (facts.piece_cols > 0) check_pieces(facts, weight_bytes);
    }

    void check_fitting(const ht_facts& facts, const ht_format& table) const {
        if (facts.passes > most_passes)
            wrong("{} passes; at most {} are possible", facts.passes, most_passes);
        if (facts.passes > 0 && !table.fit_pass) wrong("{} passes, but it has no fit_pass()", facts.passes);
        if (facts.passes > 0 && !table.fit_fold) wrong("{} passes, but it has no fit_fold()", facts.passes);
        if (facts.passes > 0 && facts.partial_bytes == 0)
            wrong("{} passes with partial results of 0 bytes", facts.passes);
        if (facts.partial_bytes > most_bytes_)
            wrong("partial results of {} bytes a granule", facts.partial_bytes);
        if (facts.grid_bytes > most_bytes_) wrong("a grid of {} bytes", facts.grid_bytes);
        if (facts.flags & ~known_flags)
            wrong("flags that this host does not know ({:#x})", facts.flags & ~known_flags);
        if ((facts.flags & HT_FACT_ROTATES) && !table.rotate)
            wrong("that it rotates, but it has no rotate()");
        if (facts.input_scale < HT_INPUT_SCALE_NEVER || facts.input_scale > HT_INPUT_SCALE_REQUIRED)
            wrong("an unknown rule for input scales ({})", facts.input_scale);
        if (facts.scale_kind < HT_SCALE_NONE || facts.scale_kind > HT_SCALE_RUN)
            wrong("an unknown kind of scales ({})", facts.scale_kind);
        if (facts.scale_kind == HT_SCALE_TILE && (facts.scale_rows == 0 || facts.scale_cols == 0))
            wrong("scales of tiles of {} x {}", facts.scale_rows, facts.scale_cols);
        if (facts.scale_kind == HT_SCALE_RUN && facts.scale_cols == 0) wrong("scales of runs of 0 elements");
    }

    template <class... Args>
    [[noreturn]] void wrong(fmt::format_string<Args...> what, Args&&... args) const {
        throw Error(Exit::plugin, culprit_,
                    fmt::format("its plan for a {} x {} matrix claims {}", source_.rows, source_.cols,
                                fmt::format(what, std::forward<Args>(args)...)));
    }

  private:
    void check_column_scale(const StoredTensor& one) const {
        uint64_t elements = 1;
        for (const uint64_t extent : one.shape)
            elements = times(elements, extent);
        if (one.whole_file || (elements != source_.cols && elements != 1))
            wrong("'{}' as a scale of columns, with {} elements for {} of them", one.name, elements,
                  source_.cols);
        if (!(source_.wants & HT_WANTS_AS_FOUND))
            wrong("that it writes '{}', a scale of columns, which hosts cannot do yet", one.name);
    }

    void check_pieces(const ht_facts& facts, uint64_t weight_bytes) const {
        if (facts.granule_rows != 1)
            wrong("pieces of rows beside granules of {} rows; they need granules of one", facts.granule_rows);
        if (facts.flags & HT_FACT_ROTATES) wrong("pieces of rows that it rotates as a whole");
        if (facts.piece_bytes == 0) wrong("pieces of {} columns in 0 bytes", facts.piece_cols);
        const uint64_t row_bytes = source_.rows > 1 ? facts.granule_bytes : weight_bytes;
        const uint64_t in_pieces = times(source_.cols / facts.piece_cols, facts.piece_bytes);
        if (in_pieces > row_bytes || (source_.cols % facts.piece_cols != 0 && in_pieces == row_bytes))
            wrong("rows of {} bytes, too small for {} pieces of {} bytes", row_bytes,
                  source_.cols / facts.piece_cols, facts.piece_bytes);
    }

    StoredTensor stored_tensor(const ht_stored* raw, uint64_t i) const {
        if (!raw) wrong("stored tensor {}, but there is none", i);
        if (raw->size < HALFTONE_SIZE_TO(ht_stored, name))
            wrong("a size of {} bytes for its description of stored tensor {}", raw->size, i);
        const ht_stored from = copied(raw);
        check_name(from, i);
        StoredTensor to{from.role, from.scope == HT_SCOPE_FILE, from.dtype, {}, 0, from.name};
        if (from.role < HT_ROLE_WEIGHT || from.role > HT_ROLE_COLUMN_SCALE)
            wrong("an unknown role ({}) for '{}'", from.role, to.name);
        if (from.rank > HT_MAX_RANK) wrong("a rank of {} for '{}'", from.rank, to.name);
        to.shape.assign(from.shape, from.shape + from.rank);
        uint64_t bits = bits_of(from.dtype);
        if (bits == 0) wrong("an unknown element type ({}) for '{}'", from.dtype, to.name);
        for (uint64_t extent : to.shape)
            bits = times(bits, extent);
        if (bits == std::numeric_limits<uint64_t>::max() || bits / 8 > most_bytes_)
            wrong("an absurd size for '{}': [{}]", to.name, fmt::join(to.shape, ", "));
        if (bits % 8 != 0) wrong("a size of {} bits for '{}', which are no whole bytes", bits, to.name);
        to.bytes = bits / 8;
        return to;
    }

    void check_name(const ht_stored& from, uint64_t i) const {
        if (!from.name || !*from.name) wrong("no name for stored tensor {}", i);
        const std::string_view name = from.name;
        const auto is_odd = [](char c) { return (c >= 0 && c <= ' ') || c == 0x7f; };
        if (name.size() > 200 || !text::is_utf8(name) || std::ranges::any_of(name, is_odd))
            wrong("the name '{}' for stored tensor {}", text::printable(name), i);
        if (from.scope != HT_SCOPE_LAYER && from.scope != HT_SCOPE_FILE)
            wrong("an unknown scope ({}) for '{}'", from.scope, name);
        if (from.scope == HT_SCOPE_LAYER && (name.front() != '.' || name.size() < 2))
            wrong("the suffix '{}' for stored tensor {}; suffixes start with a dot", name, i);
        if (from.scope == HT_SCOPE_LAYER && (name == ".comfy_quant" || name == ".input_scale"))
            wrong("'{}', which the host writes", name);
    }

    const MatrixSource& source_;
    const std::string& culprit_;
    uint64_t most_bytes_ = 0;
};

}  // namespace

CheckedFacts check_facts(const ht_facts* raw, const ht_format& table, const MatrixSource& source,
                         const std::string& culprit) {
    if (!raw) fail(Exit::plugin, culprit, "facts() returned nothing");
    if (raw->size < HALFTONE_SIZE_TO(ht_facts, n_stored))
        fail(Exit::plugin, culprit, "its facts claim a size of {} bytes; those of ABI {}.0 have {}",
             raw->size, HALFTONE_ABI_MAJOR, HALFTONE_SIZE_TO(ht_facts, n_stored));
    CheckedFacts result;
    result.facts = copied(raw);
    const FactsCheck check(source, culprit);
    check.check_stored(result.facts, result);
    check.check_granules(result.facts, result);
    check.check_fitting(result.facts, table);
    return result;
}

}  // namespace halftone
