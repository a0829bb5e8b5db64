// The C++20 face of a format. Write a class whose objects are plans:
//
//     class Thirds {
//       public:
//         static constexpr halftone::PluginInfo info{"acme.thirds", "1.0.0", "three levels a row", "MIT"};
//         static constexpr ht_option options[] = {...};
//         static constexpr ht_label labels[] = {...};
//
//         Thirds(const ht_source&, const halftone::Options&);   // throws halftone::Refused with a reason
//         halftone::Facts facts() const;                        // asked once, right after construction
//         void describe(halftone::JsonSink) const;
//         static void recognize(const ht_layer&, halftone::OptionsOut&, ht_source&);   // throws Refused: not
//         mine
//
//         void fit_band(const halftone::Band&, const float* column_weight, std::byte* grid) const;
//         void load(std::span<const uint8_t* const> companions, std::byte* grid) const;
//         void encode(const std::byte* grid, const halftone::Band&, uint8_t* bytes) const;
//         void decode(const std::byte* grid, const uint8_t* bytes, const halftone::Band& out) const;
//         void companion(const std::byte* grid, uint32_t index, uint8_t* out) const;
//         void snap(const std::byte* grid, const halftone::Band& in, const halftone::Band& out) const;
//         void sigma(const std::byte* grid, const halftone::Band& out) const;
//         void around(const std::byte* grid, const Band& in, const Band& lo, const Band& hi) const;
//     };
//     HALFTONE_FORMAT(Thirds)
//
// Optional members: options, labels, begin, rotate, fit_pass with fit_fold, fit_seal, table, extension, and
// void round_activations(const float* input_scale, const Band&) const of ext/draft/activations.h. What
// each must do stands in format.h. toolbox/scalar_format.hpp writes most of them for formats that round one
// element at a time.
#pragma once

#include <memory>
#include <vector>

#include <halftone/ext/draft/activations.h>
#include <halftone/plugin.hpp>

namespace halftone {
inline namespace v1 {

// float32 data of a region. Copies are cheap; the data belong to the host.
struct Band {
    ht_region region;
    ht_view view;

    float* row(uint64_t i) const { return view.at + static_cast<int64_t>(i) * view.row_stride; }
    bool contiguous_rows() const { return view.col_stride == 1; }
    float& at(uint64_t i, uint64_t j) const {
        return view.at[static_cast<int64_t>(i) * view.row_stride + static_cast<int64_t>(j) * view.col_stride];
    }
};

// A stored tensor of a plan.
struct Stored {
    ht_role role;
    std::string name;
    ht_dtype dtype;
    std::vector<uint64_t> shape;
    int32_t scope = HT_SCOPE_LAYER;
};

// ht_facts, pleasant to fill in.
struct Facts {
    std::vector<Stored> stored;
    uint64_t granule_rows = 1, granule_bytes = 0, grid_bytes = 0, partial_bytes = 0;
    uint32_t passes = 0, flags = 0;
    int32_t input_scale = HT_INPUT_SCALE_ALLOWED;
    ht_scale_kind scale_kind = HT_SCALE_NONE;
    float activation_max = 0;
    uint64_t scale_rows = 0, scale_cols = 0;
    std::string remark = {};
    uint64_t piece_cols = 0, piece_bytes = 0;
};

class JsonSink {
  public:
    explicit JsonSink(const ht_json* sink) : sink_(sink) {}
    JsonSink& text(const char* key, const char* value) { return sink_->text(sink_->self, key, value), *this; }
    JsonSink& whole(const char* key, int64_t value) { return sink_->whole(sink_->self, key, value), *this; }
    JsonSink& real(const char* key, double value) { return sink_->real(sink_->self, key, value), *this; }
    JsonSink& flag(const char* key, bool value) { return sink_->boolean(sink_->self, key, value), *this; }
    JsonSink& wholes(const char* key, std::span<const int64_t> v) {
        return sink_->wholes(sink_->self, key, v.data(), v.size()), *this;
    }
    JsonSink& reals(const char* key, std::span<const double> v) {
        return sink_->reals(sink_->self, key, v.data(), v.size()), *this;
    }
    JsonSink& begin(const char* key) { return sink_->begin(sink_->self, key), *this; }
    JsonSink& end() { return sink_->end(sink_->self), *this; }

  private:
    const ht_json* sink_;
};

namespace detail {

// A plan with its facts in the ABI's shape.
template <class Format>
struct Planned {
    Format format;
    Facts facts;
    uint64_t cols;
    std::vector<ht_stored> stored;
    std::vector<const ht_stored*> stored_at;
    ht_facts abi{};

    Planned(const ht_source& source, const Options& options)
        : format(source, options), facts(format.facts()), cols(source.cols) {
        for (const Stored& from : facts.stored) {
            ht_stored to{};
            to.size = sizeof to;
            to.role = from.role;
            to.scope = from.scope;
            to.dtype = from.dtype;
            to.rank = static_cast<uint32_t>(from.shape.size());
            for (size_t i = 0; i < from.shape.size() && i < HT_MAX_RANK; ++i)
                to.shape[i] = from.shape[i];
            to.name = from.name.c_str();
            stored.push_back(to);
        }
        for (const ht_stored& one : stored)
            stored_at.push_back(&one);
        abi = {sizeof abi,          facts.flags,      facts.passes,
               facts.input_scale,   facts.scale_kind, facts.activation_max,
               facts.scale_rows,    facts.scale_cols, facts.granule_rows,
               facts.granule_bytes, facts.grid_bytes, facts.partial_bytes,
               stored_at.data(),    stored_at.size(), facts.remark.empty() ? nullptr : facts.remark.c_str(),
               facts.piece_cols,    facts.piece_bytes};
    }
    Planned(const Planned&) = delete;
    Planned& operator=(const Planned&) = delete;
};

template <class Format>
const Format& of(const void* plan) {
    return static_cast<const Planned<Format>*>(plan)->format;
}

template <class F>
inline constexpr ht_activations activations_table = {
    sizeof(ht_activations), 0,
    [](const void* plan, const float* input_scale, const ht_view* view, uint64_t rows) noexcept {
        reported([&] {
            const uint64_t cols = static_cast<const Planned<F>*>(plan)->cols;
            of<F>(plan).round_activations(input_scale, Band{{0, 0, rows, cols}, *view});
        });
    }};

// What the class has members for is offered without its doing.
template <class F>
const void* extension_of(const char* id) {
    if constexpr (requires { &F::round_activations; })
        if (std::string_view(id) == HT_FORMAT_ACTIVATIONS) return &activations_table<F>;
    if constexpr (requires { &F::extension; })
        return F::extension(id);
    else
        return nullptr;
}

template <class F>
struct FormatTable {
    static constexpr auto labels = [] {
        if constexpr (requires { F::labels; })
            return pointers(F::labels);
        else
            return std::array<const ht_label*, 0>{};
    }();

    static constexpr ht_format table() {
        ht_format t{};
        t.size = sizeof t;
        t.prepare = [](const ht_source* source, ht_values values, void** plan, ht_error* error) noexcept {
            return guarded(error, [&] {
                *plan = std::make_unique<Planned<F>>(*source, Options(options_of<F>(), values)).release();
            });
        };
        t.release = [](void* plan) noexcept { delete static_cast<Planned<F>*>(plan); };
        t.facts = [](const void* plan) noexcept { return &static_cast<const Planned<F>*>(plan)->abi; };
        t.describe = [](const void* plan, const ht_json* sink, ht_error* error) noexcept {
            return guarded(error, [&] { of<F>(plan).describe(JsonSink(sink)); });
        };
        t.recognize = [](const ht_layer* layer, ht_value* const* values, ht_source* source,
                         ht_error* error) noexcept {
            return guarded(error, [&] {
                OptionsOut options(options_of<F>(), values);
                F::recognize(*layer, options, *source);
            });
        };
        t.begin = [](const void* plan, void* grid) noexcept {
            reported([&] {
                if constexpr (requires { &F::begin; }) of<F>(plan).begin(static_cast<std::byte*>(grid));
            });
        };
        if constexpr (requires { &F::rotate; })
            t.rotate = [](const void* plan, int32_t back, const ht_view* view, uint64_t rows) noexcept {
                reported([&] { of<F>(plan).rotate(back != 0, *view, rows); });
            };
        if constexpr (requires { &F::fit_pass; }) {
            t.fit_pass = [](const void* plan, uint32_t pass, const ht_region* region, const ht_view* view,
                            const float* column_weight, const void* grid, void* partials) noexcept {
                reported([&] {
                    of<F>(plan).fit_pass(pass, Band{*region, *view}, column_weight,
                                         static_cast<const std::byte*>(grid), partials);
                });
            };
            t.fit_fold = [](const void* plan, uint32_t pass, const void* partials, uint64_t n, void* grid,
                            ht_error* error) noexcept {
                return guarded(
                    error, [&] { of<F>(plan).fit_fold(pass, partials, n, static_cast<std::byte*>(grid)); });
            };
        }
        if constexpr (requires { &F::fit_band; })
            t.fit_band = [](const void* plan, const ht_region* region, const ht_view* view,
                            const float* column_weight, void* grid) noexcept {
                reported([&] {
                    of<F>(plan).fit_band(Band{*region, *view}, column_weight, static_cast<std::byte*>(grid));
                });
            };
        if constexpr (requires { &F::fit_seal; })
            t.fit_seal = [](const void* plan, void* grid, ht_error* error) noexcept {
                return guarded(error, [&] { of<F>(plan).fit_seal(static_cast<std::byte*>(grid)); });
            };
        t.load = [](const void* plan, const uint8_t* const* companions, void* grid,
                    ht_error* error) noexcept {
            const size_t n = static_cast<const Planned<F>*>(plan)->stored.size();
            return guarded(error, [&] {
                of<F>(plan).load(std::span<const uint8_t* const>(companions, n),
                                 static_cast<std::byte*>(grid));
            });
        };
        t.encode = [](const void* plan, const void* grid, const ht_region* region, const ht_view* view,
                      uint8_t* band) noexcept {
            reported([&] {
                of<F>(plan).encode(static_cast<const std::byte*>(grid), Band{*region, *view}, band);
            });
        };
        t.decode = [](const void* plan, const void* grid, const ht_region* region, const uint8_t* band,
                      const ht_view* out) noexcept {
            reported([&] {
                of<F>(plan).decode(static_cast<const std::byte*>(grid), band, Band{*region, *out});
            });
        };
        t.companion = [](const void* plan, const void* grid, uint32_t i, uint8_t* out,
                         ht_error* error) noexcept {
            return guarded(error,
                           [&] { of<F>(plan).companion(static_cast<const std::byte*>(grid), i, out); });
        };
        t.snap = [](const void* plan, const void* grid, const ht_region* region, const ht_view* in,
                    const ht_view* out) noexcept {
            reported([&] {
                of<F>(plan).snap(static_cast<const std::byte*>(grid), Band{*region, *in},
                                 Band{*region, *out});
            });
        };
        t.sigma = [](const void* plan, const void* grid, const ht_region* region,
                     const ht_view* out) noexcept {
            reported([&] { of<F>(plan).sigma(static_cast<const std::byte*>(grid), Band{*region, *out}); });
        };
        t.around = [](const void* plan, const void* grid, const ht_region* region, const ht_view* in,
                      const ht_view* lo, const ht_view* hi) noexcept {
            reported([&] {
                of<F>(plan).around(static_cast<const std::byte*>(grid), Band{*region, *in},
                                   Band{*region, *lo}, Band{*region, *hi});
            });
        };
        t.table = [](const void* plan, const void* grid, ht_table* out, ht_error* error) noexcept {
            return guarded(error, [&] {
                if constexpr (requires { &F::table; })
                    *out = of<F>(plan).table(static_cast<const std::byte*>(grid));
                else
                    throw Refused("this format has no table of levels");
            });
        };
        if constexpr (
            requires { &F::extension; } || requires { &F::round_activations; })
            t.extension = [](const char* id) noexcept { return extension_of<F>(id); };
        t.labels = labels.data();
        t.n_labels = labels.size();
        return t;
    }
};

template <class F>
inline constexpr ht_format format_table = FormatTable<F>::table();

template <class F>
struct PluginOptions {
    static constexpr auto at = option_pointers<F>();
};

}  // namespace detail
}  // namespace v1
}  // namespace halftone

#define HALFTONE_FORMAT(F)                                      \
    HT_PLUGIN = {sizeof(ht_plugin),                             \
                 HT_KIND_FORMAT,                                \
                 F::info.host_minor,                            \
                 0,                                             \
                 F::info.id,                                    \
                 F::info.version,                               \
                 F::info.summary,                               \
                 F::info.license,                               \
                 halftone::detail::PluginOptions<F>::at.data(), \
                 halftone::detail::PluginOptions<F>::at.size(), \
                 &halftone::detail::format_table<F>,            \
                 halftone::detail::keep_host,                   \
                 halftone::detail::drop_host};
