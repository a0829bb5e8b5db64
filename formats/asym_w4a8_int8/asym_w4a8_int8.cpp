// 4-bit codes that stand for 8-bit integers: levels of a codebook times a scale per group, of rotated rows.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/nibbles.hpp>
#include <halftone/toolbox/rotation.hpp>
#include <halftone/toolbox/scale_groups.hpp>
#include <halftone/toolbox/scale_search.hpp>
#include <halftone/toolbox/stored_layer.hpp>
#include <halftone/toolbox/strips.hpp>

#include "asym_w4a8_int8_kernels.hpp"
#include "grid.hpp"
#include "sample.hpp"

namespace halftone::asym_w4a8_int8 {

namespace {

constexpr const char* label_name = "asym_w4a8_int8";
enum class Book { automatic, fixed, none };
constexpr const char* book_names[] = {"auto", "fixed", "none", nullptr};
constexpr float least_scale = 1e-8f;
constexpr double heavy_tails = -0.1;  // excess kurtosis above which the fixed codebook is not used
constexpr int farthest_scale = 4;     // candidates of a search: that many e4m3 numbers up and down
constexpr uint64_t most_granule_rows = 16;

struct Choice {
    uint64_t group, rotation;
    Book book;
    bool searches, corrected, full_precision;
};

Choice chosen(const ht_source& source, const Options& options) {
    if (source.rank != 2 || source.experts != 1)
        throw Refused("asym_w4a8_int8 takes plain matrices, and this has " + std::to_string(source.rank) +
                      " dimensions");
    const uint64_t cols = source.cols;
    if (source.rows == 0 || cols == 0) throw Refused("it has no elements");
    if (source.dialect != HT_DIALECT_COMFY)
        throw Refused("asym_w4a8_int8 has no other layout than ComfyUI's");
    if (source.wants & HT_WANTS_COLUMNS)
        throw Refused("loaders tell the model by its number of columns, which two codes in a byte halve");
    const auto group = static_cast<uint64_t>(options.whole("group_size"));
    if (16 % group != 0 && group % 16 != 0)
        throw Refused("group_size is " + std::to_string(group) + "; loaders take 4, 8 and multiples of 16");
    if (cols % 16 != 0)
        throw Refused(std::to_string(cols) + " columns are no multiple of 16, as its loaders need");
    if (cols % group != 0)
        throw Refused(std::to_string(cols) + " columns are no multiple of the group size, " +
                      std::to_string(group));
    return {group,
            toolbox::rotation_group(cols, toolbox::wanted_rotation(options)),
            options.choice_as<Book>("codebook"),
            options.choice_as<toolbox::ScaleFit>("scale") == toolbox::ScaleFit::mse,
            options.flag("correction"),
            (source.wants & HT_WANTS_FULL_PRECISION_MM) != 0};
}

// What is added to a group may be stored in any type that weights have.
ht_dtype correction_dtype(ht_dtype of_weights) {
    return of_weights == HT_DTYPE_BF16 || of_weights == HT_DTYPE_F16 ? of_weights : HT_DTYPE_F32;
}

// Sums over the numbers that decide whether the codebook is fitted, and numbers to fit it to; of one granule.
struct Judged {
    double count, sums[4];  // of powers
    uint64_t fitted;        // how many numbers follow

    const float* numbers() const { return reinterpret_cast<const float*>(this + 1); }
    float* numbers() { return reinterpret_cast<float*>(this + 1); }
};

}  // namespace

class AsymW4a8Int8 {
  public:
    static constexpr PluginInfo info{
        "asym_w4a8_int8", "1.0.0",
        "4-bit codes for 8-bit integers, with scales per group and row, of rotated rows", "MIT"};

    static constexpr ht_option options[] = {
        whole("group_size", "16", 4, 65536, "columns that share a scale: 4, 8 or a multiple of 16"),
        toolbox::rotation_group_option,
        choice("codebook", "auto", book_names,
               "what codes stand for: the levels of a normal distribution, or fitted ones where the weights "
               "have heavy "
               "tails; those of a normal distribution; or -8 to 7"),
        flag("correction", "false",
             "a number is added to every group, as in layers of the asymmetric recipe; 0 in new ones"),
        toolbox::scale_option,
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, label_name, "correction=false", "comfyui>=0.31.0", "int8 per row, rotated",
         "NVIDIA from Ampere on", "4 bits a code to store, 8 bits to multiply with"},
        {sizeof(ht_label), 0, label_name, "correction=true", "", "none", "",
         "ComfyUI does not load the correction"},
    };

    AsymW4a8Int8(const ht_source& source, const Options& options)
        : source_(source),
          choice_(chosen(source, options)),
          kernels_(kernels(cpu_level())),
          grid_{source.rows, source.cols, choice_.group,
                choice_.corrected ? element_bytes(correction_dtype(source.dtype)) : 0} {}

    Facts facts() const {
        const uint64_t rows = source_.rows, cols = source_.cols, groups = grid_.groups_of_row();
        Facts facts;
        facts.stored = {{HT_ROLE_WEIGHT, ".weight", HT_DTYPE_I8, {rows, cols / 2}},
                        {HT_ROLE_SCALE, ".weight_s_rel", HT_DTYPE_F8_E4M3, {rows, groups}},
                        {HT_ROLE_SCALE_2, ".weight_s_channel", HT_DTYPE_F32, {rows}}};
        if (choice_.book != Book::none)
            facts.stored.push_back({HT_ROLE_CODEBOOK, ".weight_codebook", HT_DTYPE_F32, {16}});
        if (choice_.corrected)  // there is no role for what is added
            facts.stored.push_back({HT_ROLE_NESTED_CODEBOOK,
                                    ".weight_correction",
                                    correction_dtype(source_.dtype),
                                    {groups, rows}});
        facts.granule_rows = granule_rows();
        facts.granule_bytes = facts.granule_rows * cols / 2;
        facts.grid_bytes = grid_.bytes();
        facts.passes = choice_.book == Book::automatic ? 1 : 0;
        facts.partial_bytes = facts.passes ? partial_bytes() : 0;
        facts.flags = HT_FACT_ROTATES | HT_FACT_ENCODE_BEFORE_SEAL;
        facts.input_scale = HT_INPUT_SCALE_NEVER;
        facts.scale_kind = HT_SCALE_TILE;
        facts.scale_rows = 1;
        facts.scale_cols = choice_.group;
        return facts;
    }

    void describe(JsonSink sink) const {
        sink.text("format", label_name);
        toolbox::write_group_size(sink, choice_.group);
        sink.whole("convrot_groupsize", static_cast<int64_t>(choice_.rotation));
        if (choice_.full_precision) sink.flag("full_precision_matrix_mult", true);
    }

    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source);

    void rotate(bool, const ht_view& rows, uint64_t n) const {
        toolbox::RowRotation{choice_.rotation, kernels_.rotate}.rotate(rows, n, source_.cols);
    }

    // ----------------------------------------------------------------------------------------------- fitting

    void begin(std::byte* grid) const {
        set_codebook(grid, choice_.book == Book::none ? plain_codebook : fixed_codebook);
    }

    // Of numbers in units of their group's largest.
    void fit_pass(uint32_t, const Band& in, const float*, const std::byte*, void* partials) const {
        const Sample& sample = this->sample();
        const uint64_t most = Sample::fit_count(source_.rows, source_.cols);
        std::vector<float> row(source_.cols);
        sample.each_row(in.region.row, in.region.rows, [&](uint64_t at, uint64_t s) {
            const uint64_t i = at - in.region.row;
            auto& judged = *reinterpret_cast<Judged*>(static_cast<std::byte*>(partials) +
                                                      i / granule_rows() * partial_bytes());
            for (uint64_t j = 0; j < source_.cols; ++j)
                row[j] = in.at(i, j);
            for (uint64_t j = 0; j < source_.cols; j += choice_.group) {
                const float amax = std::max(kernels_.largest(&row[j], choice_.group), least_scale);
                for (uint64_t k = j; k < j + choice_.group; ++k)
                    row[k] /= amax;
            }
            sample.each_judged(s, [&](uint64_t j) {
                const auto x = static_cast<double>(row[j]);
                judged.count += 1;
                judged.sums[0] += x;
                judged.sums[1] += x * x;
                judged.sums[2] += x * x * x;
                judged.sums[3] += x * x * x * x;
            });
            sample.each_fitted(s, [&](uint64_t j) {
                if (judged.fitted < most_fitted(most)) judged.numbers()[judged.fitted++] = row[j];
            });
        });
    }

    void fit_fold(uint32_t, const void* partials, uint64_t n, std::byte* grid) const {
        const auto judged = [&](uint64_t i) -> const Judged& {
            return *reinterpret_cast<const Judged*>(static_cast<const std::byte*>(partials) +
                                                    i * partial_bytes());
        };
        double count = 0, sums[4] = {};
        for (uint64_t i = 0; i < n; ++i) {
            count += judged(i).count;
            for (int power = 0; power < 4; ++power)
                sums[power] += judged(i).sums[power];
        }
        if (!(excess_kurtosis(count, sums) > heavy_tails)) return;
        std::vector<float> numbers;
        for (uint64_t i = 0; i < n; ++i)
            numbers.insert(numbers.end(), judged(i).numbers(), judged(i).numbers() + judged(i).fitted);
        float codebook[16];
        fit_codebook(std::move(numbers), codebook);
        set_codebook(grid, codebook);
    }

    void fit_band(const Band& in, const float* column_weight, std::byte* grid) const {
        const uint64_t cols = source_.cols, groups = grid_.groups_of_row();
        std::vector<float> scales(groups), copied(in.contiguous_rows() ? 0 : cols);
        for (uint64_t i = 0; i < in.region.rows; ++i) {
            for (uint64_t j = 0; j < copied.size(); ++j)
                copied[j] = in.at(i, j);
            const float* const x = copied.empty() ? in.row(i) : copied.data();
            float most = 0;
            for (uint64_t k = 0; k < groups; ++k) {
                float largest = 0;
                scales[k] = scale_of(x + k * choice_.group, grid_.book(grid), largest);
                most = std::max(most, largest);
            }
            const float step = std::max(most / 127.0f, least_scale);
            for (uint64_t k = 0, g = (in.region.row + i) * groups; k < groups; ++k, ++g) {
                const uint8_t plain = toolbox::E4m3fn::encode(scales[k] / step);
                const uint64_t j = k * choice_.group;
                grid_.steps(grid)[g] = step;
                grid_.scale_codes(grid)[g] =
                    choice_.searches
                        ? searched(x + j, column_weight ? column_weight + j : nullptr, step, plain, grid)
                        : plain;
            }
        }
    }

    void load(std::span<const uint8_t* const> companions, std::byte* grid) const {
        const Facts facts = this->facts();
        for (size_t i = 1; i < companions.size(); ++i)
            if (!companions[i]) throw Refused("there is no " + facts.stored[i].name);
        const uint64_t groups = grid_.groups_of_row();
        std::memcpy(grid_.scale_codes(grid), companions[1], source_.rows * groups);
        for (uint64_t g = 0; g < source_.rows * groups; ++g)
            if (grid_.scale_codes(grid)[g] > toolbox::E4m3fnLayout::most_code)
                throw Refused("element " + std::to_string(g) + " of .weight_s_rel is negative or no number");
        for (uint64_t row = 0; row < source_.rows; ++row) {
            float step;
            std::memcpy(&step, companions[2] + row * sizeof step, sizeof step);
            if (!(step >= 0) || step > FLT_MAX)
                throw Refused("element " + std::to_string(row) + " of .weight_s_channel is " +
                              std::to_string(step) + ", which is no scale");
            std::fill_n(grid_.steps(grid) + row * groups, groups, step);
        }
        if (choice_.book != Book::none) {
            float codebook[16];
            std::memcpy(codebook, companions[3], sizeof codebook);
            for (size_t i = 0; i < 16; ++i)
                if (!std::isfinite(codebook[i]) || (i > 0 && codebook[i] < codebook[i - 1]))
                    throw Refused("element " + std::to_string(i) + " of .weight_codebook is " +
                                  std::to_string(codebook[i]) + ", and levels rise");
            set_codebook(grid, codebook);
        }
        if (!choice_.corrected) return;
        std::memcpy(grid_.corrections(grid), companions.back(), grid_.correction_bytes());
        for (uint64_t g = 0; g < source_.rows * groups; ++g)
            if (!std::isfinite(offset(grid, g / groups, g % groups)))
                throw Refused("element " + std::to_string(g) + " of .weight_correction is not finite");
    }

    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
        const uint64_t groups = grid_.groups_of_row();
        if (i == 1) {
            std::memcpy(out, grid_.scale_codes(grid), source_.rows * groups);
        } else if (i == 2) {
            for (uint64_t row = 0; row < source_.rows; ++row)
                std::memcpy(out + row * sizeof(float), grid_.steps(grid) + row * groups, sizeof(float));
        } else if (i == 3 && choice_.book != Book::none) {
            std::memcpy(out, grid_.book(grid).level, 16 * sizeof(float));
        } else {
            std::memcpy(out, grid_.corrections(grid), grid_.correction_bytes());
        }
    }

    // ---------------------------------------------------------------------------------------- on the fitted
    // grid

    void encode(const std::byte* grid, const Band& in, uint8_t* bytes) const {
        each_piece(grid, in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, const Group& g) {
            uint8_t codes[toolbox::strip];
            kernels_.encode(x, n, g.step, g.offset, g.levels, codes);
            toolbox::put_nibbles(codes, n, i * in.region.cols + j, packing, bytes);
        });
    }

    void decode(const std::byte* grid, const uint8_t* bytes, const Band& out) const {
        each_group(grid, out.region, [&](uint64_t i, uint64_t j, uint64_t n, const Group& g) {
            uint8_t codes[toolbox::strip];
            toolbox::take_nibbles(bytes, i * out.region.cols + j, n, packing, codes);
            toolbox::write_strip(out, i, j, n, [&](float* values) {
                kernels_.decode(codes, n, g.step, g.offset, g.levels, values);
            });
        });
    }

    void snap(const std::byte* grid, const Band& in, const Band& out) const {
        each_piece(grid, in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, const Group& g) {
            toolbox::write_strip(out, i, j, n, [&](float* values) {
                kernels_.snap(x, n, g.step, g.offset, g.levels, values);
            });
        });
    }

    void sigma(const std::byte* grid, const Band& out) const {
        each_group(grid, out.region, [&](uint64_t i, uint64_t j, uint64_t n, const Group& g) {
            toolbox::write_strip(out, i, j, n,
                                 [&](float* values) { std::fill_n(values, n, g.step > 0 ? g.step : 1.0f); });
        });
    }

    void around(const std::byte* grid, const Band& in, const Band& lo, const Band& hi) const {
        each_piece(grid, in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, const Group& g) {
            toolbox::write_strip(lo, i, j, n, [&](float* less) {
                toolbox::write_strip(hi, i, j, n, [&](float* more) {
                    kernels_.around(x, n, g.step, g.offset, g.levels, less, more);
                });
            });
        });
    }

    ht_table table(const std::byte* grid) const {
        if (choice_.corrected) throw Refused("a table has no place for what is added to a group");
        const float* const steps = grid_.steps(grid);
        return {sizeof(ht_table),
                16,
                tables,
                1,
                grid_.level_table(grid),
                grid_.upper_table(grid),
                steps,
                steps,
                grid_.scale_codes(grid)};
    }

  private:
    static constexpr toolbox::Packing packing = toolbox::Packing::low_nibble_first;

    struct Group {
        float step, offset;
        LevelView levels;
    };

    const Sample& sample() const {
        std::call_once(sampled_, [&] { sample_ = Sample::of(source_.rows, source_.cols); });
        return *sample_;
    }

    // So many that about one of them is sampled.
    uint64_t granule_rows() const {
        if (choice_.book != Book::automatic) return 1;
        const uint64_t apart = source_.rows / Sample::row_count(source_.rows, source_.cols);
        uint64_t rows = 1;
        while (2 * rows <= std::min(apart, most_granule_rows))
            rows *= 2;
        return rows;
    }
    // How many of the numbers to be fitted a granule may have drawn: all where all are taken, otherwise far
    // more than chance will have it.
    uint64_t most_fitted(uint64_t all) const {
        const uint64_t rows = Sample::row_count(source_.rows, source_.cols);
        if (all == rows * source_.cols) return source_.cols;
        const double mean = static_cast<double>(all) / static_cast<double>(rows);
        return static_cast<uint64_t>(mean + 10 * std::sqrt(mean)) + 32;
    }
    uint64_t partial_bytes() const {
        const uint64_t numbers = most_fitted(Sample::fit_count(source_.rows, source_.cols));
        return sizeof(Judged) + (numbers + 1) / 2 * 2 * sizeof(float);
    }

    // As comfy-kitchen does it in float32, which differs by 1e-5 at most.
    static double excess_kurtosis(double n, const double (&sums)[4]) {
        const double mean = sums[0] / n, square = sums[1] / n, cube = sums[2] / n, fourth = sums[3] / n;
        const double variance = std::max(square - mean * mean, 0.0) * n / (n - 1);
        const double deviation = std::sqrt(variance) + 1e-9;
        const double moment =
            fourth - 4 * mean * cube + 6 * mean * mean * square - 3 * mean * mean * mean * mean;
        return moment / (deviation * deviation * deviation * deviation) - 3;
    }

    void set_codebook(std::byte* grid, const float (&codebook)[16]) const {
        Levels& book = grid_.book(grid);
        std::memcpy(book.level, codebook, sizeof codebook);
        set_thresholds(book);
        std::vector<Levels> made(tables);
        make_tables(codebook, made.data());
        for (uint32_t i = 0; i < tables; ++i) {
            std::memcpy(grid_.level_table(grid) + 16 * i, made[i].level, sizeof made[i].level);
            std::memcpy(grid_.upper_table(grid) + 16 * i, made[i].upper, sizeof made[i].upper);
        }
    }

    float scale_of(const float* x, const Levels& book, float& largest) const {
        if (choice_.book != Book::none)
            return kernels_.fit(x, choice_.group, {book.level, book.upper}, &largest);
        const float amax = kernels_.largest(x, choice_.group), scale = std::max(amax / 7.0f, least_scale);
        largest = amax < least_scale ? 0.0f : 7 * scale;
        return scale;
    }

    // The e4m3 number near the plain one with which the group has the least error; of equal ones the plain
    // one.
    uint8_t searched(const float* x, const float* weight, float step, uint8_t plain,
                     const std::byte* grid) const {
        const auto error = [&](uint8_t code) {
            return kernels_.squared_error(x, weight, choice_.group, step, levels(grid, code));
        };
        uint8_t best = plain;
        float least = error(plain);
        for (int away = farthest_scale; away >= -farthest_scale; --away) {
            const int code = plain + away;
            if (away == 0 || code < 0 || code > toolbox::E4m3fnLayout::most_code) continue;
            const float found = error(static_cast<uint8_t>(code));
            if (!(found < least)) continue;
            least = found;
            best = static_cast<uint8_t>(code);
        }
        return best;
    }

    LevelView levels(const std::byte* grid, uint8_t scale_code) const {
        return {grid_.level_table(grid) + 16 * scale_code, grid_.upper_table(grid) + 16 * scale_code};
    }

    // What decoding adds to group k of a row.
    float offset(const std::byte* grid, uint64_t row, uint64_t k) const {
        if (!choice_.corrected) return 0;
        return stored_number(grid_.corrections(grid), k * source_.rows + row,
                             correction_dtype(source_.dtype));
    }

    // visit(i, j, n, group) for pieces of groups that fit a strip.
    template <class Visit>
    void each_group(const std::byte* grid, const ht_region& region, Visit&& visit) const {
        const uint64_t groups = grid_.groups_of_row();
        toolbox::ScaleGroups::tile(source_.rows, source_.cols, 1, choice_.group)
            .each_piece(region, toolbox::strip, [&](uint64_t i, uint64_t j, uint64_t n, uint64_t g) {
                visit(i, j, n,
                      Group{grid_.steps(grid)[g], offset(grid, g / groups, g % groups),
                            levels(grid, grid_.scale_codes(grid)[g])});
            });
    }
    template <class Visit>
    void each_piece(const std::byte* grid, const Band& in, Visit&& visit) const {
        each_group(grid, in.region, [&](uint64_t i, uint64_t j, uint64_t n, const Group& g) {
            toolbox::read_strip(in, i, j, n, [&](const float* x) { visit(i, j, x, n, g); });
        });
    }

    const ht_source source_;
    const Choice choice_;
    const Kernels& kernels_;
    const GridLayout grid_;
    mutable std::once_flag sampled_;
    mutable std::shared_ptr<const Sample> sample_;
};

void AsymW4a8Int8::recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
    const toolbox::StoredLayer layer(found);
    if (!layer.marker() || layer.marker()->text("format") != label_name)
        throw Refused("it is not labelled " + std::string(label_name));
    const ht_tensor* const weight = layer.tensor(".weight");
    if (!weight || weight->rank != 2 || weight->dtype != HT_DTYPE_I8)
        throw Refused("it has no I8 matrix as its weight");
    using Shape = std::vector<uint64_t>;
    const auto part = [&](const char* suffix, std::initializer_list<ht_dtype> dtypes, const Shape& shape) {
        const ht_tensor* const tensor = layer.tensor(suffix);
        if (!tensor) throw Refused("there is no " + std::string(suffix));
        if (std::find(dtypes.begin(), dtypes.end(), tensor->dtype) == dtypes.end())
            throw Refused(std::string(suffix) + " is of a type that is not read");
        if (toolbox::shape_of(*tensor) != shape)
            throw Refused(std::string(suffix) + " has shape " +
                          toolbox::to_string(toolbox::shape_of(*tensor)) + ", not " +
                          toolbox::to_string(shape));
        return tensor->dtype;
    };
    const uint64_t rows = weight->shape[0], bytes = weight->shape[1], cols = 2 * bytes;
    const int64_t group = layer.number("group_size").value_or(16);
    if (group < 4 || (16 % group != 0 && group % 16 != 0))
        throw Refused("its marker says groups of " + std::to_string(group) + ", which cannot be");
    const uint64_t length = static_cast<uint64_t>(group);
    const ht_tensor* const scales = layer.tensor(".weight_s_rel");
    if (scales && scales->rank == 2 && scales->shape[1] < UINT32_MAX / length &&
        scales->shape[1] * length * 3 == bytes * 4)
        throw Refused("its codes have 6 bits, and only those of 4 are read");
    if (cols % length != 0)
        throw Refused(std::to_string(cols) + " columns are no multiple of its groups of " +
                      std::to_string(group));
    part(".weight_s_rel", {HT_DTYPE_F8_E4M3, HT_DTYPE_U8}, {rows, cols / length});
    part(".weight_s_channel", {HT_DTYPE_F32}, {rows});
    const bool has_codebook = layer.tensor(".weight_codebook") != nullptr;
    if (has_codebook) part(".weight_codebook", {HT_DTYPE_F32}, {16});
    const bool corrected = layer.tensor(".weight_correction") != nullptr;
    source.dtype = corrected ? part(".weight_correction", {HT_DTYPE_BF16, HT_DTYPE_F16, HT_DTYPE_F32},
                                    {cols / length, rows})
                             : HT_DTYPE_BF16;
    const int64_t rotation =
        layer.number("convrot_groupsize").value_or(static_cast<int64_t>(toolbox::usual_rotation));
    if (!toolbox::rotates_in(rotation, cols))
        throw Refused("its marker says that it is rotated in groups of " + std::to_string(rotation) +
                      ", which cannot be");
    options.set_whole("group_size", group);
    options.set_whole("rotation_group", rotation);
    options.set_choice("codebook", book_names[static_cast<int>(has_codebook ? Book::fixed : Book::none)]);
    options.set_flag("correction", corrected);
    source.dialect = HT_DIALECT_COMFY;
    source.wants = layer.is_set("full_precision_matrix_mult") ? HT_WANTS_FULL_PRECISION_MM : 0;
    source.rank = 2;
    source.shape[0] = source.rows = rows;
    source.shape[1] = source.cols = cols;
    source.experts = 1;
}

}  // namespace halftone::asym_w4a8_int8

HALFTONE_FORMAT(halftone::asym_w4a8_int8::AsymW4a8Int8)
