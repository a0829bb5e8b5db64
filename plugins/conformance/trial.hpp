#pragma once

#include <fmt/format.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "plugins/conformance/conformance.hpp"
#include "plugins/conformance/draw.hpp"

namespace halftone::conformance {

// A promise that was not kept, in one sentence without its circumstances.
class Broken : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};
template <class... Args>
[[noreturn]] void broken(fmt::format_string<Args...> what, Args&&... args) {
    throw Broken(fmt::format(what, std::forward<Args>(args)...));
}

// How a matrix is cut into bands, and on how many threads they are worked on.
struct Bands {
    std::vector<uint64_t> starts = {0};  // first rows, ascending, on granules
    unsigned threads = 1;
    uint64_t part_cols = 0;   // > 0: all rows on their own, in parts of so many columns
    bool folds_each = false;  // fit_fold() gets one slot at a time
};
Bands random_bands(Random&, const FormatPlan&);

// What a file would hold.
struct Written {
    Grid grid;
    std::vector<std::byte> weight;
    std::vector<std::vector<std::byte>> companions;  // as in stored(); empty for the weight
};

// Fits and encodes as a run does. `fill` is what lies in the buffers before.
struct Writing {
    Bands bands = {};
    std::byte fill = {};
    const float* column_weight = nullptr;
};
Written write(const FormatPlan&, const Matrix& in_grids_basis, const Writing& = {});

// A plan, a matrix and what became of it. Checks look at it and change nothing.
struct Trial {
    const Format& format;
    MatrixSource source;
    OptionValues options;
    std::shared_ptr<const FormatPlan> plan;
    Values values;
    Matrix drawn, matrix;  // as drawn; in the grid's basis
    Written written;
    Matrix snapped;  // decode(encode(matrix))
    Random random;
    std::vector<std::string> labels_of_others = {};
    std::string refusal = {};  // why recognize() does not take what was written

    bool describes() const { return !plan->description().empty(); }
    Grid copy_of_grid() const;
    Matrix decoded(const Grid&, const std::vector<std::byte>& weight) const;
    // The numbers that grid functions are tried on: the matrix itself, its values on the grid, between and
    // far outside them.
    std::vector<Matrix> probes();
    std::string circumstances() const;  // "3 x 70, BF16, ..."
};

// Refusal if the format takes not such a matrix.
Trial make_trial(const Format&, const MatrixSource&, const GivenOptions&, Values, Random);

std::string circumstances(const MatrixSource&, const OptionValues&);

// What is wrong with an element of a companion that holds scales, by its bits.
enum class Odd { none, nan, infinite, negative };
size_t element_bytes(ht_dtype);  // 0: not a type of scales
Odd odd_element(ht_dtype, const std::byte*);
bool set_nan(ht_dtype, std::byte*);       // false: the type has none
bool set_negative(ht_dtype, std::byte*);  // false: the type has no sign
bool is_scale(ht_role);                   // what values are multiplied with

std::string number(float);  // "0.5 (0x3f000000)"
bool same_bits(float, float);

// "byte 12 of .weight: 0x07 and 0x08", or nothing if both hold the same.
std::string first_difference(const FormatPlan&, const Written&, const Written&);

// One thing that is promised. `run` throws Broken; not_applicable if this trial has nothing to it.
struct Check {
    const char* name;
    const char* promise;
    Outcome (*run)(Trial&);
};
std::vector<Check> stored_checks();
std::vector<Check> grid_checks();
std::vector<Check> reading_checks();
std::vector<Check> activation_checks();

// Those that make plans of their own.
Result check_refusals(const Format&);
// Labels, as halftone/format.h has them written.
Result check_labels(const Format&);
// What the pipeline asks of loaders reaches them.
Result check_full_precision(const Format&, uint64_t seed);
// So does what loaders read off the stored weight.
Result check_wants(const Format&, uint64_t seed);
Result check_options(const Format&, uint64_t seed, std::vector<std::string>& remarks);

inline constexpr ht_dialect all_dialects[] = {HT_DIALECT_COMFY, HT_DIALECT_LEGACY, HT_DIALECT_BITSANDBYTES};
MatrixSource source_of(Shape, ht_dtype, ht_dialect);

}  // namespace halftone::conformance
