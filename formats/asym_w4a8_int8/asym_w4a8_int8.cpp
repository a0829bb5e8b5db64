// 4-bit codes that stand for 8-bit integers: levels of a codebook times a scale per group, of rotated rows.

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/activations.hpp>
#include <halftone/toolbox/float8.hpp>
#include <halftone/toolbox/kernels_of_plans.hpp>
#include <halftone/toolbox/nibbles.hpp>
#include <halftone/toolbox/rotation.hpp>
#include <halftone/toolbox/scale_groups.hpp>
#include <halftone/toolbox/scale_option.hpp>
#include <halftone/toolbox/stored_layer.hpp>
#include <halftone/toolbox/strips.hpp>

#include "asym_w4a8_int8_kernels.hpp"
#include "found.hpp"
#include "grid.hpp"
#include "group.hpp"
#include "judge.hpp"
#include "layout.hpp"

HALFTONE_KERNEL_IMAGE(asym_w4a8_int8_device)

namespace halftone::asym_w4a8_int8 {

namespace {

GridLayout layout_of(const ht_source& source, const Choice& choice) {
    const ht_dtype correction = correction_dtype(source.dtype);
    return {source.rows,
            source.cols,
            choice.group,
            choice.rotation,
            choice.corrected ? element_bytes(correction) : 0,
            correction,
            choice.book == Book::none,
            choice.searches,
            0,
            choice.book == Book::automatic ? Sample::size(source.rows, source.cols) : SampleSize{}};
}

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
        choice("bits", "4", bits_names, "of a code; layers with 6 are read, and not written yet"),
        choice("group_scale", "e4m3", scale_names,
               "the type of group scales; layers with f32 are read, and not written"),
        toolbox::scale_option,
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, label_name, "correction=false", "comfyui>=0.31.0", "int8 per row, rotated",
         "NVIDIA from Ampere on", "4 bits a code to store, 8 bits to multiply with"},
        {sizeof(ht_label), 0, label_name, "correction=false bits=6", "comfyui>=0.38.1",
         "int8 per row, rotated", "NVIDIA from Ampere on",
         "Halftone reads but does not write it; the first release that loads it is unknown"},
        {sizeof(ht_label), 0, label_name, "correction=false experts=stack", "comfyui>=0.38.1",
         "4 bits, then int8 per row, rotated", "NVIDIA from Ampere on",
         "Halftone reads but does not write it; 0.33.0 does not load it, and the first release that does is "
         "unknown"},
        {sizeof(ht_label), 0, label_name, "correction=false bits=6 experts=stack", "comfyui>=0.38.1",
         "4 bits, then int8 per row, rotated", "NVIDIA from Ampere on",
         "Halftone reads but does not write it; 0.33.0 does not load it, and the first release that does is "
         "unknown"},
        {sizeof(ht_label), 0, label_name, "correction=true", "", "none", "",
         "ComfyUI does not load the correction"},
    };

    AsymW4a8Int8(const ht_source& source, const Options& options)
        : source_(source),
          choice_(chosen(source, options)),
          kernels_(kernels(cpu_level())),
          grid_(layout_of(source, choice_)) {
        if (choice_.is_only_read()) found_.emplace(source, choice_);
    }

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<AsymW4a8Int8>(id,
                                                        kernel_image(HALFTONE_IMAGE(asym_w4a8_int8_device)));
    }
    bool on_device(std::string_view kernel) const {
        constexpr std::string_view all[] = {"fit_pass", "fit_band", "encode", "decode",
                                            "snap",     "sigma",    "around", "rotate"};
        return (!found_ || kernel == "rotate") && std::ranges::count(all, kernel) > 0;
    }

    Facts facts() const {
        const uint64_t rows = source_.rows, cols = source_.cols, groups = grid_.groups_of_row();
        Facts facts;
        facts.flags = HT_FACT_ROTATES | HT_FACT_ENCODE_BEFORE_SEAL;
        facts.input_scale = HT_INPUT_SCALE_NEVER;
        facts.scale_kind = HT_SCALE_TILE;
        facts.scale_rows = 1;
        facts.scale_cols = choice_.group;
        if (found_) {
            facts.stored = found_->stored();
            facts.granule_bytes = found_->row_bytes();
            facts.grid_bytes = found_->grid_bytes();
            return facts;
        }
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
        const bool judged = choice_.book == Book::automatic;
        facts.granule_rows = judged ? grid_.sample.granule_rows : 1;
        facts.granule_bytes = facts.granule_rows * cols / 2;
        facts.grid_bytes = grid_.bytes();
        facts.passes = judged ? 1 : 0;
        facts.partial_bytes = judged ? Seen::bytes(grid_.sample.most_fitted) : 0;
        return facts;
    }

    void describe(JsonSink sink) const {
        sink.text("format", label_name);
        toolbox::write_group_size(sink, choice_.group);
        sink.whole("convrot_groupsize", static_cast<int64_t>(choice_.rotation));
        toolbox::write_full_precision(sink, source_.wants);
    }

    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
        asym_w4a8_int8::recognize(found, options, source);
    }

    void rotate(bool, const ht_view& rows, uint64_t n) const {
        toolbox::RowRotation{choice_.rotation, kernels_.rotate}.rotate(rows, n, source_.cols);
    }

    void round_activations(const float*, const Band& rows) const {
        if (!choice_.corrected) toolbox::round_rows_to_integers(127, 1e-30f, rows);  // else nobody loads it
    }

    // ----------------------------------------------------------------------------------------------- fitting

    void begin(std::byte* grid) const {
        if (found_) return;
        std::memcpy(grid, &grid_, sizeof grid_);
        judge_.begin(grid_, grid);
        set_codebook(grid, choice_.book == Book::none ? plain_codebook : fixed_codebook);
    }

    void fit_pass(uint32_t, const Band& in, const float*, const std::byte* grid, void* partials) const {
        Judge::look_at(in, kernels_.largest, grid_, grid, partials);
    }

    void fit_fold(uint32_t, const void* partials, uint64_t n, std::byte* grid) const {
        float codebook[16];
        if (Judge::fit(grid_.sample, partials, n, codebook)) set_codebook(grid, codebook);
    }

    void fit_band(const Band& in, const float* column_weight, std::byte* grid) const {
        if (found_) throw std::logic_error("nothing is fitted to layers that are only read");
        const uint64_t cols = source_.cols, groups = grid_.groups_of_row();
        std::vector<float> scales(groups), copied(in.contiguous_rows() ? 0 : cols);
        for (uint64_t i = 0; i < in.region.rows; ++i) {
            for (uint64_t j = 0; j < copied.size(); ++j)
                copied[j] = in.at(i, j);
            const float* const x = copied.empty() ? in.row(i) : copied.data();
            const float most = scales_of(x, *grid_.book(grid), scales);
            const float step = row_step(most);
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
        if (found_) return found_->load(companions, grid);
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
            if (!std::isfinite(grid_.offset(grid, g / groups, g % groups)))
                throw Refused("element " + std::to_string(g) + " of .weight_correction is not finite");
    }

    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
        if (found_) return found_->companion(grid, i, out);
        const uint64_t groups = grid_.groups_of_row();
        if (i == 1) {
            std::memcpy(out, grid_.scale_codes(grid), source_.rows * groups);
        } else if (i == 2) {
            for (uint64_t row = 0; row < source_.rows; ++row)
                std::memcpy(out + row * sizeof(float), grid_.steps(grid) + row * groups, sizeof(float));
        } else if (i == 3 && choice_.book != Book::none) {
            std::memcpy(out, grid_.book(grid)->level, 16 * sizeof(float));
        } else {
            std::memcpy(out, grid_.corrections(grid), grid_.correction_bytes());
        }
    }

    // ---------------------------------------------------------------------------------------- on the fitted
    // grid

    void encode(const std::byte* grid, const Band& in, uint8_t* bytes) const {
        if (found_) return found_->encode(grid, in, bytes);
        each_piece(grid, in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, const Group& g) {
            uint8_t codes[toolbox::strip];
            kernels_.encode(x, n, g.step, g.offset, g.levels, codes);
            toolbox::put_nibbles(codes, n, i * in.region.cols + j, packing, bytes);
        });
    }

    void decode(const std::byte* grid, const uint8_t* bytes, const Band& out) const {
        if (found_) return found_->decode(grid, bytes, out);
        each_group(grid, out.region, [&](uint64_t i, uint64_t j, uint64_t n, const Group& g) {
            uint8_t codes[toolbox::strip];
            toolbox::take_nibbles(bytes, i * out.region.cols + j, n, packing, codes);
            toolbox::write_strip(out, i, j, n, [&](float* values) {
                kernels_.decode(codes, n, g.step, g.offset, g.levels, values);
            });
        });
    }

    void snap(const std::byte* grid, const Band& in, const Band& out) const {
        if (found_) return found_->snap(grid, in, out);
        each_piece(grid, in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, const Group& g) {
            toolbox::write_strip(out, i, j, n, [&](float* values) {
                kernels_.snap(x, n, g.step, g.offset, g.levels, values);
            });
        });
    }

    void sigma(const std::byte* grid, const Band& out) const {
        if (found_) return found_->sigma(grid, out);
        each_group(grid, out.region, [&](uint64_t i, uint64_t j, uint64_t n, const Group& g) {
            toolbox::write_strip(out, i, j, n,
                                 [&](float* values) { std::fill_n(values, n, g.step > 0 ? g.step : 1.0f); });
        });
    }

    void around(const std::byte* grid, const Band& in, const Band& lo, const Band& hi) const {
        if (found_) return found_->around(grid, in, lo, hi);
        each_piece(grid, in, [&](uint64_t i, uint64_t j, const float* x, uint64_t n, const Group& g) {
            toolbox::write_strip(lo, i, j, n, [&](float* less) {
                toolbox::write_strip(hi, i, j, n, [&](float* more) {
                    kernels_.around(x, n, g.step, g.offset, g.levels, less, more);
                });
            });
        });
    }

    ht_table table(const std::byte* grid) const {
        if (found_) throw Refused("there are more levels than a table has place for");
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

    void set_codebook(std::byte* grid, const float (&codebook)[16]) const {
        Levels& book = *grid_.book(grid);
        std::memcpy(book.level, codebook, sizeof codebook);
        set_thresholds(book);
        std::vector<Levels> made(tables);
        make_tables(codebook, made.data());
        for (uint32_t i = 0; i < tables; ++i) {
            std::memcpy(grid_.level_table(grid) + 16 * i, made[i].level, sizeof made[i].level);
            std::memcpy(grid_.upper_table(grid) + 16 * i, made[i].upper, sizeof made[i].upper);
        }
    }

    // The largest magnitude that they make of a row.
    float scales_of(const float* x, const Levels& book, std::vector<float>& scales) const {
        if (choice_.book != Book::none)
            return kernels_.fit(x, scales.size(), choice_.group, {book.level, book.upper}, scales.data());
        float most = 0;
        for (uint64_t k = 0; k < scales.size(); ++k) {
            const float amax = kernels_.largest(x + k * choice_.group, choice_.group);
            scales[k] = plain_scale(amax);
            most = std::max(most, most_of_plain(amax, scales[k]));
        }
        return most;
    }

    uint8_t searched(const float* x, const float* weight, float step, uint8_t plain,
                     const std::byte* grid) const {
        return searched_scale(plain, [&](uint8_t code) {
            return kernels_.squared_error(x, weight, choice_.group, step, grid_.levels(grid, code));
        });
    }

    // visit(i, j, n, group) for pieces of groups that fit a strip.
    template <class Visit>
    void each_group(const std::byte* grid, const ht_region& region, Visit&& visit) const {
        const uint64_t groups = grid_.groups_of_row();
        toolbox::ScaleGroups::tile(source_.rows, source_.cols, 1, choice_.group)
            .each_piece(region, toolbox::strip, [&](uint64_t i, uint64_t j, uint64_t n, uint64_t g) {
                visit(i, j, n,
                      Group{grid_.steps(grid)[g], grid_.offset(grid, g / groups, g % groups),
                            grid_.levels(grid, grid_.scale_codes(grid)[g])});
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
    const Judge judge_;
    std::optional<Found> found_;  // what a plan of a layer that is only read does
};

}  // namespace halftone::asym_w4a8_int8

HALFTONE_FORMAT(halftone::asym_w4a8_int8::AsymW4a8Int8)
