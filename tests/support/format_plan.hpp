// A format plugin that is linked into a test, called through its descriptor as a host would do it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <halftone/format.h>
#include <halftone/plugin.h>

#include "tests/support/matrices.hpp"

extern "C" const ht_plugin HALFTONE_ENTRY;

namespace halftone::format_test {

using Choices = std::map<std::string, std::string>;

inline const ht_plugin& descriptor() {
    return HALFTONE_ENTRY;
}
inline const ht_format& table() {
    return *static_cast<const ht_format*>(descriptor().table);
}

// Collects what a call reports, and throws it.
class Reported {
  public:
    Reported() { error_.size = sizeof error_; }
    operator ht_error*() { return &error_; }
    void check(ht_status status) const {
        if (status != HT_OK) throw std::runtime_error(error_.text);
    }

  private:
    ht_error error_{};
};

// Initialises the plugin with a CPU level for as long as it lives.
class Level {
  public:
    explicit Level(ht_cpu cpu) {
        host_.size = sizeof host_;
        host_.cpu = cpu;
        Reported reported;
        reported.check(descriptor().init(&host_, reported));
    }
    ~Level() { descriptor().deinit(); }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

  private:
    ht_host host_{};
};

// The values of the option table: defaults, but for those named.
class Values {
  public:
    Values() : Values(Choices{}) {}
    Values(std::initializer_list<Choices::value_type> wanted) : Values(Choices(wanted)) {}
    Values(const Choices& wanted) {
        for (const auto& [name, value] : wanted)
            if (!option(name)) throw std::logic_error("no such option: " + name);
        for (uint64_t i = 0; i < descriptor().n_options; ++i) {
            const ht_option& one = *descriptor().options[i];
            const auto named = wanted.find(one.name);
            values_.push_back(value_of(one, named == wanted.end() ? one.fallback : named->second));
        }
        for (ht_value& value : values_) {
            at_.push_back(&value);
            const_at_.push_back(&value);
        }
    }
    Values(const Values&) = delete;
    Values& operator=(const Values&) = delete;

    ht_values abi() const { return const_at_.data(); }
    ht_value* const* writable() { return at_.data(); }
    std::string choice(const std::string& name) const { return at(name).text; }
    int64_t whole(const std::string& name) const { return at(name).whole; }

  private:
    static const ht_option* option(const std::string& name) {
        for (uint64_t i = 0; i < descriptor().n_options; ++i)
            if (name == descriptor().options[i]->name) return descriptor().options[i];
        return nullptr;
    }
    const ht_value& at(const std::string& name) const {
        for (uint64_t i = 0; i < descriptor().n_options; ++i)
            if (name == descriptor().options[i]->name) return values_[i];
        throw std::logic_error("no such option: " + name);
    }
    static ht_value value_of(const ht_option& option, const std::string& wanted) {
        ht_value value{};
        value.size = sizeof value;
        value.type = option.type;
        value.text = "";
        if (option.type == HT_BOOL) value.whole = wanted == "true";
        if (option.type == HT_INT) value.whole = std::stoll(wanted);
        if (option.type == HT_FLOAT) value.real = std::stod(wanted);
        if (option.type == HT_CHOICE) {
            while (option.choices[value.whole] && wanted != option.choices[value.whole])
                ++value.whole;
            value.text = option.choices[value.whole];
            if (!value.text) throw std::logic_error("no such choice: " + wanted);
        }
        return value;
    }

    std::deque<ht_value> values_;
    std::vector<ht_value*> at_;
    std::vector<const ht_value*> const_at_;
};

inline ht_source source_of(uint64_t rows, uint64_t cols, ht_dialect dialect = HT_DIALECT_COMFY,
                           uint32_t wants = 0, ht_dtype dtype = HT_DTYPE_BF16) {
    ht_source source{};
    source.size = sizeof source;
    source.dtype = dtype;
    source.dialect = dialect;
    source.wants = wants;
    source.rank = 2;
    source.shape[0] = source.rows = rows;
    source.shape[1] = source.cols = cols;
    source.experts = 1;
    return source;
}

inline uint64_t bytes_of(const ht_stored& stored) {
    const bool two = stored.dtype == HT_DTYPE_F16 || stored.dtype == HT_DTYPE_BF16;
    uint64_t n = stored.dtype == HT_DTYPE_F32 ? 4 : two ? 2 : 1;  // formats here store nothing else
    for (uint32_t i = 0; i < stored.rank; ++i)
        n *= stored.shape[i];
    return n;
}

// 64-byte aligned, as the contract says.
using Grid = std::shared_ptr<std::byte[]>;

class Plan {
  public:
    // Throws std::runtime_error with the reason if the plugin refuses.
    explicit Plan(const ht_source& source, const Values& values = {}) : source_(source) {
        Reported reported;
        reported.check(table().prepare(&source_, values.abi(), &plan_, reported));
    }
    ~Plan() { table().release(plan_); }
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    const ht_facts& facts() const { return *table().facts(plan_); }
    const void* get() const { return plan_; }
    std::string description() const;  // compact JSON

    Grid make_grid() const {
        const uint64_t size = facts().grid_bytes;
        auto* const memory = static_cast<std::byte*>(::operator new (size, std::align_val_t{64}));
        std::memset(memory, 0, size);
        Grid grid(memory, [](std::byte* bytes) { ::operator delete (bytes, std::align_val_t{64}); });
        table().begin(plan_, grid.get());
        return grid;
    }

    // All passes, fit_band, fit_seal; `starts` are the first rows of the bands after the first.
    Grid fit(const Matrix& matrix, const std::vector<uint64_t>& starts = {},
             const std::vector<float>& column_weight = {}) const {
        return fit(whole(matrix), view_of(matrix), starts, column_weight);
    }
    Grid fit(const ht_region& all, const ht_view& view, const std::vector<uint64_t>& starts = {},
             const std::vector<float>& column_weight = {}) const {
        Grid grid = fit_unsealed(all, view, starts, column_weight);
        seal(grid);
        return grid;
    }
    Grid fit_unsealed(const ht_region& all, const ht_view& view, const std::vector<uint64_t>& starts = {},
                      const std::vector<float>& column_weight = {}) const {
        const float* const weight = column_weight.empty() ? nullptr : column_weight.data();
        const uint64_t granules = (all.rows + facts().granule_rows - 1) / facts().granule_rows;
        Grid grid = make_grid();
        Reported reported;
        for (uint32_t pass = 0; pass < facts().passes; ++pass) {
            std::vector<uint64_t> partials(granules * facts().partial_bytes / 8 + 1);  // zeroed and aligned
            auto* const slots = reinterpret_cast<std::byte*>(partials.data());
            for (const ht_region& region : cut(all, starts)) {
                const ht_view band = from(view, region.row);
                table().fit_pass(plan_, pass, &region, &band, weight, grid.get(),
                                 slots + region.row / facts().granule_rows * facts().partial_bytes);
            }
            reported.check(table().fit_fold(plan_, pass, slots, granules, grid.get(), reported));
        }
        for (const ht_region& region : cut(all, starts)) {
            const ht_view band = from(view, region.row);
            if (table().fit_band) table().fit_band(plan_, &region, &band, weight, grid.get());
        }
        return grid;
    }
    void seal(const Grid& grid) const {
        if (!table().fit_seal) return;
        Reported reported;
        if (table().fit_seal) reported.check(table().fit_seal(plan_, grid.get(), reported));
    }

    // From the bytes of all companions, as companions() gives them.
    Grid load(const std::vector<Bytes>& companions) const {
        Grid grid = make_grid();
        std::vector<const uint8_t*> at(facts().n_stored);
        for (uint64_t i = 0; i < facts().n_stored; ++i)
            if (facts().stored[i]->role != HT_ROLE_WEIGHT && !companions[i].empty())
                at[i] = companions[i].data();
        Reported reported;
        reported.check(table().load(plan_, at.data(), grid.get(), reported));
        return grid;
    }

    Bytes encode(const Grid& grid, const Matrix& matrix, const std::vector<uint64_t>& starts = {}) const {
        return encode(grid, whole(matrix), view_of(matrix), starts);
    }
    Bytes encode(const Grid& grid, const ht_region& all, const ht_view& view,
                 const std::vector<uint64_t>& starts = {}) const {
        Bytes codes;
        for (uint64_t i = 0; i < facts().n_stored; ++i)
            if (facts().stored[i]->role == HT_ROLE_WEIGHT) codes.resize(bytes_of(*facts().stored[i]), 0xAA);
        for (const ht_region& region : cut(all, starts)) {
            const ht_view band = from(view, region.row);
            table().encode(plan_, grid.get(), &region, &band,
                           codes.data() + region.row / facts().granule_rows * facts().granule_bytes);
        }
        return codes;
    }
    Matrix decode(const Grid& grid, const Bytes& codes, const std::vector<uint64_t>& starts = {}) const {
        Matrix out = like();
        for (const ht_region& region : cut(whole(out), starts)) {
            const ht_view band = view_of(out, region.row);
            table().decode(plan_, grid.get(), &region,
                           codes.data() + region.row / facts().granule_rows * facts().granule_bytes, &band);
        }
        return out;
    }
    Matrix snap(const Grid& grid, const Matrix& in) const {
        Matrix out = like();
        const ht_region region = whole(out);
        const ht_view a = view_of(in), b = view_of(out);
        table().snap(plan_, grid.get(), &region, &a, &b);
        return out;
    }
    Matrix sigma(const Grid& grid) const {
        Matrix out = like();
        const ht_region region = whole(out);
        const ht_view view = view_of(out);
        table().sigma(plan_, grid.get(), &region, &view);
        return out;
    }
    std::pair<Matrix, Matrix> around(const Grid& grid, const Matrix& in) const {
        std::pair<Matrix, Matrix> out{like(), like()};
        const ht_region region = whole(in);
        const ht_view at = view_of(in), lo = view_of(out.first), hi = view_of(out.second);
        table().around(plan_, grid.get(), &region, &at, &lo, &hi);
        return out;
    }
    Matrix rotated(Matrix matrix, bool back) const {
        const ht_view view = view_of(matrix);
        table().rotate(plan_, back, &view, matrix.rows);
        return matrix;
    }

    // The weight's is empty.
    std::vector<Bytes> companions(const Grid& grid) const {
        std::vector<Bytes> all(facts().n_stored);
        Reported reported;
        for (uint32_t i = 0; i < facts().n_stored; ++i) {
            const ht_stored& stored = *facts().stored[i];
            if (stored.role == HT_ROLE_WEIGHT) continue;
            all[i].resize(bytes_of(stored), 0xAA);
            reported.check(table().companion(plan_, grid.get(), i, all[i].data(), reported));
        }
        return all;
    }
    const ht_stored& stored(const std::string& name) const { return *facts().stored[index(name)]; }
    Bytes companion(const Grid& grid, const std::string& name) const { return companions(grid)[index(name)]; }
    std::vector<uint64_t> shape(const std::string& name) const {
        return {stored(name).shape, stored(name).shape + stored(name).rank};
    }

    // First rows of bands, chosen at random.
    std::vector<uint64_t> random_bands(std::mt19937_64& random) const {
        std::vector<uint64_t> starts;
        for (uint64_t row = facts().granule_rows; row < source_.rows; row += facts().granule_rows)
            if (random() % 3 == 0) starts.push_back(row);
        return starts;
    }
    Matrix like() const {
        return {source_.rows, source_.cols, std::vector<float>(source_.rows * source_.cols, 12345.0f)};
    }

  private:
    uint64_t index(const std::string& name) const {
        for (uint64_t i = 0; i < facts().n_stored; ++i)
            if (name == facts().stored[i]->name) return i;
        throw std::logic_error("nothing is stored as " + name);
    }
    static ht_view from(const ht_view& view, uint64_t row) {
        return {view.at + static_cast<int64_t>(row) * view.row_stride, view.row_stride, view.col_stride};
    }
    static std::vector<ht_region> cut(const ht_region& all, std::vector<uint64_t> starts) {
        starts.insert(starts.begin(), 0);
        starts.push_back(all.rows);
        std::vector<ht_region> bands;
        for (size_t i = 0; i + 1 < starts.size(); ++i)
            bands.push_back({starts[i], 0, starts[i + 1] - starts[i], all.cols});
        return bands;
    }

    ht_source source_;
    void* plan_ = nullptr;
};

inline std::string Plan::description() const {
    std::string text;
    const auto member = [](void* self, const char* key, const std::string& value) {
        auto& all = *static_cast<std::string*>(self);
        if (!all.empty() && all.back() != '{') all += ",";
        all += std::string("\"") + key + "\":" + value;
    };
    static const auto add = member;
    ht_json sink{};
    sink.size = sizeof sink;
    sink.self = &text;
    sink.text = [](void* self, const char* key, const char* value) noexcept {
        add(self, key, std::string("\"") + value + "\"");
    };
    sink.whole = [](void* self, const char* key, int64_t value) noexcept {
        add(self, key, std::to_string(value));
    };
    sink.boolean = [](void* self, const char* key, int32_t value) noexcept {
        add(self, key, value ? "true" : "false");
    };
    sink.wholes = [](void* self, const char* key, const int64_t* values, uint64_t n) noexcept {
        std::string list;
        for (uint64_t i = 0; i < n; ++i)
            list += (i ? "," : "") + std::to_string(values[i]);
        add(self, key, "[" + list + "]");
    };
    sink.begin = [](void* self, const char* key) noexcept { add(self, key, "{"); };
    sink.end = [](void* self) noexcept { *static_cast<std::string*>(self) += "}"; };
    Reported reported;
    reported.check(table().describe(plan_, &sink, reported));
    return "{" + text + "}";
}

}  // namespace halftone::format_test
