// A format of 4-bit codes from a fixed book of 16 levels, in two layouts: ComfyUI's (bnb_nf4, bnb_fp4), and
// that of bitsandbytes itself. The author supplies the books (codebook.hpp), their loops and names:
//
//     class Nf4 : public toolbox::CodebookFormat {
//       public:
//         static constexpr PluginInfo info = ...;   static constexpr ht_label labels[] = ...;
//         Nf4(const ht_source& source, const Options& options) : CodebookFormat(source, options, codebook())
//         {} static void recognize(const ht_layer&, OptionsOut&, ht_source&);   recognize_as(..., codebook())
//     };
#pragma once

#include <bit>
#include <cmath>
#include <string>
#include <string_view>

#include <halftone/toolbox/bitsandbytes_state.hpp>
#include <halftone/toolbox/codebook.hpp>
#include <halftone/toolbox/matrix_source.hpp>
#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

namespace halftone {
inline namespace v1 {
namespace toolbox {

class CodebookFormat : public ScalarFormat {
  public:
    // One layout's way from numbers to codes.
    struct Way {
        const ScalarKernels& kernels;  // of this CPU level
        const ScalarLevels& levels;
        Scale (*scale)(float amax);
        float (*pre)(float absmax);
        float (*decode)(uint8_t code);
    };
    template <class Variant>
    static Way way(const ScalarKernels& kernels) {
        return {kernels, scalar_levels<typename Variant::Element>(), Variant::scale, Variant::pre,
                [](uint8_t code) { return Variant::Element::decode(code); }};
    }
    struct Codebook {
        std::string_view type;    // "nf4", as bitsandbytes calls it
        const char* label;        // ComfyUI's, "bnb_nf4"
        Way comfy, bitsandbytes;  // variants 0 and 1 of the kernels for devices
    };

    static constexpr ht_option options[] = {
        whole("block_size", "64", 2, 65536, "consecutive elements that share a scale; blocks may cross rows"),
        flag("double_quant", "true", "with layout = \"bitsandbytes\": scales in 8 bits too"),
        scale_option,
    };

    Facts facts() const {
        Facts facts = ScalarFormat::facts();
        if (nested_) facts.grid_bytes += NestedAbsmax::bytes(groups().count());
        return facts;
    }

    void describe(JsonSink sink) const {
        sink.text("format", codebook_.label);
        write_group_size(sink, block_);
        write_full_precision(sink, source_.wants);
        const int64_t shape[] = {static_cast<int64_t>(source_.rows), static_cast<int64_t>(source_.cols)};
        sink.wholes("orig_shape", shape);
    }

    void fit_seal(std::byte* grid) const {
        if (!nested_) return;
        const NestedAbsmax nested = nested_in(grid);
        nested.make_map();
        nested.fit(at(grid).post);
        read_nested(grid);
    }

    void load(std::span<const uint8_t* const> companions, std::byte* grid) const {
        for (size_t i = 0; i < companions.size(); ++i)
            if (stored_[i].role == HT_ROLE_CODEBOOK && companions[i]) check_levels(companions[i]);
        if (!nested_) return ScalarFormat::load(companions, grid);
        const NestedAbsmax nested = nested_in(grid);
        for (size_t i = 1; i < companions.size(); ++i) {
            if (!companions[i]) throw Refused("there is no " + stored_[i].name);
            if (stored_[i].role == HT_ROLE_ABSMAX)
                std::memcpy(nested.codes(), companions[i], groups().count());
            if (stored_[i].role == HT_ROLE_NESTED_ABSMAX)
                std::memcpy(nested.outer(), companions[i], stored_[i].shape[0] * sizeof(float));
            if (stored_[i].role == HT_ROLE_NESTED_CODEBOOK)
                std::memcpy(nested.map(), companions[i], stored_[i].shape[0] * sizeof(float));
            if (stored_[i].role != HT_ROLE_STATE_JSON) continue;
            const JsonMembers state(
                {reinterpret_cast<const char*>(companions[i]), static_cast<size_t>(stored_[i].shape[0])});
            const auto offset = state.real("nested_offset");
            if (!offset) throw Refused("its state has no nested_offset");
            nested.offset() = static_cast<float>(*offset);
        }
        for (uint64_t i = 0; i < groups().count(); ++i)
            if (!std::isfinite(nested.at(i))) throw Refused("scale " + std::to_string(i) + " is not finite");
        read_nested(grid);
    }

    void companion(const std::byte* grid, uint32_t i, uint8_t* out) const {
        const Stored& one = stored_.at(i);
        const NestedAbsmax nested = nested_in(const_cast<std::byte*>(grid));  // which nobody writes here
        if (one.role == HT_ROLE_CODEBOOK) {
            for (uint8_t code = 0; code < 16; ++code) {
                const float level = codebook_.bitsandbytes.decode(code);
                std::memcpy(out + code * sizeof level, &level, sizeof level);
            }
        } else if (one.role == HT_ROLE_STATE_JSON) {
            const std::string text =
                state_of(source_, block_, nested_, codebook_.type).text(nested_ ? nested.offset() : 0);
            std::memcpy(out, text.data(), text.size());
        } else if (!nested_) {
            ScalarFormat::companion(grid, i, out);
        } else if (one.role == HT_ROLE_ABSMAX) {
            std::memcpy(out, nested.codes(), one.shape[0]);
        } else {
            const float* const from = one.role == HT_ROLE_NESTED_ABSMAX ? nested.outer() : nested.map();
            std::memcpy(out, from, one.shape[0] * sizeof(float));
        }
    }

  protected:
    CodebookFormat(const ht_source& source, const Options& options, const Codebook& codebook)
        : CodebookFormat(source, static_cast<uint64_t>(options.whole("block_size")),
                         is_genuine(source) && options.flag("double_quant"),
                         options.choice_as<ScaleFit>("scale"), codebook) {}

    static void recognize_as(const ht_layer& found, OptionsOut& options, ht_source& source,
                             const Codebook& codebook) {
        const StoredLayer layer(found);
        const auto state = BitsandbytesState::of(layer, codebook.type);
        if (!state) return recognize_comfy(layer, options, source, codebook.label);
        set_matrix(source, state->rows, state->cols);
        source.dialect = HT_DIALECT_BITSANDBYTES;
        source.dtype = state->dtype;
        options.set_whole("block_size", static_cast<int64_t>(state->block));
        options.set_flag("double_quant", state->nested);
    }

  private:
    CodebookFormat(const ht_source& source, uint64_t block, bool nested, ScaleFit fit,
                   const Codebook& codebook)
        : ScalarFormat(parts(source, block, nested, fit, codebook)),
          codebook_(codebook),
          source_(source),
          block_(block),
          nested_(nested),
          stored_(stored(source, block, nested, codebook.type)) {}

    static bool is_genuine(const ht_source& source) { return source.dialect == HT_DIALECT_BITSANDBYTES; }

    static BitsandbytesState state_of(const ht_source& source, uint64_t block, bool nested,
                                      std::string_view type) {
        return {type, block, source.dtype, source.rows, source.cols, nested};
    }

    static std::vector<Stored> stored(const ht_source& source, uint64_t block, bool nested,
                                      std::string_view type) {
        const BitsandbytesState state = state_of(source, block, nested, type);
        if (is_genuine(source)) return state.stored();
        return {{HT_ROLE_WEIGHT, ".weight", HT_DTYPE_U8, {state.elements() / 2}},
                {HT_ROLE_ABSMAX, ".absmax", HT_DTYPE_F32, {state.blocks()}}};
    }

    static Parts parts(const ht_source& source, uint64_t block, bool nested, ScaleFit fit,
                       const Codebook& codebook) {
        const std::string type(codebook.type);
        demand_matrix(source, type, Stacks::refused);
        const uint64_t n = source.rows * source.cols;
        if (source.dialect == HT_DIALECT_LEGACY) throw Refused(type + " has no legacy layout");
        if (source.wants & (HT_WANTS_ROWS | HT_WANTS_COLUMNS))
            throw Refused("loaders tell the model by this matrix' shape, and " + type + " stores it flat");
        const std::string seen = "the block size is " + std::to_string(block) + ", and ";
        if (block % 2 != 0) throw Refused(seen + "two codes share a byte, so it has to be even");
        const bool genuine = is_genuine(source);
        if (genuine && (block < 32 || block > 4096 || !std::has_single_bit(block)))
            throw Refused(seen + "bitsandbytes takes powers of 2 from 32 to 4096");
        if (!genuine) demand_whole_blocks(n, block, "elements");

        const Way& way = genuine ? codebook.bitsandbytes : codebook.comfy;
        Parts parts{way.kernels, way.levels, ScaleGroups::run(source.rows, source.cols, block), way.scale,
                    stored(source, block, nested, codebook.type)};
        parts.scaling = genuine ? Scaling::multiply : Scaling::divide;
        parts.fit = fit;
        parts.input_scale = HT_INPUT_SCALE_NEVER;
        parts.variant = genuine ? 1 : 0;
        parts.packing = genuine ? Packing::high_nibble_first : Packing::low_nibble_first;
        parts.pre = way.pre;
        parts.zeros_have_scales_of_one = false;
        return parts;
    }

    // ---- reading back

    // ComfyUI's layout does not say how many rows n elements have. We say it in the marker, as others have;
    // and there are as many as the bias has numbers.
    static uint64_t rows_in(const StoredLayer& layer, uint64_t n) {
        uint64_t rows = 0;
        const ht_tensor* const bias = layer.tensor(".bias");
        if (bias && bias->rank == 1) rows = bias->shape[0];
        bool told = rows > 0;
        for (const char* const key : {"shape", "orig_shape"})
            if (const auto shape = layer.marker()->wholes(key)) {
                told = true;
                rows = shape->size() == 2 && (*shape)[0] > 0 ? static_cast<uint64_t>((*shape)[0]) : 0;
                if (rows > 0 && static_cast<uint64_t>((*shape)[1]) != n / rows) rows = 0;
            }
        if (!told)
            throw Refused("its codes are stored flat, and neither its marker nor a bias tells the shape");
        if (rows == 0 || n % rows != 0)
            throw Refused("its shape is said to be none of a matrix of " + std::to_string(n) + " elements");
        return rows;
    }

    static void recognize_comfy(const StoredLayer& layer, OptionsOut& options, ht_source& source,
                                std::string_view wanted) {
        const auto label = layer.marker() ? layer.marker()->text("format") : std::nullopt;
        if (label != wanted) throw Refused("it is not labelled " + std::string(wanted));
        const ht_tensor* const absmax = layer.tensor(".absmax");
        if (!absmax || absmax->dtype != HT_DTYPE_F32) throw Refused("there is no .absmax in F32");
        const ht_tensor* const weight = layer.tensor(".weight");
        if (!weight || weight->dtype != HT_DTYPE_U8 || weight->rank != 1)
            throw Refused("its codes are not stored as a flat U8");
        const uint64_t n = 2 * count(*weight), blocks = count(*absmax);
        if (blocks == 0 || n % blocks != 0) throw Refused("its blocks are not of one size");
        source.wants = layer.wants_full_precision();
        const uint64_t rows = rows_in(layer, n);
        set_matrix(source, rows, n / rows);
        source.dialect = HT_DIALECT_COMFY;
        source.dtype = weight->dtype;
        options.set_whole("block_size", static_cast<int64_t>(n / blocks));
    }

    NestedAbsmax nested_in(std::byte* grid) const {
        return {groups().count(), grid + ScalarFormat::facts().grid_bytes};
    }
    // The sealed grid rounds to the scales that are read back; bands were encoded with those before, as
    // bitsandbytes does it.
    void read_nested(std::byte* grid) const {
        const NestedAbsmax nested = nested_in(grid);
        for (uint64_t i = 0; i < groups().count(); ++i) {
            const float post = nested.at(i);
            at(grid).post[i] = post;
            at(grid).pre[i] = std::copysign(codebook_.bitsandbytes.pre(std::fabs(post)), post);
        }
    }
    void check_levels(const uint8_t* stored_levels) const {
        float map[16];
        std::memcpy(map, stored_levels, sizeof map);
        for (uint8_t code = 0; code < 16; ++code)
            if (!(std::fabs(map[code] - codebook_.bitsandbytes.decode(code)) <= 1e-6f))
                throw Refused("its levels are not those of " + std::string(codebook_.type));
    }

    Codebook codebook_;
    ht_source source_;
    uint64_t block_;
    bool nested_;
    std::vector<Stored> stored_;
};

}  // namespace toolbox
}  // namespace v1
}  // namespace halftone
