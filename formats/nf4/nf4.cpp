// NF4 in two layouts: ComfyUI's (bnb_nf4), and that of bitsandbytes itself.

#include <bit>
#include <cmath>
#include <string>
#include <string_view>

#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/bitsandbytes_state.hpp>
#include <halftone/toolbox/scalar_format.hpp>
#include <halftone/toolbox/stored_layer.hpp>

#include "nf4_kernels.hpp"
#include "nf4_variants.hpp"

HALFTONE_KERNEL_IMAGE(nf4_device)

namespace halftone::nf4 {

namespace {

constexpr const char* label_name = "bnb_nf4";
bool is_genuine(const ht_source& source) {
    return source.dialect == HT_DIALECT_BITSANDBYTES;
}

toolbox::BitsandbytesState state_of(const ht_source& source, uint64_t block, bool nested) {
    return {"nf4", block, source.dtype, source.rows, source.cols, nested};
}

std::vector<Stored> stored(const ht_source& source, uint64_t block, bool nested) {
    const toolbox::BitsandbytesState state = state_of(source, block, nested);
    if (is_genuine(source)) return state.stored();
    return {{HT_ROLE_WEIGHT, ".weight", HT_DTYPE_U8, {state.elements() / 2}},
            {HT_ROLE_ABSMAX, ".absmax", HT_DTYPE_F32, {state.blocks()}}};
}

toolbox::ScalarFormat::Parts parts(const ht_source& source, uint64_t block, bool nested,
                                   toolbox::ScaleFit fit) {
    if (source.rank != 2 || source.experts != 1)
        throw Refused("nf4 takes plain matrices, and this has " + std::to_string(source.rank) +
                      " dimensions");
    const uint64_t n = source.rows * source.cols;
    if (n == 0) throw Refused("it has no elements");
    if (source.dialect == HT_DIALECT_LEGACY) throw Refused("nf4 has no legacy layout");
    if (source.wants & (HT_WANTS_ROWS | HT_WANTS_COLUMNS))
        throw Refused("loaders tell the model by this matrix' shape, and nf4 stores it flat");
    const std::string seen = "the block size is " + std::to_string(block) + ", and ";
    if (block % 2 != 0) throw Refused(seen + "two codes share a byte, so it has to be even");
    const bool genuine = is_genuine(source);
    if (genuine && (block < 32 || block > 4096 || !std::has_single_bit(block)))
        throw Refused(seen + "bitsandbytes takes powers of 2 from 32 to 4096");
    if (!genuine && n % block != 0)
        throw Refused(std::to_string(n) + " elements are no multiple of the block size, " +
                      std::to_string(block));

    const Kernels& table = kernels(cpu_level());
    toolbox::ScalarFormat::Parts parts{
        genuine ? table.bitsandbytes : table.comfy,
        genuine ? toolbox::scalar_levels<Bitsandbytes::Element>() : toolbox::scalar_levels<Comfy::Element>(),
        toolbox::ScaleGroups::run(source.rows, source.cols, block),
        genuine ? Bitsandbytes::scale : Comfy::scale, stored(source, block, nested)};
    parts.scaling = genuine ? toolbox::Scaling::multiply : toolbox::Scaling::divide;
    parts.fit = fit;
    parts.input_scale = HT_INPUT_SCALE_NEVER;
    parts.variant = genuine ? 1 : 0;  // as in nf4_device.cu
    parts.packing = genuine ? toolbox::Packing::high_nibble_first : toolbox::Packing::low_nibble_first;
    parts.pre = genuine ? Bitsandbytes::pre : Comfy::pre;
    parts.zeros_have_scales_of_one = false;
    return parts;
}

// ------------------------------------------------------------------------------------------- reading back

void set_matrix(ht_source& source, uint64_t rows, uint64_t cols) {
    source.rank = 2;
    source.shape[0] = source.rows = rows;
    source.shape[1] = source.cols = cols;
    source.experts = 1;
}

// ComfyUI's layout does not say how many rows n elements have. We say it in the marker, as others have; and
// there are as many as the bias has numbers.
uint64_t rows_in(const toolbox::StoredLayer& layer, uint64_t n) {
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
    if (!told) throw Refused("its codes are stored flat, and neither its marker nor a bias tells the shape");
    if (rows == 0 || n % rows != 0)
        throw Refused("its shape is said to be none of a matrix of " + std::to_string(n) + " elements");
    return rows;
}

void recognize_comfy(const toolbox::StoredLayer& layer, OptionsOut& options, ht_source& source) {
    const auto label = layer.marker() ? layer.marker()->text("format") : std::nullopt;
    if (label != label_name) throw Refused("it is not labelled " + std::string(label_name));
    const ht_tensor* const absmax = layer.tensor(".absmax");
    if (!absmax || absmax->dtype != HT_DTYPE_F32) throw Refused("there is no .absmax in F32");
    const ht_tensor* const weight = layer.tensor(".weight");
    if (!weight || weight->dtype != HT_DTYPE_U8 || weight->rank != 1)
        throw Refused("its codes are not stored as a flat U8");
    const uint64_t n = 2 * toolbox::count(*weight), blocks = toolbox::count(*absmax);
    if (blocks == 0 || n % blocks != 0) throw Refused("its blocks are not of one size");
    source.wants = layer.marker()->flag("full_precision_matrix_mult").value_or(false)
                       ? uint32_t{HT_WANTS_FULL_PRECISION_MM}
                       : 0;
    const uint64_t rows = rows_in(layer, n);
    set_matrix(source, rows, n / rows);
    source.dialect = HT_DIALECT_COMFY;
    source.dtype = weight->dtype;
    options.set_whole("block_size", static_cast<int64_t>(n / blocks));
}

}  // namespace

class Nf4 : public toolbox::ScalarFormat {
  public:
    static constexpr PluginInfo info{"nf4", "1.0.0",
                                     "4-bit NormalFloat in blocks, as ComfyUI or bitsandbytes", "MIT"};

    static constexpr ht_option options[] = {
        whole("block_size", "64", 2, 65536, "consecutive elements that share a scale; blocks may cross rows"),
        flag("double_quant", "true", "with layout = \"bitsandbytes\": scales in 8 bits too"),
        toolbox::scale_option,
    };

    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, label_name, "layout=comfyui", "", "none", "",
         "a fork of ComfyUI reads the tensors but fails in use; mainline ComfyUI refuses the file"},
        {sizeof(ht_label), 0, "", "layout=bitsandbytes", "bitsandbytes; transformers; diffusers", "none", "",
         "the genuine layout"},
    };

    Nf4(const ht_source& source, const Options& options)
        : Nf4(source, static_cast<uint64_t>(options.whole("block_size")),
              is_genuine(source) && options.flag("double_quant"),
              options.choice_as<toolbox::ScaleFit>("scale")) {}

    Facts facts() const {
        Facts facts = ScalarFormat::facts();
        if (nested_) facts.grid_bytes += toolbox::NestedAbsmax::bytes(groups().count());
        return facts;
    }

    void describe(JsonSink sink) const {
        sink.text("format", label_name);
        toolbox::write_group_size(sink, block_);
        if (source_.wants & HT_WANTS_FULL_PRECISION_MM) sink.flag("full_precision_matrix_mult", true);
        const int64_t shape[] = {static_cast<int64_t>(source_.rows), static_cast<int64_t>(source_.cols)};
        sink.wholes("orig_shape", shape);
    }

    static const void* extension(std::string_view id) {
        return toolbox::scalar_kernels_extension<Nf4>(id, kernel_image(HALFTONE_IMAGE(nf4_device)));
    }

    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
        const toolbox::StoredLayer layer(found);
        const auto state = toolbox::BitsandbytesState::of(layer, "nf4");
        if (!state) return recognize_comfy(layer, options, source);
        set_matrix(source, state->rows, state->cols);
        source.dialect = HT_DIALECT_BITSANDBYTES;
        source.dtype = state->dtype;
        options.set_whole("block_size", static_cast<int64_t>(state->block));
        options.set_flag("double_quant", state->nested);
    }

    void fit_seal(std::byte* grid) const {
        if (!nested_) return;
        const toolbox::NestedAbsmax nested = nested_in(grid);
        nested.make_map();
        nested.fit(at(grid).post);
        read_nested(grid);
    }

    void load(std::span<const uint8_t* const> companions, std::byte* grid) const {
        for (size_t i = 0; i < companions.size(); ++i)
            if (stored_[i].role == HT_ROLE_CODEBOOK && companions[i]) check_levels(companions[i]);
        if (!nested_) return ScalarFormat::load(companions, grid);
        const toolbox::NestedAbsmax nested = nested_in(grid);
        for (size_t i = 1; i < companions.size(); ++i) {
            if (!companions[i]) throw Refused("there is no " + stored_[i].name);
            if (stored_[i].role == HT_ROLE_ABSMAX)
                std::memcpy(nested.codes(), companions[i], groups().count());
            if (stored_[i].role == HT_ROLE_NESTED_ABSMAX)
                std::memcpy(nested.outer(), companions[i], stored_[i].shape[0] * sizeof(float));
            if (stored_[i].role == HT_ROLE_NESTED_CODEBOOK)
                std::memcpy(nested.map(), companions[i], stored_[i].shape[0] * sizeof(float));
            if (stored_[i].role != HT_ROLE_STATE_JSON) continue;
            const toolbox::JsonMembers state(
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
        const toolbox::NestedAbsmax nested =
            nested_in(const_cast<std::byte*>(grid));  // which nobody writes here
        if (one.role == HT_ROLE_CODEBOOK) {
            std::memcpy(out, levels().level.data(), 16 * sizeof(float));
        } else if (one.role == HT_ROLE_STATE_JSON) {
            const std::string text = state_of(source_, block_, nested_).text(nested_ ? nested.offset() : 0);
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

  private:
    Nf4(const ht_source& source, uint64_t block, bool nested, toolbox::ScaleFit fit)
        : ScalarFormat(parts(source, block, nested, fit)),
          source_(source),
          block_(block),
          nested_(nested),
          stored_(stored(source, block, nested)) {}

    toolbox::NestedAbsmax nested_in(std::byte* grid) const {
        return {groups().count(), grid + ScalarFormat::facts().grid_bytes};
    }
    // The sealed grid rounds to the scales that are read back; bands were encoded with those before, as
    // bitsandbytes does it.
    void read_nested(std::byte* grid) const {
        const toolbox::NestedAbsmax nested = nested_in(grid);
        for (uint64_t i = 0; i < groups().count(); ++i) {
            const float post = nested.at(i);
            at(grid).post[i] = post;
            at(grid).pre[i] = std::copysign(Bitsandbytes::pre(std::fabs(post)), post);
        }
    }
    void check_levels(const uint8_t* stored_levels) const {
        float map[16];
        std::memcpy(map, stored_levels, sizeof map);
        for (size_t i = 0; i < 16; ++i)
            if (!(std::fabs(map[i] - levels().level[i]) <= 1e-6f))
                throw Refused("its levels are not those of NF4");
    }

    ht_source source_;
    uint64_t block_;
    bool nested_;
    std::vector<Stored> stored_;
};

}  // namespace halftone::nf4

HALFTONE_FORMAT(halftone::nf4::Nf4)
