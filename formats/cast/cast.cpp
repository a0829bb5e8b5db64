// Plain floating-point numbers of another type, without scales and without a marker.

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

#include <halftone/format.hpp>
#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/kernels_of_plans.hpp>
#include <halftone/toolbox/matrix_source.hpp>
#include <halftone/toolbox/stored_layer.hpp>
#include <halftone/toolbox/strips.hpp>

#include "cast_kernels.hpp"

HALFTONE_KERNEL_IMAGE(cast_device)

namespace halftone::cast {

namespace {

constexpr const char* to_names[] = {"bf16", "f16", "f32", "e4m3fn", "e5m2", nullptr};
constexpr ht_dtype dtypes[] = {HT_DTYPE_BF16, HT_DTYPE_F16, HT_DTYPE_F32, HT_DTYPE_F8_E4M3, HT_DTYPE_F8_E5M2};

constexpr bool is_eight_bit(To to) {
    return to == To::e4m3fn || to == To::e5m2;
}

}  // namespace

class Cast {
  public:
    static constexpr PluginInfo info{"cast", "1.0.0", "plain floating-point numbers, without scales", "MIT"};

    static constexpr ht_option options[] = {
        choice("to", "bf16", to_names,
               "the type that is stored; what is too large for it becomes its largest"),
    };

    static constexpr const char* everyone = "comfyui; comfyui-fork; diffusers; transformers";
    static constexpr ht_label labels[] = {
        {sizeof(ht_label), 0, "", "to=bf16", everyone, "none", "", "a plain tensor"},
        {sizeof(ht_label), 0, "", "to=f16", everyone, "none", "", "a plain tensor"},
        {sizeof(ht_label), 0, "", "to=f32", everyone, "none", "", "a plain tensor"},
        {sizeof(ht_label), 0, "", "to=e4m3fn", "comfyui; comfyui-fork", "none", "",
         "a plain tensor; loaders that do not multiply in 8 bits widen it as it comes"},
        {sizeof(ht_label), 0, "", "to=e5m2", "comfyui; comfyui-fork", "none", "",
         "a plain tensor; loaders that do not multiply in 8 bits widen it as it comes"},
    };

    Cast(const ht_source& source, const Options& options)
        : to_(options.choice_as<To>("to")),
          loops_(kernels(cpu_level()).to[static_cast<size_t>(to_)]),
          shape_(source.shape, source.shape + source.rank),
          cols_(source.cols) {
        if (source.rows == 0 || source.cols == 0) throw Refused("it has no elements");
        if (source.experts > 1) shape_ = {source.rows, source.cols};  // the host stacks them
        if (source.dialect == HT_DIALECT_BITSANDBYTES && is_eight_bit(to_))
            throw Refused("loaders of bitsandbytes' layout have no use for 8-bit floating point");
        if (source.dialect == HT_DIALECT_LEGACY && is_eight_bit(to_))
            throw Refused("the legacy layout's marker says that every 8-bit weight of the file has a scale");
    }

    Facts facts() const {
        Facts facts;
        facts.stored = {{HT_ROLE_WEIGHT, ".weight", dtypes[static_cast<size_t>(to_)], shape_}};
        facts.granule_bytes = cols_ * loops_.code_bytes;
        facts.piece_cols = 1;
        facts.piece_bytes = loops_.code_bytes;
        facts.grid_bytes = sizeof(GridHeader);
        facts.flags = HT_FACT_ANY_RANK | HT_FACT_ENCODE_BEFORE_SEAL;
        facts.input_scale = HT_INPUT_SCALE_NEVER;
        return facts;
    }

    void describe(JsonSink) const {}  // a plain tensor has no marker

    static const void* extension(std::string_view id) {
        return toolbox::kernels_extension<Cast>(id, kernel_image(HALFTONE_IMAGE(cast_device)));
    }
    bool on_device(std::string_view kernel) const {
        constexpr std::string_view all[] = {"encode", "decode", "snap", "sigma", "around"};
        return std::ranges::count(all, kernel) > 0;
    }

    // Only what needs someone to speak for it: 8-bit numbers without a scale in a file that is marked to be
    // quantized. Loaders take them as they are.
    static void recognize(const ht_layer& found, OptionsOut& options, ht_source& source) {
        const toolbox::StoredLayer layer(found);
        const ht_tensor* const weight = layer.tensor(".weight");
        if (!weight || weight->rank != 2) throw Refused("it has no matrix as its weight");
        const bool e4m3fn = weight->dtype == HT_DTYPE_F8_E4M3;
        if (!e4m3fn && weight->dtype != HT_DTYPE_F8_E5M2) throw Refused("plain numbers need no reading back");
        if (found.marker) throw Refused("its marker says that it is more than a cast");
        for (uint32_t i = 0; i < found.n_tensors; ++i) {
            const std::string_view name = found.tensors[i]->name, layer_name = found.name;
            if (!name.starts_with(layer_name)) continue;
            const std::string_view suffix = name.substr(layer_name.size());
            if (suffix.starts_with('.') && suffix != ".weight" && suffix != ".bias")
                throw Refused("its weight is no cast alone, there is " + std::string(suffix));
        }
        options.set_choice("to", to_names[static_cast<size_t>(e4m3fn ? To::e4m3fn : To::e5m2)]);
        source.dtype = weight->dtype;
        source.dialect = HT_DIALECT_COMFY;
        toolbox::set_matrix(source, weight->shape[0], weight->shape[1]);
    }

    void begin(std::byte* grid) const { reinterpret_cast<GridHeader*>(grid)->to = to_; }
    void load(std::span<const uint8_t* const>, std::byte* grid) const { begin(grid); }

    void encode(const std::byte*, const Band& in, uint8_t* bytes) const {
        toolbox::each_strip(in, [&](uint64_t i, uint64_t j, uint64_t n) {
            toolbox::read_strip(in, i, j, n, [&](const float* x) {
                loops_.encode(x, n, bytes + (i * in.region.cols + j) * loops_.code_bytes);
            });
        });
    }

    void decode(const std::byte*, const uint8_t* bytes, const Band& out) const {
        toolbox::each_strip(out, [&](uint64_t i, uint64_t j, uint64_t n) {
            toolbox::write_strip(out, i, j, n, [&](float* values) {
                loops_.decode(bytes + (i * out.region.cols + j) * loops_.code_bytes, n, values);
            });
        });
    }

    void companion(const std::byte*, uint32_t, uint8_t*) const {
        throw std::logic_error("a cast has no companions");
    }

    void snap(const std::byte*, const Band& in, const Band& out) const {
        each_piece(in, out, out, [&](uint64_t i, uint64_t j, uint64_t n) {
            toolbox::read_strip(in, i, j, n, [&](const float* x) {
                toolbox::write_strip(out, i, j, n, [&](float* values) { loops_.snap(x, n, values); });
            });
        });
    }

    void sigma(const std::byte*, const Band& out) const {
        toolbox::each_strip(out, [&](uint64_t i, uint64_t j, uint64_t n) {
            toolbox::write_strip(out, i, j, n, [&](float* values) { std::fill_n(values, n, 1.0f); });
        });
    }

    void around(const std::byte*, const Band& in, const Band& lo, const Band& hi) const {
        each_piece(in, lo, hi, [&](uint64_t i, uint64_t j, uint64_t n) {
            toolbox::read_strip(in, i, j, n, [&](const float* x) {
                toolbox::write_strip(lo, i, j, n, [&](float* less) {
                    toolbox::write_strip(hi, i, j, n, [&](float* more) { loops_.around(x, n, less, more); });
                });
            });
        });
    }

  private:
    // Pieces that fit the buffers of all views.
    template <class Visit>
    static void each_piece(const Band& a, const Band& b, const Band& c, Visit&& visit) {
        const uint64_t most =
            std::min({toolbox::longest_strip(a), toolbox::longest_strip(b), toolbox::longest_strip(c)});
        for (uint64_t i = 0; i < a.region.rows; ++i)
            for (uint64_t j = 0, n = 0; j < a.region.cols; j += n) {
                n = std::min(a.region.cols - j, most);
                visit(i, j, n);
            }
    }

    To to_;
    const Loops& loops_;
    std::vector<uint64_t> shape_;
    uint64_t cols_;
};

}  // namespace halftone::cast

HALFTONE_FORMAT(halftone::cast::Cast)
